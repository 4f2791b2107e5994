"""From facts to an incident: what readers see, computed afresh each time from what is known.

Nothing here remembers: the same facts, deployments and clock give the same incident, whichever arrived first. All but
``revision`` and ``change``, which say how often and why readers were told, is independent of the order of arrival.
"""

from collections.abc import Sequence

from pipeline.correlate.canary import split_of
from pipeline.correlate.changes import changes
from pipeline.correlate.containment import (
    NOT_OURS,
    Situation,
    clear_suspect,
    containment,
    deployment_of,
    rollback_of,
    switched_off,
)
from pipeline.correlate.declared import is_declared
from pipeline.correlate.deployments import Deployments, Served, change, takes_back
from pipeline.correlate.evidence import evidence, segments
from pipeline.correlate.facts import Facts, newest_lines
from pipeline.correlate.known_good import Past, last_known_good
from pipeline.correlate.modes import mode_of
from pipeline.correlate.recognition import recognised
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.summary import summary
from pipeline.correlate.suspects import Onset, suspects
from pipeline.correlate.targets import response_targets
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident, LogEntry


def tell(
    facts: Facts,
    deployments: Deployments,
    shifts: Sequence[Drift],
    clock: int,
    settings: CorrelateSettings,
    others: Sequence[Facts] = (),
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
    others
        The other incidents of the subject: when they began, and how bad they are, speaks against versions.
    """
    before = facts.told
    incident = _content(facts, deployments, shifts, clock, settings, others)
    if before is not None:
        if incident.model_copy(update={"revision": before.revision, "change": before.change}) == before:
            return None
        incident = incident.model_copy(update={"revision": before.revision + 1})
    return incident.model_copy(update={"change": changes(before, incident)})


def _content(
    facts: Facts,
    deployments: Deployments,
    shifts: Sequence[Drift],
    clock: int,
    settings: CorrelateSettings,
    others: Sequence[Facts],
) -> Incident:
    lead, severity = facts.decision.drift, facts.severity
    served = Served(facts.subject, facts.named("environment"), facts.named("provider"))
    until = clock if facts.resolved_at is None else min(clock, facts.resolved_at)
    look_back_ms = round(settings.look_back_s * 1000)
    earlier = list(deployments.of(served, facts.started_at - look_back_ms, facts.detected_at))
    later = list(deployments.of(served, facts.detected_at + 1, until))
    onset = Onset(facts.started_at, facts.detected_at, mode_of(lead))
    undeclared = [each for each in shifts if not is_declared(each, deployments.of(served, 0, until))]
    found = suspects(onset, _in_effect(earlier, facts.started_at), undeclared, settings)
    shown = [each.shown for each in facts.tracked.values()]
    clear = clear_suspect(found)
    outside = served.provider is not None and (clear is None or clear.kind in NOT_OURS)
    mode = recognised(lead, [*shown, *shifts], clear, settings.join_window_s * 1000, outside=outside)
    if mode != onset.mode:
        onset = Onset(facts.started_at, facts.detected_at, mode)
        found = suspects(onset, _in_effect(earlier, facts.started_at), undeclared, settings)
    cause, back, split = deployment_of(clear_suspect(found), earlier), None, None
    if cause is not None and cause.kind not in NOT_OURS:
        past = [Past(each.started_at, each.severity) for each in others]
        back = last_known_good(cause, deployments.of(served, 0, until), past, round(settings.start_error_s * 1000))
        split = split_of(cause, shown)
    rollback = rollback_of(cause, back, [*earlier, *later])
    flag = settings.kill_switches.get(facts.subject)
    off = switched_off(flag, later)
    runbook = f"{settings.runbooks}{mode.name}.md"
    steps = containment(Situation(mode, severity, lead, found, rollback, runbook, back, split, flag, off))
    log = _log(facts, earlier, later, (rollback, off), settings.log_entries_max)
    return Incident(
        incident_id=facts.incident_id,
        revision=1,
        status=facts.status,
        severity=severity,
        severity_rule=_rule(facts),
        severity_reason=_reason(facts),
        severity_moved_by=facts.decision.moved_by if severity == facts.decision.severity else None,
        failure_mode=mode.name,
        subject=facts.subject,
        environment=served.environment,
        provider=served.provider,
        segments=segments(shown),
        title=f"{mode.title} in {facts.subject}",
        summary=summary(facts, found, steps, rollback),
        started_at=facts.started_at,
        detected_at=facts.detected_at,
        detection_gap_s=max(0, facts.detected_at - facts.started_at) / 1000,
        updated_at=max(entry.at for entry in log),
        resolved_at=facts.resolved_at,
        evidence=evidence(shown, settings.one_finding_s, settings.evidence_max),
        suspects=found,
        containment=steps,
        response_targets=response_targets(severity, facts.detected_at, facts.resolved_at),
        runbook=runbook,
        acknowledged_by=facts.acknowledged_by,
        assigned_to=facts.assigned_to,
        change="",
        log=log,
    )


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
    said = facts.classification
    if said is not None and facts.severity != facts.decision.severity:
        note = f": {said.note}" if said.note else ""
        return (
            f"{said.author} says {said.severity}{note} (the rule {facts.decision.rule} said {facts.decision.severity})"
        )
    return facts.decision.because


def _log(
    facts: Facts,
    earlier: list[Deployment],
    later: list[Deployment],
    contain: tuple[Deployment | None, Deployment | None],
    entries_max: int,
) -> list[LogEntry]:
    """The running log, with what was deployed since the detection: during an incident nothing but its containment should be.

    ``contain`` is the rollback and the switching off, where they were done.
    """
    deployed = [_deployment_line(each, earlier, *contain) for each in later]
    return newest_lines([*facts.log, *deployed], entries_max)


def _deployment_line(
    deployment: Deployment, earlier: list[Deployment], rollback: Deployment | None, off: Deployment | None
) -> LogEntry:
    changed, name = change(deployment), deployment.deployment_id
    what = changed if f"({name})" in changed else f"{changed} ({name})"
    taken_back = deployment.rollback_of or next(
        (each.deployment_id for each in earlier if takes_back(deployment, each)), None
    )
    if taken_back is not None:
        return LogEntry(at=deployment.timestamp, event="rollback", text=f"rolled back: {what} takes back {taken_back}")
    if deployment == rollback:
        return LogEntry(at=deployment.timestamp, event="rollback", text=f"rolled back: {what}")
    if deployment == off:
        return LogEntry(at=deployment.timestamp, event="kill_switch", text=f"switched off: {what}")
    text = (
        f"{what} was deployed into the open incident and is not its rollback: hold other changes until it is resolved"
    )
    return LogEntry(at=deployment.timestamp, event="deployment", text=text)
