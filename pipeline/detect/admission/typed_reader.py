"""Read messages whose fields have the types of the contract. They are decoded straight into columns.

``batch.py`` calls this module. Decoding fields of known names and types takes a third of the time of parsing JSON
objects and reading their fields. Messages with other names or types are refused, and ``decode.py`` and ``reader.py``
read them. Both ways give the same record for a message that is accepted here.

The names are learned from refused messages. Unknown fields are decoded too, because some look like a known field, and
because JSON that is not valid must be refused.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Struct
from msgspec.structs import astuple
from numpy.typing import NDArray

from pipeline.cloud_events import is_cloud_event
from pipeline.detect.admission.decode import (
    CUSTOM_FIELDS_MAX,
    EMBEDDING_FIELD,
    LABEL_FIELDS_MAX,
    LABEL_SECTIONS,
    OUTER_LABELS,
    PROJECT_ABOVE_BYTES,
    SECTIONS,
)
from pipeline.detect.admission.reader import read_shape
from pipeline.detect.admission.records import Records
from pipeline.detect.admission.shape import ALL_SECTIONS, Column, Shape, build_shape
from pipeline.detect.signals import catalogue
from schemas.record import SUBJECT_LENGTH_MAX

NAMES_MAX = 256
"""Maximum number of field names that are decoded. If there are more, all names are forgotten and learned again."""

LEARNED_RECORDS_MIN = 2
"""Minimum number of refused records with the same names, in one call, whose names are learned."""

CHANGES_FREE = 8
"""Number of changes of the names that can follow each other at once, because a topic may have records of many services."""

MESSAGES_PER_CHANGE = 1_000
"""Number of messages between two further changes, times the number of further changes. A change takes milliseconds."""

CHANGES_MAX = 100
"""Maximum number of further changes that count, so new names are learned even after many changes."""

PAUSE_CALLS = 16
"""Number of calls without an attempt after one in which every message was refused and no name could be learned."""

_NAME = re.compile(r'[^"\\\x00-\x1f\x7f]{1,64}')
"""Names that msgspec can find in a message."""

# orjson reads a larger integer as a float.
_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Scalar = str | _Integer | float | bool | None
# A recursive type would accept other depths than orjson.
_Unknown1 = _Scalar | dict[str, _Scalar] | list[_Scalar]
_Unknown2 = _Scalar | dict[str, _Unknown1] | list[_Unknown1]
_Unknown = _Scalar | dict[str, _Unknown2] | list[_Unknown2]

_OUTER_TYPES: dict[str, Any] = {
    "subject": str | None,
    "timestamp": str | _Integer | float | None,
    "sampling_probability": float | None,
    "custom": Annotated[dict[str, _Scalar], msgspec.Meta(max_length=CUSTOM_FIELDS_MAX)] | None,
    **dict.fromkeys(OUTER_LABELS, str | None),
    **dict.fromkeys(
        LABEL_SECTIONS,
        Annotated[dict[str, str | _Integer | bool | None], msgspec.Meta(max_length=LABEL_FIELDS_MAX)] | None,
    ),
}
_FIELD_TYPES: dict[tuple[str, str], tuple[Any, Any]] = {
    **{("", name): (type_, None) for name, type_ in _OUTER_TYPES.items()},
    **{(row.section, row.field): (str | None, None) for row in catalogue.CATEGORIES if row.section},
    **{
        (row.section, row.field): (bool | None, None) if row.kind == "rate" else (float | None, float("nan"))
        for row in catalogue.SIGNALS
        if row.section in SECTIONS
    },
    ("data", EMBEDDING_FIELD): (list[_Integer | float] | None, None),
}
"""Type of each field, and the value that stands for a missing field."""

_INFRASTRUCTURE = "infrastructure"
_INFRASTRUCTURE_SIGNALS = [index for index, row in enumerate(catalogue.SIGNALS) if row.section == _INFRASTRUCTURE]


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """Names and types of the fields that are decoded.

    Attributes
    ----------
    shape
        Shape of a record that has all fields. It has no labels with names that the sender chose.
    decode
        Function that decodes the value of a message.
    empty_sections
        The decoded form of a section without fields, by section.
    """

    shape: Shape
    decode: Callable[[bytes], Struct]
    empty_sections: Mapping[str, Struct]


@dataclass(frozen=True, slots=True)
class TypedRecords:
    """The records of the accepted messages.

    Attributes
    ----------
    records
        The records.
    indexes, contents
        The index and the value of the message of each record.
    refused
        The indexes of the refused messages.
    """

    records: Records
    indexes: Sequence[int]
    contents: Sequence[bytes]
    refused: Sequence[int]


class TypedReader:
    """Reader of messages whose fields have known names and the types of the contract.

    >>> reader = TypedReader()
    >>> reader.learn([{"subject": "bot", "output": {"length": 3}}] * 2)
    >>> typed = reader.read([b'{"subject":"bot","output":{"length":7}}', b'{"subject":5}'], bytes_max=1024)
    >>> list(typed.records.subjects), typed.indexes, typed.refused
    (['bot'], [0], [1])
    """

    def __init__(self) -> None:
        self._names: dict[str, dict[str, None]] = {}
        self._format: RecordFormat | None = None
        self._changes = 0
        self._messages_to_change = 0
        self._calls_to_skip = 0
        self._are_all_refused = False

    def read(self, values: Sequence[bytes | None], *, bytes_max: int) -> TypedRecords:
        """Read a few messages.

        Parameters
        ----------
        values
            Values of Kafka messages; None for a tombstone.
        bytes_max
            Maximum size of a value, in bytes. A longer value is refused.
        """
        self._messages_to_change -= len(values)
        self._are_all_refused = False
        if self._format is None or self._calls_to_skip:
            self._calls_to_skip = max(0, self._calls_to_skip - 1)
            return TypedRecords(Records.empty(), [], [], range(len(values)))
        structs, refused = _decode(self._format.decode, values, min(bytes_max, PROJECT_ABOVE_BYTES))
        self._are_all_refused = not structs
        if not structs:
            return TypedRecords(Records.empty(), [], [], refused)
        records, unclear = _read_structs(self._format, structs)
        indexes: Sequence[int] = sorted(set(range(len(values))).difference(refused))
        if unclear:
            clear = [row for row in range(len(indexes)) if row not in unclear]
            refused = sorted([*refused, *(indexes[row] for row in unclear)])
            records, indexes = records.pick(clear), [indexes[row] for row in clear]
        return TypedRecords(records, indexes, [values[index] or b"" for index in indexes], refused)

    def learn(self, objects: Sequence[dict[str, Any]]) -> None:
        """Learn the names of the fields that most of the refused records have, if several of them have the same."""
        if self._calls_to_skip:
            return
        counts = Counter(map(_find_names, objects))
        del counts[None]
        ((names, count),) = counts.most_common(1) or ((None, 0),)
        if (
            names is not None
            and count >= LEARNED_RECORDS_MIN
            and self._messages_to_change <= 0
            and self._add_names(names)
        ):
            self._format = _build_format(self._names)
            self._changes += 1
            self._messages_to_change = MESSAGES_PER_CHANGE * min(max(0, self._changes - CHANGES_FREE), CHANGES_MAX)
        elif self._are_all_refused:
            self._calls_to_skip = PAUSE_CALLS

    def _add_names(self, names: tuple[tuple[str, ...], ...]) -> bool:
        """Add names. Return whether any of them is new and all can be decoded."""
        if not all(map(_NAME.fullmatch, chain.from_iterable(names))):
            return False
        learned = {section: dict.fromkeys(fields) for section, fields in zip(("", *SECTIONS), names, strict=True)}
        known = {section: self._names.get(section, {}) | fields for section, fields in learned.items()}
        if sum(map(len, known.values())) > NAMES_MAX:
            known = learned
        is_new = known != self._names and sum(map(len, learned.values())) <= NAMES_MAX
        if is_new:
            self._names = known
        return is_new


def _find_names(fields: dict[str, Any]) -> tuple[tuple[str, ...], ...] | None:
    """Return the names outside any section and in each section of the contract; None if they cannot be learned."""
    sections = [fields.get(section) for section in SECTIONS]
    if is_cloud_event(fields) or not all(content is None or isinstance(content, dict) for content in sections):
        return None
    return tuple(fields), *(tuple(content or ()) for content in sections)


def _build_format(names: Mapping[str, Mapping[str, None]]) -> RecordFormat:
    empty_sections = {
        section: _build_struct(section, {name: _FIELD_TYPES.get((section, name)) for name in names[section]})()
        for section in SECTIONS
        if section in names[""]
    }
    section_types = {section: (type(empty) | None, empty) for section, empty in empty_sections.items()}
    outer = {name: section_types.get(name) or _FIELD_TYPES.get(("", name)) for name in names[""]}
    decoder = msgspec.json.Decoder(_build_struct("record", outer))
    shape = build_shape((tuple(outer), *(tuple(names.get(section, ())) for section in ALL_SECTIONS)))
    return RecordFormat(shape, decoder.decode, empty_sections)


def _build_struct(name: str, fields: Mapping[str, tuple[Any, Any] | None]) -> type[Struct]:
    """Return a class with one attribute per field. The attributes have other names, as a field can have any name."""
    return msgspec.defstruct(
        name,
        [(f"field_{index}", *(field or (_Unknown, UNSET))) for index, field in enumerate(fields.values())],
        rename={f"field_{index}": field for index, field in enumerate(fields)},
        forbid_unknown_fields=True,
        frozen=True,
        gc=False,
    )


def _decode(
    decode: Callable[[bytes], Struct], values: Sequence[bytes | None], bytes_max: int
) -> tuple[list[Struct], list[int]]:
    """Return the decoded messages, and the indexes of the other messages."""
    if None in values or max(map(len, values), default=0) > bytes_max:  # type: ignore[arg-type]  # there is no None
        values = [b"" if value is None or len(value) > bytes_max else value for value in values]
    structs: list[Struct] = []
    refused: list[int] = []
    remaining = iter(values)
    while True:
        try:
            # After an error, the list contains all messages before the refused message.
            structs.extend(map(decode, remaining))  # type: ignore[arg-type]  # there is no None
        except (msgspec.DecodeError, UnicodeDecodeError):
            refused.append(len(structs) + len(refused))
        else:
            return structs, refused


def _read_structs(record_format: RecordFormat, structs: Sequence[Struct]) -> tuple[Records, set[int]]:
    """Return the records, and the rows of the records that may be a request or a late outcome."""
    shape = record_format.shape
    columns: list[Column] = list(zip(*map(astuple, structs), strict=True))
    for section, empty in record_format.empty_sections.items():
        contents = columns[shape.outer[section]]
        if not all(contents):
            contents = columns[shape.outer[section]] = [empty if content is None else content for content in contents]
        columns += zip(*map(astuple, contents), strict=True)
    labels: dict[str, Column] = {}
    for section in LABEL_SECTIONS:
        if section in shape.outer:
            labels |= _read_labels(section, columns[shape.outer[section]])
    records = read_shape(shape, columns, len(structs), typed_labels=labels)
    if "custom" in shape.outer and any(columns[shape.outer["custom"]]):
        records.custom_fields = [content or None for content in columns[shape.outer["custom"]]]
    records.look_alikes = _find_look_alikes(shape, columns)
    unclear: set[int] = set()
    if _INFRASTRUCTURE in shape.outer and not shape.is_late_outcome_if_identified:
        empty = record_format.empty_sections[_INFRASTRUCTURE]
        unclear = _mark_late_outcomes(records, columns[shape.outer[_INFRASTRUCTURE]], empty)
    return records, unclear


def _read_labels(section: str, contents: Sequence[dict[str, Any] | None]) -> dict[str, Column]:
    """Return the labels of a section by name, where None stands for a missing label."""
    names_of_records = list(dict.fromkeys(map(tuple, filter(None, contents))))
    if len(names_of_records) == 1 and all(contents):
        names: Iterable[str] = names_of_records[0]
        columns: Iterable[Column] = zip(*map(dict.values, filter(None, contents)), strict=True)
    else:
        names = dict.fromkeys(chain.from_iterable(names_of_records))
        columns = ([content.get(name) if content else None for content in contents] for name in names)
    return {
        f"{section}.{name}": column
        for name, column in zip(names, columns, strict=True)
        if 0 < len(name) <= SUBJECT_LENGTH_MAX
    }


def _find_look_alikes(shape: Shape, columns: Sequence[Column]) -> dict[str, NDArray[np.bool_]]:
    masks = {}
    for path in shape.look_alikes:
        section, _, name = path.rpartition(".")
        column = columns[shape.columns[section, name]]
        masks[path] = np.array([value is not UNSET for value in column], dtype=np.bool_)
    return masks


def _mark_late_outcomes(records: Records, contents: Column, empty: Struct) -> set[int]:
    """Mark the late outcomes, which have no known field in the section ``infrastructure``.

    Return the rows of the records that have the section, but no usable value in it. They are requests only if they carry
    the name of a known field.
    """
    has_value = ~np.isnan(records.values[:, _INFRASTRUCTURE_SIGNALS]).all(axis=1)
    unclear = set()
    for row in np.flatnonzero(~has_value).tolist():
        if records.request_ids[row] is None:
            continue
        if contents[row] is empty:
            records.is_request[row] = False
        else:
            unclear.add(row)
    return unclear
