"""Causes that nobody deployed: shifted inputs, retrieval, upstream data, a provider, a change that nobody declared.

Where no deployment explains a failure, what moved with it does. What feeds an answer is broken before the answer is: so
a signal of retrieval or of upstream data is a suspect if it moved no later than the failure began.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.correlate.causes.proximity import Onset, describe_time, proximity
from pipeline.correlate.incidents import SharedScope
from pipeline.correlate.playbook import FailureMode, failure_modes, phrases
from schemas.drift import Drift
from schemas.incident import Suspect

CauseKind = Literal["input_shift", "undeclared_change", "retrieval", "upstream_data"]

SHIFT_WEIGHT = 0.9
"""Of a moved workload signal: it also moves because of what fails, such as prompts that a new template makes longer."""

FEED_WEIGHT = 0.7
"""Of what feeds answers: it says where the fault lies, and a change that broke it says more."""

SHARED_WEIGHT = 0.7
"""Of what the subjects of a parent incident share: a change to it that is known says more."""

FEEDS: dict[str, CauseKind] = {
    "stale_index": "retrieval",
    "retrieval_quality": "retrieval",
    "embedding_drift": "retrieval",
    "stale_features": "upstream_data",
    "null_values": "upstream_data",
    "schema_change": "upstream_data",
}
"""By failure mode of a signal, what it says is broken."""

_WORDS: dict[CauseKind, str] = {
    "input_shift": "a shift of inputs",
    "undeclared_change": "a silent change",
    "retrieval": "what retrieval brings",
    "upstream_data": "what upstream data brings",
}


@dataclass(frozen=True, slots=True)
class CauseDrift:
    """A drift as a cause: of which kind, and how much it says at most."""

    drift: Drift
    kind: CauseKind
    weight: float


def workload_suspects(onset: Onset, shifts: Iterable[Drift]) -> list[Suspect]:
    """The suspects among workload drifts and first uses that nobody declared; each kind once, by its likeliest drift."""
    moved = []
    for drift in shifts:
        undeclared = failure_modes.failure_mode_of(drift).name == "undeclared_change"
        fit = onset.mode.fit("model" if undeclared else "input_shift")
        kind: CauseKind = "undeclared_change" if undeclared else "input_shift"
        moved.append(CauseDrift(drift, kind, SHIFT_WEIGHT * fit))
    return _suspects(onset, moved)


def feed_suspects(onset: Onset, drifts: Sequence[Drift]) -> list[Suspect]:
    """The suspects among an incident's own drifts: what feeds its answers."""
    own = FEEDS.get(onset.mode.name)
    moved = [
        CauseDrift(drift, kind, FEED_WEIGHT)
        for drift in drifts
        if (kind := FEEDS.get(failure_modes.failure_mode_of(drift).name)) is not None
        and (own is not None or onset.mode.family == "output")
    ]
    return _suspects(onset, moved)


def shared_suspects(onset: Onset, scope: SharedScope | None, subjects: int) -> list[Suspect]:
    """The suspect of an incident of many subjects: what all of them share."""
    if scope is None:
        return []
    return [
        Suspect(
            rank=1,
            kind=scope.kind,
            name=scope.name[:200],
            score=SHARED_WEIGHT,
            reason=f"{subjects} subjects fail together, and {scope} is what they share: check its status page",
            at=onset.started_at,
        )
    ]


def _suspects(onset: Onset, moved: Iterable[CauseDrift]) -> list[Suspect]:
    best: dict[str, Suspect] = {}
    for each in moved:
        if each.drift.started_at > onset.detected_at:
            continue
        suspect = _suspect(onset, each)
        known = best.get(f"{suspect.kind} {suspect.name}")
        if known is None or suspect.score > known.score:
            best[f"{suspect.kind} {suspect.name}"] = suspect
    return list(best.values())


def _suspect(onset: Onset, moved: CauseDrift) -> Suspect:
    drift = moved.drift
    at = drift.started_at
    return Suspect(
        rank=1,
        kind=moved.kind,
        name=(drift.segment if drift.detector == "first_seen" else f"{drift.signal} {drift.side}")[:200],
        score=round(proximity(at, onset) * moved.weight, 3),
        reason=(
            f"{drift.subject} {phrases.describe_drift(drift)}: it moved at {describe_time(at, onset)}; "
            f"{_WORDS[moved.kind]} {_how_often(moved, onset.mode)} this ({onset.mode.title.lower()})"
        ),
        at=at,
    )


def _how_often(moved: CauseDrift, mode: FailureMode) -> str:
    if moved.kind in ("retrieval", "upstream_data"):
        return "often causes"
    return describe_fit(mode.fit("model" if moved.kind == "undeclared_change" else "input_shift"))


def describe_fit(fit: float) -> str:
    """A fit in words.

    >>> how_often(1.0), how_often(0.6), how_often(0.2)
    ('often causes', 'can cause', 'hardly ever causes')
    """
    if fit == failure_modes.STRONG:
        return "often causes"
    return "can cause" if fit == failure_modes.POSSIBLE else "hardly ever causes"
