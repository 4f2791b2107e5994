"""The step: drifts, ticks, deployments and commands in, revisions of incidents and declared shifts out. ``drift -> incident`` on the path."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pipeline.correlate.causes import DiagnosisContext, WorkloadShifts
from pipeline.correlate.checkpoint import CheckpointParts
from pipeline.correlate.decode import Unreadable, decode_message
from pipeline.correlate.deployments import DeploymentHistory, ServedTraffic, relearn_output
from pipeline.correlate.incidents import (
    IncidentClocks,
    IncidentGrouping,
    IncidentStanding,
    IncidentState,
    IncidentStore,
    apply_command,
    missing_field,
    refusal_reason,
    was_applied,
)
from pipeline.correlate.response import NEVER, add_due_reminders
from pipeline.correlate.revision import build_revision
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.severity import SeverityTable
from pipeline.dead_letters import dead_letter
from pipeline.step import Input, Output
from schemas.command import Command
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident, Severity
from schemas.tick import Tick
from schemas.topics import ALERTS


class CorrelateStep:
    """Correlate, over its three topics of one partition each, which may interleave in any way.

    The same messages of each topic in the same order lead to the same final incidents but for ``revision`` and
    ``change``, however the topics interleave, and however the subjects do within ``drifts``, as long as a subject's
    records lie in one partition. Of a subject in several partitions the drifts count in the order in which they arrive.
    So do the parents of many subjects, but for one that readers saw for a while because later starts came first: that is
    left merged into the one that there should be. A provider's model or a schema that is seen for the first time opens no incident if its deployment is known by then.
    Commands are words of people about what they see: they count when they come.

    Parameters
    ----------
    settings
        Windows, limits, and severity rules that are asked before the product's own.

    Attributes
    ----------
    limits_hit
        How often each limit made something give way since the start, by the name of its setting.
    """

    def __init__(self, settings: CorrelateSettings) -> None:
        self._settings = settings
        self._clocks = IncidentClocks()
        self._deployments = DeploymentHistory(settings.deployments_max)
        self._shifts = WorkloadShifts(settings.workload_shifts_max)
        table = SeverityTable.default().extend(settings.severity_rules, settings.severity_adjustments)
        self._incidents = IncidentStore(settings, table)
        self._grouping = IncidentGrouping(settings, self._incidents)
        self._parts = CheckpointParts(self._clocks, self._deployments, self._shifts, self._incidents)
        self.limits_hit: Counter[str] = Counter()

    def step(self, messages: Sequence[Input]) -> list[Output]:
        """Take messages; out come revisions of incidents, and what could not be read as dead letters."""
        return [output for message in messages for output in self._take(message)]

    def control(self, message: Input) -> list[Output]:
        """Nothing: all that correlate listens to is in its three topics."""
        del message
        return []

    def tick(self, wall_ms: int) -> list[Output]:
        """Nothing: time comes in the ticks of ``drifts``, in one order with the drifts, so that a restart repeats it."""
        del wall_ms
        return []

    def on_gap(self) -> None:
        """Nothing: no sum here spans messages. A hole can cost a drift, and the next evidence of it opens the incident."""

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """The parts changed since the last call, see :mod:`pipeline.correlate.checkpoint`."""
        return self._parts.changed()

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Take up parts in any order; a line for each that does not fit and is left out."""
        yield from self._parts.restore(parts)
        self._grouping.restore()

    def _take(self, message: Input) -> Iterator[Output]:
        content = decode_message(message.topic, message.value)
        match content:
            case Unreadable(reason, detail):
                yield dead_letter("correlate", message, reason, detail)
            case Tick():
                yield from self._tick(content)
            case Drift():
                yield from self._drift(content)
            case Deployment():
                yield from self._deployment(content, message)
            case Command():
                yield from self._command(content, message)

    def _tick(self, tick: Tick) -> Iterator[Output]:
        watched = [facts for facts in self._incidents if self._unfinished(facts) or facts.quiet_until < NEVER]
        before = [(self._now(facts), self._unfinished(facts)) for facts in watched]
        if not self._clocks.advance(tick):
            return
        self._parts.mark("clocks", "")
        touched = []
        for facts, (then, was_unfinished) in zip(watched, before, strict=True):
            now = self._now(facts)
            if now == then:
                continue
            moved = was_unfinished and any(
                [
                    self._incidents.downgrade_if_due(facts, now),
                    self._incidents.resolve_if_quiet(facts, now),
                    self._deployed(facts, then + 1, now),
                ]
            )
            if moved or (now >= facts.quiet_until and self._remind(facts, now)):
                touched.append(facts)
        yield from self._tell_all(touched)

    def _drift(self, drift: Drift) -> Iterator[Output]:
        subject = drift.subject
        touched = {facts.incident_id for facts in self._incidents.of_subject(subject) if self._unfinished(facts)}
        if drift.tier != "cause":
            about = None if self._is_declared(drift) else self._incidents.apply_drift(drift)
            touched |= set() if about is None else {about.incident_id}
        elif self._shifts.can_explain(drift) and drift.state != "recovered":
            touched |= self._shift(drift)
        moved = [facts for facts in self._incidents.of_subject(subject) if facts.incident_id in touched]
        for facts in moved:
            facts.clock = max(facts.clock, drift.updated_at)
            self._incidents.downgrade_if_due(facts, self._now(facts))
            self._incidents.resolve_if_quiet(facts, self._now(facts))
        # Grouped before anything is told: what becomes a child at once pages nobody.
        yield from self._tell_all([*moved, *self._grouping.regroup(moved)])
        yield from self._make_room()

    def _is_declared(self, drift: Drift) -> bool:
        served = ServedTraffic(subject=drift.subject, environment=drift.environment, provider=drift.provider)
        return self._deployments.declares(drift, served, drift.updated_at)

    def _shift(self, drift: Drift) -> set[str]:
        gone = self._shifts.add(drift)
        if gone is None:
            return set()
        self._parts.mark("shift", drift.drift_id, *gone)
        self.limits_hit["workload_shifts_max"] += len(gone)
        return {facts.incident_id for facts in self._incidents.of_subject(drift.subject)}

    def _deployment(self, deployment: Deployment, message: Input) -> Iterator[Output]:
        if not self._deployments.has_scope(deployment):
            detail = "the deployment names no subject, environment or provider: say what it changed"
            yield dead_letter("correlate", message, "contract", detail)
            return
        gone = self._deployments.add(deployment)
        if gone is None:
            return
        self._parts.mark("deployment", deployment.deployment_id, *gone)
        self.limits_hit["deployments_max"] += len(gone)
        relearn = relearn_output(deployment)
        if relearn is not None:
            yield relearn
        for facts in list(self._incidents):
            if _served(self._incidents.merged.merged_view(facts)).is_affected_by(deployment):
                yield from self._tell(facts)

    def _command(self, command: Command, message: Input) -> Iterator[Output]:
        if command.action == "silence":
            return
        facts = self._incidents.get(command.incident_id or "")
        if facts is not None and was_applied(command, facts):
            return
        problem = missing_field(command) or refusal_reason(command, self._known(command))
        if problem is not None or facts is None:
            yield dead_letter("correlate", message, "contract", problem or "")
            return
        merged = self._incidents.merged
        before = list(merged.targets(facts))
        apply_command(command, facts, merged.merged_view(facts).detected_at, entries_max=self._settings.log_entries_max)
        merged.merge_into(facts, facts.membership.into)
        yield from self._tell_all([*before, facts, *merged.members(facts), *self._grouping.regroup([*before, facts])])

    def _known(self, command: Command) -> dict[str, IncidentStanding]:
        """What a command names of the incidents, and what is merged into the one it is about."""
        merged = self._incidents.merged
        named = [self._incidents.get(each) for each in (command.incident_id, command.into) if each is not None]
        found = [each for each in named if each is not None]
        return {
            each.incident_id: IncidentStanding.of_facts(merged.merged_view(each))
            for each in [*found, *(member for one in found[:1] for member in merged.members(one))]
        }

    def _tell_all(self, touched: Iterable[IncidentState]) -> Iterator[Output]:
        """Tell incidents and what they are merged into, parents first: who hears that a child is closed knows why."""
        everyone = {one.incident_id: one for each in touched for one in (each, *self._incidents.merged.targets(each))}
        for facts in sorted(everyone.values(), key=lambda each: (each.membership.scope is None, each.incident_id)):
            if self._incidents.merged.members(facts):
                self._incidents.resolve_if_quiet(facts, self._now(facts))
            yield from self._tell(facts)

    def _tell(self, facts: IncidentState) -> Iterator[Output]:
        """Tell an incident; and the others of its subject, if it says something else than before of the versions then live."""
        before = facts.last_published
        yield from self._tell_one(facts)
        if before is not None and facts.last_published is not None and _says(before) == _says(facts.last_published):
            return
        for other in self._incidents.of_subject(facts.subject):
            if other is not facts and other.last_published is not None:
                yield from self._tell_one(other)

    def _tell_one(self, facts: IncidentState) -> Iterator[Output]:
        self._parts.mark("incident", facts.incident_id)
        now = self._now(facts)
        self._remind(facts, now)
        others = [each for each in self._incidents.of_subject(facts.subject) if each is not facts]
        known = DiagnosisContext(self._deployments, self._shifts.shifts_of(facts.subject), others, now)
        incident = build_revision(self._incidents.merged.publishable(facts), known, self._settings)
        if incident is not None:
            facts.last_published = incident
            yield Output(ALERTS, incident.incident_id.encode(), incident.to_json())

    def _remind(self, facts: IncidentState, now: int) -> bool:
        """Give the reminders that are due; whether any is new. Of merged incidents the whole says what is due.

        Those of a parent are worked out anew, back to when a person last acted: what its subjects tell may come in any order.
        """
        whole, before = self._incidents.merged.merged_view(facts), facts.reminders
        if not whole.tracked:
            return False
        if facts.membership.scope is not None:
            whole.reminders = [each for each in before if each.at <= facts.acted_at]
        add_due_reminders(whole, now, self._settings)
        facts.reminders, facts.quiet_until, facts.first_told_at = (
            whole.reminders,
            whole.quiet_until,
            whole.first_told_at,
        )
        return facts.reminders != before

    def _make_room(self) -> Iterator[Output]:
        while (facts := self._incidents.oldest_in_excess()) is not None:
            self.limits_hit["incidents_max"] += 1
            if facts.resolved_at is None and facts.membership.into is None:
                self._incidents.close_unresolved(facts)
                yield from self._tell(facts)
            smaller = list(self._incidents.merged.targets(facts))
            for gone in list(self._incidents.forget(facts)):
                self._grouping.forget(gone)
                self._parts.mark("incident", gone)
            yield from self._tell_all(smaller)

    def _now(self, facts: IncidentState) -> int:
        return self._clocks.now(*self._incidents.merged.timing(facts))

    def _unfinished(self, facts: IncidentState) -> bool:
        """Whether time can still change it: a person may have resolved it at a moment that its clock has yet to reach."""
        return facts.resolved_at is None or facts.resolved_at > self._now(facts)

    def _deployed(self, facts: IncidentState, first_ms: int, last_ms: int) -> bool:
        served = _served(self._incidents.merged.merged_view(facts))
        return any(True for _ in self._deployments.affecting(served, first_ms, last_ms))


def _says(incident: Incident) -> tuple[int, Severity]:
    """What an incident says of the version that was live when it began."""
    return incident.started_at, incident.severity


def _served(facts: IncidentState) -> ServedTraffic:
    return ServedTraffic(facts.subject, facts.common_label("environment"), facts.common_label("provider"))
