"""The watermark of a partition: the newest event time of any of its streams, and the ticks that publish it.

In a replay, the watermark also replaces the wall clock. Callers can therefore look up its value after each record of a
batch, over which it can advance several times.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission.originals import PositionedOutput
from pipeline.step import OutputMessage
from schemas.tick import Tick
from schemas.topics import DRIFTS

TICK_MS = 10_000
"""Milliseconds of event time between two ticks of a replay."""


class Watermark:
    """The watermark of a partition.

    Parameters
    ----------
    partition
        Number of the partition.

    Attributes
    ----------
    time_ms
        The watermark in Unix milliseconds; 0 before the first record. It never decreases.

    >>> watermark = Watermark(0)
    >>> watermark.time_ms = 1000
    >>> ticks = watermark.advance(np.array([4000, 2000, 9000]), np.array([5, 3, 8]))
    >>> watermark.time_at(3), watermark.time_at(6), watermark.time_ms, watermark.position_reaching(4001)
    (2000, 4000, 9000, 8)
    """

    def __init__(self, partition: int) -> None:
        self.time_ms = 0
        self._partition = partition
        self._start_ms = 0
        self._positions: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._times_ms: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def begin_batch(self) -> None:
        """Forget the values of the batch before."""
        if self._positions.size:
            self._positions, self._times_ms = self._positions[:0], self._times_ms[:0]

    def advance(self, times_ms: NDArray[np.int64], positions: NDArray[np.int64]) -> list[PositionedOutput]:
        """Advance over at least one admitted record of a replay, and store the values for lookups.

        Within a batch, the positions of each advance must not precede those of the advance before.

        Parameters
        ----------
        times_ms, positions
            Event times and positions of the records, in any order.

        Returns
        -------
        list
            A tick at each position where the watermark passed one or more multiples of ten seconds.
        """
        order = np.argsort(positions, kind="stable")
        before_ms, positions = self.time_ms, positions[order]
        times_ms = np.maximum.accumulate(np.maximum(times_ms[order], before_ms))
        if not self._positions.size:
            self._start_ms = before_ms
        self._positions = np.concatenate((self._positions, positions))
        self._times_ms = np.concatenate((self._times_ms, times_ms))
        self.time_ms = int(times_ms[-1])
        if self.time_ms // TICK_MS == before_ms // TICK_MS:
            return []
        # Records that were released together share a position.
        last = np.append(np.flatnonzero(np.diff(positions)), positions.size - 1)
        reached_ms = times_ms[last]
        passed = np.flatnonzero(np.diff(reached_ms // TICK_MS, prepend=before_ms // TICK_MS))
        return [(int(positions[last[index]]), self.tick(int(reached_ms[index]))) for index in passed.tolist()]

    def tick(self, watermark_ms: int | None = None, *, wall_ms: int | None = None) -> OutputMessage:
        """Build a tick with the current or an earlier watermark. In live operation, pass the wall-clock time too."""
        published_ms = self.time_ms if watermark_ms is None else watermark_ms
        tick = Tick(partition=self._partition, watermark=published_ms or None, wall=wall_ms)
        return OutputMessage(DRIFTS, None, tick.to_json())

    def time_at(self, position: int) -> int:
        """Return the watermark after all records of the batch up to and including a position."""
        records = int(np.searchsorted(self._positions, position, side="right"))
        return int(self._times_ms[records - 1]) if records else self._start_ms

    def position_reaching(self, watermark_ms: int) -> int:
        """Return the position at which the watermark reached a time.

        The time must lie within the batch.
        """
        return int(self._positions[np.searchsorted(self._times_ms, watermark_ms)])

    def find_pauses(self, heard_ms: int, positions: Sequence[int], pause_min_ms: int) -> list[tuple[int, int, int]]:
        """Find pauses of a stream in the batch, in which the partition's watermark advances without a record of the stream.

        Parameters
        ----------
        heard_ms
            The partition's watermark at the stream's last record before ``positions``.
        positions
            Positions of the stream's next records, in order.
        pause_min_ms
            Minimum milliseconds of progress that count as a pause.

        Returns
        -------
        list
            For each pause: index of the record that ends it, watermark at the stream's previous record, and watermark
            just before the record that ends it.
        """
        if not positions or self.time_ms - heard_ms < pause_min_ms:
            return []
        ends = np.array(positions)
        times_ms = np.concatenate(([self._start_ms], self._times_ms))
        end_ms = times_ms[np.searchsorted(self._positions, ends)]
        start_ms = np.concatenate(([heard_ms], times_ms[np.searchsorted(self._positions, ends[:-1], side="right")]))
        pauses = np.flatnonzero(end_ms - start_ms >= pause_min_ms)
        return [(index, int(start_ms[index]), int(end_ms[index])) for index in pauses.tolist()]
