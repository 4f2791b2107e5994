"""The watermark of a partition: the newest event time of any of its units, and the ticks that tell of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.run import Placed
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

    def advance(self, times_ms: NDArray[np.int64], places: NDArray[np.int64]) -> list[Placed]:
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


def by_place(outputs: Sequence[Placed]) -> list[Output]:
    """Outputs in the order of the records that caused them, however those were grouped on the way."""
    return [output for _, output in sorted(outputs, key=lambda placed: placed[0])]
