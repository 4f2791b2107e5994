"""Burst: the first values of each signal in a quarter of a slice. A learner stores no other values."""

from collections.abc import Sequence

import cramjam
import numpy as np
from numpy.typing import NDArray

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

    __slots__ = ("_columns", "_packed", "_sizes")

    def __init__(self, columns: Sequence[NDArray[np.float64]] = ()) -> None:
        self._columns = list(columns)
        self._sizes: list[int] = []
        self._packed: bytes | None = None

    @property
    def columns(self) -> list[NDArray[np.float64]]:
        """The values of each column. They are unpacked at each call."""
        if self._packed is None:
            return self._columns
        values = np.frombuffer(bytes(cramjam.zstd.decompress(self._packed)))
        return [column.copy() for column in np.split(values, np.cumsum(self._sizes)[:-1])]

    def pack(self) -> None:
        """Compress the values, because a learner has hundreds of bursts and adds values to the newest one only."""
        if self._packed is None and self._columns:
            self._sizes = [column.size for column in self._columns]
            self._packed = bytes(cramjam.zstd.compress(np.concatenate(self._columns).tobytes(), 1))
            self._columns = []

    def is_full(self, count: int) -> bool:
        """Return whether all of the first ``count`` columns are full."""
        sizes = self._sizes if self._packed is not None else [column.size for column in self._columns]
        return len(sizes) >= count and all(size >= BURST_VALUES for size in sizes)

    def add(self, values: NDArray[np.float64]) -> bool:
        """Add rows in order of arrival, shape ``(R, C)``, NaN where absent. Return whether any value was stored."""
        changed = False
        self._columns, self._packed = self.columns, None
        self._add_columns(values.shape[1])
        for index, column in enumerate(self._columns):
            if column.size < BURST_VALUES and index < values.shape[1]:
                column_values = values[:, index]
                added = column_values[~np.isnan(column_values)][: BURST_VALUES - column.size]
                if added.size:
                    self._columns[index] = np.concatenate([column, added])
                    changed = True
        return changed

    def merge(self, later: "Burst") -> "Burst":
        """Return the combined burst of this period and the period that follows it.

        >>> Burst([np.array([1.0])]).merge(Burst([np.array([2.0, 3.0])])).columns[0].tolist()
        [1.0, 2.0, 3.0]
        """
        merged, following = Burst(self.columns), Burst(later.columns)
        width = max(len(merged._columns), len(following._columns))
        merged._add_columns(width)
        following._add_columns(width)
        pairs = zip(merged.columns, following.columns, strict=True)
        return Burst([np.concatenate([first, second])[:BURST_VALUES] for first, second in pairs])

    def _add_columns(self, width: int) -> None:
        while len(self._columns) < width:
            self._columns.append(np.zeros(0))
