"""Latch: the state of a one-sided test from firing to recovery. It builds the findings of its drift."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import hourly_profile
from pipeline.detect.findings.baseline_values import baseline_median
from pipeline.detect.findings.effect import effect_size
from pipeline.detect.findings.finding import Detector, Finding, round_significant
from pipeline.detect.findings.sentence import describe_finding, describe_gone_segment
from pipeline.detect.one_sided_tests import NotTestable, OneSidedTest
from pipeline.detect.settings import count_updates_due
from pipeline.detect.signals import PANE_MS, channels
from schemas.baseline import SignalBaseline
from schemas.drift import DriftState, Tier


@dataclass(slots=True)
class Latch:
    """A test that fired and has not recovered. Times are Unix milliseconds.

    Attributes
    ----------
    test_index
        Index of the test.
    started_at, detected_at
        Estimated start of the drift, and event time of the record that fired.
    pane, request_id, evidence
        Pane, request and evidence when the test fired.
    worst
        Mean of the channel when the test fired. The recovery is tested from this mean.
    records
        Number of records with the signal since ``started_at``.
    sequence
        Number of messages published for this drift.
    updates_due
        Number of updates that have become due, whether published or skipped.
    since_message
        Number of records with the signal since the last message, and sum of the channel over them.
    dimension, label
        Segment of the test, or empty strings for the full subject.
    suppressed
        Whether publishing is suppressed because the full subject has the same drift.
    demote
        Whether the test has paged so often that it should no longer page.
    published_tier
        Tier of the published findings; None for the tier of the test.
    baseline_version
        Version of the baseline when the test fired, if another is in use since then. Otherwise empty.
    """

    UNTESTED: ClassVar = "its test no longer runs with the current settings"
    """Reason given when a drift ends because a change of settings removed its test."""

    test_index: int
    detector: Detector
    started_at: int
    detected_at: int
    pane: int
    request_id: str | None
    evidence: float
    worst: float
    records: int
    sequence: int = 0
    updates_due: int = 0
    since_message: list[float] = field(default_factory=lambda: [0.0, 0.0])
    dimension: str = ""
    label: str = ""
    suppressed: bool = False
    demote: bool = False
    published_tier: Tier | None = None
    baseline_version: str = ""

    def add(self, tally: NDArray[np.float64]) -> None:
        """Add records. ``tally`` has shape ``(2,)``: number of records, and sum of the channel."""
        self.records += int(tally[0])
        self.since_message = [total + new for total, new in zip(self.since_message, tally.tolist(), strict=True)]

    def is_update_due(self, pane: int, after_s: Sequence[float]) -> bool:
        """Return whether an interval in ``after_s`` has passed and records have arrived since the last message.

        Call this once per block. Each interval counts once, even if its update is skipped.
        """
        updates_due = count_updates_due((pane - self.pane) * PANE_MS, after_s)
        if updates_due <= self.updates_due or self.since_message[0] < 1:
            return False
        self.updates_due = updates_due
        return True

    def build_finding(
        self,
        test: OneSidedTest | NotTestable,
        learned: SignalBaseline,
        state: DriftState,
        *,
        updated_at: int,
        tally: tuple[float, float],
        now: float | None,
        evidence_and_threshold: tuple[float, float],
        carried_by: str = "",
        tier: Tier | None = None,
        segment_gone: bool = False,
    ) -> Finding:
        """Build the next finding of this drift, and count it as published.

        Parameters
        ----------
        test, learned
            The test that fired, and the baseline of its signal.
        updated_at
            Event time of the record that caused the finding, Unix milliseconds.
        tally
            Number of records with the signal that the finding covers, and sum of the channel over them.
        now
            Typical current value without its daily cycle, or the current age if it is overdue. It is None for a rate
            or if unknown.
        evidence_and_threshold
            The evidence, and the threshold to which it is compared.
        carried_by
            Description of the segments that carry the drift.
        tier
            Tier to publish, or None for the tier of the test.
        segment_gone
            Whether the drift ends because its segment no longer sends records.
        """
        channel = learned.channels[test.channel]
        count = max(1.0, tally[0])
        mean = tally[1] / count if tally[0] else channel.mean
        effect, effect_kind = effect_size(test.channel, channel.mean, mean, count, channel.count)
        median = baseline_median(learned)
        normal = channel.mean if median is None else median
        current = mean if median is None else now
        updated_at = max(self.detected_at, updated_at)
        profile = learned.profile
        if test.channel == channels.OVERDUE and learned.ages is not None:
            # Ages are compared with the longest one, and have no daily profile.
            normal, profile = learned.ages.longest, None
            effect, effect_kind = (normal if now is None else now) / max(normal, 1.0), "ratio"
        evidence, threshold = evidence_and_threshold
        finding = Finding(
            signal=test.signal,
            channel=test.channel,
            side=test.direction,
            tier=tier or test.tier,
            detector=self.detector,
            state=state,
            sequence=self.sequence,
            started_at=self.started_at,
            detected_at=self.detected_at,
            updated_at=updated_at,
            request_id=self.request_id,
            normal=round_significant(hourly_profile.restore_hour(profile, normal, updated_at)),
            now=round_significant(
                hourly_profile.restore_hour(profile, normal if current is None else current, updated_at)
            ),
            effect=round_significant(effect),
            effect_kind=effect_kind,
            records=self.records,
            evidence=round_significant(evidence),
            threshold=threshold,
            sentence="",
            segment=Finding.segment_name(self.dimension, self.label),
            demote=self.demote,
            baseline_version=self.baseline_version,
        )
        self.sequence += 1
        self.since_message = [0.0, 0.0]
        if segment_gone:
            return replace(finding, sentence=describe_gone_segment(finding))
        return replace(finding, sentence=describe_finding(finding, channel.mean, mean, carried_by))

    def build_end(
        self,
        test: OneSidedTest | NotTestable,
        learned: SignalBaseline,
        *,
        now_ms: int,
        recovery: float,
        tier: Tier | None = None,
        reason: str = "a new baseline is in use",
    ) -> Finding:
        """Build the finding that ends this drift for a reason other than recovery."""
        finding = self.build_finding(
            test,
            learned,
            "recovered",
            updated_at=now_ms,
            tally=(0.0, 0.0),
            now=None,
            evidence_and_threshold=(0.0, recovery),
            tier=tier,
        )
        return replace(finding, sentence=f"{test.signal.name} has ended: {reason}")

    @classmethod
    def untested_reason(cls, test: OneSidedTest | NotTestable) -> str:
        """Return the reason to give when a drift ends because its test no longer runs."""
        is_sampled = isinstance(test, NotTestable) and test.reason == NotTestable.SAMPLED_BY_OUTCOME
        return NotTestable.SAMPLED_BY_OUTCOME if is_sampled else cls.UNTESTED

    def dump(self, test: OneSidedTest | NotTestable) -> dict[str, Any]:
        """Return the state as plain values. The key of the test replaces its index, which depends on the settings."""
        state = asdict(self)
        del state["test_index"]
        return {"test": list(test.key), **state}

    @classmethod
    def load(cls, state: dict[str, Any], test_index: int) -> "Latch":
        """Restore the state that :meth:`dump` returned, with the current index of its test."""
        return cls(test_index, **{name: value for name, value in state.items() if name != "test"})
