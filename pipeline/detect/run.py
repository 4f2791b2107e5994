"""The run: records of one unit that one batch brought, in order, as they go from admission to the unit's buffer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.shape import Shape
from pipeline.step import Output

Placed = tuple[int, Output]
"""An output and the place of the record that caused it: outputs leave in the order of places."""


@dataclass(frozen=True, slots=True)
class Run:
    """Records of one unit.

    Attributes
    ----------
    records, shapes
        The records and the shape of each.
    times_ms
        Shape ``(len(records),)``, int64, event times in Unix milliseconds.
    places
        Where each stood in its batch.
    """

    records: Sequence[dict[str, Any]]
    shapes: Sequence[Shape]
    times_ms: NDArray[np.int64]
    places: Sequence[int]

    def pick(self, indexes: Sequence[int]) -> "Run":
        """The records at some indexes."""
        return Run(
            [self.records[index] for index in indexes],
            [self.shapes[index] for index in indexes],
            self.times_ms[indexes] if len(indexes) else np.empty(0, dtype=np.int64),
            [self.places[index] for index in indexes],
        )

    def cut(self, start: int, stop: int) -> "Run":
        """The records from ``start`` up to ``stop``."""
        if start == 0 and stop == len(self.records):
            return self
        part = slice(start, stop)
        return Run(self.records[part], self.shapes[part], self.times_ms[part], self.places[part])
