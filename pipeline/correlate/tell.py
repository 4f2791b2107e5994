"""From facts to an incident: what readers see, computed afresh each time from what is known.

Nothing here remembers: the same facts, deployments and clock give the same incident, whichever arrived first. All but
``revision`` and ``change``, which say how often and why readers were told, is independent of the order of arrival.
"""

from collections.abc import Sequence

from pipeline.correlate.changes import changes
from pipeline.correlate.containment import Situation, clear_suspect, containment, rollback_of
from pipeline.correlate.declared import is_declared
from pipeline.correlate.deployments import Deployments, Served, takes_back
from pipeline.correlate.evidence import evidence, segments, shared_evidence
from pipeline.correlate.facts import Facts, newest_lines
from pipeline.correlate.freeze import Freeze, deployment_line, freeze
from pipeline.correlate.modes import Mode, mode_of
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.summary import summary
from pipeline.correlate.suspects import Onset, suspects
from pipeline.correlate.targets import response_targets
from pipeline.correlate.words import quantity
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident, LogEntry


def tell(
    facts: Facts, deployments: Deployments, shifts: Sequence[Drift], clock: int, settings: CorrelateSettings
) -> Incident | None:
    """The next revision of an incident; None if readers know all of it already.

    Parameters
    ----------
    facts
        Of the incident; not changed.
    deployments, shifts
        All deployments kept, and the workload drifts of the subject.
    clock
        Of the incident, Unix ms. A deployment of a later event time has not happened yet.
    settings
        Windows and limits.
    """
    before = facts.told
    if before is not None and not facts.tracked:
        incident = _emptied(facts, before)
    else:
        incident = _content(facts, deployments, shifts, clock, settings)
    if before is not None:
        if incident.model_copy(update={"revision": before.revision, "change": before.change}) == before:
            return None
        incident = incident.model_copy(update={"revision": before.revision + 1})
    return incident.model_copy(update={"change": changes(before, incident)})


def _content(
    facts: Facts, deployments: Deployments, shifts: Sequence[Drift], clock: int, settings: CorrelateSettings
) -> Incident:
    mode, severity = mode_of(facts.decision.drift), facts.severity
    served = Served(facts.subject, facts.named("environment"), facts.named("provider"))
    until = clock if facts.resolved_at is None else min(clock, facts.resolved_at)
    look_back_ms = round(settings.look_back_s * 1000)
    earlier = list(deployments.of(served, facts.started_at - look_back_ms, facts.detected_at))
    later = list(deployments.of(served, facts.detected_at + 1, until))
    onset = Onset(facts.started_at, facts.detected_at, mode)
    undeclared = [each for each in shifts if not is_declared(each, deployments.of(served, 0, until))]
    found = suspects(onset, _in_effect(earlier, facts.started_at), undeclared, settings)
    rollback = rollback_of(clear_suspect(found), earlier, [*earlier, *later])
    runbook = f"{settings.runbooks}{mode.name}.md"
    scope, membership = facts.membership.scope, facts.membership
    steps = containment(Situation(mode, severity, _to_contain(facts), found, rollback, runbook))
    frozen = freeze(facts, severity, earlier, later, settings.freeze_severities)
    shown = [each.shown for each in facts.tracked.values()]
    log = _log(facts, earlier, later, frozen, settings.log_entries_max)
    return Incident(
        incident_id=facts.incident_id,
        revision=1,
        status=facts.status,
        severity=severity,
        severity_rule=_rule(facts),
        severity_reason=_reason(facts),
        failure_mode=mode.name,
        subject=facts.subject,
        environment=served.environment,
        provider=served.provider,
        segments=segments(shown),
        title=_title(facts, mode),
        summary=" ".join(part for part in (summary(facts, found, steps, rollback), frozen.sentence) if part),
        started_at=facts.started_at,
        detected_at=facts.detected_at,
        detection_gap_s=max(0, facts.detected_at - facts.started_at) / 1000,
        updated_at=max(entry.at for entry in log),
        resolved_at=facts.resolved_at,
        evidence=evidence(shown, settings.one_finding_s, settings.evidence_max)
        if scope is None
        else shared_evidence(shown, settings.evidence_max),
        suspects=found,
        containment=steps,
        response_targets=response_targets(severity, facts.detected_at, facts.resolved_at),
        runbook=runbook,
        acknowledged_by=facts.acknowledged_by,
        commander=facts.roles.get("commander"),
        technical_lead=facts.roles.get("technical_lead"),
        communications_lead=facts.roles.get("communications_lead"),
        communicated=facts.communicated,
        change_freeze=frozen.state,
        freeze_broken_by=[each.deployment_id for each in frozen.broken_by],
        merged_into=membership.into,
        parent=membership.into if membership.by is None else None,
        children=facts.children,
        subject_count=len(facts.subjects),
        change="",
        log=log,
    )


def _emptied(facts: Facts, before: Incident) -> Incident:
    """A parent that has no children any more: another parent has taken them, or people have taken them out."""
    return before.model_copy(
        update={
            "status": facts.status,
            "resolved_at": facts.resolved_at,
            "merged_into": facts.membership.into,
            "children": [],
            "subject_count": 0,
        }
    )


def _title(facts: Facts, mode: Mode) -> str:
    scope = facts.membership.scope
    if scope is None:
        return f"{mode.title} in {facts.subject}"
    where = "at" if scope.kind == "provider" else "across"
    return f"{mode.title} {where} {scope} in {len(facts.subjects)} subjects"


def _to_contain(facts: Facts) -> Drift:
    """The drift that containment is decided by; of a parent it stands for all subjects."""
    drift, scope = facts.decision.drift, facts.membership.scope
    if scope is None:
        return drift
    return drift.model_copy(update={"subject": f"all {len(facts.subjects)} subjects of {scope}"})


def _in_effect(deployments: list[Deployment], started_at: int) -> list[Deployment]:
    """Those that can have caused it: not taken back before the start, and no rollback made because of it."""
    return [
        each
        for each in deployments
        if not any(takes_back(other, each) and other.timestamp <= started_at for other in deployments)
        and not (each.timestamp > started_at and any(takes_back(each, other) for other in deployments))
    ]


def _rule(facts: Facts) -> str:
    return facts.decision.rule if facts.severity == facts.decision.severity else "classified_by_a_person"


def _reason(facts: Facts) -> str:
    said, drift = facts.classification, facts.decision.drift
    if said is not None and facts.severity != facts.decision.severity:
        note = f": {said.note}" if said.note else ""
        return (
            f"{said.author} says {said.severity}{note} (the rule {facts.decision.rule} said {facts.decision.severity})"
        )
    now, normal = (quantity(value, drift.unit, drift.channel) for value in (drift.now, drift.normal))
    return f"{facts.decision.reason} ({drift.signal} {now}, normally {normal})"


def _log(
    facts: Facts, earlier: list[Deployment], later: list[Deployment], frozen: Freeze, entries_max: int
) -> list[LogEntry]:
    """The running log, with what was deployed since the detection: during an incident nothing but a rollback should be."""
    deployed = [deployment_line(each, [*earlier, *later], frozen) for each in later]
    return newest_lines([*facts.log, *deployed], entries_max)
