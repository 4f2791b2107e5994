"""The reader: records to columns, field by field checked. A bad field never costs the record.

The loops over records run in C: types are looked at as sets, bounds as arrays. Only a column that holds something
wrong is looked at value by value.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.intake.fields import WIDTH, Fault, Fields, Label, joined, no_fields
from pipeline.detect.intake.shape import Column, FieldGroup, Shape, ShapeCache
from pipeline.detect.signals import catalogue
from schemas.record import SUBJECT_LENGTH_MAX

WRONG_TYPE, OUT_OF_BOUNDS, TOO_LONG = "wrong_type", "out_of_bounds", "too_long"
"""Why a field is dropped."""

_NONE = type(None)
_TEXTS = frozenset({str, _NONE})
_NUMBERS = frozenset({int, float})
_SWITCHES = frozenset({int, bool})
_PATHS = {row.name: f"{row.section}.{row.field}" for row in catalogue.CATEGORIES if row.section}


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """What was read of records: subjects and timestamps as they stand, and all else; alike in length."""

    subjects: Sequence[Any]
    timestamps: Sequence[Any]
    fields: Fields


class RecordReader:
    """Reads records of any shape.

    >>> read = Reader().read([{"subject": "bot", "output": {"length": 3}}, {"output": {"length": "3"}}])
    >>> read.subjects, read.fields.faults
    (('bot', None), [(1, 'output.length', 'wrong_type')])
    """

    def __init__(self) -> None:
        self._shapes = ShapeCache()

    def read(self, records: Sequence[dict[str, Any]]) -> ReadBatch:
        """Read records; none of them is needed any more then."""
        if not records:
            return ReadBatch((), (), no_fields())
        groups = self._shapes.groups(records)
        if len(groups) == 1:
            shape, _, columns = groups[0]
            return _read(shape, columns, len(records))
        parts = [_read(shape, columns, len(rows or records)) for shape, rows, columns in groups]
        order = np.argsort(np.concatenate([rows or [] for _, rows, _ in groups])).tolist()
        subjects = tuple(chain.from_iterable(part.subjects for part in parts))
        timestamps = tuple(chain.from_iterable(part.timestamps for part in parts))
        return ReadBatch(
            tuple(subjects[row] for row in order),
            tuple(timestamps[row] for row in order),
            joined([part.fields for part in parts]).pick(order),
        )


def _read(shape: Shape, columns: list[Column], length: int) -> ReadBatch:
    nothing: Column = (None,) * length
    outer = {name: columns[shape.places[name]] if name in shape.places else nothing for name in _OUTER}
    faults: list[Fault] = []
    request_ids = _labels(outer["request_id"], "request_id", faults)
    values = np.full((length, WIDTH), np.nan)
    _numbers(values, shape.numbers, columns, faults)
    _rates(values, shape.rates, columns, faults)
    labels = {name: _labels(columns[place], _PATHS.get(name, name), faults) for name, place in shape.labels}
    labels |= {name: _own_labels(columns[place], name, faults) for name, place in shape.own_labels}
    embeddings = None if shape.embedding is None else _embeddings(columns[shape.embedding], faults)
    for section, reason in shape.bad_sections:
        faults += [(row, section, reason) for row in range(length)]
    return ReadBatch(
        outer["subject"],
        outer["timestamp"],
        Fields(
            values=values,
            first=_first(shape, request_ids),
            request_ids=request_ids,
            keys=[None if each is None else f"{each}\n{shape.key}" for each in request_ids],
            labels=labels,
            custom=None if shape.custom is None else columns[shape.custom],
            embeddings=embeddings,
            faults=sorted(faults),
        ),
    )


_OUTER = ("subject", "timestamp", "request_id")


def _first(shape: Shape, request_ids: Sequence[Label]) -> NDArray[np.bool_]:
    if shape.late_if_identified:
        return np.array([each is None for each in request_ids], dtype=np.bool_)
    return np.ones(len(request_ids), dtype=np.bool_)


def _numbers(values: NDArray[np.float64], part: FieldGroup, columns: list[Column], faults: list[Fault]) -> None:
    if not part.places:
        return
    flat, types = _flat(part, columns)
    if not types <= _NUMBERS | {_NONE}:
        flat = _of_types(part, columns, _NUMBERS, faults)
        types.add(_NONE)
    # numpy reads None as NaN.
    found = np.array(flat, dtype=np.float64) if _NONE in types else np.fromiter(flat, np.float64, len(flat))
    found = found.reshape(len(part.places), len(values))
    wrong = (found < part.low) | (found > part.high)
    if wrong.any():
        found[wrong] = np.nan
        for number, row in np.argwhere(wrong).tolist():
            faults.append((row, _path(part, number), OUT_OF_BOUNDS))
    values[:, part.signals] = found.T


def _rates(values: NDArray[np.float64], part: FieldGroup, columns: list[Column], faults: list[Fault]) -> None:
    if not part.places:
        return
    flat, types = _flat(part, columns)
    if types <= {bool}:
        found = np.frombuffer(bytes(flat), dtype=np.uint8)
    else:
        found = np.array(_of_types(part, columns, frozenset({bool}), faults), dtype=np.float64)
    values[:, part.signals] = found.reshape(len(part.places), len(values)).T


def _flat(part: FieldGroup, columns: list[Column]) -> tuple[list[Any], set[type]]:
    """The fields of one sort, one after the other, and which types there are."""
    flat = list(chain.from_iterable([columns[place] for place in part.places]))
    return flat, set(map(type, flat))


def _of_types(part: FieldGroup, columns: list[Column], types: frozenset[type], faults: list[Fault]) -> list[Any]:
    """The same, None where a value is of another type."""
    return list(
        chain.from_iterable(
            _sound(columns[place], types, _path(part, number), faults) for number, place in enumerate(part.places)
        )
    )


def _path(part: FieldGroup, number: int) -> str:
    signal = catalogue.SIGNALS[int(part.signals[number])]
    return f"{signal.section}.{signal.field}"


def _sound(column: Column, types: frozenset[type], field: str, faults: list[Fault]) -> Iterable[Any]:
    if set(map(type, column)) <= types | {_NONE}:
        return column
    good = [value if type(value) in types else None for value in column]
    faults += [
        (row, field, WRONG_TYPE)
        for row, (value, kept) in enumerate(zip(column, good, strict=True))
        if kept is None and value is not None
    ]
    return good


def _embeddings(column: Column, faults: list[Fault]) -> Sequence[Any]:
    return list(_sound(column, frozenset({list}), "data.embedding", faults))


def _own_labels(column: Column, field: str, faults: list[Fault]) -> Sequence[Label]:
    """Labels that may be numbers or switches too, as text."""
    try:
        types = set(map(type, set(column)))
    except TypeError:
        types = set(map(type, column))
    if types & _SWITCHES:
        column = [_switch(value) if type(value) in _SWITCHES else value for value in column]
    return _labels(column, field, faults)


def _switch(value: float) -> str:
    return str(value) if type(value) is int else "true" if value else "false"


def _labels(column: Column, field: str, faults: list[Fault]) -> Sequence[Label]:
    try:
        distinct = set(column)
    except TypeError:
        distinct = {0}
    if set(map(type, distinct)) <= _TEXTS and max(map(len, filter(None, distinct)), default=0) <= SUBJECT_LENGTH_MAX:
        # Most labels are the same in every record: one copy of the text is kept then, not one for each.
        return (*distinct,) * len(column) if len(distinct) == 1 else column
    texts = list(_sound(column, frozenset({str}), field, faults))
    for row, text in enumerate(texts):
        if text is not None and len(text) > SUBJECT_LENGTH_MAX:
            faults.append((row, field, TOO_LONG))
            texts[row] = None
    return texts
