"""Burst: the first values of each signal in a quarter of a slice. A learner stores no other values."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BURST_VALUES = 64
"""Number of values per signal in a burst. Higher values reveal longer autocorrelation and need more memory."""


@dataclass(slots=True)
class Burst:
    """The first 64 values of each column, in order of arrival.

    Merging the bursts of two neighbouring periods gives exactly the burst of the combined period. A learner can
    therefore double the width of its slices, although it does not store all values.
    """

    columns: list[NDArray[np.float64]] = field(default_factory=list)

    def is_full(self, count: int) -> bool:
        """Return whether all of the first ``count`` columns are full."""
        return len(self.columns) >= count and all(column.size >= BURST_VALUES for column in self.columns)

    def add(self, values: NDArray[np.float64]) -> bool:
        """Add rows in order of arrival, shape ``(R, C)``, NaN where absent. Return whether any value was stored."""
        changed = False
        self._add_columns(values.shape[1])
        for index, column in enumerate(self.columns):
            if column.size < BURST_VALUES and index < values.shape[1]:
                column_values = values[:, index]
                added = column_values[~np.isnan(column_values)][: BURST_VALUES - column.size]
                if added.size:
                    self.columns[index] = np.concatenate([column, added])
                    changed = True
        return changed

    def merge(self, later: "Burst") -> "Burst":
        """Return the combined burst of this period and the period that follows it.

        >>> Burst([np.array([1.0])]).merge(Burst([np.array([2.0, 3.0])])).columns[0].tolist()
        [1.0, 2.0, 3.0]
        """
        width = max(len(self.columns), len(later.columns))
        self._add_columns(width)
        later._add_columns(width)  # noqa: SLF001 - the same class
        pairs = zip(self.columns, later.columns, strict=True)
        return Burst([np.concatenate([first, second])[:BURST_VALUES] for first, second in pairs])

    def _add_columns(self, width: int) -> None:
        while len(self.columns) < width:
            self.columns.append(np.zeros(0))
