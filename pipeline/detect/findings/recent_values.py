"""The last values of every monitored signal, from which the typical current value of a finding is computed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECENT_VALUES = 256
"""Number of values stored per signal. Higher values make the median steadier but slower to follow a change."""

WAITING_ROWS = 64
"""Number of rows that are stored together. Storing one row takes about as long as storing all of them."""


class RecentValues:
    """The last 256 values of the given columns, and their medians.

    A finding shows the median instead of the mean. In real traffic, one request in a thousand lasts minutes, so the
    mean latency can fall although every request lasts twice as long.

    Parameters
    ----------
    columns
        Indexes of the columns whose values are stored.

    >>> recent = RecentValues([0])
    >>> recent.observe(np.array([[1.0], [np.nan], [3.0]]))
    >>> recent.median(0, np.array([[100.0], [9.0]]), rows=1, count=2)
    51.5
    """

    def __init__(self, columns: Sequence[int]) -> None:
        self._values: dict[int, NDArray[np.float64]] = {column: np.zeros(0) for column in columns}
        self._waiting: list[NDArray[np.float64]] = []
        self._waiting_rows = 0

    def observe(self, values: NDArray[np.float64]) -> None:
        """Add the values of a block, shape ``(R, C)``, NaN where absent. The array must not be changed afterwards."""
        self._waiting.append(values)
        self._waiting_rows += values.shape[0]
        if self._waiting_rows >= WAITING_ROWS:
            self._store_waiting()

    def median(self, column: int, values: NDArray[np.float64], *, rows: int, count: float) -> float | None:
        """Return the median of the last ``count`` values of a column, at most 256, or None if there are no values.

        ``values`` is a block that is not yet observed. Its first ``rows`` rows count as the newest values.
        """
        self._store_waiting()
        newest = values[:rows, column]
        known = np.concatenate([self._values[column], newest[~np.isnan(newest)]])
        window = known[-min(max(1, int(count)), RECENT_VALUES) :]
        return float(np.median(window)) if window.size else None

    def newest(self, column: int, count: int) -> NDArray[np.float64]:
        """Return the last ``count`` values of a column, at most 256."""
        self._store_waiting()
        return self._values[column][-min(max(1, count), RECENT_VALUES) :]

    def dump(self) -> dict[str, Any]:
        """Return the state, keyed by column."""
        self._store_waiting()
        return {str(column): stored.copy() for column, stored in self._values.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned.

        Raises
        ------
        ValueError
            If the state belongs to other columns.
        """
        if set(state) != {str(column) for column in self._values}:
            raise ValueError(f"recent values of columns {sorted(state)} do not fit columns {sorted(self._values)}")
        self._waiting, self._waiting_rows = [], 0
        self._values = {column: np.array(state[str(column)], dtype=np.float64) for column in self._values}

    def _store_waiting(self) -> None:
        if not self._waiting:
            return
        values = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        self._waiting, self._waiting_rows = [], 0
        newest = values[-RECENT_VALUES:].take(list(self._values), axis=1)
        if newest.shape[0] == RECENT_VALUES and not np.isnan(newest).any():
            self._values = dict(zip(self._values, newest.T.copy(), strict=True))
            return
        before = list(self._values.values())
        if len({stored.size for stored in before}) == 1 and not np.isnan(newest).any():
            joined = np.concatenate([np.array(before), newest.T], axis=1)[:, -RECENT_VALUES:]
            self._values = dict(zip(self._values, joined.copy(), strict=True))
            return
        absent = np.isnan(values)
        for column, stored in self._values.items():
            present = values[~absent[:, column], column]
            if present.size:
                self._values[column] = np.concatenate([stored, present])[-RECENT_VALUES:]
