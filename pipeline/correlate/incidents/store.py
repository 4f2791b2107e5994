"""Bounded store of the incidents that can still be revised, indexed by id, drift and subject."""

from collections.abc import Iterator

from pipeline.correlate.incidents.incident_state import IncidentState
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
        self._ids_by_drift: dict[str, str] = {}
        self.merges = MergeIndex(self._incidents)

    def __len__(self) -> int:
        return len(self._incidents)

    def __iter__(self) -> Iterator[IncidentState]:
        return (self._incidents[incident_id] for incident_id in sorted(self._incidents))

    def get(self, incident_id: str) -> IncidentState | None:
        """Return an incident, or None if it is not stored."""
        return self._incidents.get(incident_id)

    def find_by_drift(self, drift_id: str) -> IncidentState | None:
        """Return the incident that tracks a drift, or None."""
        return self._incidents.get(self._ids_by_drift.get(drift_id, ""))

    def find_by_subject(self, subject: str) -> list[IncidentState]:
        """Return the incidents of a subject, excluding parents."""
        return [one for one in self if one.subject == subject and one.membership.scope is None]

    def add(self, incident: IncidentState) -> None:
        """Store an incident, either new or restored from a checkpoint."""
        is_replacement = incident.incident_id in self._incidents
        self._incidents[incident.incident_id] = incident
        for drift_id in incident.tracked:
            self._ids_by_drift[drift_id] = incident.incident_id
        if is_replacement or incident.membership.merged_into is not None:
            self.merges.merge(incident, incident.membership.merged_into)

    def track(self, incident: IncidentState, drift: Drift) -> None:
        """Add a firing drift to a stored incident."""
        incident.track(drift)
        self._ids_by_drift[drift.drift_id] = incident.incident_id

    def untrack(self, incident: IncidentState, drift_id: str) -> None:
        """Remove a drift from a stored incident."""
        del incident.tracked[drift_id]
        del self._ids_by_drift[drift_id]

    def next_eviction(self) -> IncidentState | None:
        """Return the incident to remove next if the maximum is exceeded, or None."""
        if len(self._incidents) <= self._incidents_max:
            return None
        _, _, incident_id = min(self.merges.eviction_rank(incident) for incident in self._incidents.values())
        return self._incidents[incident_id]

    def remove(self, incident: IncidentState) -> Iterator[str]:
        """Remove an incident and its members, and yield their ids. Their revisions remain on the alerts topic."""
        for member in self.merges.members(incident):
            yield from self.remove(member)
        self.merges.merge(incident, None)
        del self._incidents[incident.incident_id]
        for drift_id in incident.tracked:
            del self._ids_by_drift[drift_id]
        yield incident.incident_id
