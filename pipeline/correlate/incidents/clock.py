"""What time it is, told by messages alone: the ticks of the partitions of records and, live, the wall clock in them.

The clock of an incident is the newest of three: the reports of its subject's own drifts, the watermarks of the
partitions that its drifts came from, and the wall clock where ticks carry one. Other partitions do not count, so that
in a replay a subject whose records lie in one partition has one history, however the partitions interleave. Of a
subject in several partitions the one furthest ahead counts: one that has gone quiet must not keep an incident open.
"""

from collections.abc import Iterable
from typing import Any

from schemas.tick import Tick

PARTITIONS_MAX = 10_000
"""Partitions whose watermark is kept; the records topic of any cluster has fewer."""


class IncidentClocks:
    """The newest watermark of each partition, and the newest wall clock. None of them goes back."""

    def __init__(self) -> None:
        self._watermarks: dict[int, int] = {}
        self._wall = 0

    def advance(self, tick: Tick) -> bool:
        """Take a tick; whether any clock moved."""
        moved = False
        newer = tick.watermark is not None and tick.watermark > self._watermarks.get(tick.partition, 0)
        if newer and (tick.partition in self._watermarks or len(self._watermarks) < PARTITIONS_MAX):
            self._watermarks[tick.partition] = tick.watermark or 0
            moved = True
        if tick.wall is not None and tick.wall > self._wall:
            self._wall = tick.wall
            moved = True
        return moved

    def now(self, reported: int, partitions: Iterable[int]) -> int:
        """The clock of an incident, Unix ms, by its subject's newest report and its partitions."""
        return max(reported, self._wall, *(self._watermarks.get(partition, 0) for partition in partitions))

    def dump(self) -> dict[str, Any]:
        """The state, for JSON."""
        return {"wall": self._wall, "watermarks": [list(pair) for pair in sorted(self._watermarks.items())]}

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state that :meth:`dump` gave out."""
        self._wall = int(state["wall"])
        self._watermarks = {int(partition): int(watermark) for partition, watermark in state["watermarks"]}
