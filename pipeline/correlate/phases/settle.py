"""Second phase: apply the effects of time. Severity falls, incidents resolve, reminders become due."""

from pipeline.correlate.incidents import IncidentState
from pipeline.correlate.phases.incident_table import IncidentTable, Touched
from pipeline.correlate.playbook import failure_modes
from pipeline.correlate.severity import SeverityDecision, decide_severity, is_worse
from pipeline.wording import duration
from schemas.timestamp import clock_time


def settle_clocks(table: IncidentTable, touched: Touched) -> Touched:
    """Apply the effects of time to the incidents whose clock may have advanced, and add the incidents that change."""
    for reading in touched.readings:
        incident = reading.incident
        if incident.incident_id in touched.changed:  # After a drift, the incident is published in any case.
            _settle(table, incident)
            continue
        now = table.now(incident)
        is_changed = reading.was_unfinished and any(
            [_settle(table, incident), _was_deployed(table, incident, reading.at + 1, now)]
        )
        is_announced = incident.announce_at is not None and now >= incident.announce_at
        if is_changed or is_announced or (now >= incident.next_reminder_at and table.add_reminders(incident)):
            touched.add([incident])
        else:
            table.schedule(incident)
    return touched


def resolve_if_quiet(table: IncidentTable, incident: IncidentState) -> bool:
    """Resolve an incident if all its signals have stayed recovered for long enough. Return True if it changed.

    The time of the resolution is the end of the quiet period, even if the clock is already past that time. An incident
    is open again while a signal of its members is firing.
    """
    if incident.closed_by is not None or (incident.resolved_at is not None and not table.merges.members(incident)):
        return False
    merged = table.merges.merged_view(incident)
    now = table.clocks.now(*table.merges.clock_inputs(incident))
    resolved_at, quiet_since = None, merged.recovered_at
    if quiet_since is not None:
        end = max(quiet_since, incident.reopened_at or 0) + round(table.settings.resolve_after_s * 1000)
        resolved_at = end if now >= end else None
    if resolved_at == incident.resolved_at:
        return False
    incident.resolved_at = resolved_at
    if incident.membership.scope is not None:
        return True  # The log of a parent is computed from its state.
    incident.publish_newest()
    if resolved_at is not None:
        text, entries_max = "resolved: all signals have stayed back", table.settings.log_entries_max
        incident.add_log_entry(resolved_at, "resolved", text, entries_max=entries_max)
    return True


def downgrade_if_due(table: IncidentTable, incident: IncidentState, now: int) -> bool:
    """Lower the severity if the rules have given a lower severity for long enough. Return True if it fell.

    The time of the change is the end of the wait, even if the clock (Unix ms) is already past that time. The new
    severity is the worst severity that the rules assigned during the wait.
    """
    if incident.pending_downgrade is None:
        return False
    since, decision = incident.pending_downgrade
    at = since + round(table.settings.deescalate_after_s * 1000)
    if incident.resolved_at is not None or now < at:
        return False
    old, severity_before = incident.decision, incident.severity
    incident.decision, incident.pending_downgrade = decision, None
    incident.publish_newest()
    if incident.severity != severity_before:
        lower_since = f"lower since {clock_time(since)} ({duration((at - since) / 1000)})"
        text = f"severity {old.severity} -> {describe_decision(decision)}, {lower_since}"
        incident.add_log_entry(at, "severity", text, entries_max=table.settings.log_entries_max)
    track_downgrade(table, incident, at)
    return True


def track_downgrade(table: IncidentTable, incident: IncidentState, at: int) -> None:
    """Record when the rules began to give a lower severity (Unix ms), and the worst severity since then.

    Severity does not fall while nothing fires. Only a person can lower a P1 that can harm people.
    """
    held, firing = incident.decision, incident.firing
    is_harmful = held.severity == "P1" and failure_modes.failure_mode_of(held.drift).is_harmful
    if is_harmful or incident.recovered_at is not None:
        incident.pending_downgrade = None
        return
    new = decide_severity(table.severity_table, firing, table.slas)
    if not is_worse(held.severity, new.severity):
        incident.pending_downgrade = None
    elif incident.pending_downgrade is None:
        incident.pending_downgrade = (at, new)
    elif not is_worse(incident.pending_downgrade[1].severity, new.severity):
        incident.pending_downgrade = (incident.pending_downgrade[0], new)


def describe_decision(decision: SeverityDecision) -> str:
    """Describe a severity, the rule that decided it, and why."""
    return f"{decision.severity} by the rule {decision.rule}: {decision.full_reason}"


def _settle(table: IncidentTable, incident: IncidentState) -> bool:
    is_lower = incident.pending_downgrade is not None and downgrade_if_due(table, incident, table.now(incident))
    return resolve_if_quiet(table, incident) or is_lower


def _was_deployed(table: IncidentTable, incident: IncidentState, first_ms: int, last_ms: int) -> bool:
    return any(True for _ in table.deployments.affecting(table.served_traffic(incident), first_ms, last_ms))
