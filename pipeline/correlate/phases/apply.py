"""First phase: apply a message to the table, and list the incidents that it touches."""

from pipeline.correlate.decode import Content
from pipeline.correlate.deployments import ServedTraffic, relearn_output
from pipeline.correlate.incidents import IncidentStanding, IncidentState, refusal_reason
from pipeline.correlate.phases.acceptance import accept_outputs
from pipeline.correlate.phases.commands import apply_command, store_early_reopening
from pipeline.correlate.phases.drift_reports import join_incident, open_incident, update_incident
from pipeline.correlate.phases.incident_table import ClockReading, IncidentTable, Touched
from pipeline.correlate.phases.joining import find_incident
from pipeline.correlate.phases.next_changes import WALL
from pipeline.correlate.response import NEVER
from pipeline.dead_letters import dead_letter
from pipeline.decoding import Unreadable
from pipeline.step import InputMessage
from schemas.command import Command
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.tick import Tick


def apply_message(table: IncidentTable, content: Content, message: InputMessage) -> Touched:
    """Apply the content of a Kafka message. A message that cannot be used becomes a dead letter."""
    match content:
        case Drift():
            return _apply_drift(table, content)
        case Tick():
            return _apply_tick(table, content)
        case Deployment():
            return _apply_deployment(table, content)
        case Command():
            return _apply_command(table, content, message)
        case Unreadable(reason, detail):
            return Touched(outputs=[dead_letter("correlate", message, reason, detail)])


def _apply_drift(table: IncidentTable, drift: Drift) -> Touched:
    incidents = table.incidents
    known, siblings = incidents.find_by_drift(drift.drift_id), incidents.find_by_subject(drift.subject)
    # A report advances the clock of its subject. Time can change all unresolved incidents of the subject.
    unfinished = [sibling for sibling in siblings if table.is_unfinished(sibling)]
    touched_ids = {sibling.incident_id for sibling in unfinished if sibling.is_stale}
    if drift.tier == "cause":
        if table.shifts.can_explain(drift) and drift.state != "recovered" and _add_shift(table, drift):
            touched_ids |= {sibling.incident_id for sibling in siblings}
    else:
        served = ServedTraffic(subject=drift.subject, environment=drift.environment, provider=drift.provider)
        if not table.deployments.declares(drift, served, drift.updated_at):
            if known is not None:
                update_incident(table, known, drift)
                touched_ids.add(known.incident_id)
            # A firing drift is used even if its first message was lost.
            elif drift.state != "recovered":
                accepting = [sibling for sibling in siblings if not _is_closed(table, sibling)]
                match = find_incident(drift, accepting, table.settings)
                if match is None:
                    touched_ids.add(open_incident(table, drift, siblings).incident_id)
                else:
                    join_incident(table, drift, *match)
                    touched_ids.add(match[0].incident_id)
    siblings = incidents.find_by_subject(drift.subject)
    touched = [sibling for sibling in siblings if sibling.incident_id in touched_ids]
    others = [sibling for sibling in unfinished if sibling.incident_id not in touched_ids]
    # The clock of an incident that covers others advances with theirs.
    covering = {target.incident_id: target for sibling in others for target in table.merges.targets(sibling)}
    readings = [ClockReading(one, table.now(one), table.is_unfinished(one)) for one in (*others, *covering.values())]
    for incident in (*touched, *others):
        incident.clock = max(incident.clock, drift.updated_at)
        table.parts.mark("incident", incident.incident_id)
    readings += [ClockReading(incident, incident.clock, was_unfinished=True) for incident in touched]
    return Touched(
        changed={
            incident.incident_id: incident
            for incident in (*touched, *covering.values())
            if incident.incident_id in touched_ids or incident.is_stale
        },
        readings=readings,
        to_group=touched,
        may_exceed_limit=True,
    )


def _apply_tick(table: IncidentTable, tick: Tick) -> Touched:
    readings = [
        ClockReading(incident, table.now(incident), is_unfinished)
        for incident in _find_changing(table, tick)
        if (is_unfinished := table.is_unfinished(incident)) or incident.next_reminder_at < NEVER
    ]
    if table.clocks.advance(tick):
        table.parts.mark("clocks", "")
    advanced = []
    for reading in readings:
        if table.now(reading.incident) == reading.at:
            table.schedule(reading.incident)
        else:
            advanced.append(reading)
    return Touched(readings=advanced)


def _find_changing(table: IncidentTable, tick: Tick) -> list[IncidentState]:
    """Return the incidents that a tick may change: all, if it passes the time of a deployment, or those that are due."""
    wall_ms, before_ms = table.clocks.span(tick.partition)
    new_wall_ms, watermark_ms = max(wall_ms, tick.wall or 0), tick.watermark or 0
    changes = table.next_changes
    due = {*changes.take(WALL, new_wall_ms), *changes.take(tick.partition, watermark_ms)}
    passes_deployment = table.deployments.any_between(wall_ms + 1, new_wall_ms) or table.deployments.any_between(
        before_ms + 1, max(new_wall_ms, watermark_ms)
    )
    if passes_deployment:
        return list(table.incidents)
    found = (table.incidents.get(incident_id) for incident_id in sorted(due))
    return [incident for incident in found if incident is not None]


def _apply_deployment(table: IncidentTable, deployment: Deployment) -> Touched:
    dropped = table.deployments.add(deployment)
    if dropped is None:
        return Touched()
    table.parts.mark("deployment", table.deployments.key(deployment), *(key for key, _ in dropped))
    table.limits_hit["deployments_max"] += len(dropped)
    for _, old in dropped:
        table.mark_stale(table.find_affected(old))
    relearn = relearn_output(deployment)
    return Touched(
        outputs=[] if relearn is None else [relearn],
        affected=table.find_affected(deployment),
    )


def _apply_command(table: IncidentTable, command: Command, message: InputMessage) -> Touched:
    if command.action == "silence":
        return Touched()
    incident = table.incidents.get(command.incident_id or "")
    if incident is not None and command.command_id in incident.command_ids:
        return Touched()  # A command that is sent twice is applied once.
    problem = refusal_reason(command, _standings(table, command))
    if problem is not None or incident is None:
        refused = Touched(outputs=[dead_letter("correlate", message, "contract", problem or "")])
        if incident is not None and store_early_reopening(command, incident):
            refused.add([incident])
        return refused
    former_targets = list(table.merges.targets(incident))
    merged = table.merges.merged_view(incident)
    has_effect = apply_command(command, incident, merged.detected_at, entries_max=table.settings.log_entries_max)
    table.merges.merge(incident, incident.membership.merged_into)
    requests = accept_outputs(command, merged) if command.action == "accept" and has_effect else []
    touched = Touched(outputs=requests, to_group=[*former_targets, incident])
    touched.add([*former_targets, incident, *table.merges.members(incident)])
    return touched


def _add_shift(table: IncidentTable, drift: Drift) -> bool:
    dropped = table.shifts.add(drift)
    if dropped is None:
        return False
    table.parts.mark("shift", drift.drift_id, *(drift_id for drift_id, _ in dropped))
    table.limits_hit["workload_shifts_max"] += len(dropped)
    for _, old in dropped:
        table.mark_stale(table.incidents.find_by_subject(old.subject))
    return True


def _is_closed(table: IncidentTable, incident: IncidentState) -> bool:
    """Return whether the incident is merged into an incident that a person closed. It then accepts no more drifts."""
    return any(target.closed_by for target in table.merges.targets(incident))


def _standings(table: IncidentTable, command: Command) -> dict[str, IncidentStanding]:
    """Build the standings of the incidents that a command names, and of the members of its incident."""
    named = [table.incidents.get(incident_id) for incident_id in (command.incident_id, command.into) if incident_id]
    known = [incident for incident in named if incident is not None]
    members = [member for incident in known[:1] for member in table.merges.members(incident)]
    return {
        incident.incident_id: IncidentStanding.from_state(table.merges.merged_view(incident))
        for incident in [*known, *members]
    }
