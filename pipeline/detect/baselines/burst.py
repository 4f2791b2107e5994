"""Burst: the first values of each signal in a quarter of a slice. A learner stores no other values."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines.packed_numbers import pack_values, unpack_values

BURST_VALUES = 64
"""Number of values per signal in a burst. Higher values reveal longer autocorrelation and need more memory."""


class Burst:
    """The first 64 values of each column, in order of arrival.

    Merging the bursts of two neighbouring periods gives exactly the burst of the combined period. A learner can
    therefore double the width of its slices, although it does not store all values.

    Parameters
    ----------
    columns
        The values of each column.
    """

    __slots__ = ("_columns", "_full_columns", "_packed")

    def __init__(self, columns: Sequence[NDArray[np.float64]] = ()) -> None:
        self._columns: list[NDArray[np.float64]] | None = list(columns)
        self._full_columns = 0
        self._packed: bytes | None = None

    @property
    def columns(self) -> list[NDArray[np.float64]]:
        """The values of each column. They are unpacked at each call."""
        return self._columns if self._columns is not None else unpack_values(self._packed or b"")

    @property
    def has_columns(self) -> bool:
        """Whether any record carried a signal."""
        return self._columns is None or bool(self._columns)

    def pack(self) -> None:
        """Pack the values, because a learner has hundreds of bursts and adds values to the newest one only."""
        if self._columns:
            is_full = all(column.size >= BURST_VALUES for column in self._columns)
            self._full_columns = len(self._columns) if is_full else 0
            self._packed, self._columns = pack_values(self._columns), None

    def is_full(self, count: int) -> bool:
        """Return whether there are at least ``count`` columns, and all are full."""
        if self._columns is None:
            return self._full_columns >= count
        return len(self._columns) >= count and all(column.size >= BURST_VALUES for column in self._columns)

    def add(self, values: NDArray[np.float64]) -> bool:
        """Add rows in order of arrival, shape ``(R, C)``, NaN where absent. Return whether any value was stored."""
        changed = False
        columns = _add_columns(self.columns, values.shape[1])
        for index, column in enumerate(columns):
            if column.size < BURST_VALUES and index < values.shape[1]:
                column_values = values[:, index]
                added = column_values[~np.isnan(column_values)][: BURST_VALUES - column.size]
                if added.size:
                    columns[index] = np.concatenate([column, added])
                    changed = True
        self._columns, self._packed = columns, None
        return changed

    def merge(self, later: "Burst") -> "Burst":
        """Return the combined burst of this period and the period that follows it.

        >>> Burst([np.array([1.0])]).merge(Burst([np.array([2.0, 3.0])])).columns[0].tolist()
        [1.0, 2.0, 3.0]
        """
        columns, following = self.columns, later.columns
        width = max(len(columns), len(following))
        pairs = zip(_add_columns(columns, width), _add_columns(following, width), strict=True)
        return Burst([np.concatenate([first, second])[:BURST_VALUES] for first, second in pairs])


def _add_columns(columns: Sequence[NDArray[np.float64]], width: int) -> list[NDArray[np.float64]]:
    return [*columns, *(np.zeros(0) for _ in range(width - len(columns)))]
