"""Read JSON objects into the columns of records and check every field. A bad field is dropped, but its record is used.

``batch.py`` calls this module. ``shape.py`` groups objects with equal fields. All loops over records run in C: the
types are checked as sets, and the bounds as arrays. Only a column with a value of another type is read value by value.
Such a value is converted if it has only one meaning: a number as a string, a boolean as 0 or as a string, a label as an
integer or as a list of one.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.conversion import convert_to_boolean, convert_to_number
from pipeline.detect.admission.records import Fault, Label, Records
from pipeline.detect.admission.shape import Column, FieldGroup, Shape, ShapeCache
from pipeline.detect.fields import FaultReason, find_type_fault
from pipeline.detect.signals import catalogue
from schemas.record import SAMPLING_PROBABILITY_MIN, SUBJECT_LENGTH_MAX

_NONE = type(None)
_TEXTS = frozenset({str, _NONE})
_NUMBERS = frozenset({int, float})
_BOOLEANS = frozenset({bool})
_INTEGERS_AND_BOOLEANS = frozenset({int, bool})
_SAMPLED = frozenset({"tail", None})
_BLANK_IDS = frozenset({"", "none", "null", "nil", "undefined", "unknown", "nan", "n/a", "<null>", "\\n"})
_BLANK_CHARACTERS = " \t\r\n0-"
"""An id that consists only of these characters counts as missing. So does an id that is a placeholder word."""


class CloudEventFound(Exception):
    """An object is a CloudEvent and not a record."""


class RecordReader:
    """Reader of JSON objects with arbitrary fields.

    >>> records = RecordReader().read([{"subject": "bot", "output": {"length": 3}}, {"output": {"length": "long"}}])
    >>> records.subjects, records.faults
    (['bot', None], [(1, 'output.length', 'is_text')])
    """

    def __init__(self) -> None:
        self._shapes = ShapeCache()

    def read(self, objects: Sequence[dict[str, Any]]) -> Records:
        """Return the objects as columns. The objects are not needed afterwards.

        Raises
        ------
        CloudEventFound
            If an object is a CloudEvent. Unwrap all objects and read them again.
        """
        if not objects:
            return Records.empty()
        groups = self._shapes.group_by_shape(objects)
        if any(shape.is_cloud_event for shape, _, _ in groups):
            raise CloudEventFound
        if len(groups) == 1:
            shape, _, columns = groups[0]
            return read_shape(shape, columns, len(objects))
        parts = [read_shape(shape, columns, len(rows or objects)) for shape, rows, columns in groups]
        order = np.argsort(np.concatenate([rows or [] for _, rows, _ in groups])).tolist()
        return Records.concatenate(parts).pick(order)


def read_shape(
    shape: Shape, columns: Sequence[Column], length: int, *, typed_labels: Mapping[str, Column] | None = None
) -> Records:
    """Return the records of one shape.

    Parameters
    ----------
    shape, columns
        The shape and its columns.
    length
        Number of records.
    typed_labels
        Labels with names that the sender chose, in addition to those of the shape. None if the types of the columns are
        unknown. Otherwise, every value must be None or of the type of its field: a number of any type, or a boolean.
    """
    nothing: Column = (None,) * length
    subjects, timestamps, sent_request_ids = (
        columns[shape.outer[name]] if name in shape.outer else nothing
        for name in ("subject", "timestamp", "request_id")
    )
    fields = _FieldReader(length, is_typed=typed_labels is not None)
    request_ids = _drop_blank_ids(fields.read_labels(sent_request_ids, "request_id"))
    values = np.full((length, Records.WIDTH), np.nan)
    fields.read_numbers(values, shape.numbers, columns)
    fields.read_rates(values, shape.rates, columns)
    labels = {
        name: fields.read_labels(columns[index], catalogue.CATEGORY_PATHS.get(name, name))
        for name, index in shape.labels
    }
    sender_labels = {name: columns[index] for name, index in shape.sender_labels} | dict(typed_labels or {})
    labels |= {name: fields.read_sender_labels(column, name) for name, column in sender_labels.items()}
    if "sampled" in labels:
        labels["sampled"] = fields.drop_unknown_labels(labels["sampled"], "sampled", _SAMPLED)
    probabilities = None
    if "sampling_probability" in shape.outer:
        probabilities = fields.read_probabilities(columns[shape.outer["sampling_probability"]], "sampling_probability")
    embeddings = None
    if shape.embedding is not None:
        embeddings = fields.read_column(columns[shape.embedding], "data.embedding", frozenset({list}), _do_not_convert)
    for section, reason in shape.bad_sections:
        fields.faults += [(row, section, reason) for row in range(length)]
    return Records(
        values=values,
        is_request=_find_requests(shape, request_ids),
        request_ids=request_ids,
        labels=labels,
        subjects=subjects,
        timestamps=timestamps,
        sampling_probabilities=probabilities,
        custom_fields=None if shape.custom is None else columns[shape.custom],
        embeddings=embeddings,
        faults=sorted(fields.faults),
        converted=fields.converted,
        look_alikes={path: np.ones(length, dtype=np.bool_) for path in shape.look_alikes},
    )


def _find_requests(shape: Shape, request_ids: Sequence[Label]) -> NDArray[np.bool_]:
    """Return a mask of the records that are requests, not late outcomes."""
    if shape.is_late_outcome_if_identified:
        return np.array([request_id is None for request_id in request_ids], dtype=np.bool_)
    return np.ones(len(request_ids), dtype=np.bool_)


def _drop_blank_ids(request_ids: Sequence[Label]) -> Sequence[Label]:
    """Replace placeholder ids, such as an empty string, None, or a UUID of zeros."""
    stripped = map(str.strip, filter(None, request_ids), repeat(_BLANK_CHARACTERS))
    if _BLANK_IDS.isdisjoint(map(str.lower, stripped)) and "" not in request_ids:
        return request_ids
    return [
        None if request_id is None or request_id.strip(_BLANK_CHARACTERS).lower() in _BLANK_IDS else request_id
        for request_id in request_ids
    ]


class _FieldReader:
    """Reader of the columns of one shape, which collects the dropped and converted fields."""

    def __init__(self, length: int, *, is_typed: bool) -> None:
        self._length = length
        self._is_typed = is_typed
        self.faults: list[Fault] = []
        self.converted: dict[str, NDArray[np.bool_]] = {}

    def read_numbers(self, values: NDArray[np.float64], group: FieldGroup, columns: Sequence[Column]) -> None:
        if not group.columns:
            return
        flat = self._read_group(group, columns, _NUMBERS, convert_to_number)
        try:
            numbers = np.frombuffer(struct.pack(f"{len(flat)}d", *flat), dtype=np.float64)
        except struct.error:  # there are missing values, which numpy converts to NaN
            numbers = np.array(flat, dtype=np.float64)
        numbers = numbers.reshape(len(group.columns), len(values))
        is_invalid = (numbers < group.low) | (numbers > group.high)
        if is_invalid.any():
            numbers = np.where(is_invalid, np.nan, numbers)
            for index, row in np.argwhere(is_invalid).tolist():
                self._drop(row, group.path(index), "out_of_bounds")
        values[:, group.signals] = numbers.T

    def read_rates(self, values: NDArray[np.float64], group: FieldGroup, columns: Sequence[Column]) -> None:
        if not group.columns:
            return
        flat = self._read_group(group, columns, _BOOLEANS, convert_to_boolean)
        try:
            rates = np.frombuffer(bytes(flat), dtype=np.uint8)
        except TypeError:  # there are missing values
            rates = np.array(flat, dtype=np.float64)
        values[:, group.signals] = rates.reshape(len(group.columns), len(values)).T

    def read_labels(self, column: Column, path: str) -> Sequence[Label]:
        try:
            distinct = set(column)
        except TypeError:
            distinct = {0}
        if (
            set(map(type, distinct)) <= _TEXTS
            and max(map(len, filter(None, distinct)), default=0) <= SUBJECT_LENGTH_MAX
        ):
            # Most labels are the same in every record. In that case one copy of the string is stored, not one per
            # record.
            return (*distinct,) * len(column) if len(distinct) == 1 else column
        labels = list(self.read_column(column, path, frozenset({str}), _convert_to_label))
        for row, label in enumerate(labels):
            if label is not None and len(label) > SUBJECT_LENGTH_MAX:
                self._drop(row, path, "too_long")
                labels[row] = None
        return labels

    def read_sender_labels(self, column: Column, path: str) -> Sequence[Label]:
        """Return labels as strings. The contract also allows integers and booleans for these labels."""
        try:
            types = set(map(type, set(column)))
        except TypeError:
            types = set(map(type, column))
        if types & _INTEGERS_AND_BOOLEANS:
            column = [_to_text(value) if type(value) in _INTEGERS_AND_BOOLEANS else value for value in column]
        return self.read_labels(column, path)

    def drop_unknown_labels(self, labels: Sequence[Label], path: str, known: frozenset[Label]) -> Sequence[Label]:
        """Return labels without those that the contract does not define."""
        if known.issuperset(labels):
            return labels
        for row, label in enumerate(labels):
            if label not in known:
                self._drop(row, path, "out_of_bounds")
        return [label if label in known else None for label in labels]

    def read_probabilities(self, column: Column, path: str) -> NDArray[np.float64]:
        """Return probabilities, with NaN where a record has none that can be used."""
        probabilities = np.array(self.read_column(column, path, _NUMBERS, convert_to_number), dtype=np.float64)
        is_invalid = (probabilities < SAMPLING_PROBABILITY_MIN) | (probabilities > 1.0)
        for row in np.flatnonzero(is_invalid).tolist():
            self._drop(row, path, "out_of_bounds")
        probabilities[is_invalid] = np.nan
        return probabilities

    def read_column(
        self, column: Column, path: str, types: frozenset[type], convert: Callable[[Any], Any]
    ) -> Sequence[Any]:
        """Return a column that contains only values of the given types and None. Convert or drop all other values."""
        if set(map(type, column)) <= types | {_NONE}:
            return column
        checked = list(column)
        for row, value in enumerate(column):
            if value is not None and type(value) not in types:
                checked[row] = convert(value)
                if checked[row] is None:
                    self._drop(row, path, find_type_fault(value))
                else:
                    self.converted.setdefault(path, np.zeros(self._length, dtype=np.bool_))[row] = True
        return checked

    def _read_group(
        self, group: FieldGroup, columns: Sequence[Column], types: frozenset[type], convert: Callable[[Any], Any]
    ) -> list[Any]:
        """Return the columns of a group as one list that contains only values of the given types and None."""
        flat = list(chain.from_iterable(columns[index] for index in group.columns))
        if self._is_typed or set(map(type, flat)) <= types | {_NONE}:
            return flat
        read = [
            self.read_column(columns[column], group.path(index), types, convert)
            for index, column in enumerate(group.columns)
        ]
        return list(chain.from_iterable(read))

    def _drop(self, row: int, path: str, reason: FaultReason) -> None:
        self.faults.append((row, path, reason))
        if path in self.converted:
            self.converted[path][row] = False


def _convert_to_label(value: Any) -> Label:
    if isinstance(value, list) and len(value) == 1:
        [value] = value
    return value if isinstance(value, str) else str(value) if type(value) is int else None


def _do_not_convert(_: Any) -> None:
    return None


def _to_text(value: float) -> str:
    return str(value) if type(value) is int else "true" if value else "false"
