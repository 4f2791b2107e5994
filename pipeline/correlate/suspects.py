"""Suspects: what probably caused an incident, by nearness to its start and by how well the kind of change fits.

score = nearness x fit x scope. Nearness is 1 within the error of the estimated start, and falls to a half five minutes
further back; a change after the start but before the detection keeps a little, for the start is an estimate. Fit is the
failure mode's: usual cause 1, possible 0.6, hardly ever 0.2. Scope is 1 for a change of the subject itself, 0.8 for one
of its environment or provider. A score is an order to look in, no probability.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pipeline.correlate.deployments import change
from pipeline.correlate.modes import POSSIBLE, STRONG, Mode, mode_of
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.words import distance, finding
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Suspect
from schemas.timestamp import clock_time

HALF_NEARNESS_S = 300
"""Seconds before the start, its error left out, at which a change is half as suspect."""

NEARNESS_AFTER_START = 0.15
"""Of a change between start and detection: not the cause, unless the start is estimated badly."""

SHARED_SCOPE = 0.8
"""Of a change to an environment or provider, which many subjects share."""

SHIFT_WEIGHT = 0.5
"""Of a moved workload signal: it moves with the failure as often as it causes it."""

CLEAR_SCORE = 0.5
"""From here on a suspect is called the most likely cause, and a rollback is proposed."""


@dataclass(frozen=True, slots=True)
class Onset:
    """When an incident began and was seen, and what failed."""

    started_at: int
    detected_at: int
    mode: Mode


def suspects(
    onset: Onset, deployments: Collection[Deployment], shifts: Iterable[Drift], settings: CorrelateSettings
) -> list[Suspect]:
    """The suspects, best first, at most ``settings.suspects_max``.

    Parameters
    ----------
    onset
        Of the incident.
    deployments
        Those that touch the subject, between the look-back and the detection, rollbacks left out.
    shifts
        Workload drifts of the subject, and first uses that nobody declared.
    settings
        Error of the start, least score, limit.
    """
    found = [_deployment(onset, each, settings) for each in deployments] + [
        _shift(onset, each, settings) for each in shifts if each.started_at <= onset.detected_at
    ]
    plausible = sorted(
        (each for each in found if each.score >= settings.suspect_score_minimum),
        key=lambda each: (-each.score, -(each.at or 0), each.kind, each.deployment_id or each.name),
    )
    return [each.model_copy(update={"rank": place}) for place, each in enumerate(plausible[: settings.suspects_max], 1)]


def nearness(at: int, onset: Onset, start_error_s: float) -> float:
    """How near to the start a change was, 0 to 1.

    >>> from pipeline.correlate.modes import MODES
    >>> onset = Onset(1_000_000, 1_200_000, MODES["refusal_spike"])
    >>> [round(nearness(at, onset, 60), 2) for at in (980_000, 640_000, 1_050_000, 1_100_000)]
    [1.0, 0.5, 1.0, 0.15]
    """
    before_s = (onset.started_at - at) / 1000
    if abs(before_s) <= start_error_s:
        return 1.0
    if before_s < 0:
        return NEARNESS_AFTER_START
    return 1 / (1 + (before_s - start_error_s) / HALF_NEARNESS_S)


def _deployment(onset: Onset, deployment: Deployment, settings: CorrelateSettings) -> Suspect:
    fit = onset.mode.fit(deployment.kind)
    scope = 1.0 if deployment.subject is not None else SHARED_SCOPE
    reasons = [
        f"went live at {clock_time(deployment.timestamp)}, {distance(deployment.timestamp, onset.started_at)}",
        f"a change of kind {deployment.kind} {_how_often(fit)} {_noun(onset.mode)}",
    ]
    if deployment.subject is None:
        reasons.append(f"it touches {_shared(deployment)}, this subject with others")
    if deployment.expect_shift:
        reasons.append(f"it declared that it moves {', '.join(deployment.expect_shift[:5])}")
    return Suspect(
        rank=1,
        kind=deployment.kind,
        name=_label(change(deployment)),
        score=round(nearness(deployment.timestamp, onset, settings.start_error_s) * fit * scope, 3),
        reason="; ".join(reasons),
        deployment_id=deployment.deployment_id,
        from_version=deployment.from_version,
        to_version=deployment.to_version,
        at=deployment.timestamp,
    )


def _shift(onset: Onset, drift: Drift, settings: CorrelateSettings) -> Suspect:
    undeclared = mode_of(drift).name == "undeclared_change"
    fit = onset.mode.fit("model" if undeclared else "input_shift")
    kind = "undeclared_change" if undeclared else "input_shift"
    return Suspect(
        rank=1,
        kind=kind,
        name=_label(drift.segment if drift.detector == "first_seen" else f"{drift.signal} {drift.side}"),
        score=round(nearness(drift.started_at, onset, settings.start_error_s) * fit * SHIFT_WEIGHT, 3),
        reason=(
            f"{drift.subject} {finding(drift)}: it moved at {clock_time(drift.started_at)}, "
            f"{distance(drift.started_at, onset.started_at)}; {'a silent change' if undeclared else 'a shift of inputs'} "
            f"{_how_often(fit)} {_noun(onset.mode)}"
        ),
        at=drift.started_at,
    )


def _how_often(fit: float) -> str:
    if fit == STRONG:
        return "often causes"
    return "can cause" if fit == POSSIBLE else "hardly ever causes"


def _noun(mode: Mode) -> str:
    return f"this ({mode.title.lower()})"


def _shared(deployment: Deployment) -> str:
    named = (("environment", deployment.environment), ("provider", deployment.provider))
    return " and ".join(f"{what} {name}" for what, name in named if name is not None)


def _label(text: str) -> str:
    return text[:200]
