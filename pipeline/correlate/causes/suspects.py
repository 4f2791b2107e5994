"""Suspects: what probably caused an incident, best first, each with its score and reason.

score = nearness x fit x scope, unless versions served side by side. Nearness in time is that of
``pipeline/correlate/causes/proximity.py``. Fit is the failure mode's: usual cause 1, possible 0.6, hardly ever 0.2. Scope is 1 for
a change of the subject itself, 0.8 for one of its environment or provider. A version that is bad while the others are
good in the same minutes is the cause, whatever its distance; one that does as the others do is hardly it. A score is an
order to look in, no probability.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pipeline.correlate.causes.other_causes import describe_fit, feed_suspects, shared_suspects, workload_suspects
from pipeline.correlate.causes.proximity import Onset, describe_time, proximity
from pipeline.correlate.causes.version_split import VersionComparison, best_comparison, served_versions
from pipeline.correlate.deployments import describe_change, version_labels
from pipeline.correlate.incidents import SharedScope
from pipeline.correlate.playbook import FailureMode
from pipeline.correlate.settings import CorrelateSettings
from pipeline.wording import quantity
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Suspect

SHARED_SCOPE = 0.8
"""Of a change to an environment or provider, which many subjects share, where only one of them fails."""

SPLIT_SCORE = 0.9
"""The least of a version that is bad beside good ones."""

EXONERATED = 0.2
"""What is left of a version that does as the others do, and of all else where another version is known to be bad."""

UNSEEN = 0.3
"""What is left of a version that no record shows, though records tell their versions."""

CLEAR_SCORE = 0.5
"""From here on a suspect is called the most likely cause, and a rollback is proposed."""

RIVAL_SHARE = 0.85
"""A second deployment with this share of the first one's score makes it unclear which of them it was."""


@dataclass(frozen=True, slots=True)
class SuspectEvidence:
    """What moved: the incident's own drifts, and the workload drifts and undeclared first uses of its subject.

    ``shown`` are the incident's own as readers know them: what is told with numbers must not change with each message.
    ``scope`` is what ``subjects`` share, if the incident is one of many.
    """

    drifts: Sequence[Drift]
    shown: Sequence[Drift]
    shifts: Sequence[Drift]
    scope: SharedScope | None = None
    subjects: int = 1


def rank_suspects(
    onset: Onset, deployments: Collection[Deployment], moves: SuspectEvidence, settings: CorrelateSettings
) -> list[Suspect]:
    """The suspects, best first, at most ``settings.suspects_max``.

    Parameters
    ----------
    onset
        Of the incident.
    deployments
        Those that touch the subject, between the look-back and the detection, rollbacks left out.
    moves
        What moved.
    settings
        Least score, limit.
    """
    deployed = [_deployment(onset, each, moves) for each in deployments]
    others = [
        *workload_suspects(onset, moves.shifts),
        *feed_suspects(onset, moves.shown),
        *shared_suspects(onset, moves.scope, moves.subjects),
    ]
    found = _without_innocents([*deployed, *others])
    plausible = sorted(
        (each for each in found if each.score >= settings.suspect_score_min),
        key=lambda each: (-each.score, -(each.at or 0), each.kind, each.deployment_id or each.name),
    )
    return [each.model_copy(update={"rank": place}) for place, each in enumerate(plausible[: settings.suspects_max], 1)]


def clear_suspect(found: Sequence[Suspect]) -> Suspect | None:
    """The first suspect, if it stands out enough to be called the most likely cause; None is "inconclusive"."""
    if not found or found[0].score < CLEAR_SCORE:
        return None
    first = found[0]
    rivals = [each for each in found[1:] if each.deployment_id is not None and each.split != "bad"]
    if first.split != "bad" and any(each.score >= RIVAL_SHARE * first.score for each in rivals):
        return None
    return first


def _deployment(onset: Onset, deployment: Deployment, moves: SuspectEvidence) -> Suspect:
    fit, drifts = onset.mode.fit(deployment.kind), moves.drifts
    scope = 1.0 if deployment.subject is not None or moves.scope is not None else SHARED_SCOPE
    score = proximity(deployment.timestamp, onset) * fit * scope
    reasons = [
        f"went live at {describe_time(deployment.timestamp, onset)}",
        f"a change of kind {deployment.kind} {describe_fit(fit)} {_noun(onset.mode)}",
    ]
    if deployment.subject is None:
        reasons.append(f"it touches {_shared(deployment)}, this subject with others")
    if deployment.expect_shift:
        reasons.append(f"it declared that it moves {', '.join(deployment.expect_shift[:5])}")
    compared = _compared(deployment, drifts)
    if compared is not None and compared.verdict != "unclear":
        reasons.insert(0, _beside(compared, drifts))
    if compared is not None and compared.verdict == "bad":
        score = SPLIT_SCORE + (1 - SPLIT_SCORE) * score
    elif compared is not None and compared.verdict == "alike":
        score *= EXONERATED
    elif compared is None and _is_unseen(deployment, drifts):
        score *= UNSEEN
        reasons.append("no record shows this version")
    return Suspect(
        rank=1,
        kind=deployment.kind,
        name=describe_change(deployment)[:200],
        score=round(score, 3),
        reason="; ".join(reasons),
        split=None if compared is None or compared.verdict == "unclear" else compared.verdict,
        deployment_id=deployment.deployment_id,
        from_version=deployment.from_version,
        to_version=deployment.to_version,
        at=deployment.timestamp,
    )


def _compared(deployment: Deployment, drifts: Sequence[Drift]) -> VersionComparison | None:
    found = (best_comparison(drifts, version) for version in version_labels(deployment))
    return next((each for each in found if each is not None), None)


def _is_unseen(deployment: Deployment, drifts: Sequence[Drift]) -> bool:
    versions = version_labels(deployment)
    known = {each for version in versions for each in served_versions(drifts, version.partition("=")[0])}
    return bool(known) and not known.intersection(versions)


def _beside(compared: VersionComparison, drifts: Iterable[Drift]) -> str:
    drift = next(each for each in drifts if each.signal == compared.signal)
    if compared.is_rate:
        new, others = (quantity(each, drift.unit, "rate") for each in (compared.new, compared.others))
        numbers = f"{drift.signal} {new} in its records, {others} in the others' of the same minutes"
    else:
        numbers = f"{drift.signal} ranks {compared.new:.0%} in its records, {compared.others:.0%} in the others' of the same minutes"
    words = (
        "its records are bad and those of other versions are not"
        if compared.verdict == "bad"
        else "its records are no worse than those of other versions"
    )
    return f"{words}: {numbers}"


def _without_innocents(found: list[Suspect]) -> list[Suspect]:
    """Where one version is known to be bad, what served the good ones too cannot be the cause."""
    if not any(each.split == "bad" for each in found):
        return found
    return [
        each if each.split == "bad" else each.model_copy(update={"score": round(each.score * EXONERATED, 3)})
        for each in found
    ]


def _noun(mode: FailureMode) -> str:
    return f"this ({mode.title.lower()})"


def _shared(deployment: Deployment) -> str:
    named = (("environment", deployment.environment), ("provider", deployment.provider))
    return " and ".join(f"{what} {name}" for what, name in named if name is not None)


EXTERNAL_KINDS = (
    "provider_status",
    "input_shift",
    "undeclared_change",
    "retrieval",
    "upstream_data",
    "provider",
    "environment",
)
"""Kinds of suspects that nobody here can roll back."""


def find_deployment(suspect: Suspect | None, deployed: list[Deployment]) -> Deployment | None:
    """The deployment that a suspect is; None if it is none."""
    return next((each for each in deployed if suspect and each.deployment_id == suspect.deployment_id), None)
