"""Finding: one state of a drift as reported by a monitor, and its conversion to a drift message."""

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

from pipeline.detect.signals import Signal
from pipeline.step import OutputMessage
from schemas.drift import Detector, Direction, Drift, DriftState, Series, Tier
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.timestamp import format_timestamp
from schemas.topics import DRIFTS

__all__ = ["Detector", "EffectKind", "Finding"]

EffectKind = Literal["odds_ratio", "rank_shift", "ratio"]


NUMBER_MAX = 1e12
"""Largest number in a message, in any unit. Odds can be infinite, but JSON cannot contain infinity."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One state of a drift. Times are Unix milliseconds.

    The fields have the same meaning as in :class:`schemas.drift.Drift`.

    In all states, ``detected_at`` and ``request_id`` belong to the record that fired, because they identify the drift.
    In the state ``firing``, ``now`` and ``effect`` cover the records since ``started_at``. In later states they cover
    the records since the previous message, which shows whether the drift persists. ``evidence`` and ``threshold``
    belong to the firing, or to the recovery in the state ``recovered``. ``segment`` is ``dimension=value``, or empty
    for the full subject. ``demote`` means that the test has paged so often that it should no longer page.
    ``baseline_version`` is empty if it is the baseline in use, and otherwise the baseline in use when the test fired.
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
    fault: str = ""
    values_from: float | None = None
    values_to: float | None = None
    baseline_version: str = ""

    @staticmethod
    def segment_name(dimension: str, label: str) -> str:
        """Return the name of a segment, or an empty string for the full subject.

        >>> Finding.segment_name("tenant", "acme"), Finding.segment_name("", "")
        ('tenant=acme', '')
        """
        return f"{dimension}={label}"[:SUBJECT_LENGTH_MAX] if dimension else ""

    def to_output(
        self,
        *,
        subject: str,
        partition: int,
        baseline_version: str,
        environment: str | None,
        provider: str | None,
    ) -> OutputMessage:
        """Return the drift message.

        Its id is a hash of the finding and the record that fired, independent of Kafka offsets.
        """
        # A fixed limit does not depend on a baseline, and a breach may outlast one.
        baseline_version = "" if self.detector == "limit" else self.baseline_version or baseline_version
        drift_id = _hash(
            subject,
            self.segment,
            self.signal.name,
            self.channel,
            self.side,
            self.tier,
            baseline_version,
            format_timestamp(self.detected_at),
            self.request_id or "",
        )
        drift = Drift(
            drift_id=drift_id,
            sequence=self.sequence,
            state=self.state,
            subject=subject,
            partition=partition,
            segment=self.segment,
            environment=environment,
            provider=provider,
            signal=self.signal.name,
            layer=self.signal.layer,
            failure_mode=self.signal.failure_mode,
            unit=self.signal.unit,
            channel=self.channel,
            side=self.side,
            tier=self.tier,
            detector=self.detector,
            baseline_version=baseline_version,
            started_at=self.started_at,
            detected_at=self.detected_at,
            updated_at=self.updated_at,
            request_id=self.request_id,
            normal=_bounded(self.normal),
            now=_bounded(self.now),
            effect=_bounded(self.effect),
            effect_kind=self.effect_kind,
            records=self.records,
            evidence=_bounded(self.evidence),
            threshold=_bounded(self.threshold),
            sentence=self.sentence,
            fault=self.fault,
            values_from=None if self.values_from is None else _bounded(self.values_from),
            values_to=None if self.values_to is None else _bounded(self.values_to),
            demote=self.demote,
            traffic_share=_bounded(self.traffic_share),
            series=list(self.series),
        )
        return OutputMessage(DRIFTS, drift_id.encode(), drift.to_json())


def round_significant(value: float) -> float:
    """Round to six significant digits. Further digits can depend on the machine and on the order of summation."""
    return float(f"{value:.6g}")


def _hash(*texts: str) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=8).hexdigest()


def _bounded(value: float) -> float:
    return 0.0 if math.isnan(value) else round_significant(min(max(value, -NUMBER_MAX), NUMBER_MAX))
