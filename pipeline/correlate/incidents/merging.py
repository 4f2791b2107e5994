"""Merges: the index of merged incidents, and the combined state of an incident and its members.

The merged state is computed on each use and never stored: a merged incident keeps its own state. All content of a
parent comes from its children, except for commands that people sent to it.
"""

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.correlate.incidents.incident_state import Classification, IncidentState
from pipeline.correlate.playbook import failure_modes
from pipeline.correlate.severity import SEVERITIES, is_worse
from schemas.incident import CHILDREN_MAX

EvictionRank = tuple[int, int, str]
"""Kind of the incident, time (Unix ms) and id of the incident to remove. Smaller ranks are removed first."""


class MergeIndex:
    """Index of merges among the stored incidents. It has no cycles.

    Parameters
    ----------
    incidents
        The stored incidents by id. The index reads it on each use, so the caller may change the mapping.
    """

    def __init__(self, incidents: Mapping[str, IncidentState]) -> None:
        self._incidents = incidents
        self._member_ids: dict[str, list[str]] = {}
        self._target_ids: dict[str, str] = {}

    def merge(self, incident: IncidentState, target_id: str | None) -> None:
        """Merge an incident into a target. If the target is None, remove the incident from its current target."""
        previous_id = self._target_ids.pop(incident.incident_id, None)
        if previous_id is not None:
            self._member_ids[previous_id].remove(incident.incident_id)
            if not self._member_ids[previous_id]:
                del self._member_ids[previous_id]
        incident.membership.merged_into = target_id
        if target_id is not None:
            self._target_ids[incident.incident_id] = target_id
            insort(self._member_ids.setdefault(target_id, []), incident.incident_id)

    def members(self, incident: IncidentState) -> list[IncidentState]:
        """Return the incidents that are merged into an incident, in order of id."""
        member_ids = self._member_ids.get(incident.incident_id, ())
        return [self._incidents[member_id] for member_id in member_ids if member_id in self._incidents]

    def targets(self, incident: IncidentState) -> Iterator[IncidentState]:
        """Yield the chain of merge targets, beginning with the incident that an incident is merged into."""
        target = self._incidents.get(incident.membership.merged_into or "")
        while target is not None:
            yield target
            target = self._incidents.get(target.membership.merged_into or "")

    def merged_view(self, incident: IncidentState) -> IncidentState:
        """Return an incident's state combined with that of its members, recursively."""
        return merge_states(incident, [self.merged_view(member) for member in self.members(incident)])

    def clock_inputs(self, incident: IncidentState) -> tuple[int, set[int]]:
        """Return the newest report and the partitions of an incident and its members, for the incident's clock."""
        clock, partitions = incident.clock, incident.partitions
        for member in self.members(incident):
            member_clock, member_partitions = self.clock_inputs(member)
            clock, partitions = max(clock, member_clock), partitions | member_partitions
        return clock, partitions

    def eviction_rank(self, incident: IncidentState, *, dates_parents: bool = True) -> EvictionRank:
        """Return the rank of an incident for eviction. The incident with the smallest rank is removed first.

        Resolved incidents are removed first, oldest first. Open incidents follow, starting with the incident that has
        been unchanged longest. Parents are last. A merged incident counts as resolved when its target does. A parent
        that has lost all its subjects is ranked by its end, like a resolved incident. The id breaks ties. Without
        ``dates_parents``, the time of an open parent is 0.
        """
        if self._is_empty(incident):
            return (0, incident.resolved_at or 0, incident.incident_id)
        [*_, last] = [incident, *self.targets(incident)]
        if last.resolved_at is not None:
            return (0, last.resolved_at, last.incident_id)
        is_parent = incident.membership.scope is not None
        if is_parent and not dates_parents:
            return (2, 0, incident.incident_id)
        return (2 if is_parent else 1, self.merged_view(incident).last_change_at, incident.incident_id)

    def _is_empty(self, incident: IncidentState) -> bool:
        return not incident.tracked and all(self._is_empty(member) for member in self.members(incident))


def merge_states(incident: IncidentState, members: Sequence[IncidentState]) -> IncidentState:
    """Return the combined state of an incident and its members, or the same object if no member has a drift.

    Severity and failure mode are those of the worst incident. A severity that a person assigned to a member is used if
    it is worse than the severity of the rules. A parent has its own log: see
    :mod:`pipeline.correlate.phases.published_view`.
    """
    others = sorted((one for one in members if one.tracked), key=lambda one: (one.started_at, one.incident_id))
    if not others:
        return incident
    everyone = [*([incident] if incident.tracked else []), *others]
    lead = min(everyone, key=_lead_rank)
    merged = replace(
        incident,
        decision=lead.decision,
        decided_at=lead.decided_at,
        clock=max(one.clock for one in everyone),
        partitions=set().union(*(one.partitions for one in everyone)),
        tracked={drift_id: tracked for one in everyone for drift_id, tracked in one.tracked.items()},
        classification=incident.classification or _worst_classification(others, lead),
    )
    if incident.membership.scope is None:
        merged.log = [entry for one in everyone for entry in one.log]
    else:
        merged.children = [one.incident_id for one in others][:CHILDREN_MAX]
    return merged


def _worst_classification(members: Sequence[IncidentState], lead: IncidentState) -> Classification | None:
    given = [one.classification for one in members if one.classification is not None]
    worst = min(given, key=lambda one: (one.severity, one.at, one.author), default=None)
    return worst if worst is not None and is_worse(worst.severity, lead.decision.severity) else None


def _lead_rank(incident: IncidentState) -> tuple[int, int, int, str]:
    decision = incident.decision
    return (
        SEVERITIES.index(decision.severity),
        failure_modes.naming_rank(failure_modes.failure_mode_of(decision.drift)),
        incident.decided_at,
        incident.incident_id,
    )
