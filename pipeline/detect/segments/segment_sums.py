"""The sums of a block by segment value and pane. They are the only input of the segment bank."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.layout import NEXT_RECORD

INT16_MAX = 32_767
"""Largest key that fits into 16 bits. Such keys sort several times as fast."""


@dataclass(frozen=True, slots=True)
class SegmentGroups:
    """Rows of ``V`` values in ``P`` panes, sorted by value, then pane.

    A group contains the rows of one value in one pane.

    Attributes
    ----------
    rows
        Shape ``(E,)``: rows of the block. A row that has a value in two dimensions occurs twice.
    starts
        Shape ``(Q,)``: the index in ``rows`` at which each group begins.
    panes, values
        Shape ``(Q,)``: the pane of each group, counted from the first pane of the block, and its value.
    first_pane, last_pane
        First and last pane of the block.
    shape
        The number of panes and of values, ``(P, V)``.
    """

    rows: NDArray[np.intp]
    starts: NDArray[np.intp]
    panes: NDArray[np.intp]
    values: NDArray[np.intp]
    first_pane: int
    last_pane: int
    shape: tuple[int, int]

    @property
    def value_records(self) -> NDArray[np.intp]:
        """Number of rows of each value, shape ``(V,)``."""
        lengths = np.append(self.starts[1:], self.rows.size) - self.starts
        records: NDArray[np.intp] = np.bincount(self.values, weights=lengths, minlength=self.shape[1]).astype(np.intp)
        return records

    def scatter(self, sums: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return sums by group, shape ``(Q, C)``, as an array of shape ``(P, V, C)``, with 0 for missing groups."""
        scattered = np.zeros((*self.shape, sums.shape[1]))
        scattered[self.panes, self.values] = sums
        return scattered

    def value_rows(self, value: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return the panes of a value's groups, the rows of the value, and the indexes at which the groups begin."""
        groups = np.flatnonzero(self.values == value)
        if not groups.size:
            return groups, groups, groups
        ends = np.append(self.starts[1:], self.rows.size)
        first = self.starts[groups[0]]
        return self.panes[groups], self.rows[first : ends[groups[-1]]], self.starts[groups] - first

    def next_times(self, times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the time of each value's first record in or after a pane, shape ``(P + 1, V)``, or ``NEXT_RECORD``."""
        first = np.full((self.shape[0] + 1, self.shape[1]), times_ms.size, dtype=np.intp)
        first[self.panes, self.values] = self.rows[self.starts]
        times: NDArray[np.int64] = np.append(times_ms, NEXT_RECORD).take(np.minimum.accumulate(first[::-1])[::-1])
        return times


@dataclass(frozen=True, slots=True)
class SegmentSums:
    """The sums of a block's groups.

    Attributes
    ----------
    groups
        The groups, of ``P`` panes and ``V`` values.
    sums
        Shape ``(P, V, N)``: sums of the numbers.
    log_bets
        Shape ``(P, V, C)``: sums of the log bets.
    numbers
        Shape ``(R, N)``: the numbers by row of the block.
    """

    groups: SegmentGroups
    sums: NDArray[np.float64]
    log_bets: NDArray[np.float64]
    numbers: NDArray[np.float64]


def sum_groups(groups: SegmentGroups, numbers: NDArray[np.float64], log_bets: NDArray[np.float32]) -> SegmentSums:
    """Sum numbers of shape ``(R, N)`` and log bets of shape ``(R, C)`` by group."""
    number_sums, log_bet_sums = (
        groups.scatter(np.add.reduceat(by_row.take(groups.rows, axis=0), groups.starts, axis=0))
        for by_row in (numbers, log_bets)
    )
    return SegmentSums(groups, number_sums, log_bet_sums, numbers)


def group_rows(
    panes: NDArray[np.int64], value_indexes: Sequence[NDArray[np.int64]], values: int
) -> SegmentGroups | None:
    """Group the rows of a block. Return None if no row has a value.

    Parameters
    ----------
    panes
        Shape ``(R,)``, non-decreasing.
    value_indexes
        An array of shape ``(R,)`` for each dimension: the index of the row's value among the values of all dimensions,
        or -1.
    values
        Number of values, over all dimensions.

    >>> groups = group_rows(np.array([7, 7, 9]), [np.array([1, 0, 1]), np.array([-1, 2, 2])], 3)
    >>> groups.rows.tolist(), groups.starts.tolist(), groups.values.tolist(), groups.panes.tolist()
    ([1, 0, 2, 1, 2], [0, 1, 2, 3, 4], [0, 1, 1, 2, 2], [0, 0, 1, 0, 1])
    """
    pane_numbers = np.zeros(panes.size, dtype=np.int64)
    np.cumsum(panes[1:] != panes[:-1], out=pane_numbers[1:])
    count = int(pane_numbers[-1]) + 1
    keys = np.concatenate([np.where(indexes < 0, -1, indexes * count + pane_numbers) for indexes in value_indexes])
    if values * count <= INT16_MAX:
        keys = keys.astype(np.int16)
    order = np.argsort(keys, kind="stable")[int(np.count_nonzero(keys < 0)) :]
    if not order.size:
        return None
    keys = keys[order]
    starts = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])
    group_values, group_panes = np.divmod(keys[starts].astype(np.intp), count)
    return SegmentGroups(
        order % panes.size, starts, group_panes, group_values, int(panes[0]), int(panes[-1]), (count, values)
    )
