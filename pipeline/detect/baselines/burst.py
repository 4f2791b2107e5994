"""The burst: the first values of every signal within a stretch of time, all that a learner keeps of it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BURST_VALUES = 64
"""Values of each signal that a burst keeps; more sees longer autocorrelation, and needs memory in proportion."""


@dataclass(slots=True)
class Burst:
    """By column, the first 64 values in a row that carried the signal.

    Two neighbours joined are exactly the burst of the stretch that they cover together, so that a learner can widen
    its slices without having kept more than it keeps.
    """

    columns: list[NDArray[np.float64]] = field(default_factory=list)

    def full(self, count: int) -> bool:
        """Whether none of ``count`` columns takes another value."""
        return len(self.columns) >= count and all(column.size >= BURST_VALUES for column in self.columns)

    def take(self, values: NDArray[np.float64]) -> bool:
        """Take rows, shape ``(R, C)``, NaN where absent, in the order of arrival; True if anything was kept."""
        changed = False
        self._widen(values.shape[1])
        for index, column in enumerate(self.columns):
            if column.size < BURST_VALUES and index < values.shape[1]:
                own = values[:, index]
                fresh = own[~np.isnan(own)][: BURST_VALUES - column.size]
                if fresh.size:
                    self.columns[index] = np.concatenate([column, fresh])
                    changed = True
        return changed

    def join(self, later: "Burst") -> "Burst":
        """The burst of this stretch and the one after it.

        >>> Burst([np.array([1.0])]).join(Burst([np.array([2.0, 3.0])])).columns[0].tolist()
        [1.0, 2.0, 3.0]
        """
        width = max(len(self.columns), len(later.columns))
        self._widen(width)
        later._widen(width)  # noqa: SLF001 - one of its own kind
        pairs = zip(self.columns, later.columns, strict=True)
        return Burst([np.concatenate([first, second])[:BURST_VALUES] for first, second in pairs])

    def _widen(self, width: int) -> None:
        while len(self.columns) < width:
            self.columns.append(np.zeros(0))
