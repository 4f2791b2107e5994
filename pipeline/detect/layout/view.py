"""The view: one block, and what a judge has made of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.layout.grid import Grid
from pipeline.detect.signals import Block


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block and its numbers, as ``pipeline/detect/layout/layout.py`` lays them out.

    Attributes
    ----------
    values
        Shape ``(R + 1, signals)``; NaN where a record does not carry the signal, and in the last row.
    """

    block: Block
    values: NDArray[np.float64]
    grid: Grid

    def last_carrying_row(self, sample: int, signal: int) -> int:
        """The last record of a sample that carries the signal."""
        start = int(self.grid.samples.starts[sample])
        end = start + int(self.grid.samples.lengths[sample])
        carrying = np.flatnonzero(~np.isnan(self.values[start:end, signal]))
        return start + int(carrying[-1]) if carrying.size else end - 1
