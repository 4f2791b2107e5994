"""Progress: how far a partition had come at each place of a batch, so that a replay can say how long a unit was quiet."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Progress:
    """The partition's watermark by place.

    Parameters
    ----------
    start_ms
        The watermark before the batch.
    times_ms, places
        Alike in length, in any order: of all records of the batch that are used.

    >>> progress = Progress(1000, np.array([4000, 2000, 9000]), np.array([5, 3, 8]))
    >>> progress.before(3), progress.at(3), progress.at(6), progress.end_ms, progress.place_of(4001)
    (1000, 2000, 4000, 9000, 8)
    """

    def __init__(self, start_ms: int, times_ms: NDArray[np.int64], places: NDArray[np.int64]) -> None:
        order = np.argsort(places, kind="stable")
        self._start_ms = start_ms
        self._places = places[order]
        self._newest = np.maximum.accumulate(np.maximum(times_ms[order], start_ms))

    @property
    def end_ms(self) -> int:
        """The watermark after the batch."""
        return int(self._newest[-1]) if self._newest.size else self._start_ms

    def at(self, place: int) -> int:
        """The watermark after all records of a place."""
        return self._after(int(np.searchsorted(self._places, place, side="right")))

    def before(self, place: int) -> int:
        """The watermark before any record of a place."""
        return self._after(int(np.searchsorted(self._places, place)))

    def place_of(self, watermark_ms: int) -> int:
        """The first place at which the watermark had come so far; it must have."""
        return int(self._places[np.searchsorted(self._newest, watermark_ms)])

    def pauses(self, heard_ms: int, places: Sequence[int], least_ms: int) -> list[tuple[int, int, int]]:
        """Before which of a unit's records the partition had gone on by so much since the one before.

        Parameters
        ----------
        heard_ms
            The watermark at the unit's last record before the batch.
        places
            Of its records, in order.
        least_ms
            Milliseconds of progress that count.

        Returns
        -------
        list
            The number of the record, the watermark at the one before it, and the watermark just before it.
        """
        if not places or self.end_ms - heard_ms < least_ms:
            return []
        own = np.array(places)
        newest = np.concatenate(([self._start_ms], self._newest))
        reached = newest[np.searchsorted(self._places, own)]
        heard = np.concatenate(([heard_ms], newest[np.searchsorted(self._places, own[:-1], side="right")]))
        some = np.flatnonzero(reached - heard >= least_ms)
        return [(number, int(heard[number]), int(reached[number])) for number in some.tolist()]

    def _after(self, records: int) -> int:
        return int(self._newest[records - 1]) if records else self._start_ms
