"""Causes other than deployments: shifted inputs, undeclared changes, retrieval, upstream data, shared providers.

If no deployment explains a failure, another signal that moved at the same time may explain it. Retrieval and upstream
data fail before the answers that depend on them. So if answers got worse, retrieval or a data source is a suspect if
one of its signals moved no later than the start of the failure. A symptom of the incident never explains the incident
itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.correlate.causes.proximity import Onset
from pipeline.correlate.incidents import SharedScope
from pipeline.correlate.playbook import FailureMode, failure_modes, phrases
from schemas.drift import Drift
from schemas.incident import Suspect

CauseKind = Literal["input_shift", "undeclared_change", "retrieval", "upstream_data"]

SHIFT_WEIGHT = 0.9
"""Weight of a workload signal. It can also move as part of a failure, for example if a new template makes prompts
longer."""

FEED_WEIGHT = 0.7
"""Weight of a signal of retrieval or upstream data. It locates the fault, but a known change is a better
explanation."""

SHARED_WEIGHT = 0.7
"""Weight of the provider or environment that all subjects share. A known change there is a better explanation."""

FEEDS: dict[str, tuple[CauseKind, str]] = {
    "stale_index": ("retrieval", "index refresh"),
    "retrieval_quality": ("retrieval", "search"),
    "embedding_drift": ("retrieval", "embedding model"),
    "stale_features": ("upstream_data", "feature refresh"),
    "null_values": ("upstream_data", "data source"),
    "schema_change": ("upstream_data", "data source"),
}
"""Kind and name of the suspect, by failure mode of a signal of retrieval or upstream data."""

_WORDS: dict[CauseKind, str] = {
    "input_shift": "input shifts",
    "undeclared_change": "undeclared changes",
    "retrieval": "retrieval problems",
    "upstream_data": "upstream data problems",
}


@dataclass(frozen=True, slots=True)
class CauseDrift:
    """A drift as a possible cause. ``name`` is the name of the cause, and ``weight`` its maximum score."""

    drift: Drift
    kind: CauseKind
    name: str
    fit: float
    weight: float


def workload_suspects(onset: Onset, lead: Drift, shifts: Iterable[Drift]) -> list[Suspect]:
    """Return one suspect per cause among workload drifts and undeclared first uses, based on its most likely drift.

    A drift with the signal or the failure mode of the incident's ``lead`` is the incident itself and not its cause.
    """
    causes = []
    for drift in shifts:
        mode = failure_modes.failure_mode_of(drift)
        if drift.signal == lead.signal or mode == onset.mode:
            continue
        is_undeclared = mode.name == "undeclared_change"
        fit = onset.mode.fit("model" if is_undeclared else "input_shift")
        kind: CauseKind = "undeclared_change" if is_undeclared else "input_shift"
        name = drift.segment if drift.detector == "first_seen" else f"{drift.signal} {drift.side}"
        causes.append(CauseDrift(drift, kind, name, fit, SHIFT_WEIGHT * fit))
    return _suspects(onset, causes)


def feed_suspects(onset: Onset, drifts: Sequence[Drift]) -> list[Suspect]:
    """Return retrieval and data sources as suspects, if their signals and the answers drift in the incident."""
    is_fed = onset.mode.name in FEEDS or onset.mode.family == "output"
    if not is_fed or all(failure_modes.failure_mode_of(drift).family != "output" for drift in drifts):
        return []
    causes = [
        CauseDrift(drift, *feed, failure_modes.STRONG, FEED_WEIGHT)
        for drift in drifts
        if (feed := FEEDS.get(failure_modes.failure_mode_of(drift).name)) is not None
    ]
    return _suspects(onset, causes)


def shared_suspects(onset: Onset, scope: SharedScope | None, subject_count: int) -> list[Suspect]:
    """Return the provider or environment that all subjects of a parent incident share, as a suspect."""
    if scope is None:
        return []
    return [
        Suspect(
            rank=1,
            kind=scope.kind,
            name=scope.name[:200],
            score=SHARED_WEIGHT,
            reason=f"{subject_count} subjects failed together and share {scope}: check its status page",
            at=onset.started_at,
        )
    ]


def describe_fit(fit: float, mode: FailureMode) -> str:
    """Describe how often a kind of change with this fit causes a failure mode, as the end of a sentence.

    >>> describe_fit(1.0, failure_modes.MODES["refusal_spike"]), describe_fit(0.2, failure_modes.MODES["outage"])
    ('often cause this (refusal spike)', 'rarely cause this (errors)')
    """
    verbs = {failure_modes.STRONG: "often cause", failure_modes.POSSIBLE: "can cause"}
    return f"{verbs.get(fit, 'rarely cause')} this ({mode.title.lower()})"


def _suspects(onset: Onset, causes: Iterable[CauseDrift]) -> list[Suspect]:
    best: dict[str, Suspect] = {}
    for cause in causes:
        if cause.drift.started_at > onset.detected_at:
            continue
        suspect = _suspect(onset, cause)
        known = best.get(f"{suspect.kind} {suspect.name}")
        if known is None or suspect.score > known.score:
            best[f"{suspect.kind} {suspect.name}"] = suspect
    return list(best.values())


def _suspect(onset: Onset, cause: CauseDrift) -> Suspect:
    drift = cause.drift
    at = drift.started_at
    return Suspect(
        rank=1,
        kind=cause.kind,
        name=cause.name[:200],
        score=round(onset.proximity(at) * cause.weight, 3),
        reason=(
            f"{drift.subject} {phrases.describe_drift(drift)}: it moved at {onset.describe(at)}; "
            f"{_WORDS[cause.kind]} {describe_fit(cause.fit, onset.mode)}"
        ),
        at=at,
    )
