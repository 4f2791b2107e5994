"""The last values of every watched signal: from them a person is told what is typical now."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECENT_VALUES = 256
"""Values kept of each signal; a median over more would be steadier, and later."""


WAITING_ROWS = 64
"""Rows that wait to be taken in together: a block of few would cost as much as one of these."""


class RecentValues:
    """The last 256 values of some columns, and their medians.

    A mean in a signal's own unit would be no use to a person: of real latencies, of which one in a thousand takes
    minutes, it can fall while every request takes twice as long.

    Parameters
    ----------
    columns
        The columns to keep values of.

    >>> recent = Recent([0])
    >>> recent.observe(np.array([[1.0], [np.nan], [3.0]]))
    >>> recent.median(0, np.array([[100.0], [9.0]]), rows=1, count=2)
    51.5
    """

    def __init__(self, columns: Sequence[int]) -> None:
        self._kept: dict[int, NDArray[np.float64]] = {column: np.zeros(0) for column in columns}
        self._waiting: list[NDArray[np.float64]] = []
        self._waiting_rows = 0

    def observe(self, values: NDArray[np.float64]) -> None:
        """Take a block's values, shape ``(R, C)``, NaN where absent; they are not to be changed after."""
        self._waiting.append(values)
        self._waiting_rows += values.shape[0]
        if self._waiting_rows >= WAITING_ROWS:
            self._settle()

    def median(self, column: int, values: NDArray[np.float64], *, rows: int, count: float) -> float | None:
        """The median of the last ``count`` values, at most 256, after so many rows of a block not yet observed."""
        self._settle()
        own = values[:rows, column]
        known = np.concatenate([self._kept[column], own[~np.isnan(own)]])
        window = known[-min(max(1, int(count)), RECENT_VALUES) :]
        return float(np.median(window)) if window.size else None

    def dump(self) -> dict[str, Any]:
        """The state, by column."""
        self._settle()
        return {str(column): kept.copy() for column, kept in self._kept.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is of other columns.
        """
        if set(state) != {str(column) for column in self._kept}:
            raise ValueError(f"kept values of columns {sorted(state)} do not fit {sorted(self._kept)}")
        self._waiting, self._waiting_rows = [], 0
        self._kept = {column: np.array(state[str(column)], dtype=np.float64) for column in self._kept}

    def _settle(self) -> None:
        if not self._waiting:
            return
        values = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        self._waiting, self._waiting_rows = [], 0
        newest = values[-RECENT_VALUES:].take(list(self._kept), axis=1)
        if newest.shape[0] == RECENT_VALUES and not np.isnan(newest).any():
            self._kept = dict(zip(self._kept, newest.T.copy(), strict=True))
            return
        absent = np.isnan(values)
        for column, kept in self._kept.items():
            fresh = values[~absent[:, column], column]
            if fresh.size:
                self._kept[column] = np.concatenate([kept, fresh])[-RECENT_VALUES:]
