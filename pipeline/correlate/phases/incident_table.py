"""The table that the phases share: all state of correlate, and the incidents that the current message has touched."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.correlate.causes import WorkloadShifts
from pipeline.correlate.checkpoint import CheckpointParts
from pipeline.correlate.deployments import DeploymentHistory, ServedTraffic
from pipeline.correlate.incidents import IncidentClocks, IncidentState, IncidentStore
from pipeline.correlate.phases.next_changes import NextChanges
from pipeline.correlate.phases.parents import ChildCandidate
from pipeline.correlate.response import NEVER, add_due_reminders
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.severity import SeverityTable
from pipeline.limit_use import LimitUse
from pipeline.step import OutputMessage
from schemas.deployment import Deployment


class IncidentTable:
    """Incidents, deployments, workload shifts and clocks, with the index of changes since the last checkpoint.

    Attributes
    ----------
    severity_table, slas
        The severity rules, and the promised limits by subject and signal.
    merges
        Index of merged incidents.
    next_changes
        Times at which time alone changes an incident. They are recomputed after a restart.
    candidates
        Incidents that can be children of a parent, by id. They are recomputed after a restart.
    parts
        Parts of the state for the checkpoint, and the index of changed parts.
    limits_hit
        Number of times that each limit has been hit since startup, keyed by setting name.
    """

    def __init__(self, settings: CorrelateSettings) -> None:
        self.settings = settings
        self.severity_table = SeverityTable.default().extend(settings.severity_rules, settings.severity_adjustments)
        self.slas = {(sla.subject, sla.signal): sla for sla in settings.sla}
        self.clocks = IncidentClocks()
        self.deployments = DeploymentHistory(settings.deployments_max)
        self.shifts = WorkloadShifts(settings.workload_shifts_max)
        self.incidents = IncidentStore(settings.incidents_max)
        self.merges = self.incidents.merges
        self.candidates: dict[str, ChildCandidate] = {}
        self.next_changes = NextChanges()
        self.parts = CheckpointParts(self.clocks, self.deployments, self.shifts, self.incidents)
        self.limits_hit: Counter[str] = Counter()

    def limit_uses(self) -> Iterator[LimitUse]:
        """Yield the use of each limit."""
        used = {
            "incidents_max": len(self.incidents),
            "deployments_max": len(self.deployments),
            "workload_shifts_max": len(self.shifts),
            "drifts_max": max((len(incident.tracked) for incident in self.incidents), default=0),
        }
        for limit, count in used.items():
            yield LimitUse(limit, count, getattr(self.settings, limit), self.limits_hit[limit])

    def now(self, incident: IncidentState) -> int:
        """Return the clock of an incident in Unix ms."""
        return self.clocks.now(*self.merges.clock_inputs(incident))

    def is_unfinished(self, incident: IncidentState) -> bool:
        """Return whether time can still change an incident. A person may have resolved it ahead of its clock."""
        return incident.resolved_at is None or incident.resolved_at > self.now(incident)

    def mark_stale(self, incidents: Iterable[IncidentState]) -> None:
        """Mark incidents whose newest revision may be outdated, because something that it depends on was dropped."""
        for incident in incidents:
            incident.is_stale = True
            self.parts.mark("incident", incident.incident_id)

    def schedule(self, incident: IncidentState) -> None:
        """Update the order of eviction, and the next time at which time alone can change an incident.

        Call it after each change of an incident.
        """
        times = [incident.next_reminder_at] if incident.next_reminder_at < NEVER else []
        if incident.announce_at is not None:
            times.append(incident.announce_at)
        if self.merges.members(incident) and self.is_unfinished(incident):
            times.append(0)  # Its end depends on many incidents, so each tick checks it.
        elif incident.resolved_at is None:
            recovered_at = incident.recovered_at
            if incident.pending_downgrade is not None:
                times.append(incident.pending_downgrade[0] + round(self.settings.deescalate_after_s * 1000))
            if recovered_at is not None and incident.closed_by is None:
                quiet_since = max(recovered_at, incident.reopened_at or 0)
                times.append(quiet_since + round(self.settings.resolve_after_s * 1000))
        _, partitions = self.merges.clock_inputs(incident)
        self.next_changes.plan(incident.incident_id, min(times, default=math.inf), partitions)
        self.incidents.mark_changed(incident)

    def served_traffic(self, incident: IncidentState) -> ServedTraffic:
        """Return the traffic of an incident, for matching with deployments."""
        merged = self.merges.merged_view(incident)
        return ServedTraffic(merged.subject, merged.common_label("environment"), merged.common_label("provider"))

    def find_affected(self, deployment: Deployment) -> list[IncidentState]:
        """Return the incidents whose traffic a deployment affects, in order of id."""
        incidents: Iterable[IncidentState] = self.incidents
        if deployment.subject is not None:
            incidents = self.incidents.find_by_traffic(deployment.subject)
        return [incident for incident in incidents if self.served_traffic(incident).is_affected_by(deployment)]

    def add_reminders(self, incident: IncidentState) -> bool:
        """Add the reminders that are due according to the incident's clock. Return True if any reminder is new.

        Due times depend on the incident combined with its members. For a parent, the reminders after the last action of
        a person are recomputed, because the reports of its subjects arrive in any order.
        """
        now, merged, before = self.now(incident), self.merges.merged_view(incident), incident.reminders
        if not merged.tracked:
            return False
        if incident.membership.scope is not None:
            merged.reminders = [reminder for reminder in before if reminder.at <= incident.last_action_at]
        add_due_reminders(merged, now, self.settings)
        incident.reminders = merged.reminders
        incident.next_reminder_at = merged.next_reminder_at
        incident.first_communicated_at = merged.first_communicated_at
        return incident.reminders != before


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Clock of an incident before the current message (Unix ms), and whether time could still change the incident."""

    incident: IncidentState
    at: int
    was_unfinished: bool


@dataclass(slots=True)
class Touched:
    """The incidents that the current message has touched so far, and its outputs.

    Attributes
    ----------
    outputs
        Messages to write before the revisions: dead letters, and requests to learn a baseline again.
    changed
        Incidents that changed, by id. They are published together with the incidents that they are merged into.
    affected
        Incidents that a new deployment affects, in order of id. They are published without their parents.
    readings
        Clocks that may have advanced.
    to_group
        Incidents whose parent may have changed.
    may_exceed_limit
        Whether the message may have opened more incidents than the limit allows.
    """

    outputs: list[OutputMessage] = field(default_factory=list)
    changed: dict[str, IncidentState] = field(default_factory=dict)
    affected: list[IncidentState] = field(default_factory=list)
    readings: list[ClockReading] = field(default_factory=list)
    to_group: list[IncidentState] = field(default_factory=list)
    may_exceed_limit: bool = False

    def add(self, incidents: Iterable[IncidentState]) -> None:
        """Add incidents that changed."""
        self.changed |= {incident.incident_id: incident for incident in incidents}
