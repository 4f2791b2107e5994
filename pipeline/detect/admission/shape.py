"""Find the shape of each record (the set of its field names), and read records of one shape together.

``reader.py`` uses this module. A stream has few shapes, and most batches have the same shape as the previous batch.
That shape is tried first. A record has that shape if it has the same number of fields and all fields of the shape can
be read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cloud_events import VERSION_ATTRIBUTE
from pipeline.detect.admission.decode import (
    CUSTOM_FIELDS_MAX,
    EMBEDDING_FIELD,
    LABEL_FIELDS_MAX,
    LABEL_SECTIONS,
    OUTER_LABELS,
    SECTION_FIELDS,
    SECTIONS,
)
from pipeline.detect.fields import FaultReason, find_look_alike, find_unknown_fields
from pipeline.detect.signals import catalogue
from schemas.record import SUBJECT_LENGTH_MAX

SHAPES_MAX = 4096
"""Maximum number of shapes in the cache. Adding another shape clears the cache."""

Column = Sequence[Any]
"""Values of one field, one per record."""

Objects = Sequence[dict[str, Any]]

ALL_SECTIONS = (*SECTIONS, "custom", *LABEL_SECTIONS)
"""All sections of a record, in the order of their columns."""

_NO_FIELDS: dict[Any, Any] = {}
_NOT_AN_OBJECT: dict[Any, Any] = {None: None}
"""Marker of a section that is not an object. No JSON object has the key None."""

_TOO_MANY_FIELDS = (None, False)
"""Marker of a ``custom`` section with too many fields."""

_EMPTY_TYPES = frozenset({dict, type(None)})


@dataclass(frozen=True, slots=True)
class SectionReader:
    """Reader of a section that is an object or null: index of its column, number of its fields, and read function."""

    column: int
    size: int
    read: Callable[[Objects], list[Column]]


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """The signals of one type in a shape.

    Attributes
    ----------
    columns
        Indexes of the ``N`` fields in the columns that are read.
    signals
        Shape ``(N,)``: indexes in the catalogue.
    low, high
        Shape ``(N, 1)``: bounds of valid values.
    """

    columns: tuple[int, ...]
    signals: NDArray[np.intp]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def path(self, index: int) -> str:
        """Return the section and name of a field, as in error reports."""
        signal = catalogue.SIGNALS[int(self.signals[index])]
        return f"{signal.section}.{signal.field}"


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The fields of a record. Columns are indexes into the result of :meth:`read_columns`.

    Attributes
    ----------
    numbers, rates
        The signals that are numbers, and the signals that are rates.
    labels
        Categories and other labels of the contract, and their columns.
    sender_labels
        Labels whose names the sender chooses, such as ``versions.prompt``, and their columns.
    custom, embedding
        The columns of the ``custom`` section and of the embedding, if the shape has them.
    outer
        Columns of the fields outside any section, by name.
    columns
        Columns of all fields, by section and name. The section is empty for fields outside any section.
    sections
        Readers of the sections that the shape has, in the order of their columns.
    bad_sections
        Sections that are dropped, with the reason.
    look_alikes
        Unknown fields that look like a known one.
    is_cloud_event
        Whether the objects are envelopes of CloudEvents and not records.
    is_late_outcome_if_identified
        Whether a record with a request id is a late outcome, which has no known field under ``infrastructure``.
    """

    numbers: FieldGroup
    rates: FieldGroup
    labels: tuple[tuple[str, int], ...]
    sender_labels: tuple[tuple[str, int], ...]
    custom: int | None
    embedding: int | None
    outer: dict[str, int]
    columns: dict[tuple[str, str], int]
    sections: tuple[SectionReader, ...]
    bad_sections: tuple[tuple[str, FaultReason], ...]
    look_alikes: tuple[str, ...]
    is_cloud_event: bool
    is_late_outcome_if_identified: bool
    _read_outer: Callable[[Objects], list[Column]]

    def read_columns(self, objects: Objects) -> list[Column]:
        """Return all fields of records as columns.

        Raises ``KeyError`` if a record has another shape. If the shape has ``bad_sections``, a record of another shape
        may go unnoticed.
        """
        if set(map(len, objects)) != {len(self.outer)}:
            raise KeyError
        columns = self._read_outer(objects)
        for section in self.sections:
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
    """Cache of shapes. It affects only the speed of reading, never the result."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Shape] = {}
        self._latest: Shape | None = None

    def group_by_shape(self, objects: Objects) -> list[tuple[Shape, list[int] | None, list[Column]]]:
        """Group at least one record by shape. Return each shape with its rows (None for all rows) and columns."""
        if self._latest is not None:
            try:
                return [(self._latest, None, self._latest.read_columns(objects))]
            except KeyError:
                pass
        groups: dict[Shape, list[int]] = {}
        for row, shape in enumerate(self._find_shapes(objects)):
            groups.setdefault(shape, []).append(row)
        most_frequent = max(groups, key=lambda shape: len(groups[shape]))
        self._latest = None if most_frequent.bad_sections else most_frequent
        if len(groups) == 1:
            return [(most_frequent, None, most_frequent.read_columns(objects))]
        return [(shape, rows, shape.read_columns([objects[row] for row in rows])) for shape, rows in groups.items()]

    def _find_shapes(self, objects: Objects) -> list[Shape]:
        """Return the shape of each record. Equal shapes are usually, but not always, the same object."""
        outer = list(map(tuple, objects))
        outer_names = set(chain.from_iterable(set(outer)))
        columns = [outer, *(_read_names(objects, section, outer_names) for section in ALL_SECTIONS)]
        names_of_records = list(zip(*columns, strict=True))
        shapes = list(map(self._known.get, names_of_records))
        if None in shapes:
            return [self._find_or_build(names) for names in names_of_records]
        return shapes  # type: ignore[return-value]  # it contains no None

    def _find_or_build(self, names: tuple[Any, ...]) -> Shape:
        shape = self._known.get(names)
        if shape is None:
            if len(self._known) >= SHAPES_MAX:
                self._known.clear()
            shape = self._known[names] = build_shape(names)
        return shape


def _read_names(objects: Objects, section: str, outer_names: set[str]) -> list[tuple[Any, ...]]:
    """Return the field names in a section of each record; empty if the section is missing or null."""
    if section not in outer_names:
        return [()] * len(objects)
    sections: list[Any] = [record.get(section) for record in objects]
    if set(map(type, sections)) != {dict}:
        sections = [
            _NO_FIELDS if content is None else content if isinstance(content, dict) else _NOT_AN_OBJECT
            for content in sections
        ]
    names = list(map(tuple, sections))
    if section == "custom" and max(map(len, names)) > CUSTOM_FIELDS_MAX:
        return [_TOO_MANY_FIELDS if len(fields) > CUSTOM_FIELDS_MAX else fields for fields in names]
    return names


def build_shape(names: tuple[Any, ...]) -> Shape:
    """Return the shape of records with the given names of fields: outside any section, then in each section."""
    outer, *inner = names
    by_section = dict(zip(ALL_SECTIONS, inner, strict=True))
    bad_sections: dict[str, FaultReason] = {
        section: "too_many_fields" if False in fields else "not_an_object"
        for section, fields in by_section.items()
        if None in fields
    }
    columns: dict[tuple[str, str], int] = {("", name): index for index, name in enumerate(outer)}
    section_readers = []
    for section, fields in by_section.items():
        if section in outer and section not in bad_sections:
            section_readers.append(SectionReader(columns["", section], len(fields), _build_reader(fields)))
            columns |= {(section, field): len(columns) + number for number, field in enumerate(fields)}
    categories = {row.name: (row.section, row.field) for row in catalogue.CATEGORIES if row.section}
    labels = categories | {name: ("", name) for name in OUTER_LABELS if name != "request_id"}
    has_custom = bool(by_section["custom"]) and "custom" not in bad_sections
    # A section with only unknown fields is treated like a missing section.
    is_late_outcome = not set(by_section["infrastructure"]) & (SECTION_FIELDS["infrastructure"] | {None})
    return Shape(
        numbers=_build_group(columns, rates=False),
        rates=_build_group(columns, rates=True),
        labels=tuple((name, columns[path]) for name, path in labels.items() if path in columns),
        sender_labels=tuple(
            (f"{section}.{name}", columns[section, name])
            for section in LABEL_SECTIONS
            if section not in bad_sections
            for name in by_section[section][:LABEL_FIELDS_MAX]
            if 0 < len(name) <= SUBJECT_LENGTH_MAX
        ),
        custom=columns["", "custom"] if has_custom else None,
        embedding=columns.get(("data", EMBEDDING_FIELD)),
        outer={name: index for index, name in enumerate(outer)},
        columns=columns,
        sections=tuple(section_readers),
        bad_sections=tuple(bad_sections.items()),
        look_alikes=tuple(path for path in find_unknown_fields(by_section | {"": outer}) if find_look_alike(path)),
        is_cloud_event=VERSION_ATTRIBUTE in outer,
        is_late_outcome_if_identified=is_late_outcome,
        _read_outer=_build_reader(outer),
    )


def _build_group(columns: dict[tuple[str, str], int], *, rates: bool) -> FieldGroup:
    signals = [
        (index, row)
        for index, row in enumerate(catalogue.SIGNALS)
        if (row.kind == "rate") is rates and (row.section, row.field) in columns
    ]
    return FieldGroup(
        columns=tuple(columns[row.section, row.field] for _, row in signals),
        signals=np.array([index for index, _ in signals], dtype=np.intp),
        low=np.array([[row.low] for _, row in signals]),
        high=np.array([[row.high] for _, row in signals]),
    )


def _build_reader(fields: Sequence[str]) -> Callable[[Objects], list[Column]]:
    """Return a function that reads fields that every record has. All its loops run in C."""
    if not fields:
        return lambda _: []
    row = itemgetter(*fields)
    if len(fields) == 1:
        return lambda objects: [tuple(map(row, objects))]
    return lambda objects: list(zip(*map(row, objects), strict=True))
