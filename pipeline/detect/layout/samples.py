"""Where in a block the walks are looked at: its rows by sample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RECORDS = 8
"""Records between two looks at a walk; the end of a pane or of the block comes sooner. The guarantee does not depend on it."""

OFFSETS = np.arange(SAMPLE_RECORDS)[:, None]


@dataclass(frozen=True, slots=True)
class Samples:
    """``T`` runs of at most eight rows, none across the end of a pane.

    Attributes
    ----------
    starts, lengths
        Shape ``(T,)``: first row of each, and rows.
    rows
        Shape ``(H, T)``, H the longest: of each sample its rows one below the other, and R, which is no row, where it
        has no more.
    pane_starts
        The samples at which a pane of the block begins.
    first_pane, last_pane
        The panes of the first and the last row.
    """

    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    rows: NDArray[np.intp]
    pane_starts: NDArray[np.intp]
    first_pane: int
    last_pane: int


def cut_samples(panes: NDArray[np.int64]) -> Samples:
    """Cut rows into samples.

    Parameters
    ----------
    panes
        Shape ``(R,)``, at least one row, never falling.

    >>> samples_of(np.array([5] * 10 + [6] * 3)).rows.T.tolist()
    [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 13, 13, 13, 13, 13, 13], [10, 11, 12, 13, 13, 13, 13, 13]]
    """
    count = panes.size
    first_pane, last_pane = int(panes[0]), int(panes[-1])
    heads = [0]
    if first_pane != last_pane:
        heads += ((panes[1:] != panes[:-1]).nonzero()[0] + 1).tolist()
    begins: list[int] = []
    pane_starts: list[int] = []
    for head, end in zip(heads, [*heads[1:], count], strict=True):
        pane_starts.append(len(begins))
        begins.extend(range(head, end, SAMPLE_RECORDS))
    starts = np.array([*begins, count], dtype=np.intp)
    lengths = starts[1:] - starts[:-1]
    starts = starts[:-1]
    offsets = OFFSETS[: int(lengths.max())]
    rows = starts + offsets
    rows[offsets >= lengths] = count
    return Samples(starts, lengths, rows, np.array(pane_starts, dtype=np.intp), first_pane, last_pane)
