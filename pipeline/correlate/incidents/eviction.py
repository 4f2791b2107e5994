"""Order of eviction: which incident is removed next if too many are stored."""

from collections.abc import Mapping

from pipeline.correlate.incidents.incident_state import IncidentState
from pipeline.correlate.incidents.merging import EvictionRank, MergeIndex
from pipeline.due_times import LowestRank


class EvictionOrder:
    """The incidents by rank (see :meth:`MergeIndex.eviction_rank`).

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
        self._ends: dict[str, int | None] = {}
        self._order = LowestRank(self._rank)

    def mark(self, incident: IncidentState) -> None:
        """Mark an incident that is new or has changed. If its end has changed, the ranks of its members change too."""
        self._order.mark(incident.incident_id)
        before = self._ends.get(incident.incident_id)
        self._ends[incident.incident_id] = incident.resolved_at
        if before != incident.resolved_at:
            for member in self._merges.members(incident):
                self._mark_with_members(member)

    def remove(self, incident_id: str) -> None:
        """Remove an incident that is no longer stored."""
        self._order.mark(incident_id)
        self._ends.pop(incident_id, None)

    def first(self) -> IncidentState:
        """Return the incident to remove next. There must be one."""
        lowest = self._incidents[self._order.first() or ""]
        kind, _, incident_id = self._merges.eviction_rank(lowest, dates_parents=False)
        if kind > 1:  # Only open parents are left.
            _, _, incident_id = min(map(self._merges.eviction_rank, self._incidents.values()))
        return self._incidents[incident_id]

    def _mark_with_members(self, incident: IncidentState) -> None:
        self._order.mark(incident.incident_id)
        for member in self._merges.members(incident):
            self._mark_with_members(member)

    def _rank(self, incident_id: str) -> EvictionRank | None:
        """Return the rank of an incident. The rank of an open parent has no time, which many incidents would change."""
        incident = self._incidents.get(incident_id)
        return None if incident is None else self._merges.eviction_rank(incident, dates_parents=False)
