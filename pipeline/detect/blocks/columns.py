"""The columns of one unit: which signals it has, of the catalogue and of its own, and how its rows become a block."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.blocks.rows import Rows
from pipeline.detect.intake import OUT_OF_BOUNDS, WIDTH, WRONG_TYPE, Fields, Label
from pipeline.detect.signals import Block, Signal, catalogue
from schemas.record import SUBJECT_LENGTH_MAX

CUSTOM_NAME_LENGTH_MAX = SUBJECT_LENGTH_MAX - len("custom.")
"""Characters: ``custom.NAME`` is a label like any other."""

BAD_NAME, TOO_MANY = "bad_name", "too_many"
"""Why a field of the sender's own is dropped, beside the reasons for which any field is."""

_CUSTOM_TYPES = frozenset({int, float, bool})
_VERSIONS = "versions."
_CATEGORY_NAMES = tuple(row.name for row in catalogue.CATEGORIES)


class Columns:
    """The columns of one unit, and what was dropped.

    Parameters
    ----------
    custom_signals_max
        Signals of the unit's own; fields of further ones are dropped and counted.
    dimensions
        What may be a segment: names of labels in ``segment``, else in ``versions``, else ``provider``.

    Attributes
    ----------
    signals
        Grows at its end only, block by block: the catalogue's signals in its order, then the unit's own in the order
        in which they appeared.
    bad_fields
        By field and reason, how many values were dropped.
    environment, provider
        What the newest record that names one says.
    """

    def __init__(self, custom_signals_max: int, dimensions: Sequence[str] = ()) -> None:
        self._custom_max = custom_signals_max
        self._sources_of = {name: (f"segment.{name}", f"versions.{name}", *_outside(name)) for name in dimensions}
        self.signals: list[Signal] = []
        self._sources: list[int] = []
        self._custom: dict[str, int] = {}
        self._custom_signals: list[Signal] = []
        self.bad_fields: Counter[tuple[str, str]] = Counter()
        self.environment: str | None = None
        self.provider: str | None = None

    def rows(self, fields: Fields, times_ms: NDArray[np.int64], panes: NDArray[np.int64]) -> Rows:
        """Make rows of records that are used, and count what is dropped of them.

        Parameters
        ----------
        fields, times_ms, panes
            Alike in length.
        """
        for _, field, reason in fields.faults:
            self.bad_fields[field, reason] += 1
        if fields.custom is None:
            custom: NDArray[np.float64] = np.empty((len(fields), 0))
        else:
            custom = self._custom_values(fields.custom)
        return Rows(fields.values, custom, times_ms, panes, fields.first, fields.request_ids, fields.labels)

    def block(self, rows: Rows) -> Block:
        """Make a block of at least one row."""
        wide = np.concatenate((rows.values, rows.custom), axis=1)
        carried = np.flatnonzero(~np.isnan(wide).all(axis=0)).tolist()
        for source in sorted(set(carried).difference(self._sources)):
            self._sources.append(source)
            self.signals.append(catalogue.SIGNALS[source] if source < WIDTH else self._custom_signals[source - WIDTH])
        missing = WIDTH + len(self._custom) - wide.shape[1]
        if missing:
            wide = np.concatenate((wide, np.full((len(rows), missing), np.nan)), axis=1)
        self.environment = _newest(rows.labels.get("environment")) or self.environment
        self.provider = _newest(rows.labels.get("provider")) or self.provider
        return Block(
            signals=tuple(self.signals),
            values=np.take(wide, self._sources, axis=1),
            panes=rows.panes,
            times_ms=rows.times_ms,
            request_ids=rows.request_ids,
            categories={
                name: list(rows.labels[name]) for name in _CATEGORY_NAMES if _newest(rows.labels.get(name)) is not None
            },
            first=rows.first,
            segments={
                dimension: found[0]
                for dimension, names in self._sources_of.items()
                if (found := [rows.labels[name] for name in names if _newest(rows.labels.get(name)) is not None])
            },
            versions={
                name.removeprefix(_VERSIONS): column
                for name, column in rows.labels.items()
                if name.startswith(_VERSIONS) and _newest(column) is not None
            },
        )

    def dump(self) -> dict[str, Any]:
        """What :meth:`load` needs to go on as if nothing had happened."""
        return {
            "signals": [signal.name for signal in self.signals],
            "custom": [[name, self._custom_signals[number].kind] for name, number in self._custom.items()],
            "bad_fields": [[*which, count] for which, count in sorted(self.bad_fields.items())],
            "environment": self.environment,
            "provider": self.provider,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state; ``KeyError`` if it names a signal that the catalogue has not."""
        for name, kind in state["custom"]:
            self._add_custom(name, kind)
        places = catalogue.SIGNAL_INDEX | {
            signal.name: WIDTH + number for number, signal in enumerate(self._custom_signals)
        }
        self._sources = [places[name] for name in state["signals"]]
        every = (*catalogue.SIGNALS, *self._custom_signals)
        self.signals = [every[source] for source in self._sources]
        self.bad_fields = Counter({(field, reason): count for field, reason, count in state["bad_fields"]})
        self.environment, self.provider = state["environment"], state["provider"]

    def _custom_values(self, custom: Sequence[dict[str, Any] | None]) -> NDArray[np.float64]:
        """Fields of the sender's own, row by row: which signals they become depends on which came first."""
        found: list[tuple[int, int, float]] = []
        for row, content in enumerate(custom):
            for name, value in (content or {}).items():
                number = None if value is None else self._custom_number(name, value)
                if number is not None:
                    found.append((row, number, value))
        values = np.full((len(custom), len(self._custom)), np.nan)
        if found:
            rows, numbers, numeric = zip(*found, strict=True)
            values[rows, numbers] = numeric
        return values

    def _custom_number(self, name: str, value: Any) -> int | None:
        """Which of the unit's own signals a value is, or None if the value is dropped."""
        number = self._custom.get(name)
        reason = self._custom_problem(name, value, number)
        if reason is not None:
            self.bad_fields["custom" if number is None else f"custom.{name}", reason] += 1
            return None
        return self._add_custom(name, _custom_kind(value)) if number is None else number

    def _custom_problem(self, name: str, value: Any, number: int | None) -> str | None:
        if type(value) not in _CUSTOM_TYPES:
            return WRONG_TYPE
        if number is None:
            if not name or len(name) > CUSTOM_NAME_LENGTH_MAX:
                return BAD_NAME
            if len(self._custom) >= self._custom_max:
                return TOO_MANY
        signal = catalogue.custom_signal(name, _custom_kind(value)) if number is None else self._custom_signals[number]
        if signal.kind != _custom_kind(value):
            return WRONG_TYPE
        return None if catalogue.is_valid_value(signal, value) else OUT_OF_BOUNDS

    def _add_custom(self, name: str, kind: Literal["rate", "amount"]) -> int:
        number = self._custom[name] = len(self._custom_signals)
        self._custom_signals.append(catalogue.custom_signal(name, kind))
        return number


def _outside(dimension: str) -> tuple[str, ...]:
    return (dimension,) if dimension == "provider" else ()


def _custom_kind(value: float) -> Literal["rate", "amount"]:
    return "rate" if type(value) is bool else "amount"


def _newest(labels: Sequence[Label] | None) -> str | None:
    return next((label for label in reversed(labels or ()) if label is not None), None)
