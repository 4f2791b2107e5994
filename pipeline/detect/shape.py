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

Reader = Callable[[Sequence[dict[str, Any]]], list[Any]]
"""Reads all fields of one sort from records: row after row in one flat list."""

_NOTHING: dict[Any, Any] = {}
_NO_OBJECT: dict[Any, Any] = {None: None}
"""Stands for a section that is no object. No JSON object has the key None."""

_TOO_MANY: dict[Any, Any] = {None: None, False: None}
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
    read_numbers: Reader
    read_rates: Reader
    read_labels: Reader
    custom: tuple[str, ...]
    bad_sections: tuple[tuple[str, str], ...]
    late_if_identified: bool


class Shapes:
    """Finds the shapes of records. A memory only: with an empty one the answers are the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Shape] = {}

    def of(self, records: Sequence[dict[str, Any]]) -> list[Shape]:
        """The shape of each record; equal shapes are mostly, not always, one object."""
        sections = [self._sections(records, name) for name in SECTIONS]
        custom = self._sections(records, "custom")
        if max(map(len, custom)) > CUSTOM_FIELDS_MAX:
            custom = [_TOO_MANY if len(section) > CUSTOM_FIELDS_MAX else section for section in custom]
        names = list(zip(map(tuple, records), *(map(tuple, each) for each in (*sections, custom)), strict=True))
        found = list(map(self._known.get, names))
        return [shape or self._add(name) for shape, name in zip(found, names, strict=True)]

    def _add(self, names: tuple[Any, ...]) -> Shape:
        shape = self._known.get(names)
        if shape is None:
            if len(self._known) >= SHAPES_MAX:
                self._known.clear()
            shape = self._known[names] = _build(names)
        return shape

    @staticmethod
    def _sections(records: Sequence[dict[str, Any]], name: str) -> list[dict[Any, Any]]:
        found = [record.get(name, _NOTHING) for record in records]
        if set(map(type, found)) == {dict}:
            return found
        return [
            section if isinstance(section, dict) else _NOTHING if section is None else _NO_OBJECT for section in found
        ]


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

    def read(records: Sequence[dict[str, Any]]) -> list[Any]:
        rows: list[Iterable[tuple[Any, ...]]] = []
        for section, row, single in parts:
            values = map(row, map(itemgetter(section), records) if section else records)
            rows.append(zip(values, strict=True) if single else values)
        if len(rows) == 1:
            return list(chain.from_iterable(rows[0]))
        return list(chain.from_iterable(chain.from_iterable(zip(*rows, strict=True))))

    return read
