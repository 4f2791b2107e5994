"""The shape of a record: which fields it names. Records of one shape become columns together.

A stream has few shapes, and finding a record's costs far less than looking at its fields one after the other.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.catalogue import CATEGORIES, SIGNALS, Signal
from pipeline.detect.projection import CUSTOM_FIELDS_MAX, FIELDS, LABELS, SECTIONS

SHAPES_MAX = 4096
"""Shapes remembered; at the next one all are forgotten, and found anew as they come."""

Fields = Sequence[tuple[str, str]]
"""Pairs of a section and a field; the section is empty for a field outside any."""

Sections = dict[str, Sequence[dict[str, Any]]]
"""By section, what each record holds there; by the empty name, the records themselves."""

Reader = Callable[[Sections], list[Any]]
"""Reads all fields of one sort: row after row in one flat list."""

_NOTHING: dict[Any, Any] = {}
_NO_OBJECT: dict[Any, Any] = {None: None}
"""Stands for a section that is no object. No JSON object has the key None."""

_TOO_MANY = (None, False)
"""Stands for a custom section with more fields than allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What records with the same fields have in common.

    Attributes
    ----------
    key
        A hash of the sections and fields named, equal in every run: two records of one request are a duplicate if
        it is equal too.
    numbers, rates
        The signals named, in the catalogue's order; ``read_numbers`` and ``read_rates`` read their values.
    low, high
        Shape ``(len(numbers),)``: what is valid.
    labels
        The categories and labels named; ``read_labels`` reads them.
    sections
        Those that the readers read from.
    custom
        The names under ``custom``, in the sender's order.
    bad_sections
        Pairs of a section and why it is not used.
    late_if_identified
        Whether nothing known is under ``infrastructure``: with a request's id, a late outcome.
    """

    key: str
    numbers: tuple[Signal, ...]
    rates: tuple[Signal, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    labels: tuple[str, ...]
    sections: tuple[str, ...]
    read_numbers: Reader
    read_rates: Reader
    read_labels: Reader
    custom: tuple[str, ...]
    bad_sections: tuple[tuple[str, str], ...]
    late_if_identified: bool

    def open(self, records: Sequence[dict[str, Any]]) -> Sections:
        """The sections of records of this shape."""
        return {"": records} | {section: list(map(itemgetter(section), records)) for section in self.sections}


class Shapes:
    """Finds the shapes of records. A memory only: with an empty one the answers are the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Shape] = {}

    def of(self, records: Sequence[dict[str, Any]]) -> list[Shape]:
        """The shape of each record; equal shapes are mostly, not always, one object."""
        outer = list(map(tuple, records))
        named = set(chain.from_iterable(set(outer)))
        names = [outer, *(self._fields(records, section, named) for section in (*SECTIONS, "custom"))]
        found = list(zip(*names, strict=True))
        shapes = list(map(self._known.get, found))
        if None in shapes:
            return [self._add(each) for each in found]
        return shapes  # type: ignore[return-value]  # there is no None among them

    def _add(self, names: tuple[Any, ...]) -> Shape:
        shape = self._known.get(names)
        if shape is None:
            if len(self._known) >= SHAPES_MAX:
                self._known.clear()
            shape = self._known[names] = _build(names)
        return shape

    @staticmethod
    def _fields(records: Sequence[dict[str, Any]], section: str, named: set[str]) -> list[tuple[Any, ...]]:
        """What a section of each record names: nothing where it is missing or null."""
        if section not in named:
            return [()] * len(records)
        found: list[Any] = [record.get(section) for record in records]
        if set(map(type, found)) != {dict}:
            found = [_NOTHING if each is None else each if isinstance(each, dict) else _NO_OBJECT for each in found]
        fields = list(map(tuple, found))
        if section == "custom" and max(map(len, fields)) > CUSTOM_FIELDS_MAX:
            return [_TOO_MANY if len(each) > CUSTOM_FIELDS_MAX else each for each in fields]
        return fields


def _build(names: tuple[Any, ...]) -> Shape:
    outer, *inner, custom = names
    named = {section: frozenset(fields) for section, fields in zip(SECTIONS, inner, strict=True)}
    bad = [(section, "not_an_object") for section in SECTIONS if None in named[section]]
    if None in custom:
        bad.append(("custom", "too_many_fields" if False in custom else "not_an_object"))
        custom = ()
    numbers = tuple(row for row in SIGNALS if row.kind != "rate" and row.field in named[row.section])
    rates = tuple(row for row in SIGNALS if row.kind == "rate" and row.field in named[row.section])
    categories = [row for row in CATEGORIES if row.section and row.field in named[row.section]]
    # The request's id is read when duplicates are looked for, before there are columns.
    outer_labels = [name for name in LABELS if name in outer and name != "request_id"]
    labels = [(row.section, row.field) for row in categories] + [("", name) for name in outer_labels]
    used = [f"{section}.{name}" for section in SECTIONS for name in named[section] & FIELDS[section]]
    used += [f"custom.{name}" for name in custom] + [name for name in LABELS if name in outer]
    return Shape(
        key=hashlib.blake2b("\n".join(sorted(used)).encode(), digest_size=8).hexdigest(),
        numbers=numbers,
        rates=rates,
        low=np.array([row.low for row in numbers]),
        high=np.array([row.high for row in numbers]),
        labels=tuple(name for _, name in labels),
        sections=tuple({row.section: None for row in (*numbers, *rates, *categories)}),
        read_numbers=_reader([(row.section, row.field) for row in numbers]),
        read_rates=_reader([(row.section, row.field) for row in rates]),
        read_labels=_reader(labels),
        custom=custom,
        bad_sections=tuple(bad),
        # A section of nothing but unknown fields says no more of how the request ran than none at all.
        late_if_identified=not named["infrastructure"] & (FIELDS["infrastructure"] | {None}),
    )


def _reader(fields: Fields) -> Reader:
    """A reader of fields that every record has, all its loops in C."""
    by_section: dict[str, list[str]] = {}
    for section, field in fields:
        by_section.setdefault(section, []).append(field)
    parts = [(section, itemgetter(*names), len(names) == 1) for section, names in by_section.items()]

    def read(sections: Sections) -> list[Any]:
        rows: list[Iterable[tuple[Any, ...]]] = []
        for section, row, single in parts:
            values = map(row, sections[section])
            rows.append(zip(values, strict=True) if single else values)
        if len(rows) == 1:
            return list(chain.from_iterable(rows[0]))
        return list(chain.from_iterable(chain.from_iterable(zip(*rows, strict=True))))

    return read
