"""Suspects: the probable causes of an incident, best first, each with a score and a reason.

score = proximity x fit x scope, unless several versions served at the same time. Proximity is defined in
``pipeline/correlate/causes/proximity.py``. Fit depends on the failure mode: 1 for a usual cause, 0.6 for a possible
cause, 0.2 otherwise. Scope is 1 for a change of the subject itself, 0.8 for a change of its environment or provider. A
version that is bad while other versions are good in the same minutes is the cause, regardless of its proximity. A
version that behaves like the other versions is an unlikely cause. Scores give the order in which to check suspects.
They are not probabilities.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pipeline.correlate.causes.other_causes import describe_fit, feed_suspects, shared_suspects, workload_suspects
from pipeline.correlate.causes.proximity import Onset
from pipeline.correlate.causes.version_split import VersionComparison, best_comparison, served_versions
from pipeline.correlate.deployments import describe_change, version_labels
from pipeline.correlate.incidents import SharedScope
from pipeline.correlate.settings import CorrelateSettings
from pipeline.wording import quantity
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Suspect

SHARED_SCOPE = 0.8
"""Score factor for a change to an environment or provider that many subjects share, if only one subject fails."""

SPLIT_SCORE = 0.9
"""Minimum score of a version that is bad while other versions are good."""

EXONERATED = 0.2
"""Score factor for a version that behaves like other versions. If one version is known to be bad, the factor applies to
all other suspects."""

UNSEEN = 0.3
"""Score factor for a version that does not appear in any record, although records contain versions."""

CLEAR_SCORE = 0.5
"""Minimum score at which a suspect is named as the most likely cause and its rollback is proposed."""

RIVAL_SHARE = 0.85
"""Share of the first suspect's score. If a second deployment reaches this share, the cause is unclear."""

EXTERNAL_KINDS = (
    "provider_status",
    "input_shift",
    "undeclared_change",
    "retrieval",
    "upstream_data",
    "provider",
    "environment",
)
"""Kinds of suspects that the organisation cannot roll back."""


@dataclass(frozen=True, slots=True)
class SuspectEvidence:
    """Drifts on which the ranking of suspects is based.

    ``lead`` is the drift that the incident is named after. ``drifts`` are the incident's drifts as last reported. ``published`` are the same drifts as last published, because
    reasons with numbers must not change with every message. ``workload_shifts`` are workload drifts and undeclared
    first uses of the subject. ``scope`` is the provider or environment that the subjects share, if the incident has
    many subjects.
    """

    lead: Drift
    drifts: Sequence[Drift]
    published: Sequence[Drift]
    workload_shifts: Sequence[Drift]
    scope: SharedScope | None = None
    subject_count: int = 1


def rank_suspects(
    onset: Onset, deployments: Collection[Deployment], evidence: SuspectEvidence, settings: CorrelateSettings
) -> list[Suspect]:
    """Return the suspects, best first, at most ``settings.suspects_max``.

    Parameters
    ----------
    onset
        The onset of the incident.
    deployments
        Deployments in the look-back window, up to the detection, that affect the subject and were not reverted.
    evidence
        The drifts.
    settings
        Minimum score and limit.
    """
    suspects = _exonerate_rivals(
        [
            *(_deployment_suspect(onset, deployment, evidence) for deployment in deployments),
            *workload_suspects(onset, evidence.lead, evidence.workload_shifts),
            *feed_suspects(onset, evidence.published),
            *shared_suspects(onset, evidence.scope, evidence.subject_count),
        ]
    )
    plausible = sorted(
        (suspect for suspect in suspects if suspect.score >= settings.suspect_score_min),
        key=lambda suspect: (-suspect.score, -(suspect.at or 0), suspect.kind, suspect.deployment_id or suspect.name),
    )
    best = plausible[: settings.suspects_max]
    return [suspect.model_copy(update={"rank": rank}) for rank, suspect in enumerate(best, 1)]


def clear_suspect(suspects: Sequence[Suspect]) -> Suspect | None:
    """Return the first suspect if it is clear enough to be named as the most likely cause, or None.

    Several jobs or tools can report one release. Reports of the same version are no rivals of each other.
    """
    if not suspects or suspects[0].score < CLEAR_SCORE:
        return None
    first = suspects[0]
    rivals = [
        suspect
        for suspect in suspects[1:]
        if suspect.deployment_id is not None
        and suspect.split != "bad"
        and (first.to_version is None or suspect.name != first.name)
    ]
    if first.split != "bad" and any(rival.score >= RIVAL_SHARE * first.score for rival in rivals):
        return None
    return first


def _deployment_suspect(onset: Onset, deployment: Deployment, evidence: SuspectEvidence) -> Suspect:
    fit, drifts = onset.mode.fit(deployment.kind), evidence.drifts
    scope = 1.0 if deployment.subject is not None or evidence.scope is not None else SHARED_SCOPE
    score = onset.proximity(deployment.timestamp) * fit * scope
    reasons = [
        f"went live at {onset.describe(deployment.timestamp)}",
        f"{deployment.kind.replace('_', ' ')} changes {describe_fit(fit, onset.mode)}",
    ]
    if deployment.subject is None:
        scope_name = _describe_scope(deployment)
        reasons.append(f"it affects all subjects{scope_name and f' of {scope_name}'}")
    if deployment.expect_shift:
        reasons.append(f"it declared a shift of {', '.join(deployment.expect_shift[:5])}")
    comparison = _compare_with_others(deployment, drifts)
    verdict = None if comparison is None or comparison.verdict == "unclear" else comparison.verdict
    if comparison is not None and verdict is not None:
        reasons.insert(0, _describe_comparison(comparison, drifts))
    if verdict == "bad":
        score = SPLIT_SCORE + (1 - SPLIT_SCORE) * score
    elif verdict == "alike":
        score *= EXONERATED
    elif comparison is None and _is_unseen(deployment, drifts):
        score *= UNSEEN
        reasons.append("no record carries this version")
    return Suspect(
        rank=1,
        kind=deployment.kind,
        name=describe_change(deployment)[:200],
        score=round(score, 3),
        reason="; ".join(reasons),
        split=verdict,
        deployment_id=deployment.deployment_id,
        from_version=deployment.from_version,
        to_version=deployment.to_version,
        at=deployment.timestamp,
    )


def _compare_with_others(deployment: Deployment, drifts: Sequence[Drift]) -> VersionComparison | None:
    comparisons = (best_comparison(drifts, label) for label in version_labels(deployment))
    return next((comparison for comparison in comparisons if comparison is not None), None)


def _is_unseen(deployment: Deployment, drifts: Sequence[Drift]) -> bool:
    labels = version_labels(deployment)
    served = {version for label in labels for version in served_versions(drifts, label.partition("=")[0])}
    return bool(served) and not served.intersection(labels)


def _describe_comparison(comparison: VersionComparison, drifts: Iterable[Drift]) -> str:
    drift = next(drift for drift in drifts if drift.signal == comparison.signal)
    if comparison.is_rate:
        new, others = (quantity(share, drift.unit, "rate") for share in (comparison.new, comparison.others))
        measure = drift.signal
    else:
        new, others, measure = f"{comparison.new:.0%}", f"{comparison.others:.0%}", f"mean rank of {drift.signal}"
    finding = (
        "its records are bad and those of other versions are not"
        if comparison.verdict == "bad"
        else "its records are no worse than those of other versions"
    )
    return f"{finding}: {measure} {new}, other versions {others} in the same minutes"


def _exonerate_rivals(suspects: list[Suspect]) -> list[Suspect]:
    """Lower all other scores if one version is known to be bad. A change that good versions share is not the cause."""
    if not any(suspect.split == "bad" for suspect in suspects):
        return suspects
    return [
        suspect
        if suspect.split == "bad"
        else suspect.model_copy(update={"score": round(suspect.score * EXONERATED, 3)})
        for suspect in suspects
    ]


def _describe_scope(deployment: Deployment) -> str:
    scopes = (("environment", deployment.environment), ("provider", deployment.provider))
    return " and ".join(f"{kind} {name}" for kind, name in scopes if name is not None)
