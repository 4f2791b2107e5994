"""The incidents kept: how drifts open them, join them, move them, and how they come to rest."""

from collections.abc import Iterator
from hashlib import blake2b

from pipeline.correlate.incidents.facts import IncidentState
from pipeline.correlate.incidents.joining import find_incident
from pipeline.correlate.incidents.merging import MergeIndex
from pipeline.correlate.incidents.tracked import TrackedDrift
from pipeline.correlate.playbook import failure_modes, phrases
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.severity import SeverityDecision, SeverityTable, decide_severity, is_worse
from pipeline.wording import duration, quantity
from schemas.drift import Drift
from schemas.timestamp import clock_time

WORSENING_RECORDS_MIN = 20
"""Records behind a number before it can say that things got worse."""


class IncidentStore:
    """All incidents that can still be revised, by id.

    Its methods change the facts of incidents and say which; nothing is written here.

    Attributes
    ----------
    merged
        Which of them are merged into which.
    """

    def __init__(self, settings: CorrelateSettings, table: SeverityTable) -> None:
        self._settings = settings
        self._table = table
        self._promises = {(each.subject, each.signal): each for each in settings.sla}
        self._kept: dict[str, IncidentState] = {}
        self.merged = MergeIndex(self._kept)
        self._of_drift: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[IncidentState]:
        """In order of id, whatever order they came in, so that a restart changes no order of outputs."""
        return (self._kept[incident_id] for incident_id in sorted(self._kept))

    def get(self, incident_id: str) -> IncidentState | None:
        """The facts of an incident, if it is kept."""
        return self._kept.get(incident_id)

    def of_subject(self, subject: str) -> list[IncidentState]:
        """The incidents of a subject, no parent among them."""
        return [facts for facts in self if facts.subject == subject and facts.membership.scope is None]

    def add(self, facts: IncidentState) -> None:
        """Keep an incident: a new one, or one from a checkpoint."""
        self._kept[facts.incident_id] = facts
        for drift_id in facts.tracked:
            self._of_drift[drift_id] = facts.incident_id
        self.merged.merge_into(facts, facts.membership.into)

    def apply_drift(self, drift: Drift) -> IncidentState | None:
        """Take a page- or ticket-tier drift; the incident that it is about, None if it is about none that is kept.

        A drift that is unknown but firing opens or joins an incident even if its first message was lost.
        """
        known = self._kept.get(self._of_drift.get(drift.drift_id, ""))
        if known is not None:
            self._update(known, drift)
            return known
        if drift.state == "recovered":
            return None
        siblings = self.of_subject(drift.subject)
        open_to_more = [each for each in siblings if not any(one.closed_by for one in self.merged.targets(each))]
        found = find_incident(drift, open_to_more, self._settings)
        if found is not None:
            self._join(drift, *found)
            return found[0]
        return self._open(drift, siblings)

    def downgrade_if_due(self, facts: IncidentState, clock: int) -> bool:
        """Let the severity of an incident fall if the rules have said less for long enough by its clock; whether it did.

        It falls as of the moment when that was true, however late the clock says so, and to the worst that the rules have
        said meanwhile.
        """
        if facts.pending_downgrade is None:
            return False
        since, calmer = facts.pending_downgrade
        at = since + round(self._settings.deescalate_after_s * 1000)
        if facts.resolved_at is not None or clock < at:
            return False
        old, before = facts.decision, facts.severity
        facts.decision, facts.pending_downgrade = calmer, None
        facts.publish_newest()
        if facts.severity != before:
            so_since = f"so since {clock_time(since)} ({duration((at - since) / 1000)})"
            self._note(facts, at, "severity", f"severity {old.severity} -> {_by_rule(calmer)}, {so_since}")
        self._watch(facts, at)
        return True

    def resolve_if_quiet(self, facts: IncidentState, clock: int) -> bool:
        """Resolve an incident if all its signals have been back for long enough by its clock; whether anything changed.

        It is resolved as of the moment when that was true, however late the clock says so. One with others merged into
        it is open again when one of theirs is off.
        """
        if facts.closed_by is not None or (facts.resolved_at is not None and not self.merged.members(facts)):
            return False
        back = self.merged.merged_view(facts).recovered_at
        end = None if back is None else max(back, facts.reopened_at or 0) + round(self._settings.resolve_after_s * 1000)
        resolved_at = end if end is not None and clock >= end else None
        if resolved_at == facts.resolved_at:
            return False
        facts.resolved_at = resolved_at
        if facts.membership.scope is not None:
            return True  # What a parent's log says of its end is computed with the rest of it.
        facts.publish_newest()
        if resolved_at is not None:
            self._note(facts, resolved_at, "resolved", "all signals have stayed back: resolved")
        return True

    def oldest_in_excess(self) -> IncidentState | None:
        """The incident that has to make room, if there are too many: the oldest resolved, else the one longest unmoved.

        What is merged is over when that is which it is merged into; a parent goes last of those that are not.
        """
        if len(self._kept) <= self._settings.incidents_max:
            return None
        _, _, incident_id = min(self.merged.remaining_members(facts) for facts in self._kept.values())
        return self._kept[incident_id]

    def close_unresolved(self, facts: IncidentState) -> None:
        """End an incident because there are too many, and say so: it must not stay open for ever in readers' eyes."""
        whole = self.merged.merged_view(facts)
        at = whole.last_change_at if whole.tracked or whole.last_published is None else whole.last_published.updated_at
        facts.resolved_at, facts.closed_by = at, "driftwire"
        limit = self._settings.incidents_max
        text = f"no longer followed: more than {limit} incidents are open at once; raise correlate.incidents_max"
        self._note(facts, at, "limit", text)

    def forget(self, facts: IncidentState) -> Iterator[str]:
        """Drop an incident from state, with what is merged into it, and give the ids; the alerts topic keeps what was told."""
        for each in self.merged.members(facts):
            yield from self.forget(each)
        self.merged.merge_into(facts, None)
        del self._kept[facts.incident_id]
        for drift_id in facts.tracked:
            del self._of_drift[drift_id]
        yield facts.incident_id

    def _open(self, drift: Drift, siblings: list[IncidentState]) -> IncidentState:
        decision = decide_severity(self._table, [drift], self._promises)
        facts = IncidentState(
            incident_id=_incident_id(drift),
            subject=drift.subject,
            opened_by=drift.drift_id,
            decision=decision,
            decided_at=drift.updated_at,
            clock=max([drift.updated_at, *(each.clock for each in siblings)]),
        )
        facts.track(drift)
        self._note(
            facts, drift.detected_at, "opened", f"opened by {_line(drift)}; {decision.severity}: {decision.reason}"
        )
        self.add(facts)
        return facts

    def _join(self, drift: Drift, facts: IncidentState, reason: str) -> None:
        self.downgrade_if_due(facts, drift.updated_at)
        self._stir(facts, drift)
        if facts.resolved_at is not None:
            is_back = drift.started_at > facts.resolved_at
            facts.resolved_at = None
            what = "is off again" if is_back else "began to move before the incident was resolved"
            text = f"reopened: {drift.signal} {what}"
            self._note(facts, drift.detected_at, "reopened", text)
        if not self._has_room(facts):
            return
        facts.track(drift)
        self._of_drift[drift.drift_id] = facts.incident_id
        if not _said(facts, drift):
            facts.publish_newest()
            self._note(facts, drift.detected_at, "signal", f"{_line(drift)}; it belongs here: {reason}")
            self._decide(facts, drift)
        self._watch(facts, drift.updated_at)

    def _update(self, facts: IncidentState, drift: Drift) -> None:
        tracked = facts.tracked[drift.drift_id]
        if drift.sequence <= tracked.newest.sequence:
            return
        self.downgrade_if_due(facts, drift.updated_at)
        tracked.newest = drift
        if not _said(facts, drift):
            self._tell_apart(facts, tracked)
        self._watch(facts, drift.updated_at)

    def _tell_apart(self, facts: IncidentState, tracked: TrackedDrift) -> None:
        """Let readers know what a message about a drift says, if somebody needs to act on it."""
        drift = tracked.newest
        if drift.state == "recovered":
            facts.publish_newest()
            now, normal = (quantity(value, drift.unit, drift.channel) for value in (drift.now, drift.normal))
            text = f"{drift.signal} ({drift.channel}) is back: {now}, normally {normal}"
            self._note(facts, drift.updated_at, "recovered", text)
        elif drift.records >= WORSENING_RECORDS_MIN and (
            is_worse(decide_severity(self._table, facts.firing, self._promises).severity, facts.decision.severity)
            or self._worsened(tracked)
        ):
            self._stir(facts, drift)
            facts.publish_newest()
            self._note(facts, drift.updated_at, "worse", f"worse: {_line(drift)}")
            self._decide(facts, drift)

    def _decide(self, facts: IncidentState, cause: Drift) -> None:
        """Decide the severity and the name anew. Severity rises at once; how it falls, :meth:`calm` says."""
        new, old = decide_severity(self._table, facts.firing, self._promises), facts.decision
        if is_worse(new.severity, old.severity):
            facts.decision, facts.decided_at = new, cause.updated_at
            self._note(facts, cause.updated_at, "severity", f"severity {old.severity} -> {_by_rule(new)}")
        elif new.severity == old.severity and failure_modes.naming_rank(
            failure_modes.failure_mode_of(new.drift)
        ) <= failure_modes.naming_rank(failure_modes.failure_mode_of(old.drift)):
            facts.decision = new

    def _watch(self, facts: IncidentState, at: int) -> None:
        """Keep in mind since when the rules say less than what was decided, and the worst that they have said since.

        Nothing falls while nothing fires, nor a P1 that can harm people: only a person takes that down.
        """
        held, firing = facts.decision, facts.firing
        is_harm = held.severity == "P1" and failure_modes.failure_mode_of(held.drift).is_harmful
        new = (
            None if is_harm or facts.recovered_at is not None else decide_severity(self._table, firing, self._promises)
        )
        if new is None or not is_worse(held.severity, new.severity):
            facts.pending_downgrade = None
        elif facts.pending_downgrade is None:
            facts.pending_downgrade = (at, new)
        elif not is_worse(facts.pending_downgrade[1].severity, new.severity):
            facts.pending_downgrade = (facts.pending_downgrade[0], new)

    def _stir(self, facts: IncidentState, drift: Drift) -> None:
        """What a person called mitigated is not any more, now that a drift joined it or got worse."""
        for each in (facts, *self.merged.targets(facts)):
            at = drift.detected_at if each.resolved_at is not None or drift.state == "firing" else drift.updated_at
            if each.mitigated_at is not None:
                text = f"no longer mitigated: {_line(drift)}"
                self._note(each, drift.updated_at, "unmitigated", text)
            each.mark_active(at)

    def _worsened(self, tracked: TrackedDrift) -> bool:
        told, now = (abs(drift.now - drift.normal) for drift in (tracked.published, tracked.newest))
        return now > 0 and now >= self._settings.worsening_factor * told

    def _has_room(self, facts: IncidentState) -> bool:
        """Whether an incident can track one more drift; the one that recovered first makes room."""
        if len(facts.tracked) < self._settings.drifts_max:
            return True
        back = [drift for drift in facts.drifts if drift.state == "recovered"]
        if not back:
            return False
        gone = min(back, key=lambda drift: (drift.updated_at, drift.drift_id)).drift_id
        del facts.tracked[gone]
        del self._of_drift[gone]
        return True

    def _note(self, facts: IncidentState, at: int, event: str, text: str) -> None:
        facts.add_log_entry(at, event, text, entries_max=self._settings.log_entries_max)


def _incident_id(drift: Drift) -> str:
    """The same for the same opening, everywhere. One that opens late, its beginning lost, is another incident."""
    late = f"/{drift.sequence}" if drift.sequence else ""
    return "inc-" + blake2b(f"{drift.subject}/{drift.drift_id}{late}".encode(), digest_size=6).hexdigest()


def _said(facts: IncidentState, drift: Drift) -> bool:
    """Whether a ticket-tier drift says only what one of the page tier, which still fires, says already."""
    key = (drift.signal, drift.channel, drift.side)
    paging = (each for each in facts.firing if each.tier == "page")
    return drift.tier == "ticket" and any((each.signal, each.channel, each.side) == key for each in paging)


def _by_rule(decision: SeverityDecision) -> str:
    return f"{decision.severity} by the rule {decision.rule}: {decision.full_reason}"


def _line(drift: Drift) -> str:
    return f"{drift.signal} {drift.side} ({drift.channel}, {drift.tier} tier): {drift.subject} {phrases.describe_drift(drift)}"
