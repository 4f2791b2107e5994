"""Deployments of a case: the planted cause, and decoys around it that did not cause the failure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from load.score.simulation import Scenario
from load.world import SUBJECT, World
from pipeline.correlate.playbook import failure_modes
from pipeline.detect.signals import catalogue
from schemas.deployment import Deployment, DeploymentKind

DECOYS_MIN = 3
"""Minimum number of decoys of a planted deployment."""

WITHIN_S = 600.0
"""Maximum seconds from a decoy to the start."""

APART_S = 20.0
"""Minimum seconds from a decoy to the start. A closer decoy would be a more likely cause than the planted cause."""

LAG_MAX_S = 10.0
"""Maximum seconds from a deployment to its effect. A canary takes effect much later, and one of its decoys is closer to
the start."""

CANARY_LAG_S = (40.0, 300.0)
"""Range of seconds from a canary deployment to its effect."""

RIVAL_LAG_S = (2.0, 15.0)
"""Range of seconds before the start in which a deployment of the canary's kind reaches the other traffic."""

POSSIBLE_CAUSE_LAG_MIN_S = 300.0
"""Minimum seconds between the start and a deployment that could have caused the failure but did not."""

KINDS: tuple[DeploymentKind, ...] = ("prompt", "model", "index", "flag", "dependency", "config", "data")
INITIAL_VERSIONS = {"model": "m-2026-10", "prompt": "v41", "index": "idx-9"}
_FAILURE_MODES = {signal.name: signal.failure_mode for signal in (*catalogue.SIGNALS, *catalogue.CATEGORIES)}


@dataclass(frozen=True, slots=True)
class PlantedCause:
    """Planted cause and other deployments of a case.

    Attributes
    ----------
    kind, name
        Kind and name of the deployment that is the cause; None if no deployment is the cause.
    canary
        Share of the records that contain the version of the cause; None if all records contain it.
    others
        Other deployments by kind, in seconds before the start. All deployments are equally likely to be the cause.
    lag_s
        Seconds from the cause to the start.
    is_unknown
        Whether the cause cannot be known.
    """

    kind: DeploymentKind | None
    name: str | None
    canary: float | None
    others: Mapping[DeploymentKind, float]
    lag_s: float = 0.0
    is_unknown: bool = False


def draw_lag_s(canary: float | None, random: np.random.Generator) -> float:
    """Draw the number of seconds from a deployment to its effect."""
    low, high = (0.0, LAG_MAX_S) if canary is None else CANARY_LAG_S
    return float(random.uniform(low, high))


@dataclass(frozen=True, slots=True)
class CaseDeployments:
    """All deployments of a case, the deployments that later reach all records, and the id of the cause."""

    every: list[Deployment]
    rolled_out: tuple[Deployment, ...]
    cause: str | None


@dataclass(frozen=True, slots=True)
class _PlannedDeployment:
    """Planned deployment: seconds from the start, kind, scope and purpose (``cause``, ``planted`` or ``decoy``)."""

    at_s: float
    kind: DeploymentKind
    scope: str
    purpose: str


def make_deployments(
    planted: PlantedCause, scenario: Scenario, at_ms: int, random: np.random.Generator
) -> CaseDeployments:
    """Create the deployments of the cause and its decoys around the start, given in Unix milliseconds."""
    planned = [_PlannedDeployment(-before_s, kind, "subject", "planted") for kind, before_s in planted.others.items()]
    if planted.kind is None:
        planned += _plan_unrelated(scenario, random, is_unknown=planted.is_unknown)
    else:
        planned.append(_PlannedDeployment(-planted.lag_s, planted.kind, "subject", "cause"))
        planned += _plan_rivals(planted, random)
    versions: dict[str, str] = dict(INITIAL_VERSIONS)
    every: list[Deployment] = []
    rolled_out: list[Deployment] = []
    cause = None
    for number, plan in enumerate(sorted(planned, key=lambda plan: plan.at_s)):
        is_cause = plan.purpose == "cause"
        is_canary = is_cause and planted.canary is not None
        is_for_subject = plan.scope == "subject"
        name = planted.name if is_cause else None
        if name is None and plan.kind not in World.VERSIONED_KINDS:
            name = f"{plan.kind}-{number}"
        to_version = "canary" if is_canary else f"{plan.kind}-{number}"
        deployment = Deployment(
            deployment_id=f"{plan.purpose}-{number}",
            timestamp=at_ms + round(plan.at_s * 1000),
            kind=plan.kind,
            name=name,
            from_version=versions.get(plan.kind, "1") if is_for_subject else "1",
            to_version=to_version,
            subject={"subject": SUBJECT, "other": "another-bot"}.get(plan.scope),
            environment="production" if plan.scope == "environment" else None,
        )
        every.append(deployment)
        if is_for_subject and not is_canary and plan.kind in World.VERSIONED_KINDS:
            versions[plan.kind] = to_version
            rolled_out.append(deployment)
        cause = deployment.deployment_id if is_cause else cause
    return CaseDeployments(every, tuple(rolled_out), cause)


def _plan_rivals(planted: PlantedCause, random: np.random.Generator) -> list[_PlannedDeployment]:
    """Plan three to five decoys: one with the same kind and subject as the cause, and others before and after it.

    A canary gets one more decoy, closer to the start, so the distance in time does not reveal the cause.
    """
    kind = planted.kind or "other"
    signs = [-1.0, 1.0, *random.choice((-1.0, 1.0), random.integers(1, 4))]
    same_kind_number = int(random.integers(2))
    planned = []
    for number, sign in enumerate(signs):
        is_same_kind = number == same_kind_number
        kinds = [kind] if is_same_kind else list(KINDS)
        scope = "subject" if is_same_kind else str(random.choice(("subject", "other", "environment")))
        if scope == "environment":
            kinds = ["dependency", "config"]
        at_s = _draw_at_s(sign, random)
        if sign < 0 and planted.canary is None:
            at_s = max(-WITHIN_S, at_s - planted.lag_s)
        planned.append(_PlannedDeployment(at_s, kinds[int(random.integers(len(kinds)))], scope, "decoy"))
    if planted.canary is not None:
        planned.append(_PlannedDeployment(-float(random.uniform(*RIVAL_LAG_S)), kind, "subject", "decoy"))
    return planned


def _plan_unrelated(scenario: Scenario, random: np.random.Generator, *, is_unknown: bool) -> list[_PlannedDeployment]:
    """Plan four or five decoys: any deployments for another subject, and an unlikely cause for the same subject.

    If the cause can be known, a deployment that could have caused the failure is added minutes before the start.
    """
    touched_modes = [_FAILURE_MODES[touch.signal] for touch in scenario.touch if touch.signal in _FAILURE_MODES]
    modes = [failure_modes.MODES[name] for name in touched_modes]
    weak = [kind for kind in KINDS if all(mode.fit(kind) <= failure_modes.WEAK for mode in modes)]
    planned = [
        _PlannedDeployment(_draw_at_s(sign, random), KINDS[int(random.integers(len(KINDS)))], "other", "decoy")
        for sign in (-1.0, -1.0, 1.0)
    ]
    possible = [
        kind for kind in KINDS if kind not in weak and all(mode.fit(kind) < failure_modes.STRONG for mode in modes)
    ]
    if possible and not is_unknown:
        kind = possible[int(random.integers(len(possible)))]
        at_s = -float(random.uniform(POSSIBLE_CAUSE_LAG_MIN_S, WITHIN_S))
        planned.append(_PlannedDeployment(at_s, kind, "subject", "decoy"))
    if weak:
        at_s = _draw_at_s(-1.0, random)
        planned.append(_PlannedDeployment(at_s, weak[int(random.integers(len(weak)))], "subject", "decoy"))
    return planned


def _draw_at_s(sign: float, random: np.random.Generator) -> float:
    return sign * float(np.exp(random.uniform(np.log(APART_S), np.log(WITHIN_S))))
