"""Reports of drifts. A report opens an incident, joins an incident, or updates the incident that tracks the drift."""

from collections.abc import Sequence
from hashlib import blake2b

from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.phases.incident_table import IncidentTable
from pipeline.correlate.phases.settle import describe_decision, downgrade_if_due, track_downgrade
from pipeline.correlate.playbook import failure_modes, phrases
from pipeline.correlate.severity import decide_severity, is_worse
from pipeline.wording import normal_phrase, quantity
from schemas.drift import Drift

WORSENING_RECORDS_MIN = 20
"""Minimum number of records that a value must cover to show that a drift got worse."""


def open_incident(table: IncidentTable, drift: Drift, siblings: Sequence[IncidentState]) -> IncidentState:
    """Open an incident for a firing drift. ``siblings`` are the other incidents of its subject."""
    incident_id, description = _incident_id(drift), _describe(drift)
    decision = decide_severity(table.severity_table, [drift], table.slas)
    incident = IncidentState(
        incident_id=incident_id,
        subject=drift.subject,
        opened_by=drift.drift_id,
        decision=decision,
        decided_at=drift.updated_at,
        clock=max([drift.updated_at, *(sibling.clock for sibling in siblings)]),
    )
    incident.track(drift)
    text = f"opened by {description}; {decision.severity}: {decision.reason}"
    incident.add_log_entry(drift.detected_at, "opened", text, entries_max=table.settings.log_entries_max)
    table.incidents.add(incident)
    return incident


def join_incident(table: IncidentTable, drift: Drift, incident: IncidentState, reason: str) -> None:
    """Add a firing drift to an incident, with the reason, and reopen the incident if it was resolved."""
    downgrade_if_due(table, incident, drift.updated_at)
    _end_containment(table, incident, drift)
    if incident.resolved_at is not None:
        is_back = drift.started_at > incident.resolved_at
        incident.resolved_at = None
        what = "left its baseline again" if is_back else "left its baseline before the incident was resolved"
        _log(table, incident, drift.detected_at, "reopened", f"reopened: {drift.signal} {what}")
    if not _make_room(table, incident):
        return
    table.incidents.track(incident, drift)
    if not _is_covered(incident, drift):
        incident.publish_newest()
        _log(table, incident, drift.detected_at, "signal", f"{_describe(drift)}; joined: {reason}")
        _raise_severity(table, incident, drift)
    track_downgrade(table, incident, drift.updated_at)


def update_incident(table: IncidentTable, incident: IncidentState, drift: Drift) -> None:
    """Apply another report of a tracked drift. A report that is older than the newest report is ignored."""
    tracked = incident.tracked[drift.drift_id]
    if drift.sequence <= tracked.newest.sequence:
        return
    downgrade_if_due(table, incident, drift.updated_at)
    tracked.update(drift)
    if not _is_covered(incident, drift):
        _publish_if_actionable(table, incident, drift, tracked.published)
    track_downgrade(table, incident, drift.updated_at)


def _publish_if_actionable(table: IncidentTable, incident: IncidentState, drift: Drift, published: Drift) -> None:
    """Publish a report of a drift if the drift has recovered, or if it is worse than last published."""
    if drift.state == "recovered":
        incident.publish_newest()
        now = quantity(drift.now, drift.unit, drift.channel)
        normal = normal_phrase(drift.normal, drift.unit, drift.channel)
        text = f"{drift.signal} ({drift.channel}) is back: {now}, {normal}"
        _log(table, incident, drift.updated_at, "recovered", text)
        return
    if drift.records < WORSENING_RECORDS_MIN:
        return
    decision = decide_severity(table.severity_table, incident.firing, table.slas)
    if is_worse(decision.severity, incident.decision.severity) or _has_worsened(table, drift, published):
        _end_containment(table, incident, drift)
        incident.publish_newest()
        _log(table, incident, drift.updated_at, "worse", f"worse: {_describe(drift)}")
        _raise_severity(table, incident, drift)


def _raise_severity(table: IncidentTable, incident: IncidentState, cause: Drift) -> None:
    """Update severity and failure mode. Severity rises immediately, but only :func:`downgrade_if_due` lowers it."""
    new, old = decide_severity(table.severity_table, incident.firing, table.slas), incident.decision
    if is_worse(new.severity, old.severity):
        incident.decision, incident.decided_at = new, cause.updated_at
        _log(table, incident, cause.updated_at, "severity", f"severity {old.severity} -> {describe_decision(new)}")
    elif new.severity == old.severity and failure_modes.naming_rank(
        failure_modes.failure_mode_of(new.drift)
    ) <= failure_modes.naming_rank(failure_modes.failure_mode_of(old.drift)):
        incident.decision = new


def _end_containment(table: IncidentTable, incident: IncidentState, drift: Drift) -> None:
    """End the mitigation of an incident and its targets after a drift has joined or become worse."""
    for one in (incident, *table.merges.targets(incident)):
        at = drift.detected_at if one.resolved_at is not None or drift.state == "firing" else drift.updated_at
        if one.mitigated_at is not None:
            _log(table, one, drift.updated_at, "unmitigated", f"no longer mitigated: {_describe(drift)}")
        one.mark_active(at)


def _has_worsened(table: IncidentTable, drift: Drift, published: Drift) -> bool:
    deviation = abs(drift.now - drift.normal)
    return deviation > 0 and deviation >= table.settings.worsening_factor * abs(published.now - published.normal)


def _make_room(table: IncidentTable, incident: IncidentState) -> bool:
    """Make room for one more drift by dropping the drift that recovered first.

    Return False if all drifts are firing.
    """
    if len(incident.tracked) < table.settings.drifts_max:
        return True
    table.limits_hit["drifts_max"] += 1
    recovered = [drift for drift in incident.drifts if drift.state == "recovered"]
    if not recovered:
        return False
    oldest = min(recovered, key=lambda drift: (drift.updated_at, drift.drift_id))
    table.incidents.untrack(incident, oldest.drift_id)
    return True


def _is_covered(incident: IncidentState, drift: Drift) -> bool:
    """Return whether a firing page-tier drift already covers a ticket-tier drift."""
    key = (drift.signal, drift.channel, drift.side)
    paging = (other for other in incident.firing if other.tier == "page")
    return drift.tier == "ticket" and any((other.signal, other.channel, other.side) == key for other in paging)


def _log(table: IncidentTable, incident: IncidentState, at: int, event: str, text: str) -> None:
    incident.add_log_entry(at, event, text, entries_max=table.settings.log_entries_max)


def _incident_id(drift: Drift) -> str:
    """Return the id of the incident that a drift opens. It is the same in every replay.

    If the first report was lost and a later report opens the incident, the id is different.
    """
    late = f"/{drift.sequence}" if drift.sequence else ""
    return "inc-" + blake2b(f"{drift.subject}/{drift.drift_id}{late}".encode(), digest_size=6).hexdigest()


def _describe(drift: Drift) -> str:
    channel = f"{drift.channel}, {drift.tier} tier"
    return f"{drift.signal} {drift.side} ({channel}): {drift.subject} {phrases.describe_drift(drift)}"
