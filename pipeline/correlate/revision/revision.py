"""Revisions: incident messages, each computed from the current state.

The same state, deployments and clock give the same message, in any order of arrival. Only ``revision`` and ``change``
depend on the order of arrival, because they depend on earlier revisions.
"""

from pipeline.correlate.causes import Diagnosis, DiagnosisContext, diagnose
from pipeline.correlate.deployments import ServedTraffic
from pipeline.correlate.incidents import IncidentState, running_log
from pipeline.correlate.playbook import FailureMode, ResponseTimes
from pipeline.correlate.response import (
    ChangeFreeze,
    ContainmentContext,
    notifications_due,
    rank_containment,
    response_progress,
    response_targets,
)
from pipeline.correlate.revision.changes import describe_changes
from pipeline.correlate.revision.drafts import draft_facts
from pipeline.correlate.revision.evidence import evidence_lines, parent_evidence_lines, segment_names
from pipeline.correlate.revision.summary import write_summary
from pipeline.correlate.settings import CorrelateSettings
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident, LogEntry, SignalEvidence


def build_revision(incident: IncidentState, context: DiagnosisContext, settings: CorrelateSettings) -> Incident | None:
    """Return the next revision of an incident, or None if nothing has changed or the first revision must wait.

    Parameters
    ----------
    incident
        The state of the incident. It is not changed.
    context
        Inputs of the diagnosis other than the incident.
    settings
        Windows and limits.
    """
    before = incident.last_published
    if before is None and incident.is_held(context.clock):
        return None
    if before is None or incident.tracked:
        revision = _build_content(incident, context, settings)
    else:
        revision = _build_empty_parent(incident, before)
    if before is not None:
        kept = {"revision": before.revision, "change": before.change}
        if before.drafts:  # An earlier version wrote its drafts instead of the facts.
            kept |= {"drafts": before.drafts, "draft_facts": None}
        if revision.model_copy(update=kept) == before:
            return None
        revision = revision.model_copy(update={"revision": before.revision + 1})
    return revision.model_copy(update={"change": describe_changes(before, revision)})


def _build_content(incident: IncidentState, context: DiagnosisContext, settings: CorrelateSettings) -> Incident:
    severity = incident.severity
    served = ServedTraffic(incident.subject, incident.common_label("environment"), incident.common_label("provider"))
    diagnosis = diagnose(incident, served, context, settings)
    runbook = f"{settings.runbooks}{diagnosis.failure_mode.name}.md"
    flag = settings.kill_switches.get(incident.subject)
    steps = rank_containment(ContainmentContext(diagnosis, severity, _containment_drift(incident), runbook, flag))
    freeze = ChangeFreeze.decide(incident, severity, diagnosis, settings.freeze_severities)
    rolled_back_at, switched_off_at = _time_of(diagnosis.rollback), _time_of(diagnosis.kill_switch_use)
    contained_at = min((at for at in (rolled_back_at, switched_off_at) if at is not None), default=None)
    log = _build_log(incident, diagnosis, freeze, contained_at, settings.log_entries_max)
    plan = ResponseTimes.from_configuration(severity, settings.response)
    updated_at = max(entry.at for entry in log)
    summary = write_summary(incident, diagnosis.suspects, steps, diagnosis.rollback, until=updated_at)
    revision = Incident(
        incident_id=incident.incident_id,
        revision=1,
        status=incident.status,
        severity=severity,
        severity_rule=_severity_rule(incident),
        severity_reason=_severity_reason(incident),
        severity_moved_by=incident.decision.adjusted_by if severity == incident.decision.severity else None,
        failure_mode=diagnosis.failure_mode.name,
        subject=incident.subject,
        environment=served.environment,
        provider=served.provider,
        segments=segment_names(_published_drifts(incident)),
        title=_title(incident, diagnosis.failure_mode),
        summary=" ".join(sentence for sentence in (summary, freeze.sentence) if sentence),
        started_at=incident.started_at,
        detected_at=incident.detected_at,
        detection_gap_s=max(0, incident.detected_at - incident.started_at) / 1000,
        updated_at=updated_at,
        resolved_at=incident.resolved_at,
        resolved_as=incident.resolved_as,
        evidence=_evidence(incident, settings),
        suspects=diagnosis.suspects,
        containment=steps,
        response_targets=response_targets(response_progress(incident, contained_at), plan, settings.business_hours),
        duties=notifications_due(incident, settings.regimes),
        runbook=runbook,
        acknowledged_by=incident.acknowledged_by,
        commander=incident.roles.get("commander"),
        technical_lead=incident.roles.get("technical_lead"),
        communications_lead=incident.roles.get("communications_lead"),
        communicated=incident.communicated,
        change_freeze=freeze.state,
        freeze_broken_by=[deployment.deployment_id for deployment in freeze.broken_by],
        merged_into=incident.membership.merged_into,
        parent=incident.membership.merged_into if incident.membership.merged_by is None else None,
        children=incident.children,
        subject_count=len(incident.subjects),
        change="",
        log=log,
    )
    times = {
        "recovered_at": incident.recovered_at,
        "rolled_back_at": rolled_back_at,
        "switched_off_at": switched_off_at,
        "mitigated_at": incident.mitigated_at,
    }
    facts = draft_facts(revision, incident.lead, incident.subjects, settings.public_names, times)
    return revision.model_copy(update={"draft_facts": facts})


def _build_empty_parent(incident: IncidentState, before: Incident) -> Incident:
    """Return the revision of a parent whose children moved to another parent or were removed by people."""
    return before.model_copy(
        update={
            "status": incident.status,
            "resolved_at": incident.resolved_at,
            "merged_into": incident.membership.merged_into,
            "children": [],
            "subject_count": 0,
            "draft_facts": None,
        }
    )


def _build_log(
    incident: IncidentState, diagnosis: Diagnosis, freeze: ChangeFreeze, contained_at: int | None, entries_max: int
) -> list[LogEntry]:
    deployments = diagnosis.later_deployments[-entries_max:]
    deployment_lines = [freeze.log_line(deployment, diagnosis) for deployment in deployments]
    # A rollback or kill switch can be reported late. If it happened in time, the containment reminder is removed.
    reminder_lines = [
        LogEntry(at=reminder.at, event="reminder", text=running_log.shorten(reminder.text))
        for reminder in incident.reminders
        if reminder.name != "contain" or contained_at is None or contained_at > reminder.at
    ]
    return running_log.newest_lines([*incident.log, *deployment_lines, *reminder_lines], entries_max)


def _published_drifts(incident: IncidentState) -> list[Drift]:
    return [tracked.published for tracked in incident.tracked.values()]


def _evidence(incident: IncidentState, settings: CorrelateSettings) -> list[SignalEvidence]:
    drifts = _published_drifts(incident)
    if incident.membership.scope is not None:
        return parent_evidence_lines(drifts, settings.evidence_max)
    return evidence_lines(drifts, settings.dedup_window_s, settings.evidence_max)


def _title(incident: IncidentState, mode: FailureMode) -> str:
    scope = incident.membership.scope
    if scope is None:
        return f"{mode.title} in {incident.subject}"
    preposition = "at" if scope.kind == "provider" else "across"
    return f"{mode.title} {preposition} {scope} in {len(incident.subjects)} subjects"


def _containment_drift(incident: IncidentState) -> Drift:
    """Return the leading drift. For a parent, the drift's subject is a description of all subjects."""
    drift, scope = incident.decision.drift, incident.membership.scope
    if scope is None:
        return drift
    return drift.model_copy(update={"subject": f"all {len(incident.subjects)} subjects of {scope}"})


def _severity_rule(incident: IncidentState) -> str:
    is_by_rule = incident.severity == incident.decision.severity
    return incident.decision.rule if is_by_rule else "classified_by_a_person"


def _severity_reason(incident: IncidentState) -> str:
    classification, decision = incident.classification, incident.decision
    if classification is None or incident.severity == decision.severity:
        return decision.full_reason
    note = f": {classification.note}" if classification.note else ""
    by_rule = f"rule {decision.rule}: {decision.severity}"
    return f"{classification.author} classified it as {classification.severity}{note} ({by_rule})"


def _time_of(deployment: Deployment | None) -> int | None:
    return None if deployment is None else deployment.timestamp
