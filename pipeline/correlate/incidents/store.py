"""Bounded store of the incidents that can still be revised, indexed by id, drift and subject."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any

from pipeline.correlate.incidents.eviction import EvictionOrder
from pipeline.correlate.incidents.incident_state import IncidentState
from pipeline.correlate.incidents.membership import SharedScope
from pipeline.correlate.incidents.merging import MergeIndex
from schemas.drift import Drift


class IncidentStore:
    """Stored incidents by id. Iteration is in order of id rather than arrival, so a restart does not change the output.

    Attributes
    ----------
    merges
        Index of merged incidents.
    """

    def __init__(self, incidents_max: int) -> None:
        self._incidents_max = incidents_max
        self._incidents: dict[str, IncidentState] = {}
        self._ids: list[str] = []
        self._ids_by_drift: dict[str, str] = {}
        self._ids_by_subject: dict[str, list[str]] = {}
        self._parent_ids: dict[SharedScope, list[str]] = {}
        self.merges = MergeIndex(self._incidents)
        self._eviction = EvictionOrder(self._incidents, self.merges)

    def __len__(self) -> int:
        return len(self._incidents)

    def __iter__(self) -> Iterator[IncidentState]:
        return (self._incidents[incident_id] for incident_id in tuple(self._ids))

    def get(self, incident_id: str) -> IncidentState | None:
        """Return an incident, or None if it is not stored."""
        return self._incidents.get(incident_id)

    def find_by_drift(self, drift_id: str) -> IncidentState | None:
        """Return the incident that tracks a drift, or None."""
        return self._incidents.get(self._ids_by_drift.get(drift_id, ""))

    def find_by_subject(self, subject: str) -> list[IncidentState]:
        """Return the incidents of a subject, excluding parents."""
        return [one for one in self.find_by_traffic(subject) if one.membership.scope is None]

    def find_by_traffic(self, subject: str) -> list[IncidentState]:
        """Return the incidents and parents with this subject."""
        return [self._incidents[incident_id] for incident_id in self._ids_by_subject.get(subject, ())]

    def find_parents(self, scope: SharedScope) -> list[IncidentState]:
        """Return the parents of incidents that share a scope."""
        return [self._incidents[incident_id] for incident_id in self._parent_ids.get(scope, ())]

    def add(self, incident: IncidentState) -> None:
        """Store an incident, either new or restored from a checkpoint."""
        replaced = self._incidents.get(incident.incident_id)
        if replaced is not None:
            self._unindex(replaced)
        self._incidents[incident.incident_id] = incident
        self._index(incident)
        for drift_id in incident.tracked:
            self._ids_by_drift[drift_id] = incident.incident_id
        if replaced is not None or incident.membership.merged_into is not None:
            self.merges.merge(incident, incident.membership.merged_into)
        self._eviction.mark(incident)

    def track(self, incident: IncidentState, drift: Drift) -> None:
        """Add a firing drift to a stored incident."""
        incident.track(drift)
        self._ids_by_drift[drift.drift_id] = incident.incident_id

    def untrack(self, incident: IncidentState, drift_id: str) -> None:
        """Remove a drift from a stored incident."""
        del incident.tracked[drift_id]
        del self._ids_by_drift[drift_id]

    def mark_changed(self, incident: IncidentState) -> None:
        """Apply a change of an incident to the order of eviction."""
        self._eviction.mark(incident)

    def next_eviction(self) -> IncidentState | None:
        """Return the incident to remove next if the maximum is exceeded, or None."""
        return self._eviction.first() if len(self._incidents) > self._incidents_max else None

    def remove(self, incident: IncidentState) -> Iterator[str]:
        """Remove an incident and its members, and yield their ids. Their revisions remain on the alerts topic."""
        for member in self.merges.members(incident):
            yield from self.remove(member)
        self.merges.merge(incident, None)
        self._unindex(incident)
        self._eviction.remove(incident.incident_id)
        del self._incidents[incident.incident_id]
        for drift_id in incident.tracked:
            del self._ids_by_drift[drift_id]
        yield incident.incident_id

    def _index(self, incident: IncidentState) -> None:
        scope = incident.membership.scope
        insort(self._ids, incident.incident_id)
        insort(self._ids_by_subject.setdefault(incident.subject, []), incident.incident_id)
        if scope is not None:
            insort(self._parent_ids.setdefault(scope, []), incident.incident_id)

    def _unindex(self, incident: IncidentState) -> None:
        scope = incident.membership.scope
        del self._ids[bisect_left(self._ids, incident.incident_id)]
        _remove(self._ids_by_subject, incident.subject, incident.incident_id)
        if scope is not None:
            _remove(self._parent_ids, scope, incident.incident_id)


def _remove(index: dict[Any, list[str]], key: Any, incident_id: str) -> None:
    index[key].remove(incident_id)
    if not index[key]:
        del index[key]
