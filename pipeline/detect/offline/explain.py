"""Explain why records did or did not raise a drift, with the evidence of every test over time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.monitor import Monitor
from pipeline.detect.offline.drifts import read_drifts
from pipeline.detect.offline.history import message_batches
from pipeline.detect.one_sided_tests import NotTestable, OneSidedTest
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signal_rule import AppliedKey, find_applied_keys
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.topics import BASELINES

POINT_MESSAGES = 64
"""Number of messages per point of a trace."""


@dataclass(slots=True)
class TestTrace:
    """The evidence of a one-sided test over time.

    Attributes
    ----------
    times_ms, evidence
        One entry per point: the watermark of the stream in Unix milliseconds, and the test statistic as a share of the
        threshold, which is 1 from firing to recovery.
    drifts
        The drifts of the test.
    """

    test: OneSidedTest
    times_ms: list[int] = field(default_factory=list)
    evidence: list[float] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)

    @property
    def highest(self) -> float:
        """Largest evidence, as a share of the threshold."""
        return max(self.evidence, default=0.0)


@dataclass(slots=True)
class Explanation:
    """The evidence that a subject's records added to its tests.

    ``rules`` are the keys of ``detect.signals`` that apply to each signal of the baseline, by name. ``other_drifts`` do not
    come from these tests. They are drifts of segments, silences, and first uses of versions.
    """

    subject: str
    baseline: Baseline | None = None
    traces: list[TestTrace] = field(default_factory=list)
    not_testable: list[NotTestable] = field(default_factory=list)
    rules: dict[str, list[AppliedKey]] = field(default_factory=dict)
    other_drifts: list[Drift] = field(default_factory=list)
    records: int = 0


def explain(
    messages: Iterable[bytes], settings: DetectSettings, *, baseline: Baseline | None = None, subject: str | None = None
) -> Explanation | None:
    """Run records through a new detect step and collect the evidence of one subject.

    Parameters
    ----------
    messages
        Message values as a producer sends them, in order of their times.
    settings
        Settings of the detect step.
    baseline
        The baseline to monitor against. If None, the step learns a baseline from the first records.
    subject
        The subject to explain. If None, the subject of the baseline, or else the first subject in the messages.

    Returns
    -------
    Explanation or None
        None if there are no records of the subject.
    """
    step = DetectStep(0, settings, replay=True)
    if baseline is not None:
        step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.to_json()))
        subject = subject or baseline.subject
    explanation: Explanation | None = None
    monitor: Monitor | None = None
    for batch in message_batches(messages, POINT_MESSAGES):
        outputs = step.step(batch)
        if subject is None:
            subject = next(iter(step.streams), None)
        if subject is None or subject not in step.streams:
            continue
        stream = step.streams[subject]
        explanation = explanation or Explanation(subject)
        explanation.records = stream.counts["used"]
        if stream.monitor is not None and stream.monitor is not monitor:
            monitor = stream.monitor
            explanation.baseline, explanation.not_testable = monitor.baseline, list(monitor.not_testable)
            explanation.traces = [TestTrace(test) for test in monitor.tests]
            explanation.rules = {
                name: find_applied_keys(settings.signals, subject, name) for name in explanation.baseline.signals
            }
        _add_drifts(explanation, [drift for drift in read_drifts(outputs) if drift.subject == subject])
        if monitor is not None:
            _add_point(explanation, monitor, stream.watermark)
    return explanation


def _add_point(explanation: Explanation, monitor: Monitor, now_ms: int) -> None:
    thresholds = np.array([test.threshold for test in monitor.tests])
    shares: NDArray[np.float64] = np.minimum(monitor.bank.test_statistics.max(axis=1, initial=0.0) / thresholds, 1.0)
    shares = np.where(monitor.bank.latched, 1.0, shares)
    for trace, share in zip(explanation.traces, shares.tolist(), strict=True):
        trace.times_ms.append(now_ms)
        trace.evidence.append(share)


def _add_drifts(explanation: Explanation, drifts: list[Drift]) -> None:
    traces: dict[tuple[str, str, str, str], TestTrace] = {
        (trace.test.signal.name, trace.test.channel, trace.test.direction, trace.test.tier): trace
        for trace in explanation.traces
    }
    for drift in drifts:
        trace = traces.get((drift.signal, drift.channel, drift.side, drift.tier)) if not drift.segment else None
        (explanation.other_drifts if trace is None else trace.drifts).append(drift)
