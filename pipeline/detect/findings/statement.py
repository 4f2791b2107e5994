"""The statement: what there is to say of a latch, as a finding."""

from dataclasses import replace

import numpy as np

from pipeline.detect.baselines import hourly_profile
from pipeline.detect.findings.effect import effect_size
from pipeline.detect.findings.finding import Finding
from pipeline.detect.findings.latch import Latch
from pipeline.detect.findings.sentence import describe_end, describe_finding
from pipeline.detect.one_sided_tests import OneSidedTest
from schemas.baseline import SignalBaseline
from schemas.drift import DriftState, Tier
from schemas.record import SUBJECT_LENGTH_MAX


def build_finding(
    side: OneSidedTest,
    learned: SignalBaseline,
    latch: Latch,
    state: DriftState,
    *,
    updated_at: int,
    tally: tuple[float, float],
    now: float | None,
    weighed: tuple[float, float],
    where: str = "",
    tier: Tier | None = None,
    is_gone: bool = False,
) -> Finding:
    """Say one thing of a latch, and count that it was said.

    Parameters
    ----------
    side, learned
        The side that fired, and its signal's baseline.
    updated_at
        Event time of the record that gave rise to it, Unix milliseconds.
    tally
        The records to speak of that carry the signal, and the sum of the side's channel over them.
    now
        What is typical of a value now, as it is ranked; None if that is not known, and for a rate.
    weighed
        The evidence, and its threshold.
    where
        The segments that carry it, in words.
    tier
        If not the side's own.
    is_gone
        Whether it is over because its segment sends no records any more.
    """
    channel = learned.channels[side.channel]
    count = max(1.0, tally[0])
    mean = tally[1] / count if tally[0] else channel.mean
    effect, effect_kind = effect_size(side.channel, channel.mean, mean, count, channel.count)
    usual = baseline_median(learned)
    normal = channel.mean if usual is None else usual
    shown = mean if usual is None else now
    updated_at = max(latch.detected_at, updated_at)
    finding = Finding(
        signal=side.signal,
        channel=side.channel,
        side=side.direction,
        tier=tier or side.tier,
        detector=latch.detector,
        state=state,
        sequence=latch.sequence,
        started_at=latch.started_at,
        detected_at=latch.detected_at,
        updated_at=updated_at,
        request_id=latch.request_id,
        normal=round_significant(hourly_profile.restore_hour(learned.profile, normal, updated_at)),
        now=round_significant(
            hourly_profile.restore_hour(learned.profile, normal if shown is None else shown, updated_at)
        ),
        effect=round_significant(effect),
        effect_kind=effect_kind,
        records=latch.records,
        evidence=round_significant(weighed[0]),
        threshold=weighed[1],
        sentence="",
        segment=segment_name(latch.dimension, latch.label),
        demote=latch.demote,
    )
    latch.mark_sent()
    words = describe_end(finding) if is_gone else describe_finding(finding, channel.mean, mean, where)
    return replace(finding, sentence=words)


def build_end(
    side: OneSidedTest, learned: SignalBaseline, latch: Latch, *, now_ms: int, recovery: float, tier: Tier | None = None
) -> Finding:
    """Say that a drift is over because its subject is judged by another baseline from now on."""
    found = build_finding(
        side,
        learned,
        latch,
        "recovered",
        updated_at=now_ms,
        tally=(0.0, 0.0),
        now=None,
        weighed=(0.0, recovery),
        tier=tier,
    )
    return replace(found, sentence=f"{side.signal.name} is over: what is normal was learned anew")


def baseline_median(learned: SignalBaseline) -> float | None:
    """The median of a value in its baseline; None of a rate."""
    return None if learned.knots is None else float(learned.knots[len(learned.knots) // 2])


def value_at_rank(learned: SignalBaseline, rank: float) -> float | None:
    """The value with a rank from 0 to 1 in its baseline; None of a rate."""
    if learned.knots is None:
        return None
    return float(np.interp(rank * (len(learned.knots) - 1), np.arange(len(learned.knots)), learned.knots))


def segment_name(dimension: str, label: str) -> str:
    """The segment as drifts name it; empty for the whole subject.

    >>> segment_name("tenant", "acme"), segment_name("", "")
    ('tenant=acme', '')
    """
    return f"{dimension}={label}"[:SUBJECT_LENGTH_MAX] if dimension else ""


def round_significant(value: float) -> float:
    """Six digits that matter: what lies beyond them may depend on the machine."""
    return float(f"{value:.6g}")
