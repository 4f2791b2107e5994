"""The times at which time alone changes incidents. A tick then costs as much as it changes.

An incident follows the wall clock and the watermarks of its partitions, so its time is due by whichever of these clocks
reaches it first.
"""

import math
from collections.abc import Iterable

from pipeline.due_times import DueTimes

WALL = -1
"""Key of the wall clock. The other keys are partitions."""


class NextChanges:
    """The next time (Unix ms) at which time may change an incident, by incident.

    >>> changes = NextChanges()
    >>> changes.plan("inc-1", 2000, {0}), changes.plan("inc-2", 3000, {1}), changes.plan("inc-1", 1000, {0})
    (None, None, None)
    >>> changes.take(0, 999), changes.take(1, 2000), changes.take(WALL, 2000), changes.take(0, 2000)
    ([], [], ['inc-1'], [])
    """

    def __init__(self) -> None:
        self._due_times: dict[int, DueTimes] = {}
        self._clocks: dict[str, tuple[int, ...]] = {}

    def plan(self, incident_id: str, at: float, partitions: Iterable[int]) -> None:
        """Set the next time of an incident, and the partitions that it follows. Infinity means that there is none."""
        clocks = () if at == math.inf else (WALL, *partitions)
        for clock in set(self._clocks.pop(incident_id, ())).difference(clocks):
            self._due_times[clock].set(incident_id, math.inf)
        for clock in clocks:
            self._due_times.setdefault(clock, DueTimes()).set(incident_id, at)
        if clocks:
            self._clocks[incident_id] = clocks

    def take(self, clock: int, now: int) -> list[str]:
        """Return the incidents whose time has come by a clock (Unix ms), and remove their times."""
        due = self._due_times[clock].take(now) if clock in self._due_times else []
        for incident_id in due:
            self.plan(incident_id, math.inf, ())
        return due
