"""The watermark of a partition: the newest event time of any of its units, and the ticks that tell of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.intake.run import PositionedOutput
from pipeline.step import Output
from schemas.tick import Tick
from schemas.topics import DRIFTS

TICK_MS = 10_000
"""Milliseconds of event time: a replay tells of its watermark whenever it passes a multiple."""


class Watermark:
    """How far a partition has come.

    Parameters
    ----------
    partition
        Which.

    Attributes
    ----------
    at_ms
        Unix milliseconds; 0 before any record. It never goes back.
    """

    def __init__(self, partition: int) -> None:
        self.at_ms = 0
        self._partition = partition

    def advance(self, times_ms: NDArray[np.int64], places: NDArray[np.int64]) -> list[PositionedOutput]:
        """Take the times of admitted records.

        Parameters
        ----------
        times_ms, places
            Alike in length, in any order.

        Returns
        -------
        list
            A tick at each place where a multiple of ten seconds was passed, one however many were.
        """
        if not times_ms.size:
            return []
        newest_ms = max(self.at_ms, int(times_ms.max()))
        if newest_ms // TICK_MS == self.at_ms // TICK_MS:
            self.at_ms = newest_ms
            return []
        order = np.argsort(places, kind="stable")
        newest = np.maximum.accumulate(np.maximum(times_ms[order], self.at_ms))
        # Records that were held are let go together, at one place.
        last = np.append(np.flatnonzero(np.diff(places[order])), newest.size - 1)
        reached = newest[last]
        passed = np.flatnonzero(np.diff(reached // TICK_MS, prepend=self.at_ms // TICK_MS))
        self.at_ms = int(newest[-1])
        return [(int(places[order[last[index]]]), self.tick(int(reached[index]))) for index in passed.tolist()]

    def tick(self, watermark_ms: int | None = None, *, wall_ms: int | None = None) -> Output:
        """The message that tells of the watermark, or of an earlier one; live, with the wall clock beside it."""
        told = self.at_ms if watermark_ms is None else watermark_ms
        tick = Tick(partition=self._partition, watermark=told or None, wall=wall_ms)
        return Output(DRIFTS, None, tick.to_json())


def order_by_position(outputs: Sequence[PositionedOutput]) -> list[Output]:
    """Outputs in the order of the records that caused them, however those were grouped on the way."""
    return [output for _, output in sorted(outputs, key=lambda placed: placed[0])]


class WatermarkHistory:
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
