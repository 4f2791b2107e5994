"""The grid of a block: its numbers by sample, and their sums. It is the only input of the detectors."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.signals import Block

SAMPLE_RECORDS = 8
"""Number of records after which test statistics are evaluated. The end of a pane or block also ends a sample.

The false-alarm guarantee does not depend on this number.
"""

NEXT_RECORD = -1
"""Placeholder for the time of a record that has not arrived yet. The next record sets the actual time."""

_OFFSETS = np.arange(SAMPLE_RECORDS)[:, None]


@dataclass(frozen=True, slots=True)
class Samples:
    """``T`` samples: runs of at most eight of the ``R`` rows of a block. No sample spans two panes.

    Attributes
    ----------
    starts, lengths
        Shape ``(T,)``: first row and number of rows of each sample.
    rows
        Shape ``(H, T)``, where ``H`` is the longest length: the rows of each sample, padded with ``R``.
    pane_starts
        Indexes of the samples that begin a pane.
    first_pane, last_pane
        The panes of the first and the last row.
    """

    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    rows: NDArray[np.intp]
    pane_starts: NDArray[np.intp]
    first_pane: int
    last_pane: int

    @classmethod
    def cut(cls, panes: NDArray[np.int64]) -> Self:
        """Cut the rows of a block into samples.

        Parameters
        ----------
        panes
            Shape ``(R,)``, at least one row, non-decreasing.

        >>> Samples.cut(np.array([5] * 10 + [6] * 3)).rows.T.tolist()
        [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 13, 13, 13, 13, 13, 13], [10, 11, 12, 13, 13, 13, 13, 13]]
        """
        count = panes.size
        first_pane, last_pane = int(panes[0]), int(panes[-1])
        first_rows = [0]
        if first_pane != last_pane:
            first_rows += ((panes[1:] != panes[:-1]).nonzero()[0] + 1).tolist()
        begins: list[int] = []
        pane_starts: list[int] = []
        for begin, end in zip(first_rows, [*first_rows[1:], count], strict=True):
            pane_starts.append(len(begins))
            begins.extend(range(begin, end, SAMPLE_RECORDS))
        starts = np.array([*begins, count], dtype=np.intp)
        lengths = starts[1:] - starts[:-1]
        starts = starts[:-1]
        offsets = _OFFSETS[: int(lengths.max())]
        rows = starts + offsets
        rows[offsets >= lengths] = count
        return cls(starts, lengths, rows, np.array(pane_starts, dtype=np.intp), first_pane, last_pane)


@dataclass(frozen=True, slots=True)
class Grid:
    """``N`` numbers per record of a block: the presence of each signal, and the value of each channel.

    Attributes
    ----------
    samples
        ``T`` samples of at most ``H`` rows.
    numbers
        Shape ``(H, T, N)``. A presence is 1 where the record carries the signal; a channel is between 0 and 1. All are
        0 where a record does not carry the signal, and in the padding.
    sample_sums
        Shape ``(T, N)``: the sum of each sample.
    prefix_sums
        Shape ``(T + 1, N)``: the sum of the rows before each sample, then the sum of all rows.
    """

    samples: Samples
    numbers: NDArray[np.float64]
    sample_sums: NDArray[np.float64]
    prefix_sums: NDArray[np.float64]

    @classmethod
    def from_numbers(cls, samples: Samples, numbers: NDArray[np.float64]) -> Self:
        """Build a grid from numbers of shape ``(H, T, N)``."""
        sample_sums = numbers.sum(axis=0)
        prefix_sums = np.zeros((sample_sums.shape[0] + 1, sample_sums.shape[1]))
        sample_sums.cumsum(axis=0, out=prefix_sums[1:])
        return cls(samples, numbers, sample_sums, prefix_sums)

    def sums_before(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Sum the given columns over the records before each given row.

        Parameters
        ----------
        rows
            Shape ``(E,)``, row numbers from 1 to ``R``.
        columns
            Shape ``(W,)``, columns of the grid.

        Returns
        -------
        numpy.ndarray
            Shape ``(E, W)``.
        """
        sample = self.samples.starts.searchsorted(rows, side="left") - 1
        within = self.numbers[:, sample].take(columns, axis=2)
        within *= (_OFFSETS[: within.shape[0]] < rows - self.samples.starts[sample])[:, :, None]
        sums: NDArray[np.float64] = within.sum(axis=0)
        sums += self.prefix_sums[sample].take(columns, axis=1)
        return sums

    def numbers_by_row(self, columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the given columns row by row, shape ``(R, len(columns))``."""
        height, count, width = self.numbers.shape
        sample = np.repeat(np.arange(count), self.samples.lengths)
        row = np.arange(sample.size)
        positions = (row - self.samples.starts[sample]) * count + sample
        numbers: NDArray[np.float64] = (
            self.numbers.reshape(height * count, width).take(positions, axis=0).take(columns, axis=1)
        )
        return numbers


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block, with its monitored values and its grid.

    Attributes
    ----------
    values
        Shape ``(R + 1, signals)``: NaN where a record does not carry the signal, and in the last row.
    """

    block: Block
    values: NDArray[np.float64]
    grid: Grid

    def last_carrying_row(self, sample: int, signal: int) -> int:
        """Return the last row of a sample that carries a signal, or its last row if no row carries the signal."""
        start = int(self.grid.samples.starts[sample])
        end = start + int(self.grid.samples.lengths[sample])
        carrying = np.flatnonzero(~np.isnan(self.values[start:end, signal]))
        return start + int(carrying[-1]) if carrying.size else end - 1
