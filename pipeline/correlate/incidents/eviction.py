"""Order of eviction: which incident is removed next if too many are stored."""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush, heapreplace

from pipeline.correlate.incidents.incident_state import IncidentState
from pipeline.correlate.incidents.merging import EvictionRank, MergeIndex

PARENT_RANK = 2
"""First number of the rank of an open parent."""

STALE_RANKS_MAX = 1_000
"""Number of outdated ranks in the heap, beyond twice the number of incidents, from which the heap is built again."""


class EvictionOrder:
    """The incidents by rank, in a heap that is built when the limit is exceeded for the first time.

    A rank in the heap may be too low, because it is checked before it is used, but it is never too high.

    Parameters
    ----------
    incidents
        The stored incidents by id.
    merges
        Index of merged incidents, for the ranks.
    """

    def __init__(self, incidents: Mapping[str, IncidentState], merges: MergeIndex) -> None:
        self._incidents = incidents
        self._merges = merges
        self._ranks: dict[str, EvictionRank] = {}
        self._heap: list[EvictionRank] | None = None

    def update(self, incident: IncidentState) -> None:
        """Apply a change of an incident. If its end has changed, the ranks of its members change too."""
        if self._heap is None:
            return
        before, rank = self._ranks.get(incident.incident_id), self._rank(incident)
        if rank == before:
            return
        self._ranks[incident.incident_id] = rank
        heappush(self._heap, rank)
        if before is None or 0 in (before[0], rank[0]):
            for member in self._merges.members(incident):
                self.update(member)
        if len(self._heap) > 2 * len(self._ranks) + STALE_RANKS_MAX:
            self._build()

    def remove(self, incident_id: str) -> None:
        """Remove an incident that is no longer stored."""
        self._ranks.pop(incident_id, None)

    def first(self) -> IncidentState:
        """Return the incident to remove next."""
        heap = self._build() if self._heap is None else self._heap
        while True:
            rank = heap[0]
            _, _, incident_id = rank
            if self._ranks.get(incident_id) != rank:
                heappop(heap)
                continue
            now = self._rank(self._incidents[incident_id])
            if now == rank:
                break
            self._ranks[incident_id] = now
            heapreplace(heap, now)
        if rank[0] != PARENT_RANK:
            return self._incidents[incident_id]
        return self._incidents[min(map(self._merges.eviction_rank, self._incidents.values()))[2]]

    def _build(self) -> list[EvictionRank]:
        self._ranks = {incident_id: self._rank(incident) for incident_id, incident in self._incidents.items()}
        self._heap = list(self._ranks.values())
        heapify(self._heap)
        return self._heap

    def _rank(self, incident: IncidentState) -> EvictionRank:
        """Return the rank of an incident. The rank of an open parent has no time, because only parents follow it."""
        return self._merges.eviction_rank(incident, dates_parents=False)
