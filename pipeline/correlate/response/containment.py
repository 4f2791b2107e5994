"""Containment: what to do now, in order, with real targets. Contain first, diagnose second."""

from dataclasses import dataclass

from pipeline.correlate.causes import EXTERNAL_KINDS, TrafficSplit, clear_suspect
from pipeline.correlate.deployments import KnownGood
from pipeline.correlate.playbook import Action, FailureMode
from pipeline.wording import quantity
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Containment, Severity, Suspect
from schemas.timestamp import clock_time


@dataclass(frozen=True, slots=True)
class ContainmentContext:
    """What containment is decided by.

    What fails and how badly, who is suspected, what has been rolled back already; ``back`` is where a rollback leads, and
    ``split`` how the traffic is shared between versions; ``flag`` is the subject's kill switch, and ``switched_off`` the
    deployment that used it.
    """

    mode: FailureMode
    severity: Severity
    drift: Drift
    suspects: list[Suspect]
    rollback: Deployment | None
    runbook: str
    back: KnownGood | None = None
    split: TrafficSplit | None = None
    flag: str | None = None
    switched_off: Deployment | None = None


def rollback_target(suspect: Suspect, back: KnownGood | None = None, split: TrafficSplit | None = None) -> str:
    """What a rollback of a suspect brings back.

    >>> suspect = Suspect(rank=1, kind="prompt", name="prompt v41 -> v42", score=1, reason="", from_version="v41",
    ...                   to_version="v42")
    >>> rollback_target(suspect)
    'prompt to v41'
    >>> rollback_target(suspect, Good("v41"), Split(0.05, frozenset({"v41"})))
    'prompt: stop the canary v42 (5.0 % of the traffic) and send all traffic to v41'
    """
    what = suspect.kind.replace("_", " ")
    beside_it = good_concurrent_version(suspect, split)
    if beside_it is not None and (back is None or back.version != beside_it):
        back = KnownGood(beside_it)
    version = back.description if back is not None else suspect.from_version
    if version is None:
        return f"{what} to the version before {suspect.name}"
    beside = split is not None and (not split.others or back is None or back.version in split.others)
    if split is None or not beside or suspect.to_version is None:
        return f"{what} to {version}"
    share = "" if split.share is None else f" ({quantity(split.share, '', 'rate')} of the traffic)"
    canary = "the canary " if split.is_canary else ""
    return f"{what}: stop {canary}{suspect.to_version}{share} and send all traffic to {version}"


def good_concurrent_version(suspect: Suspect, split: TrafficSplit | None) -> str | None:
    """The one version that serves beside a suspect and is good in the same minutes; None without one."""
    if suspect.split != "bad" or split is None or len(split.others) != 1:
        return None
    return next(iter(split.others))


def rank_containment(situation: ContainmentContext) -> list[Containment]:
    """The things to do, in order.

    The failure mode gives the order. A rollback is proposed only of a clear suspect that can be rolled back and has not
    been. From P3 down people investigate before they switch a working feature off. What is done already stands last.
    """
    order = list(situation.mode.contain)
    if situation.severity in ("P3", "P4"):
        order.sort(key=lambda action: action == "kill_switch")
    steps = [step for action in order if (step := _step(action, situation)) is not None]
    steps.sort(key=lambda step: step.done_at is not None)
    return [step.model_copy(update={"rank": place}) for place, step in enumerate(steps, 1)]


def _step(action: Action, situation: ContainmentContext) -> Containment | None:
    subject, suspect = situation.drift.subject, clear_suspect(situation.suspects)
    match action:
        case "rollback":
            if suspect is None or suspect.kind in EXTERNAL_KINDS or situation.rollback is not None:
                return None
            return _rollback(suspect, situation)
        case "kill_switch":
            return _kill_switch(situation)
        case "throttle":
            reason = "send a part of the requests to the fallback while load is part of the failure"
            return _do(action, f"traffic to {subject}", reason)
        case "filter":
            reason = "a temporary filter on the pattern limits the harm while a fix is prepared"
            return _do(action, f"inputs of {subject} that set off {situation.drift.signal}", reason)
        case "investigate":
            return _do(action, situation.runbook, _where_to_look(situation.mode, situation.rollback))


def _rollback(suspect: Suspect, situation: ContainmentContext) -> Containment:
    back, beside_it = situation.back, good_concurrent_version(suspect, situation.split)
    where, version = _where(back), suspect.from_version if back is None else back.version
    if beside_it is not None and version != beside_it:
        where, version = f"{beside_it}, which is good in the same minutes", beside_it
    reason = f"{suspect.name} is the most likely cause: return to {where}"
    step = _do("rollback", rollback_target(suspect, back, situation.split), reason)
    return step.model_copy(update={"to_version": version})


def _where(back: KnownGood | None) -> str:
    if back is None:
        return "the version before"
    why = f" ({'; '.join(back.passed_over)})" if back.passed_over else ""
    if back.live_ms is not None:
        return f"the last version that is known to have worked{why}"
    if back.is_bad:
        return f"the version before, for want of one that is known to have worked{why}"
    return f"{back.version}, of which nothing is known{why}"


def _kill_switch(situation: ContainmentContext) -> Containment:
    subject, flag, off = situation.drift.subject, situation.flag, situation.switched_off
    if flag is None:
        target = f"the feature flag of {subject} (name it in correlate.kill_switches)"
    else:
        target = f"the feature flag {flag}"
    if off is None:
        return _do("kill_switch", target, "the fastest containment: users get the fallback, without a deployment")
    reason = f"done at {clock_time(off.timestamp)} by {off.deployment_id}: users get the fallback"
    return _do("kill_switch", target, reason).model_copy(update={"done_at": off.timestamp})


def _where_to_look(mode: FailureMode, rollback: Deployment | None) -> str:
    if rollback is not None:
        return f"the rollback {rollback.deployment_id} is deployed: watch whether the signals come back"
    if mode.family == "data":
        return "check the index, the upstream data and its schema, then the deployment log"
    if mode.family == "safety":
        return "check the filters and what users send, then the deployment log"
    return "check the deployment log, the inputs, retrieval, upstream data, and the provider's status page"


def _do(action: Action, target: str, reason: str) -> Containment:
    return Containment(rank=1, action=action, target=target, reason=reason)
