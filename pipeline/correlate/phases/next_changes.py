"""The times at which time alone changes incidents. A tick then costs as much as it changes.

An incident follows the wall clock and the watermarks of its partitions. Its time is therefore in one heap for the wall
clock, and in one heap for each of its partitions.
"""

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heappush

WALL = -1
"""Key of the heap for the wall clock. The other keys are partitions."""

STALE_TIMES_MAX = 1_000
"""Number of outdated times in a heap, beyond twice the number of incidents, from which the heap is built again."""


class NextChanges:
    """The next time (Unix ms) at which time may change an incident, by incident.

    >>> changes = NextChanges()
    >>> changes.plan("inc-1", 2000, {0}), changes.plan("inc-2", 3000, {1}), changes.plan("inc-1", 1000, {0})
    (None, None, None)
    >>> changes.take(0, 999), changes.take(1, 2000), changes.take(WALL, 2000), changes.take(0, 2000)
    (set(), set(), {'inc-1'}, set())
    """

    def __init__(self) -> None:
        self._times: dict[str, tuple[float, frozenset[int]]] = {}
        self._heaps: dict[int, list[tuple[float, str]]] = {WALL: []}

    def plan(self, incident_id: str, at: float, partitions: Iterable[int]) -> None:
        """Set the next time of an incident, and the partitions that it follows. Infinity means that there is none."""
        if at == math.inf:
            self._times.pop(incident_id, None)
            return
        entry = at, frozenset(partitions)
        if self._times.get(incident_id) == entry:
            return
        self._times[incident_id] = entry
        for key in (WALL, *entry[1]):
            heap = self._heaps.setdefault(key, [])
            heappush(heap, (at, incident_id))
            if len(heap) > 2 * len(self._times) + STALE_TIMES_MAX:
                heap[:] = [
                    (at, incident_id) for incident_id, (at, _) in self._times.items() if self._follows(incident_id, key)
                ]
                heapify(heap)

    def take(self, key: int, now: int) -> set[str]:
        """Return the incidents whose time has come by the clock of a heap (Unix ms), and remove their times."""
        heap, due = self._heaps.get(key, []), set()
        while heap and heap[0][0] <= now:
            at, incident_id = heappop(heap)
            known = self._times.get(incident_id)
            if known is not None and known[0] == at and self._follows(incident_id, key):
                del self._times[incident_id]
                due.add(incident_id)
        return due

    def _follows(self, incident_id: str, key: int) -> bool:
        return key == WALL or key in self._times[incident_id][1]
