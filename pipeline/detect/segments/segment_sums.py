"""The sums of a block by segment value and pane: all that the walks of segments see of its records."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors import NEXT_RECORD

SHORT = 32_767
"""Keys up to this fit into 16 bits, which sort several times as fast."""


@dataclass(frozen=True, slots=True)
class SegmentGroups:
    """The rows of ``V`` values in ``P`` panes, sorted by value, then pane: the rows of both are a part.

    Attributes
    ----------
    rows
        Shape ``(E,)``: rows of the block; one that has a value in two dimensions comes twice.
    starts
        Shape ``(Q,)``: where in ``rows`` each part begins.
    panes, values
        Shape ``(Q,)``: of each part, panes counted from the block's first.
    first_pane, last_pane
        Of the block.
    shape
        ``(P, V)``.
    """

    rows: NDArray[np.intp]
    starts: NDArray[np.intp]
    panes: NDArray[np.intp]
    values: NDArray[np.intp]
    first_pane: int
    last_pane: int
    shape: tuple[int, int]

    @property
    def counts(self) -> NDArray[np.intp]:
        """Shape ``(V,)``: the rows of each value."""
        ends = np.append(self.starts[1:], self.rows.size)
        counts: NDArray[np.intp] = np.bincount(self.values, weights=ends - self.starts, minlength=self.shape[1]).astype(
            np.intp
        )
        return counts

    def spread(self, sums: NDArray[np.floating]) -> NDArray[np.float64]:
        """Sums of parts, shape ``(Q, C)``, as ``(P, V, C)`` with 0 where a value has no rows in a pane."""
        wide = np.zeros((*self.shape, sums.shape[1]))
        wide[self.panes, self.values] = sums
        return wide

    def of_value(self, value: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Of one value the panes of its parts, its rows, and where in these each part begins."""
        own = np.flatnonzero(self.values == value)
        if not own.size:
            return own, own, own
        ends = np.append(self.starts[1:], self.rows.size)
        first = self.starts[own[0]]
        return self.panes[own], self.rows[first : ends[own[-1]]], self.starts[own] - first

    def next_times(self, times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Shape ``(P + 1, V)``: the time of a value's first record in a pane or after; ``NEXT_RECORD`` if none came."""
        first = np.full((self.shape[0] + 1, self.shape[1]), times_ms.size, dtype=np.intp)
        first[self.panes, self.values] = self.rows[self.starts]
        found: NDArray[np.int64] = np.append(times_ms, NEXT_RECORD).take(np.minimum.accumulate(first[::-1])[::-1])
        return found


@dataclass(frozen=True, slots=True)
class SegmentSums:
    """The sums of a block's parts.

    Attributes
    ----------
    parts
        P panes, V values.
    sums
        Shape ``(P, V, N)``: of the numbers.
    scores
        Shape ``(P, V, C)``: of the scores.
    numbers
        Shape ``(R, N)``, by row of the block.
    """

    parts: SegmentGroups
    sums: NDArray[np.float64]
    scores: NDArray[np.float64]
    numbers: NDArray[np.float64]


def sum_groups(parts: SegmentGroups, numbers: NDArray[np.float64], scores: NDArray[np.float32]) -> SegmentSums:
    """Sum up what the rows of a block hold and say: shapes ``(R, N)`` and ``(R, C)``."""
    sums, said = (
        parts.spread(np.add.reduceat(of_rows.take(parts.rows, axis=0), parts.starts, axis=0))
        for of_rows in (numbers, scores)
    )
    return SegmentSums(parts, sums, said, numbers)


def group_rows(panes: NDArray[np.int64], places: Sequence[NDArray[np.int64]], values: int) -> SegmentGroups | None:
    """Sort the rows of a block; None if none has a value.

    Parameters
    ----------
    panes
        Shape ``(R,)``, never falling.
    places
        For each dimension shape ``(R,)``: the place of the row's value among all of them, or -1.
    values
        V, over all dimensions.

    >>> parts = parts_of(np.array([7, 7, 9]), [np.array([1, 0, 1]), np.array([-1, 2, 2])], 3)
    >>> parts.rows.tolist(), parts.starts.tolist(), parts.values.tolist(), parts.panes.tolist()
    ([1, 0, 2, 1, 2], [0, 1, 2, 3, 4], [0, 1, 1, 2, 2], [0, 0, 1, 0, 1])
    """
    number = np.zeros(panes.size, dtype=np.int64)
    np.cumsum(panes[1:] != panes[:-1], out=number[1:])
    count = int(number[-1]) + 1
    keys = np.concatenate([np.where(own < 0, -1, own * count + number) for own in places])
    if values * count <= SHORT:
        keys = keys.astype(np.int16)
    order = np.argsort(keys, kind="stable")[int(np.count_nonzero(keys < 0)) :]
    if not order.size:
        return None
    keys = keys[order]
    starts = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])
    owners, within = np.divmod(keys[starts].astype(np.intp), count)
    return SegmentGroups(order % panes.size, starts, within, owners, int(panes[0]), int(panes[-1]), (count, values))
