"""The run: records of one unit that one batch brought, in order, as they go from admission to the unit's buffer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.intake.fields import Fields
from pipeline.step import Output

PositionedOutput = tuple[int, Output]
"""An output and the place of the record that caused it: outputs leave in the order of places."""


# Not frozen, for the reason for which fields are not.
@dataclass(slots=True)
class Run:
    """Records of one unit.

    Attributes
    ----------
    fields
        What the records hold.
    times_ms
        Shape ``(len(fields),)``, int64, event times in Unix milliseconds.
    places
        Where each stood in its batch.
    """

    fields: Fields
    times_ms: NDArray[np.int64]
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def pick(self, rows: Sequence[int]) -> "Run":
        """The records at some rows."""
        return Run(self.fields.pick(rows), self.times_ms[rows], [self.places[row] for row in rows])

    def cut(self, start: int, stop: int) -> "Run":
        """The records from ``start`` up to ``stop``."""
        if start == 0 and stop == len(self):
            return self
        return Run(self.fields.cut(start, stop), self.times_ms[start:stop], self.places[start:stop])


def split_by_subject(subjects: Sequence[str], indexes: Iterable[int], arrived: Run) -> Iterator[tuple[str, Run]]:
    """Some of the records as a run for each subject."""
    own: dict[str, list[int]] = {}
    for index in indexes:
        own.setdefault(subjects[index], []).append(index)
    # Sorted once and cut, because to pick costs as much for one record as for many.
    together = arrived.pick(list(chain.from_iterable(own.values())))
    start = 0
    for subject, some in own.items():
        yield subject, together.cut(start, start + len(some))
        start += len(some)
