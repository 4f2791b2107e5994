"""A change of shape that was found and has not ended: its recovery test and its findings."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import hourly_profile
from pipeline.detect.findings import Finding, effect_size, value_at_rank
from pipeline.detect.one_sided_tests import BETS, OneSidedTest, rate_evidence
from pipeline.detect.settings import count_updates_due
from pipeline.detect.shape.shape_bank import CAP_SHARE
from pipeline.detect.signals import Signal, channels
from pipeline.wording import duration, percent, value_range
from schemas.baseline import SignalBaseline
from schemas.drift import Direction, DriftState
from schemas.timestamp import clock_time


def _no_tallies() -> list[list[float]]:
    return [[0.0] * BETS for _ in range(3)]


@dataclass(slots=True)
class OpenShape:
    """A change of shape from firing to recovery. Times are Unix milliseconds.

    Attributes
    ----------
    bin, rising
        The bin whose share has left its band, and whether the share rose. The recovery is tested for it.
    first_bin, last_bin
        The neighbouring bins that moved with it. They are reported together.
    share
        Share of the bin when the test fired.
    records
        Records since the start.
    since_message
        Number of records since the last message, and of those in the reported bins. The first message covers the records
        since the start.
    statistics, tallies
        Test statistics of the recovery, and its numbers of records, of those in the bin and of those in the reported
        bins, by bet.
    baseline_version
        Version of the baseline when the test fired, if another is in use since then. Otherwise empty.
    """

    CHANNEL: ClassVar = "shape"

    bin: int
    rising: bool
    first_bin: int
    last_bin: int
    side: Direction
    started_at: int
    detected_at: int
    request_id: str | None
    evidence: float
    threshold: float
    share: float
    records: int
    since_message: list[int]
    sequence: int = 0
    updates_due: int = 0
    statistics: list[float] = field(default_factory=lambda: [0.0] * BETS)
    tallies: list[list[float]] = field(default_factory=_no_tallies)
    baseline_version: str = ""

    def add_window(
        self, counts: NDArray[np.int64], test: OneSidedTest, recovery: float, *, now_ms: int, after_s: Sequence[float]
    ) -> DriftState | None:
        """Add a window. Return the state to publish, or None.

        Parameters
        ----------
        counts
            Shape ``(BINS,)``: the records of the window in each bin.
        test
            The test of the bin's share.
        recovery
            Threshold of the recovery.
        after_s
            Seconds after the firing at which the evidence is repeated.
        """
        records, events = int(counts.sum()), int(counts[self.bin])
        reported = int(counts[self.first_bin : self.last_bin + 1].sum())
        self.records += records
        self.since_message = [self.since_message[0] + records, self.since_message[1] + reported]
        null, stakes = test.recovery_test(self.share)
        without_event, event = rate_evidence(stakes, np.array(null), np.array(test.weight))
        evidence = np.minimum(records * without_event + events * event, CAP_SHARE * recovery)
        statistics = np.maximum(np.array(self.statistics) + evidence, 0.0)
        tallies = np.array(self.tallies) + np.array([[records], [events], [reported]])
        tallies[:, statistics == 0.0] = 0.0
        self.statistics, self.tallies = statistics.tolist(), tallies.tolist()
        bet = int(np.argmax(statistics))
        total, inside, in_reported = tallies[:, bet].tolist()
        is_within = (inside <= test.null_boundary * total) if self.rising else (inside >= test.null_boundary * total)
        if statistics[bet] >= recovery and is_within:
            self.evidence, self.threshold = float(statistics[bet]), recovery
            self.since_message = [int(total), int(in_reported)]
            return "recovered"
        due = count_updates_due(now_ms - self.detected_at, after_s)
        if due <= self.updates_due or not self.since_message[0]:
            return None
        self.updates_due = due
        return "evidence"

    def build_finding(
        self, signal: Signal, learned: SignalBaseline, state: DriftState, updated_at: int, ended_by: str = ""
    ) -> Finding:
        """Return the next finding, and count it as published. ``ended_by`` is the reason of an end without recovery."""
        normal = self._normal_share(learned)
        records, inside = self.since_message
        now = inside / records if records else normal
        counted = learned.channels["location"].count
        effect, effect_kind = effect_size("rate", normal, now, max(records, 1), counted)
        updated_at = max(updated_at, self.detected_at)
        values_from, values_to = (
            None
            if rank in (0.0, 1.0) or (value := value_at_rank(learned, rank)) is None
            else hourly_profile.restore_hour(learned.profile, value, updated_at)
            for rank in (channels.RANK_EDGES[self.first_bin], channels.RANK_EDGES[self.last_bin + 1])
        )
        finding = Finding(
            signal=signal,
            channel=self.CHANNEL,
            side=self.side,
            tier="ticket",
            detector="page_hinkley",
            state=state,
            sequence=self.sequence,
            started_at=self.started_at,
            detected_at=self.detected_at,
            updated_at=updated_at,
            request_id=self.request_id,
            normal=normal,
            now=now,
            effect=effect,
            effect_kind=effect_kind,
            records=self.records,
            evidence=self.evidence,
            threshold=self.threshold,
            sentence=ended_by
            or self._describe(signal, state, (normal, now), effect, updated_at, (values_from, values_to)),
            values_from=values_from,
            values_to=values_to,
            baseline_version=self.baseline_version,
        )
        self.sequence += 1
        self.since_message = [0, 0]
        return finding

    def dump(self) -> dict[str, Any]:
        """Return the state as plain values: the fields by name."""
        return asdict(self)

    def _normal_share(self, learned: SignalBaseline) -> float:
        shares = () if learned.shape is None else learned.shape.shares[self.first_bin : self.last_bin + 1]
        return min(sum(shares), 1.0)

    def _describe(
        self,
        signal: Signal,
        state: DriftState,
        shares: tuple[float, float],
        effect: float,
        at_ms: int,
        limits: tuple[float | None, float | None],
    ) -> str:
        values = f"{signal.name} {value_range(*limits, signal.unit)}"
        change = f"{percent(shares[1])} of records, normally {percent(shares[0])}"
        if state == "recovered":
            length = duration(max(0, at_ms - self.started_at) / 1000)
            return f"the shape of {signal.name} returned to normal after {length}: {values} in {change}"
        since = f"since {clock_time(self.started_at)}, {self.records:,} records"
        if state == "evidence":
            return f"the shape of {signal.name} is still not normal: {values} in {change} {since}; ticket"
        evidence = f"evidence {self.evidence:.1f} of {self.threshold:g}"
        return f"{signal.name} changed its shape: {values} in {change} (odds x{effect:.3g}) {since}; ticket: {evidence}"
