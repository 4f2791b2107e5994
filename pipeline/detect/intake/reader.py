"""Read JSON objects into the columns of records and check every field. A bad field is dropped, and its record is used.

``batch.py`` calls this module. ``shape.py`` groups objects with equal fields. All loops over records run in C: types
are checked as sets, bounds as arrays. Only a column with a bad value is checked value by value.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.intake.records import Fault, Label, Records
from pipeline.detect.intake.shape import Column, FieldGroup, Shape, ShapeCache
from pipeline.detect.signals import catalogue
from schemas.record import SUBJECT_LENGTH_MAX

_NONE = type(None)
_TEXTS = frozenset({str, _NONE})
_NUMBERS = frozenset({int, float})
_INTEGERS_AND_BOOLEANS = frozenset({int, bool})
_PATHS = {row.name: f"{row.section}.{row.field}" for row in catalogue.CATEGORIES if row.section}


class RecordReader:
    """Reader of JSON objects with arbitrary fields.

    >>> records = RecordReader().read([{"subject": "bot", "output": {"length": 3}}, {"output": {"length": "3"}}])
    >>> records.subjects, records.faults
    (['bot', None], [(1, 'output.length', 'wrong_type')])
    """

    def __init__(self) -> None:
        self._shapes = ShapeCache()

    def read(self, objects: Sequence[dict[str, Any]]) -> Records:
        """Return the objects as columns. The objects are not needed afterwards."""
        if not objects:
            return Records.empty()
        groups = self._shapes.group_by_shape(objects)
        if len(groups) == 1:
            shape, _, columns = groups[0]
            return _read_shape(shape, columns, len(objects))
        parts = [_read_shape(shape, columns, len(rows or objects)) for shape, rows, columns in groups]
        order = np.argsort(np.concatenate([rows or [] for _, rows, _ in groups])).tolist()
        return Records.concatenate(parts).pick(order)


def _read_shape(shape: Shape, columns: list[Column], length: int) -> Records:
    nothing: Column = (None,) * length
    subjects, timestamps, sent_request_ids = (
        columns[shape.outer[name]] if name in shape.outer else nothing
        for name in ("subject", "timestamp", "request_id")
    )
    faults: list[Fault] = []
    request_ids = _read_labels(sent_request_ids, "request_id", faults)
    values = np.full((length, Records.WIDTH), np.nan)
    _read_numbers(values, shape.numbers, columns, faults)
    _read_rates(values, shape.rates, columns, faults)
    labels = {name: _read_labels(columns[index], _PATHS.get(name, name), faults) for name, index in shape.labels}
    labels |= {name: _read_sender_labels(columns[index], name, faults) for name, index in shape.sender_labels}
    embeddings = None if shape.embedding is None else _read_embeddings(columns[shape.embedding], faults)
    for section, reason in shape.bad_sections:
        faults += [(row, section, reason) for row in range(length)]
    return Records(
        values=values,
        is_request=_find_requests(shape, request_ids),
        request_ids=request_ids,
        labels=labels,
        subjects=subjects,
        timestamps=timestamps,
        duplicate_keys=[None if request_id is None else f"{request_id}\n{shape.key}" for request_id in request_ids],
        custom_fields=None if shape.custom is None else columns[shape.custom],
        embeddings=embeddings,
        faults=sorted(faults),
    )


def _find_requests(shape: Shape, request_ids: Sequence[Label]) -> NDArray[np.bool_]:
    """Return a mask of the records that are requests, not late outcomes."""
    if shape.is_late_outcome_if_identified:
        return np.array([request_id is None for request_id in request_ids], dtype=np.bool_)
    return np.ones(len(request_ids), dtype=np.bool_)


def _read_numbers(values: NDArray[np.float64], group: FieldGroup, columns: list[Column], faults: list[Fault]) -> None:
    if not group.columns:
        return
    flat, types = _flatten(group, columns)
    if not types <= _NUMBERS | {_NONE}:
        flat = _flatten_of_types(group, columns, _NUMBERS, faults)
        types.add(_NONE)
    # numpy converts None to NaN.
    numbers = np.array(flat, dtype=np.float64) if _NONE in types else np.fromiter(flat, np.float64, len(flat))
    numbers = numbers.reshape(len(group.columns), len(values))
    is_invalid = (numbers < group.low) | (numbers > group.high)
    if is_invalid.any():
        numbers[is_invalid] = np.nan
        for index, row in np.argwhere(is_invalid).tolist():
            faults.append((row, group.path(index), "out_of_bounds"))
    values[:, group.signals] = numbers.T


def _read_rates(values: NDArray[np.float64], group: FieldGroup, columns: list[Column], faults: list[Fault]) -> None:
    if not group.columns:
        return
    flat, types = _flatten(group, columns)
    if types <= {bool}:
        rates = np.frombuffer(bytes(flat), dtype=np.uint8)
    else:
        rates = np.array(_flatten_of_types(group, columns, frozenset({bool}), faults), dtype=np.float64)
    values[:, group.signals] = rates.reshape(len(group.columns), len(values)).T


def _flatten(group: FieldGroup, columns: list[Column]) -> tuple[list[Any], set[type]]:
    """Return the columns of a group as one list, and the types of their values."""
    flat = list(chain.from_iterable([columns[index] for index in group.columns]))
    return flat, set(map(type, flat))


def _flatten_of_types(
    group: FieldGroup, columns: list[Column], types: frozenset[type], faults: list[Fault]
) -> list[Any]:
    """Return the columns of a group as one list, with None for values of another type."""
    return list(
        chain.from_iterable(
            _drop_wrong_types(columns[column], types, group.path(index), faults)
            for index, column in enumerate(group.columns)
        )
    )


def _drop_wrong_types(column: Column, types: frozenset[type], path: str, faults: list[Fault]) -> Iterable[Any]:
    if set(map(type, column)) <= types | {_NONE}:
        return column
    checked = [value if type(value) in types else None for value in column]
    faults += [
        (row, path, "wrong_type")
        for row, (value, checked_value) in enumerate(zip(column, checked, strict=True))
        if checked_value is None and value is not None
    ]
    return checked


def _read_embeddings(column: Column, faults: list[Fault]) -> Sequence[Any]:
    return list(_drop_wrong_types(column, frozenset({list}), "data.embedding", faults))


def _read_sender_labels(column: Column, path: str, faults: list[Fault]) -> Sequence[Label]:
    """Return labels as strings. Senders may also send them as integers or booleans."""
    try:
        types = set(map(type, set(column)))
    except TypeError:
        types = set(map(type, column))
    if types & _INTEGERS_AND_BOOLEANS:
        column = [_to_text(value) if type(value) in _INTEGERS_AND_BOOLEANS else value for value in column]
    return _read_labels(column, path, faults)


def _to_text(value: float) -> str:
    return str(value) if type(value) is int else "true" if value else "false"


def _read_labels(column: Column, path: str, faults: list[Fault]) -> Sequence[Label]:
    try:
        distinct = set(column)
    except TypeError:
        distinct = {0}
    if set(map(type, distinct)) <= _TEXTS and max(map(len, filter(None, distinct)), default=0) <= SUBJECT_LENGTH_MAX:
        # Most labels are the same in every record. In that case one copy of the string is stored, not one per record.
        return (*distinct,) * len(column) if len(distinct) == 1 else column
    texts = list(_drop_wrong_types(column, frozenset({str}), path, faults))
    for row, text in enumerate(texts):
        if text is not None and len(text) > SUBJECT_LENGTH_MAX:
            faults.append((row, path, "too_long"))
            texts[row] = None
    return texts
