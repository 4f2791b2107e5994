"""The view: one block, and what a judge has made of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.block import Block
from pipeline.detect.samples import Samples


@dataclass(frozen=True, slots=True)
class View:
    """A block and its numbers, as ``pipeline/detect/layout.py`` lays them out.

    Attributes
    ----------
    values, channels
        Shape ``(R, signals)`` and ``(R, channels)``; NaN where a record does not carry the signal.
    totals
        Shape ``(2, T + 1, S)``: of every side, before each sample, records with the signal and the sum of its channel.
    """

    block: Block
    values: NDArray[np.float64]
    channels: NDArray[np.float64]
    samples: Samples
    totals: NDArray[np.float64]

    def row(self, sample: int, signal: int) -> int:
        """The last record of a sample that carries the signal."""
        start = int(self.samples.starts[sample])
        end = start + int(self.samples.lengths[sample])
        carrying = np.flatnonzero(~np.isnan(self.values[start:end, signal]))
        return start + int(carrying[-1]) if carrying.size else end - 1
