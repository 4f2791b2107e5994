"""Records of the simulated service as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from load.world.noise import Floats


@dataclass(frozen=True, slots=True)
class RecordColumns:
    """``N`` records as columns.

    Attributes
    ----------
    times_ms
        Unix milliseconds in order, shape ``(N,)``.
    first_index
        Index of the first record in the simulated service.
    values
        Values by signal, shape ``(N,)`` each. The values of a rate are 0.0 and 1.0. NaN marks an unreported value.
    versions
        Versions by record. Records with equal versions share one dictionary.
    labels
        Labels by name, ``N`` each. For an absent name, the writer uses default labels.
    """

    times_ms: NDArray[np.int64]
    first_index: int
    values: dict[str, Floats]
    versions: list[dict[str, str]]
    labels: dict[str, list[str | None]] = field(default_factory=dict)

    def head(self, count: int) -> "RecordColumns":
        """Return the first ``count`` records."""
        values = {name: column[:count] for name, column in self.values.items()}
        labels = {name: column[:count] for name, column in self.labels.items()}
        return RecordColumns(self.times_ms[:count], self.first_index, values, self.versions[:count], labels)

    def take(self, rows: NDArray[np.intp]) -> "RecordColumns":
        """Return the records of the given rows."""
        indices = rows.tolist()
        return RecordColumns(
            self.times_ms[rows],
            self.first_index,
            {name: column[rows] for name, column in self.values.items()},
            [self.versions[row] for row in indices],
            {name: [column[row] for row in indices] for name, column in self.labels.items()},
        )

    @staticmethod
    def concatenate(parts: Sequence["RecordColumns"]) -> "RecordColumns":
        """Return the records of all parts in order. At least one part is required."""
        return RecordColumns(
            np.concatenate([part.times_ms for part in parts]),
            parts[0].first_index,
            {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
            [versions for part in parts for versions in part.versions],
            {name: [label for part in parts for label in part.labels[name]] for name in parts[0].labels},
        )
