"""Fourth phase: write the revisions of the incidents that a message touched, and remove incidents beyond the limit."""

from collections.abc import Iterable

from pipeline.correlate.causes import DiagnosisContext
from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.phases.incident_table import IncidentTable, Touched
from pipeline.correlate.phases.published_view import published_view
from pipeline.correlate.phases.settle import resolve_if_quiet
from pipeline.correlate.revision import build_revision
from pipeline.step import OutputMessage
from schemas.incident import Incident, Severity
from schemas.topics import ALERTS


def publish_revisions(table: IncidentTable, touched: Touched) -> list[OutputMessage]:
    """Return all outputs of a message: dead letters, relearn requests, then the revisions that changed."""
    outputs = [*touched.outputs, *_publish_changed(table, touched.changed.values())]
    for incident in touched.affected:
        outputs += _publish_with_siblings(table, incident)
    while touched.may_exceed_limit and (oldest := table.incidents.next_eviction()) is not None:
        outputs += _evict(table, oldest)
    return outputs


def _publish_changed(table: IncidentTable, incidents: Iterable[IncidentState]) -> list[OutputMessage]:
    """Publish incidents and their targets. Parents come first, so readers know why a child closes."""
    everyone = {one.incident_id: one for incident in incidents for one in (incident, *table.merges.targets(incident))}
    outputs = []
    for incident in sorted(everyone.values(), key=lambda one: (one.membership.scope is None, one.incident_id)):
        if table.merges.members(incident):
            resolve_if_quiet(table, incident)
        outputs += _publish_with_siblings(table, incident)
    return outputs


def _publish_with_siblings(table: IncidentTable, incident: IncidentState) -> list[OutputMessage]:
    """Publish an incident.

    If its start or severity changed, publish the other incidents of its subject too, because both affect which versions
    count as good. This can only change those that blame a deployment, and those that are outdated anyway.
    """
    before = incident.last_published
    blamed_before = _blamed_since(before)
    outputs = _publish(table, incident)
    after = incident.last_published
    if before is not None and after is not None and _start_and_severity(before) == _start_and_severity(after):
        return outputs
    is_same = blamed_before == _blamed_since(after)
    for sibling in table.incidents.find_by_subject(incident.subject):
        published = sibling.last_published
        if sibling is incident or published is None:
            continue
        if sibling.is_stale or (not is_same and _blames_deployment(published)):
            outputs += _publish(table, sibling)
    return outputs


def _publish(table: IncidentTable, incident: IncidentState) -> list[OutputMessage]:
    table.add_reminders(incident)
    table.parts.mark("incident", incident.incident_id)
    incident.is_stale = False
    siblings = [one for one in table.incidents.find_by_subject(incident.subject) if one is not incident]
    shifts = table.shifts.shifts_of(incident.subject)
    known = DiagnosisContext(table.deployments, shifts, siblings, table.now(incident))
    if incident.last_published is None and incident.announce_at is None:
        incident.announce_at = known.clock + round(table.settings.announce_after_s * 1000)
    revision = build_revision(published_view(table, incident), known, table.settings)
    if revision is not None:
        incident.last_published, incident.announce_at = revision, None
    table.schedule(incident)
    return [] if revision is None else [OutputMessage(ALERTS, revision.incident_id.encode(), revision.to_json())]


def _evict(table: IncidentTable, incident: IncidentState) -> list[OutputMessage]:
    """Remove an incident, closing it first if it is open, and publish the incidents that it was merged into."""
    table.limits_hit["incidents_max"] += 1
    outputs = []
    if incident.resolved_at is None and incident.membership.merged_into is None:
        _close(table, incident)
        outputs += _publish_with_siblings(table, incident)
    targets = list(table.merges.targets(incident))
    for incident_id in list(table.incidents.remove(incident)):
        table.candidates.pop(incident_id, None)
        table.parts.mark("incident", incident_id)
    table.mark_stale(table.incidents.find_by_subject(incident.subject))
    return outputs + _publish_changed(table, targets)


def _close(table: IncidentTable, incident: IncidentState) -> None:
    """Close an incident because too many incidents are stored. Otherwise, it would remain open for readers."""
    merged, last = table.merges.merged_view(incident), incident.last_published
    at = merged.last_change_at if merged.tracked or last is None else last.updated_at
    incident.resolved_at, incident.closed_by = at, "driftwire"
    limit = f"more than {table.settings.incidents_max} incidents are stored; raise correlate.incidents_max"
    incident.add_log_entry(at, "limit", f"closed: {limit}", entries_max=table.settings.log_entries_max)


def _start_and_severity(revision: Incident) -> tuple[int, Severity]:
    return revision.started_at, revision.severity


def _blamed_since(revision: Incident | None) -> int | None:
    """Return the start of an incident that counts against the version that was live then, or None."""
    return None if revision is None or revision.severity == "P4" else revision.started_at


def _blames_deployment(revision: Incident) -> bool:
    return any(suspect.deployment_id is not None for suspect in revision.suspects)
