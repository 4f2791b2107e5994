"""Third phase: merge incidents of many subjects into one parent if they share a cause.

:mod:`pipeline.correlate.phases.parents` computes the parents that should exist from all candidates of a scope and
failure group. This phase then opens parents and moves children to match.
"""

from collections.abc import Collection

from pipeline.correlate.incidents import IncidentState, SharedScope
from pipeline.correlate.phases.incident_table import IncidentTable, Touched
from pipeline.correlate.phases.parents import ExpectedParent, child_candidate, expected_parents

GroupKey = tuple[SharedScope, str]
"""The scope that the subjects share, and their failure group."""

NAMED_MAX = 5
"""Maximum number of new subjects in a line of a parent's log."""


def group_incidents(table: IncidentTable, touched: Touched) -> Touched:
    """Update the parents that may have changed, and add every incident that changes as a result."""
    keys: set[GroupKey] = set()
    for incident in touched.to_group:
        keys |= _update_candidate(table, incident)
        for related in (*table.merges.targets(incident), *table.merges.members(incident)):
            keys |= _update_candidate(table, related)
    for key in sorted(keys):
        touched.add(_group(table, key))
    return touched


def restore_candidates(table: IncidentTable) -> None:
    """Compute the candidates among restored incidents, which are already grouped, and when time changes them."""
    for incident in table.incidents:
        _update_candidate(table, incident)
        table.schedule(incident)


def _update_candidate(table: IncidentTable, incident: IncidentState) -> set[GroupKey]:
    """Update the candidate of an incident, and return the groups that change as a result."""
    before = table.candidates.pop(incident.incident_id, None)
    merged = table.merges.merged_view(incident)
    now = None if _has_closed_parent(table, incident) else child_candidate(incident, merged, table.settings)
    if now is not None:
        table.candidates[incident.incident_id] = now
    return set() if now == before else {(one.scope, one.failure_group) for one in (before, now) if one is not None}


def _has_closed_parent(table: IncidentTable, incident: IncidentState) -> bool:
    """Return whether a person closed the parent. It then retains its children and accepts no more children."""
    return any(target.membership.scope is not None and target.closed_by for target in table.merges.targets(incident))


def _group(table: IncidentTable, key: GroupKey) -> list[IncidentState]:
    """Make the incidents of one group match the parents that should exist. Return the incidents that changed."""
    parents = table.incidents.find_parents(key[0])
    former_children = {parent.incident_id: table.merges.members(parent) for parent in parents}
    candidates = [one for one in table.candidates.values() if (one.scope, one.failure_group) == key]
    closed_ids = [parent.incident_id for parent in parents if parent.closed_by is not None]
    expected = [one for one in expected_parents(candidates, closed_ids, table.settings) if one.child_ids]
    parent_ids = {child_id: one.parent_id for one in expected for child_id in one.child_ids}
    changed = [incident for one in expected for incident in _form_parent(table, one)]
    for incident_id in sorted(candidate.incident_id for candidate in candidates):
        incident, parent_id = table.incidents.get(incident_id), parent_ids.get(incident_id)
        if incident is not None and incident.membership.merged_into != parent_id:
            table.merges.merge(incident, parent_id)
            changed.append(incident)
    for parent in parents:
        if parent.membership.merged_into is None and parent.resolved_at is None and not table.merges.members(parent):
            child_ids = (child.incident_id for child in former_children[parent.incident_id])
            _end_parent(table, parent, next((parent_ids[one] for one in child_ids if one in parent_ids), None))
            changed.append(parent)
    return changed


def _form_parent(table: IncidentTable, expected: ExpectedParent) -> list[IncidentState]:
    """Open or update a parent. Return the parent and the children whose logs change."""
    parent = table.incidents.get(expected.parent_id)
    if parent is None:
        children = (table.incidents.get(child_id) for child_id in expected.child_ids)
        first_child = next(child for child in children if child is not None)
        parent = IncidentState.open_parent(expected.parent_id, expected.scope, first_child)
        table.incidents.add(parent)
    if parent.membership.merged_into is not None:
        table.merges.merge(parent, None)
    formed_at = expected.formed_at(table.settings.parent_subjects)
    redated = [] if formed_at == parent.membership.formed_at else table.merges.members(parent)
    parent.membership.formed_at = formed_at
    if parent.mitigated_at is not None:
        _end_mitigation(table, parent, expected)
    return [parent, *redated]


def _end_mitigation(table: IncidentTable, parent: IncidentState, expected: ExpectedParent) -> None:
    """End the mitigation of a parent if more subjects fail."""
    new = [
        member for member in expected.members if _is_new_child(table, member.incident_id, parent, expected.child_ids)
    ]
    if not new:
        return
    at = max(member.detected_at for member in new)
    names = ", ".join(sorted({member.subject for member in new})[:NAMED_MAX])
    text = f"no longer mitigated: {names} failed too"
    parent.add_log_entry(at, "unmitigated", text, entries_max=table.settings.log_entries_max)
    parent.mark_active(at)


def _is_new_child(table: IncidentTable, incident_id: str, parent: IncidentState, child_ids: Collection[str]) -> bool:
    incident = table.incidents.get(incident_id)
    return incident_id in child_ids and incident is not None and incident.membership.merged_into != parent.incident_id


def _end_parent(table: IncidentTable, parent: IncidentState, heir_id: str | None) -> None:
    """End a parent without children: merge it into the parent that took its children, or resolve it."""
    if heir_id is not None:
        table.merges.merge(parent, heir_id)
    elif parent.last_published is not None:
        parent.resolved_at = parent.last_published.updated_at
