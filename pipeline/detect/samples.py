"""Where in a block the walks are looked at, and the sums up to there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RECORDS = 8
"""Records between two looks at a walk; the end of a pane or of the block comes sooner. The guarantee does not depend on it."""


@dataclass(frozen=True, slots=True)
class Samples:
    """``T`` runs of at most eight rows, none across the end of a pane.

    Attributes
    ----------
    starts, lengths
        Shape ``(T,)``: first row of each, and rows.
    pane_starts
        The samples at which a pane of the block begins.
    first_pane, last_pane
        The panes of the first and the last row.
    """

    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    pane_starts: NDArray[np.intp]
    first_pane: int
    last_pane: int

    def sums(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of the rows before each sample, and of all: ``(R, C)`` to ``(T + 1, C)``."""
        totals = np.zeros((self.starts.size + 1, columns.shape[1]))
        np.take(np.cumsum(columns, axis=0), self.starts + self.lengths - 1, axis=0, out=totals[1:])
        return totals


def samples_of(panes: NDArray[np.int64]) -> Samples:
    """Cut rows into samples.

    Parameters
    ----------
    panes
        Shape ``(R,)``, at least one row, never falling.

    >>> samples_of(np.array([5] * 10 + [6] * 3)).lengths.tolist()
    [8, 2, 3]
    """
    rows = panes.size
    heads = np.concatenate([[0], np.flatnonzero(panes[1:] != panes[:-1]) + 1])
    offsets = np.arange(rows) - np.repeat(heads, np.diff(heads, append=rows))
    starts = np.flatnonzero(offsets % SAMPLE_RECORDS == 0)
    return Samples(
        starts=starts,
        lengths=np.diff(starts, append=rows),
        pane_starts=np.searchsorted(starts, heads),
        first_pane=int(panes[0]),
        last_pane=int(panes[-1]),
    )
