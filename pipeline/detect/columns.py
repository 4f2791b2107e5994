"""Columns: buffered records of one unit to a block, field by field checked. A bad field never costs the record.

The loops over records run in C: types are looked at as sets, bounds as arrays. Only a column that holds something
wrong is looked at value by value.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.block import Block
from pipeline.detect.catalogue import CATEGORIES, SIGNALS, Signal, custom_signal, is_valid
from pipeline.detect.shape import Sections, Shape
from schemas.record import SUBJECT_LENGTH_MAX

CUSTOM_NAME_LENGTH_MAX = SUBJECT_LENGTH_MAX - len("custom.")
"""Characters: ``custom.NAME`` is a label like any other."""

WRONG_TYPE, OUT_OF_BOUNDS, TOO_LONG = "wrong_type", "out_of_bounds", "too_long"
BAD_NAME, TOO_MANY = "bad_name", "too_many"
"""Why a field is dropped."""

Rows = Sequence[int] | slice

_ALL = slice(None)
_NONE = type(None)
_CUSTOM_TYPES = frozenset({int, float, bool})
_BY_NAME = {row.name: row for row in SIGNALS}
_PATHS = {row.name: f"{row.section}.{row.field}" for row in (*SIGNALS, *CATEGORIES) if row.section}
_CATEGORY_NAMES = tuple(row.name for row in CATEGORIES)


class Columns:
    """The columns of one unit: which signals it has, in the order in which they appeared, and what was dropped.

    Parameters
    ----------
    custom_signals_max
        Signals of the unit's own; fields of further ones are dropped and counted.

    Attributes
    ----------
    signals
        Grows at its end only.
    bad_fields
        By field and reason, how many values were dropped.
    environment, provider
        What the newest record that names one says.
    """

    def __init__(self, custom_signals_max: int) -> None:
        self._custom_max = custom_signals_max
        self.signals: list[Signal] = []
        self._index: dict[str, int] = {}
        self._custom: dict[str, int] = {}
        self.bad_fields: Counter[tuple[str, str]] = Counter()
        self.environment: str | None = None
        self.provider: str | None = None

    def block(
        self,
        records: Sequence[dict[str, Any]],
        shapes: Sequence[Shape],
        times_ms: Sequence[int],
        panes: Sequence[int],
        request_ids: Sequence[str | None],
    ) -> Block:
        """Make a block of at least one record.

        Parameters
        ----------
        records, shapes, times_ms, panes, request_ids
            Alike in length: the records, the shape of each, its event time, its pane, and its request's id.
        """
        parts: list[tuple[Rows, list[int], NDArray[np.float64]]] = []
        labels: dict[str, list[str | None]] = {}
        for shape, rows in _by_shape(shapes):
            members = records if isinstance(rows, slice) else [records[row] for row in rows]
            sections = shape.open(members)
            parts.append((rows, self._indexes(shape), self._values(shape, sections, len(members))))
            self._labels(labels, shape, sections, rows, len(records))
            for section, reason in shape.bad_sections:
                self.drop(section, reason, len(members))
        if any(shape.custom for shape in dict.fromkeys(shapes)):
            parts += self._custom_parts(records, shapes)
        values = np.full((len(records), len(self.signals)), np.nan)
        for rows, indexes, part in parts:
            values[(rows, indexes) if isinstance(rows, slice) else np.ix_(rows, indexes)] = part
        self.environment = _newest(labels.get("environment")) or self.environment
        self.provider = _newest(labels.get("provider")) or self.provider
        return Block(
            signals=tuple(self.signals),
            values=values,
            panes=np.array(panes, dtype=np.int64),
            times_ms=np.array(times_ms, dtype=np.int64),
            request_ids=request_ids,
            categories={name: labels[name] for name in _CATEGORY_NAMES if _newest(labels.get(name)) is not None},
            first=np.fromiter(
                (not shape.late_if_identified or request_id is None
                 for shape, request_id in zip(shapes, request_ids, strict=True)), np.bool_, len(records),
            ),
        )  # fmt: skip

    def drop(self, field: str, reason: str, count: int = 1) -> None:
        """Count values of a field that are not used."""
        if count:
            self.bad_fields[field, reason] += count

    def dump(self) -> dict[str, Any]:
        """What :meth:`load` needs to go on as if nothing had happened."""
        return {
            "signals": [[signal.name, signal.kind] for signal in self.signals],
            "bad_fields": [[*which, count] for which, count in sorted(self.bad_fields.items())],
            "environment": self.environment,
            "provider": self.provider,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state; ``KeyError`` if it names a signal that the catalogue has not."""
        for name, kind in state["signals"]:
            own = name.startswith("custom.")
            index = self._add(custom_signal(name.removeprefix("custom."), kind) if own else _BY_NAME[name])
            if own:
                self._custom[name.removeprefix("custom.")] = index
        self.bad_fields = Counter({(field, reason): count for field, reason, count in state["bad_fields"]})
        self.environment, self.provider = state["environment"], state["provider"]

    def _add(self, signal: Signal) -> int:
        self._index[signal.name] = len(self.signals)
        self.signals.append(signal)
        return self._index[signal.name]

    def _indexes(self, shape: Shape) -> list[int]:
        """The columns of a shape's numbers and rates; new ones are added."""
        return [
            self._index[signal.name] if signal.name in self._index else self._add(signal)
            for signal in chain(shape.numbers, shape.rates)
        ]

    def _values(self, shape: Shape, sections: Sections, length: int) -> NDArray[np.float64]:
        """Shape ``(length, numbers + rates)``, NaN where there is none or a bad one."""
        numbers = self._floats(shape.read_numbers(sections), {int, float}, shape.numbers, length)
        wrong = (numbers < shape.low) | (numbers > shape.high)
        if wrong.any():
            numbers[wrong] = np.nan
            for signal, count in zip(shape.numbers, wrong.sum(axis=0).tolist(), strict=True):
                self.drop(_PATHS[signal.name], OUT_OF_BOUNDS, count)
        rates = self._floats(shape.read_rates(sections), {bool}, shape.rates, length)
        return np.concatenate((numbers, rates), axis=1)

    def _floats(
        self, flat: list[Any], types: set[type], signals: tuple[Signal, ...], length: int
    ) -> NDArray[np.float64]:
        found = set(map(type, flat))
        if found <= types:
            return np.fromiter(flat, np.float64, len(flat)).reshape(length, len(signals))
        if not found <= types | {_NONE}:
            for number, signal in enumerate(signals):
                column = slice(number, None, len(signals))
                flat[column] = self._of_type(flat[column], types, _PATHS[signal.name])
        # numpy reads None as NaN.
        return np.array(flat, dtype=np.float64).reshape(length, len(signals))

    def _of_type(self, column: list[Any], types: set[type], field: str) -> list[Any]:
        good = [value if type(value) in types else None for value in column]
        self.drop(field, WRONG_TYPE, good.count(None) - column.count(None))
        return good

    def _labels(
        self,
        labels: dict[str, list[str | None]],
        shape: Shape,
        sections: Sections,
        rows: Rows,
        length: int,
    ) -> None:
        flat = shape.read_labels(sections)
        texts = set(map(type, flat)) <= {str, _NONE}
        sound = texts and max(map(len, filter(None, flat)), default=0) <= SUBJECT_LENGTH_MAX
        for number, name in enumerate(shape.labels):
            column = flat[number :: len(shape.labels)]
            if not sound:
                column = self._sound_labels(column, _PATHS.get(name, name))
            if isinstance(rows, slice):
                labels[name] = column
            else:
                whole = labels.setdefault(name, [None] * length)
                for row, value in zip(rows, column, strict=True):
                    whole[row] = value

    def _sound_labels(self, column: list[Any], field: str) -> list[str | None]:
        texts = self._of_type(column, {str}, field)
        short = [text if text is None or len(text) <= SUBJECT_LENGTH_MAX else None for text in texts]
        self.drop(field, TOO_LONG, short.count(None) - texts.count(None))
        return short

    def _custom_parts(
        self, records: Sequence[dict[str, Any]], shapes: Sequence[Shape]
    ) -> list[tuple[Rows, list[int], NDArray[np.float64]]]:
        """Fields of the sender's own, row by row: which signals they become depends on which came first."""
        columns: dict[int, tuple[list[int], list[float]]] = {}
        for row, (record, shape) in enumerate(zip(records, shapes, strict=True)):
            for name in shape.custom:
                value = record["custom"][name]
                index = None if value is None else self._custom_index(name, value)
                if index is not None:
                    rows, values = columns.setdefault(index, ([], []))
                    rows.append(row)
                    values.append(value)
        return [(rows, [index], np.array(values, np.float64)[:, None]) for index, (rows, values) in columns.items()]

    def _custom_index(self, name: str, value: Any) -> int | None:
        """The column of a custom value, or None if the value is dropped."""
        index = self._custom.get(name)
        reason = self._custom_problem(name, value, index)
        if reason is not None:
            self.drop("custom" if index is None else f"custom.{name}", reason)
            return None
        if index is None:
            index = self._custom[name] = self._add(custom_signal(name, _custom_kind(value)))
        return index

    def _custom_problem(self, name: str, value: Any, index: int | None) -> str | None:
        if type(value) not in _CUSTOM_TYPES:
            return WRONG_TYPE
        if index is None:
            if not name or len(name) > CUSTOM_NAME_LENGTH_MAX:
                return BAD_NAME
            if len(self._custom) >= self._custom_max:
                return TOO_MANY
        signal = custom_signal(name, _custom_kind(value)) if index is None else self.signals[index]
        if signal.kind != _custom_kind(value):
            return WRONG_TYPE
        return None if is_valid(signal, value) else OUT_OF_BOUNDS


def _custom_kind(value: float) -> Literal["rate", "amount"]:
    return "rate" if type(value) is bool else "amount"


def _by_shape(shapes: Sequence[Shape]) -> list[tuple[Shape, Rows]]:
    if shapes.count(shapes[0]) == len(shapes):
        return [(shapes[0], _ALL)]
    groups: dict[Shape, list[int]] = {}
    for row, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(row)
    return list(groups.items())


def _newest(labels: Sequence[str | None] | None) -> str | None:
    return next((label for label in reversed(labels or ()) if label is not None), None)
