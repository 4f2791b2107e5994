"""Containment: what to do now, in order, with real targets. Contain first, diagnose second."""

from dataclasses import dataclass

from pipeline.correlate.deployments import takes_back
from pipeline.correlate.modes import Action, Mode
from pipeline.correlate.suspects import clear_suspect
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Containment, Severity, Suspect

NOT_OURS = ("provider_status", "input_shift", "undeclared_change", "retrieval", "upstream_data", "provider")
"""Kinds of suspects that nobody here can roll back."""


def rollback_target(suspect: Suspect) -> str:
    """What a rollback of a suspect brings back.

    >>> rollback_target(Suspect(rank=1, kind="prompt", name="prompt v41 -> v42", score=1, reason="",
    ...                         from_version="v41", to_version="v42"))
    'prompt to v41'
    """
    what = suspect.kind.replace("_", " ")
    return (
        f"{what} to {suspect.from_version}" if suspect.from_version else f"{what} to the version before {suspect.name}"
    )


@dataclass(frozen=True, slots=True)
class Situation:
    """What containment is decided by: what fails and how badly, who is suspected, what has been rolled back already."""

    mode: Mode
    severity: Severity
    drift: Drift
    suspects: list[Suspect]
    rollback: Deployment | None
    runbook: str


def containment(situation: Situation) -> list[Containment]:
    """The things to do, in order.

    The failure mode gives the order. A rollback is proposed only of a clear suspect that can be rolled back and has not
    been. From P3 down people investigate before they switch a working feature off.
    """
    order = list(situation.mode.contain)
    if situation.severity in ("P3", "P4"):
        order.sort(key=lambda action: action == "kill_switch")
    steps = [step for action in order if (step := _step(action, situation)) is not None]
    return [step.model_copy(update={"rank": place}) for place, step in enumerate(steps, 1)]


def rollback_of(suspect: Suspect | None, deployed: list[Deployment], later: list[Deployment]) -> Deployment | None:
    """The first of the later deployments that takes the suspect back; None if there is none yet."""
    taken = next((each for each in deployed if suspect and each.deployment_id == suspect.deployment_id), None)
    return next((each for each in later if taken is not None and takes_back(each, taken)), None)


def _step(action: Action, situation: Situation) -> Containment | None:
    subject, suspect = situation.drift.subject, clear_suspect(situation.suspects)
    match action:
        case "rollback":
            if suspect is None or suspect.kind in NOT_OURS or situation.rollback is not None:
                return None
            reason = f"{suspect.name} is the most likely cause: return to the last version that worked"
            return _do(action, rollback_target(suspect), reason)
        case "kill_switch":
            reason = "the fastest containment: users get the fallback, without a deployment"
            return _do(action, f"the feature flag of {subject}", reason)
        case "throttle":
            reason = "send a part of the requests to the fallback while load is part of the failure"
            return _do(action, f"traffic to {subject}", reason)
        case "filter":
            reason = "a temporary filter on the pattern limits the harm while a fix is prepared"
            return _do(action, f"inputs of {subject} that set off {situation.drift.signal}", reason)
        case "investigate":
            return _do(action, situation.runbook, _where_to_look(situation.mode, situation.rollback))


def _where_to_look(mode: Mode, rollback: Deployment | None) -> str:
    if rollback is not None:
        return f"the rollback {rollback.deployment_id} is deployed: watch whether the signals come back"
    if mode.family == "data":
        return "check the index, the upstream data and its schema, then the deployment log"
    if mode.family == "safety":
        return "check the filters and what users send, then the deployment log"
    return "check the deployment log, the inputs, retrieval, upstream data, and the provider's status page"


def _do(action: Action, target: str, reason: str) -> Containment:
    return Containment(rank=1, action=action, target=target, reason=reason)
