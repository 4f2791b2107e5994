"""The shape of a record: which fields it names. Records of one shape become columns together.

A stream has few shapes, and most batches have the one that the batch before them had. That is tried first: records
with as many fields as the shape, of which none is missing when all of them are read, have that shape and no other.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.intake.projection import (
    CUSTOM_FIELDS_MAX,
    EMBEDDING,
    FIELDS,
    LABEL_FIELDS_MAX,
    LABEL_SECTIONS,
    LABELS,
    SECTIONS,
)
from pipeline.detect.signals import catalogue
from schemas.record import SUBJECT_LENGTH_MAX

SHAPES_MAX = 4096
"""Shapes remembered; at the next one all are forgotten, and found anew as they come."""

Column = Sequence[Any]
"""What each record holds in one field."""

Records = Sequence[dict[str, Any]]

_ALL_SECTIONS = (*SECTIONS, "custom", *LABEL_SECTIONS)

_NOTHING: dict[Any, Any] = {}
_NO_OBJECT: dict[Any, Any] = {None: None}
"""Stands for a section that is no object. No JSON object has the key None."""

_TOO_MANY = (None, False)
"""Stands for a custom section with more fields than allowed."""

_EMPTY_TYPES = frozenset({dict, type(None)})


@dataclass(frozen=True, slots=True)
class SectionReader:
    """A section that is an object, or null: the column of it, how many fields it has, and what reads them."""

    column: int
    size: int
    read: Callable[[Records], list[Column]]


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """Fields of one sort: their places among the columns read and in the catalogue, and what is valid.

    The bounds have the shape ``(len(places), 1)`` each.
    """

    places: tuple[int, ...]
    signals: NDArray[np.intp]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What records with the same fields have in common.

    Attributes
    ----------
    key
        A hash of the sections and fields named, equal in every run: two records of one request are a duplicate if
        it is equal too.
    numbers, rates
        The signals named.
    labels
        The categories and labels named, and the place of each among the columns read.
    own_labels
        The same of labels whose names are the sender's own, as ``versions.prompt``.
    custom, embedding
        The place of the section of the sender's own fields, and of the embedding, if there are any.
    places
        Of the fields outside any section, by name.
    bad_sections
        Pairs of a section and why it is not used.
    late_if_identified
        Whether nothing known is under ``infrastructure``: with a request's id, a late outcome.
    """

    key: str
    numbers: FieldGroup
    rates: FieldGroup
    labels: tuple[tuple[str, int], ...]
    own_labels: tuple[tuple[str, int], ...]
    custom: int | None
    embedding: int | None
    places: dict[str, int]
    bad_sections: tuple[tuple[str, str], ...]
    late_if_identified: bool
    _read: Callable[[Records], list[Column]]
    _sections: tuple[SectionReader, ...]

    def columns(self, records: Records) -> list[Column]:
        """All fields of records, each as a column; ``KeyError`` if one is surely of another shape.

        That none raised proves that all are of this shape, unless it has ``bad_sections``.
        """
        if set(map(len, records)) != {len(self.places)}:
            raise KeyError
        columns = self._read(records)
        for section in self._sections:
            content = columns[section.column]
            types = set(map(type, content))
            if not section.size:
                if any(content) or not types <= _EMPTY_TYPES:
                    raise KeyError
            elif types != {dict} or set(map(len, content)) != {section.size}:
                raise KeyError
            else:
                columns += section.read(content)
        return columns


class ShapeCache:
    """Finds the shapes of records. A memory only: with an empty one the answers are the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Shape] = {}
        self._latest: Shape | None = None

    def groups(self, records: Records) -> list[tuple[Shape, list[int] | None, list[Column]]]:
        """Records by shape: the shape, the rows (None for all), and their columns. There is at least one record."""
        if self._latest is not None:
            try:
                return [(self._latest, None, self._latest.columns(records))]
            except KeyError:
                pass
        groups: dict[Shape, list[int]] = {}
        for row, shape in enumerate(self.shape_of(records)):
            groups.setdefault(shape, []).append(row)
        most = max(groups, key=lambda shape: len(groups[shape]))
        self._latest = None if most.bad_sections else most
        if len(groups) == 1:
            return [(most, None, most.columns(records))]
        return [(shape, rows, shape.columns([records[row] for row in rows])) for shape, rows in groups.items()]

    def shape_of(self, records: Records) -> list[Shape]:
        """The shape of each record; equal shapes are mostly, not always, one object."""
        outer = list(map(tuple, records))
        named = set(chain.from_iterable(set(outer)))
        names = [outer, *(_names_in(records, section, named) for section in _ALL_SECTIONS)]
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


def _names_in(records: Records, section: str, named: set[str]) -> list[tuple[Any, ...]]:
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
    outer, *inner = names
    by_section = dict(zip(_ALL_SECTIONS, inner, strict=True))
    bad = {
        section: "too_many_fields" if False in fields else "not_an_object"
        for section, fields in by_section.items()
        if None in fields
    }
    named = {section: frozenset(fields) for section, fields in by_section.items()}
    places: dict[tuple[str, str], int] = {("", name): place for place, name in enumerate(outer)}
    sections = []
    for section, fields in by_section.items():
        if section in outer and section not in bad:
            sections.append(SectionReader(places["", section], len(fields), _reader(fields)))
            places |= {(section, field): len(places) + number for number, field in enumerate(fields)}
    used = [f"{section}.{name}" for section in SECTIONS for name in named[section] & FIELDS[section]]
    used += [f"custom.{name}" for name in named["custom"] if "custom" not in bad]
    used += [name for name in LABELS if name in outer]
    categories = {row.name: (row.section, row.field) for row in catalogue.CATEGORIES if row.section}
    labels = categories | {name: ("", name) for name in LABELS if name != "request_id"}
    return Shape(
        key=hashlib.blake2b("\n".join(sorted(used)).encode(), digest_size=8).hexdigest(),
        numbers=_part(places, rates=False),
        rates=_part(places, rates=True),
        labels=tuple((name, places[path]) for name, path in labels.items() if path in places),
        own_labels=tuple(
            (f"{section}.{name}", places[section, name])
            for section in LABEL_SECTIONS
            if section not in bad
            for name in by_section[section][:LABEL_FIELDS_MAX]
            if 0 < len(name) <= SUBJECT_LENGTH_MAX
        ),
        custom=places["", "custom"] if named["custom"] and "custom" not in bad else None,
        embedding=places.get(("data", EMBEDDING)),
        places={name: place for place, name in enumerate(outer)},
        bad_sections=tuple(bad.items()),
        # A section of nothing but unknown fields says no more of how the request ran than none at all.
        late_if_identified=not named["infrastructure"] & (FIELDS["infrastructure"] | {None}),
        _read=_reader(outer),
        _sections=tuple(sections),
    )


def _part(places: dict[tuple[str, str], int], *, rates: bool) -> FieldGroup:
    rows = [
        (number, row)
        for number, row in enumerate(catalogue.SIGNALS)
        if (row.kind == "rate") is rates and (row.section, row.field) in places
    ]
    return FieldGroup(
        places=tuple(places[row.section, row.field] for _, row in rows),
        signals=np.array([number for number, _ in rows], dtype=np.intp),
        low=np.array([[row.low] for _, row in rows]),
        high=np.array([[row.high] for _, row in rows]),
    )


def _reader(fields: Sequence[str]) -> Callable[[Records], list[Column]]:
    """Reads fields that every record has; all its loops run in C."""
    if not fields:
        return lambda _: []
    row = itemgetter(*fields)
    if len(fields) == 1:
        return lambda records: [tuple(map(row, records))]
    return lambda records: list(zip(*map(row, records), strict=True))
