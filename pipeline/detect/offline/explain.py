"""Explaining: the evidence of every channel over time, as the real step gathers it, for people who ask why or why not."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.monitor import Monitor
from pipeline.detect.offline.drifts import read_drifts
from pipeline.detect.offline.history import message_batches
from pipeline.detect.one_sided_tests import NotTestable, OneSidedTest
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.topics import BASELINES

LOOK_MESSAGES = 64
"""Messages between two looks at the evidence."""


@dataclass(slots=True)
class TestTrace:
    """One channel of one signal at one tier, over time.

    Attributes
    ----------
    times_ms, evidence
        Of each look: the subject's watermark, and the largest evidence of its bets as a share of the threshold. From
        1 on it has fired; while it is off it is told as 1.
    drifts
        What was told of it.
    """

    side: OneSidedTest
    normal: float
    times_ms: list[int] = field(default_factory=list)
    evidence: list[float] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)

    @property
    def highest(self) -> float:
        """The largest share of the threshold."""
        return max(self.evidence, default=0.0)


@dataclass(slots=True)
class Explanation:
    """What a stream did to a subject.

    ``others`` are drifts that no channel of the whole subject gave: of a segment, a silence, a version first seen.
    """

    subject: str
    baseline: Baseline | None = None
    traces: list[TestTrace] = field(default_factory=list)
    unjudged: list[NotTestable] = field(default_factory=list)
    others: list[Drift] = field(default_factory=list)
    records: int = 0


def explain(
    messages: Iterable[bytes], settings: DetectSettings, *, baseline: Baseline | None = None, subject: str | None = None
) -> Explanation | None:
    """Play records through a fresh detect step and keep the evidence of one subject.

    Parameters
    ----------
    messages
        Values as a producer would send them, in the order of their times.
    settings
        Of detect.
    baseline
        To judge by; without one the step learns its own from the records, and judges those that follow.
    subject
        Which; without one, that of the baseline, or the first that comes.

    Returns
    -------
    Explained or None
        None if there was no record of the subject.
    """
    step = DetectStep(0, settings, replay=True)
    if baseline is not None:
        step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.to_json()))
        subject = subject or baseline.subject
    explained: Explanation | None = None
    judge: Monitor | None = None
    for batch in message_batches(messages, LOOK_MESSAGES):
        outputs = step.step(batch)
        if subject is None:
            subject = next(iter(step.streams), None)
        if subject is None or subject not in step.streams:
            continue
        unit = step.streams[subject]
        explained = explained or Explanation(subject)
        explained.records = unit.counts["used"]
        if unit.monitor is not None and unit.monitor is not judge:
            judge = unit.monitor
            explained.baseline, explained.unjudged = judge.baseline, list(judge.not_testable)
            explained.traces = [TestTrace(side, _normal(side, judge.baseline)) for side in judge.tests]
        _tell(explained, [drift for drift in read_drifts(outputs) if drift.subject == subject])
        if judge is not None:
            _look(explained, judge, unit.watermark)
    return explained


def _look(explained: Explanation, judge: Monitor, now_ms: int) -> None:
    thresholds = np.array([side.threshold for side in judge.tests])
    shares: NDArray[np.float64] = np.minimum(judge.test_statistics.max(axis=1, initial=0.0) / thresholds, 1.0)
    shares = np.where(judge.latched, 1.0, shares)
    for trace, share in zip(explained.traces, shares.tolist(), strict=True):
        trace.times_ms.append(now_ms)
        trace.evidence.append(share)


def _tell(explained: Explanation, drifts: list[Drift]) -> None:
    by_side: dict[tuple[str, str, str, str], TestTrace] = {
        (trace.side.signal.name, trace.side.channel, trace.side.direction, trace.side.tier): trace
        for trace in explained.traces
    }
    for drift in drifts:
        trace = by_side.get((drift.signal, drift.channel, drift.side, drift.tier)) if not drift.segment else None
        (explained.others if trace is None else trace.drifts).append(drift)


def _normal(side: OneSidedTest, baseline: Baseline) -> float:
    return baseline.signals[side.signal.name].channels[side.channel].mean
