"""The decoys: deployments around a planted cause that did not do it, and the cause itself among them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from load.score.simulation import Scenario
from load.world import SUBJECT, VERSIONED_KINDS
from pipeline.correlate.playbook import failure_modes
from pipeline.detect.signals import catalogue
from schemas.deployment import Deployment, DeploymentKind

DECOYS = 3
"""Decoys that a planted deployment has at least."""

WITHIN_S = 600.0
"""Seconds: decoys lie so near to the start."""

APART_S = 20.0
"""Seconds: no decoy is so near to the cause that nobody could tell them apart. Nearer ones are likelier than far ones."""

LAG_S = 10.0
"""Seconds at most from a deployment to what it breaks; of a canary far more, and a rival is nearer."""

CANARY_LAG_S = (40.0, 300.0)
RIVAL_S = (2.0, 15.0)
"""Seconds before the start at which everything but the canary is deployed anew: the same kind on the same subject."""

FAR_S = 300.0
"""Seconds before the start, at least, of a change that could have caused it and did not."""

KINDS: tuple[DeploymentKind, ...] = ("prompt", "model", "index", "flag", "dependency", "config", "data")
FIRST_VERSIONS = {"model": "m-2026-10", "prompt": "v41", "index": "idx-9"}
_MODES = {signal.name: signal.failure_mode for signal in (*catalogue.SIGNALS, *catalogue.CATEGORIES)}


@dataclass(frozen=True, slots=True)
class Planted:
    """What is deployed because the case says so: the cause, and those of which none is the cause more than another.

    ``lag_s`` is how long before the start the cause is deployed, ``is_unknown`` whether nobody can know the cause.
    """

    kind: DeploymentKind | None
    name: str | None
    canary: float | None
    others: Mapping[DeploymentKind, float]
    lag_s: float = 0.0
    is_unknown: bool = False


def lag_s(canary: float | None, random: np.random.Generator) -> float:
    """Seconds from a deployment to what it breaks."""
    low, high = (0.0, LAG_S) if canary is None else CANARY_LAG_S
    return float(random.uniform(low, high))


@dataclass(frozen=True, slots=True)
class Deployed:
    """All deployments of a case; those whose version all records carry from their time on; the id of the cause."""

    every: list[Deployment]
    rolled_out: tuple[Deployment, ...]
    cause: str | None


@dataclass(slots=True)
class _Wish:
    at_s: float
    kind: DeploymentKind
    scope: str
    what: str


def deployments(planted: Planted, scenario: Scenario, at_ms: int, random: np.random.Generator) -> Deployed:
    """Deploy the cause and its decoys around a start, Unix milliseconds."""
    wishes = [_Wish(-before_s, kind, "subject", "planted") for kind, before_s in planted.others.items()]
    if planted.kind is None:
        wishes += _strangers(scenario, random, is_unknown=planted.is_unknown)
    else:
        wishes.append(_Wish(-planted.lag_s, planted.kind, "subject", "cause"))
        wishes += _rivals(planted, random)
    versions: dict[str, str] = dict(FIRST_VERSIONS)
    every: list[Deployment] = []
    rolled_out: list[Deployment] = []
    cause = None
    for number, wish in enumerate(sorted(wishes, key=lambda each: each.at_s)):
        is_canary = wish.what == "cause" and planted.canary is not None
        is_own = wish.scope == "subject"
        name = planted.name if wish.what == "cause" else None
        if name is None and wish.kind not in VERSIONED_KINDS:
            name = f"{wish.kind}-{number}"
        before = versions.get(wish.kind, "1") if is_own else "1"
        after = "canary" if is_canary else f"{wish.kind}-{number}"
        deployment = Deployment(
            deployment_id=f"{wish.what}-{number}",
            timestamp=at_ms + round(wish.at_s * 1000),
            kind=wish.kind,
            name=name,
            from_version=before,
            to_version=after,
            subject={"subject": SUBJECT, "other": "another-bot"}.get(wish.scope),
            environment="production" if wish.scope == "environment" else None,
        )
        every.append(deployment)
        if is_own and not is_canary and wish.kind in VERSIONED_KINDS:
            versions[wish.kind] = after
            rolled_out.append(deployment)
        cause = deployment.deployment_id if wish.what == "cause" else cause
    return Deployed(every, tuple(rolled_out), cause)


def _rivals(planted: Planted, random: np.random.Generator) -> list[_Wish]:
    """Three to five: the same kind on the same subject before or after, and others on either side.

    Beside a canary there is one more, nearer to the start than the canary is: no distance in time can tell.
    """
    kind = planted.kind or "other"
    sides = [-1.0, 1.0, *random.choice((-1.0, 1.0), random.integers(1, 4))]
    same = int(random.integers(2))
    found = []
    for place, side in enumerate(sides):
        kinds = [kind] if place == same else list(KINDS)
        scope = "subject" if place == same else str(random.choice(("subject", "other", "environment")))
        if scope == "environment":
            kinds = ["dependency", "config"]
        at_s = _at(side, random)
        if side < 0 and planted.canary is None:
            at_s = max(-WITHIN_S, at_s - planted.lag_s)
        found.append(_Wish(at_s, kinds[int(random.integers(len(kinds)))], scope, "decoy"))
    if planted.canary is not None:
        found.append(_Wish(-float(random.uniform(*RIVAL_S)), kind, "subject", "decoy"))
    return found


def _strangers(scenario: Scenario, random: np.random.Generator, *, is_unknown: bool) -> list[_Wish]:
    """Four or five: whatever kind on another subject, and on the same one of kinds that hardly ever cause what fails.

    Where the cause can be known, one more that could have caused it lies further away.
    """
    modes = [failure_modes.MODES[_MODES[touch.signal]] for touch in scenario.touch if touch.signal in _MODES]
    weak = [kind for kind in KINDS if all(mode.fit(kind) <= failure_modes.WEAK for mode in modes)]
    found = [
        _Wish(_at(side, random), KINDS[int(random.integers(len(KINDS)))], "other", "decoy")
        for side in (-1.0, -1.0, 1.0)
    ]
    possible = [
        kind for kind in KINDS if kind not in weak and all(mode.fit(kind) < failure_modes.STRONG for mode in modes)
    ]
    if possible and not is_unknown:
        kind = possible[int(random.integers(len(possible)))]
        found.append(_Wish(-float(random.uniform(FAR_S, WITHIN_S)), kind, "subject", "decoy"))
    if weak:
        found.append(_Wish(_at(-1.0, random), weak[int(random.integers(len(weak)))], "subject", "decoy"))
    return found


def _at(side: float, random: np.random.Generator) -> float:
    return side * float(np.exp(random.uniform(np.log(APART_S), np.log(WITHIN_S))))
