"""Clocks of incidents. Only messages advance them, through watermarks and through the wall-clock time in live ticks.

The clock of an incident is the latest of three times: the newest report of a drift of its subject, the newest watermark
of the partitions that its drifts came from, and the wall clock if ticks contain it. Other partitions are ignored. In a
replay, a subject with a single partition therefore has the same history no matter how the partitions interleave. If a
subject has several partitions, the newest watermark is used, because a partition without traffic must not keep an
incident open.
"""

from collections.abc import Iterable
from typing import Any

from schemas.tick import Tick

PARTITIONS_MAX = 10_000
"""Maximum number of partitions whose watermarks are stored. Records topics of real clusters have fewer partitions."""


class IncidentClocks:
    """Newest watermark of each partition, and newest wall-clock time. Both only increase."""

    def __init__(self) -> None:
        self._watermarks: dict[int, int] = {}
        self._wall = 0

    def advance(self, tick: Tick) -> bool:
        """Apply a tick. Return True if a clock advanced."""
        has_advanced = False
        is_newer = tick.watermark is not None and tick.watermark > self._watermarks.get(tick.partition, 0)
        if is_newer and (tick.partition in self._watermarks or len(self._watermarks) < PARTITIONS_MAX):
            self._watermarks[tick.partition] = tick.watermark or 0
            has_advanced = True
        if tick.wall is not None and tick.wall > self._wall:
            self._wall = tick.wall
            has_advanced = True
        return has_advanced

    def span(self, partition: int) -> tuple[int, int]:
        """Return the wall clock, and the clock of an incident that follows one partition and has no reports (Unix ms)."""
        return self._wall, max(self._wall, self._watermarks.get(partition, 0))

    def now(self, reported_at: int, partitions: Iterable[int]) -> int:
        """Return the clock of an incident in Unix ms, based on its subject's newest report and its partitions."""
        return max(reported_at, self._wall, *[self._watermarks.get(partition, 0) for partition in partitions])

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values."""
        return {"wall": self._wall, "watermarks": [list(pair) for pair in sorted(self._watermarks.items())]}

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`dump` returned."""
        self._wall = int(state["wall"])
        self._watermarks = {int(partition): int(watermark) for partition, watermark in state["watermarks"]}
