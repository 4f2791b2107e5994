"""The grid: what detectors see of a block, its numbers by sample, and their sums."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.layout.samples import OFFSETS, Samples


@dataclass(frozen=True, slots=True)
class Grid:
    """The ``N`` numbers of the records of a block: which signals each carries, and their channels.

    Attributes
    ----------
    samples
        T of them, H rows at most.
    numbers
        Shape ``(H, T, N)``. For each signal there is a number that is 1 where a record carries it; for each channel
        its number between 0 and 1. All are 0 where a record does not carry the signal, and where a sample has no more
        rows.
    sums
        Shape ``(T, N)``: of each sample.
    totals
        Shape ``(T + 1, N)``: of the rows before each sample, and of all.
    """

    samples: Samples
    numbers: NDArray[np.float64]
    sums: NDArray[np.float64]
    totals: NDArray[np.float64]

    def before(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """The sums of the records before some rows, each 1 to R: ``(E,)`` rows and ``(W,)`` columns to ``(E, W)``."""
        sample = self.samples.starts.searchsorted(rows, side="left") - 1
        own = self.numbers[:, sample].take(columns, axis=2)
        own *= (OFFSETS[: own.shape[0]] < rows - self.samples.starts[sample])[:, :, None]
        found: NDArray[np.float64] = own.sum(axis=0)
        found += self.totals[sample].take(columns, axis=1)
        return found


def build_grid(samples: Samples, numbers: NDArray[np.float64]) -> Grid:
    """Sum up the numbers of samples, shape ``(H, T, N)``."""
    sums = numbers.sum(axis=0)
    totals = np.zeros((sums.shape[0] + 1, sums.shape[1]))
    sums.cumsum(axis=0, out=totals[1:])
    return Grid(samples, numbers, sums, totals)


def numbers_by_row(grid: Grid, columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Some numbers of a grid row by row of the block: shape ``(R, len(columns))``."""
    samples = grid.samples
    height, count, width = grid.numbers.shape
    sample = np.repeat(np.arange(count), samples.lengths)
    row = np.arange(sample.size)
    places = (row - samples.starts[sample]) * count + sample
    found: NDArray[np.float64] = grid.numbers.reshape(height * count, width).take(places, axis=0).take(columns, axis=1)
    return found
