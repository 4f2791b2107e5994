"""From facts to an incident: what readers see, computed afresh each time from what is known.

Nothing here remembers: the same facts, deployments and clock give the same incident, whichever arrived first. All but
``revision`` and ``change``, which say how often and why readers were told, is independent of the order of arrival.
"""

from pipeline.correlate.causes import Diagnosis, DiagnosisContext, diagnose
from pipeline.correlate.deployments import ServedTraffic
from pipeline.correlate.incidents import IncidentState, running_log
from pipeline.correlate.playbook import FailureMode, response_times_for
from pipeline.correlate.response import (
    ContainmentContext,
    decide_freeze,
    deployment_log_line,
    notifications_due,
    rank_containment,
    response_progress,
    response_targets,
)
from pipeline.correlate.revision.changes import describe_changes
from pipeline.correlate.revision.drafts import DraftContext, build_drafts
from pipeline.correlate.revision.evidence import evidence_lines, parent_evidence_lines, segment_names
from pipeline.correlate.revision.summary import write_summary
from pipeline.correlate.settings import CorrelateSettings
from schemas.incident import Incident, LogEntry, SignalEvidence


def build_revision(facts: IncidentState, known: DiagnosisContext, settings: CorrelateSettings) -> Incident | None:
    """The next revision of an incident; None if readers know all of it already.

    Parameters
    ----------
    facts
        Of the incident; not changed.
    known
        What is known beside it.
    settings
        Windows and limits.
    """
    before = facts.last_published
    incident = _content(facts, known, settings) if before is None or facts.tracked else _emptied(facts, before)
    if before is not None:
        if incident.model_copy(update={"revision": before.revision, "change": before.change}) == before:
            return None
        incident = incident.model_copy(update={"revision": before.revision + 1})
    return incident.model_copy(update={"change": describe_changes(before, incident)})


def _content(facts: IncidentState, known: DiagnosisContext, settings: CorrelateSettings) -> Incident:
    severity = facts.severity
    served = ServedTraffic(facts.subject, facts.common_label("environment"), facts.common_label("provider"))
    found = diagnose(facts, served, known, settings)
    runbook = f"{settings.runbooks}{found.mode.name}.md"
    steps = rank_containment(_situation(facts, found, runbook, settings))
    frozen = decide_freeze(facts, severity, found, settings.freeze_severities)
    deployed = [deployment_log_line(each, found, frozen) for each in found.later[-settings.log_entries_max :]]
    rolled_back_at, switched_off_at = (
        None if each is None else each.timestamp for each in (found.rollback, found.switched_off)
    )
    contained_at = min((each for each in (rolled_back_at, switched_off_at) if each is not None), default=None)
    log = running_log.newest_lines([*facts.log, *deployed, *_reminders(facts, contained_at)], settings.log_entries_max)
    reached, plan = response_progress(facts, contained_at), response_times_for(severity, settings.response)
    incident = Incident(
        incident_id=facts.incident_id,
        revision=1,
        status=facts.status,
        severity=severity,
        severity_rule=_rule(facts),
        severity_reason=_reason(facts),
        severity_moved_by=facts.decision.moved_by if severity == facts.decision.severity else None,
        failure_mode=found.mode.name,
        subject=facts.subject,
        environment=served.environment,
        provider=served.provider,
        segments=segment_names([each.published for each in facts.tracked.values()]),
        title=_title(facts, found.mode),
        summary=" ".join(
            part for part in (write_summary(facts, found.suspects, steps, found.rollback), frozen.sentence) if part
        ),
        started_at=facts.started_at,
        detected_at=facts.detected_at,
        detection_gap_s=max(0, facts.detected_at - facts.started_at) / 1000,
        updated_at=max(entry.at for entry in log),
        resolved_at=facts.resolved_at,
        evidence=_evidence(facts, settings),
        suspects=found.suspects,
        containment=steps,
        response_targets=response_targets(reached, plan, settings.business_hours),
        duties=notifications_due(facts, settings.regimes),
        runbook=runbook,
        acknowledged_by=facts.acknowledged_by,
        commander=facts.roles.get("commander"),
        technical_lead=facts.roles.get("technical_lead"),
        communications_lead=facts.roles.get("communications_lead"),
        communicated=facts.communicated,
        change_freeze=frozen.state,
        freeze_broken_by=[each.deployment_id for each in frozen.broken_by],
        merged_into=facts.membership.merged_into,
        parent=facts.membership.merged_into if facts.membership.merged_by is None else None,
        children=facts.children,
        subject_count=len(facts.subjects),
        change="",
        log=log,
    )
    matter = DraftContext(
        incident, facts.decision.drift, facts.subjects, facts.recovered_at, rolled_back_at, switched_off_at,
        facts.mitigated_at,
    )  # fmt: skip
    return incident.model_copy(update={"drafts": build_drafts(matter, settings.public_names)})


def _evidence(facts: IncidentState, settings: CorrelateSettings) -> list[SignalEvidence]:
    shown = [each.published for each in facts.tracked.values()]
    if facts.membership.scope is not None:
        return parent_evidence_lines(shown, settings.evidence_max)
    return evidence_lines(shown, settings.dedup_window_s, settings.evidence_max)


def _emptied(facts: IncidentState, before: Incident) -> Incident:
    """A parent that has no children any more: another parent has taken them, or people have taken them out."""
    return before.model_copy(
        update={
            "status": facts.status,
            "resolved_at": facts.resolved_at,
            "merged_into": facts.membership.merged_into,
            "children": [],
            "subject_count": 0,
        }
    )


def _title(facts: IncidentState, mode: FailureMode) -> str:
    scope = facts.membership.scope
    if scope is None:
        return f"{mode.title} in {facts.subject}"
    where = "at" if scope.kind == "provider" else "across"
    return f"{mode.title} {where} {scope} in {len(facts.subjects)} subjects"


def _situation(facts: IncidentState, found: Diagnosis, runbook: str, settings: CorrelateSettings) -> ContainmentContext:
    drift, scope = facts.decision.drift, facts.membership.scope
    if scope is not None:
        # Of a parent it stands for all subjects.
        drift = drift.model_copy(update={"subject": f"all {len(facts.subjects)} subjects of {scope}"})
    flag = settings.kill_switches.get(facts.subject)
    return ContainmentContext(
        found.mode, facts.severity, drift, found.suspects, found.rollback, runbook, found.back, found.split, flag,
        found.switched_off,
    )  # fmt: skip


def _rule(facts: IncidentState) -> str:
    return facts.decision.rule if facts.severity == facts.decision.severity else "classified_by_a_person"


def _reason(facts: IncidentState) -> str:
    said = facts.classification
    if said is not None and facts.severity != facts.decision.severity:
        note = f": {said.note}" if said.note else ""
        return (
            f"{said.author} says {said.severity}{note} (the rule {facts.decision.rule} said {facts.decision.severity})"
        )
    return facts.decision.because


def _reminders(facts: IncidentState, contained_at: int | None) -> list[LogEntry]:
    """The reminders given, but for one of containment if a rollback or the kill switch was in time: that may be told late."""
    return [
        LogEntry(at=each.at, event="reminder", text=running_log.shorten(each.text))
        for each in facts.reminders
        if each.name != "contain" or contained_at is None or contained_at > each.at
    ]
