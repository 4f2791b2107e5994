"""The finding: what a judge says of one side of one signal. The step adds what only it knows and makes it a drift."""

from dataclasses import dataclass
from typing import Literal

from pipeline.detect.signals import Signal
from schemas.drift import Detector, Direction, DriftState, Series, Tier

__all__ = ["Detector", "EffectKind", "Finding"]

EffectKind = Literal["odds_ratio", "rank_shift", "ratio"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One state of one drift, with the meanings of ``schemas.drift.Drift``. Times are Unix milliseconds.

    ``detected_at`` and ``request_id`` stay those of the record that fired, in all states, so that they identify the
    drift. ``now`` and ``effect`` look at the records since ``started_at`` when it fires, and afterwards only at those
    since the last message, so that a reader sees whether it still holds. ``evidence`` and ``threshold`` are those of
    the firing, until ``recovered`` gives the evidence for the recovery and the threshold of that. ``segment`` is
    ``dimension=value``, or empty for the whole subject; ``demote`` says that the side has paged too often to page on.
    """

    signal: Signal
    channel: str
    side: Direction
    tier: Tier
    detector: Detector
    state: DriftState
    sequence: int
    started_at: int
    detected_at: int
    updated_at: int
    request_id: str | None
    normal: float
    now: float
    effect: float
    effect_kind: EffectKind
    records: int
    evidence: float
    threshold: float
    sentence: str
    segment: str = ""
    demote: bool = False
    traffic_share: float = 1.0
    series: tuple[Series, ...] = ()
