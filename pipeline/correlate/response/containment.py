"""Containment: the next steps, in order, with concrete targets. Contain first, diagnose second."""

from dataclasses import dataclass

from pipeline.correlate.causes import EXTERNAL_KINDS, Diagnosis, TrafficSplit, clear_suspect
from pipeline.correlate.deployments import KnownGood
from pipeline.correlate.playbook import failure_modes
from pipeline.wording import quantity
from schemas.drift import Drift
from schemas.incident import Containment, Severity, Suspect
from schemas.timestamp import clock_time


@dataclass(frozen=True, slots=True)
class ContainmentContext:
    """Inputs of containment. ``drift`` is the leading drift, and ``kill_switch`` is the subject's flag, if any."""

    diagnosis: Diagnosis
    severity: Severity
    drift: Drift
    runbook: str
    kill_switch: str | None = None


def rank_containment(context: ContainmentContext) -> list[Containment]:
    """Return the containment steps, in order.

    The failure mode determines the order. A rollback is proposed only for a clear suspect that can be rolled back and
    has not been rolled back yet. For P3 and P4, the kill switch comes after all other steps if the feature still works.
    Completed steps come last.
    """
    order = list(context.diagnosis.failure_mode.containment)
    if context.severity in ("P3", "P4"):
        order.sort(key=lambda action: action == "kill_switch")
    steps = [step for action in order if (step := _build_step(action, context)) is not None]
    steps.sort(key=lambda step: step.done_at is not None)
    return [step.model_copy(update={"rank": rank}) for rank, step in enumerate(steps, 1)]


def describe_rollback(suspect: Suspect, known_good: KnownGood | None = None, split: TrafficSplit | None = None) -> str:
    """Describe a rollback: the component and the version to return to.

    >>> suspect = Suspect(rank=1, kind="prompt", name="prompt v41 -> v42", score=1, reason="", from_version="v41",
    ...                   to_version="v42")
    >>> describe_rollback(suspect)
    'prompt to v41'
    >>> describe_rollback(suspect, KnownGood("v41"), TrafficSplit(0.05, frozenset({"v41"})))
    'prompt: stop the canary v42 (5.0 % of the traffic) and send all traffic to v41'
    """
    kind = suspect.kind.replace("_", " ")
    concurrent = good_concurrent_version(suspect, split)
    if concurrent is not None and (known_good is None or known_good.version != concurrent):
        known_good = KnownGood(concurrent)
    version = known_good.description if known_good is not None else suspect.from_version
    if version is None:
        return f"{kind} to the version before {suspect.name}"
    still_serves = split is not None and (not split.others or known_good is None or known_good.version in split.others)
    if split is None or not still_serves or suspect.to_version is None:
        return f"{kind} to {version}"
    share = "" if split.share is None else f" ({quantity(split.share, '', 'rate')} of the traffic)"
    canary = "the canary " if split.is_canary else ""
    return f"{kind}: stop {canary}{suspect.to_version}{share} and send all traffic to {version}"


def good_concurrent_version(suspect: Suspect, split: TrafficSplit | None) -> str | None:
    """Return the only version that is good in the minutes in which the suspect's version is bad, or None."""
    if suspect.split != "bad" or split is None or len(split.others) != 1:
        return None
    return next(iter(split.others))


def _build_step(action: failure_modes.ContainmentAction, context: ContainmentContext) -> Containment | None:
    match action:
        case "rollback":
            return _rollback(context)
        case "kill_switch":
            return _kill_switch(context)
        case "throttle":
            reason = "load is part of the failure: send part of the requests to the fallback"
            return _step(action, f"traffic to {context.drift.subject}", reason)
        case "filter":
            reason = "a temporary filter on the pattern limits the harm while a fix is prepared"
            return _step(action, f"inputs of {context.drift.subject} that trigger {context.drift.signal}", reason)
        case "investigate":
            return _step(action, context.runbook, _what_to_check(context.diagnosis))


def _rollback(context: ContainmentContext) -> Containment | None:
    diagnosis, suspect = context.diagnosis, clear_suspect(context.diagnosis.suspects)
    if suspect is None or suspect.kind in EXTERNAL_KINDS or diagnosis.rollback is not None:
        return None
    known_good, split = diagnosis.known_good, diagnosis.traffic_split
    concurrent = good_concurrent_version(suspect, split)
    version = suspect.from_version if known_good is None else known_good.version
    described = _describe_version(known_good)
    if concurrent is not None and version != concurrent:
        version, described = concurrent, f"{concurrent}, which is good in the same minutes"
    reason = f"{suspect.name} is the most likely cause: return to {described}"
    step = _step("rollback", describe_rollback(suspect, known_good, split), reason)
    return step.model_copy(update={"to_version": version})


def _describe_version(known_good: KnownGood | None) -> str:
    if known_good is None:
        return "the previous version"
    why = f" ({'; '.join(known_good.passed_over)})" if known_good.passed_over else ""
    if known_good.live_ms is not None:
        return f"the last known good version{why}"
    if known_good.is_bad:
        return f"the previous version, because no version is known to be good{why}"
    return f"{known_good.version}, which is not known to be good or bad{why}"


def _kill_switch(context: ContainmentContext) -> Containment:
    flag, use = context.kill_switch, context.diagnosis.kill_switch_use
    if flag is None:
        target = f"the feature flag of {context.drift.subject} (set its name in correlate.kill_switches)"
    else:
        target = f"the feature flag {flag}"
    if use is None:
        return _step("kill_switch", target, "the fastest containment: users get the fallback without a deployment")
    reason = f"done at {clock_time(use.timestamp)} by {use.deployment_id}: users get the fallback"
    return _step("kill_switch", target, reason).model_copy(update={"done_at": use.timestamp})


def _what_to_check(diagnosis: Diagnosis) -> str:
    if diagnosis.rollback is not None:
        return f"the rollback {diagnosis.rollback.deployment_id} is deployed: check that the signals recover"
    if diagnosis.failure_mode.family == "data":
        return "check the index, the upstream data and its schema, then the deployment log"
    if diagnosis.failure_mode.family == "safety":
        return "check the filters and the user inputs, then the deployment log"
    return "check the deployment log, the inputs, retrieval, upstream data, and the provider's status page"


def _step(action: failure_modes.ContainmentAction, target: str, reason: str) -> Containment:
    return Containment(rank=1, action=action, target=target, reason=reason)
