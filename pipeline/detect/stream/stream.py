"""The stream of one subject in one partition. It turns records into drifts and baselines."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission import Duplicates, EventTimeGuard, PositionedOutput, Records
from pipeline.detect.baselines import HourlyHistory, Learner
from pipeline.detect.blocks import Buffer, DeferredRecords, DerivedSignals, OutcomeLabels, SignalColumns
from pipeline.detect.findings import Finding, FirstSeen, SilenceTracker
from pipeline.detect.fixed_limits import FixedLimits
from pipeline.detect.losses import RequestLoss, StreamLosses
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Block
from pipeline.detect.statistics import Statistics
from pipeline.detect.stream.learned_baseline import (
    continue_monitor,
    end_hour,
    learn_baseline,
    partition_baseline_output,
)
from pipeline.detect.stream.monitored_count import MonitoredCount
from pipeline.detect.stream.outcome_sampling import OutcomeSampling
from pipeline.detect.stream.relearning import Relearning, begin_relearning, continue_relearning
from pipeline.detect.stream.silences import add_request_hours, find_block_silences, report_live_silence
from pipeline.detect.stream.stream_state import dump_changed_parts
from pipeline.detect.traffic import RequestHours
from pipeline.state import Part, State
from pipeline.step import OutputMessage
from schemas.baseline import PARTITION_SOURCES, Baseline
from schemas.relearn import Relearn

PENDING_MAX = 4
"""Maximum number of scheduled baselines. Beyond this number, a new baseline replaces the oldest baseline."""


class Stream:
    """Stream of one subject in one partition.

    A stream without a baseline learns its own baseline. After that, a :class:`Monitor` tests its blocks against the
    baseline.

    Parameters
    ----------
    subject, partition
        The subject, and the partition of its records.
    settings
        Limits, readiness of a baseline, and tolerances.

    Attributes
    ----------
    watermark
        Newest event time of the records in Unix milliseconds, or 0 before the first record. It never decreases.
    partition_ms
        In a replay, the watermark of the partition at the last record of this stream.
    last_pane
        Pane of the newest record that was observed, or None before the first record.
    counts
        Number of ``used`` records, of ``late`` records (used, but behind the watermark), of late outcomes without a
        version (``unversioned_outcomes``), and of dropped ``duplicates``.
    baseline_version, last_offered_version
        Versions of the baseline in use, and of the last baseline that was offered.
    pending_baselines
        Scheduled baselines, which apply at their ``effective_at``.
    silence_after_s
        Seconds without a record before which the subject is never silent, or None without a baseline.
    sampling
        Whether the records are sampled by outcome.
    history, request_hours
        The hours from which the baseline is renewed: values, and requests with gaps.
    relearning, applied_relearns
        The signals that are being relearned, if any, and the digests of the last requests.
    monitored_before
        Counts from before the current monitor started.
    changed, evidence_changed
        Whether any part changed since the last :meth:`dump_changed`, and whether a block changed the evidence.
    discarded_kinds
        Kinds of parts that the next :meth:`dump_changed` call removes before it writes new parts.
    block_observer
        Receives the subject and each block before it is tested, if set. It is not part of the state.
    """

    def __init__(self, subject: str, partition: int, settings: DetectSettings) -> None:
        self._partition, self._settings = partition, settings
        self.subject = subject
        self.watermark = self.partition_ms = 0
        self.last_pane: int | None = None
        self.counts, self.monitored_before = Counter[str](), MonitoredCount()
        self.event_time_guard, self.buffer = EventTimeGuard(settings), Buffer(settings)
        self.deferred, self.duplicates = DeferredRecords(), Duplicates(settings.duplicate_window)
        self.columns = SignalColumns(settings.custom_signals_max, settings.segments)
        self.derived, self.fixed_limits = DerivedSignals(settings), FixedLimits(subject, settings)
        self.outcome_labels = OutcomeLabels(settings.outcome_window, settings.segments)
        self.statistics, self.sampling = Statistics(settings), OutcomeSampling()
        self.first_seen, self.silence = FirstSeen(settings.versions_max), SilenceTracker()
        self.losses, self.request_loss = StreamLosses(subject, partition, settings), RequestLoss(settings)
        self.silence_after_s: float | None = None
        self.baseline_version: str | None = None
        self.pending_baselines: list[Baseline] = []
        self.last_offered_version: str | None = None
        self.learner: Learner | None = Learner(subject, settings)
        self.history, self.request_hours = HourlyHistory(subject), RequestHours()
        self.monitor: Monitor | None = None
        self.relearning: Relearning | None = None
        self.applied_relearns: list[str] = []
        self.changed = self.evidence_changed = False
        self.discarded_kinds: set[str] = set()
        self.block_observer: Callable[[str, Block], None] | None = None
        self._completed: list[tuple[Stream, int, Records]] | None = None

    def mark_all(self) -> None:
        """Mark all parts of the state as changed."""
        self.changed = self.evidence_changed = True
        relearner = None if self.relearning is None else self.relearning.learner
        for part in (self.duplicates, self.outcome_labels, self.history, self.learner, relearner):
            if part is not None:
                part.mark_all()

    def dump_changed(self) -> Iterator[tuple[Part, State | None]]:
        """Yield the parts that may have changed since the last call, with None for parts that are now empty."""
        self.settle()
        yield from dump_changed_parts(self)
        self.changed = self.evidence_changed = False
        self.discarded_kinds.clear()

    @property
    def monitored(self) -> MonitoredCount:
        """Total count over all monitors of the stream so far."""
        if self.monitor is None:
            return self.monitored_before
        return self.monitored_before + MonitoredCount(self.monitor.finite_values, self.monitor.monitored_values)

    def receive(
        self, records: Records, start: int, stop: int, newest_ms: int, completed: "list[tuple[Stream, int, Records]]"
    ) -> list[PositionedOutput]:
        """Process the admitted records of a batch from ``start`` up to ``stop``, or let them wait for the records after them.

        Blocks are added to ``completed`` to be observed later, unless they can change how later records are read.
        """
        is_steady = self.learner is None and self.relearning is None and not self.pending_baselines
        newest_ms = max(newest_ms, self.watermark)
        may_wait = is_steady and self.losses.is_idle
        if may_wait and self.deferred.offer(records, start, stop, self.watermark, newest_ms, self.buffer):
            self.watermark, self.changed = newest_ms, True
            self.silence.restart()
            return []
        if len(self.deferred):
            self.watermark = self.deferred.watermark
        self._completed = completed if is_steady else None
        outputs = self.push(self.deferred.take((records, start, stop)))
        self._completed = None  # the blocks of the caller would keep their records until the next push
        return outputs

    def settle(self) -> None:
        """Use the deferred records. They cause no output."""
        if len(self.deferred):
            self.watermark = self.deferred.watermark
            records = self.deferred.take()
            self._use(records, self._watermarks(records))

    def push(self, records: Records) -> list[PositionedOutput]:
        """Process at least one admitted record, in order of arrival."""
        self.changed = True
        watermarks = self._watermarks(records)
        self.silence.restart()
        outputs: list[PositionedOutput] = []
        start = 0
        for baseline in sorted(self.pending_baselines, key=lambda pending: pending.effective_at or 0):
            due = int(np.searchsorted(watermarks, baseline.effective_at or 0))
            if due < len(watermarks):
                # The new baseline applies from the record that reaches its ``effective_at``.
                outputs += self._use(records.cut(start, due), watermarks[start:due])
                outputs += ((records.positions[due], output) for output in self.apply_baseline(baseline))
                start = due
        return outputs + self._use(records.cut(start, len(watermarks)), watermarks[start:])

    def advance_silence(self, elapsed_ms: int, wall_ms: int) -> list[OutputMessage]:
        """Count wall-clock time in which no record of this stream arrived and no records were waiting."""
        if self.silence_after_s is None or self.silence.advance(elapsed_ms) < self.silence_after_s * 1000:
            return []
        return report_live_silence(self, wall_ms)

    def offer_baseline(self, baseline: Baseline) -> list[OutputMessage]:
        """Offer a baseline: apply it now, schedule it for its ``effective_at``, or ignore it."""
        self.changed = True
        if baseline.source in PARTITION_SOURCES:
            return []  # it is the baseline of the partition that has built it
        self.last_offered_version = baseline.baseline_version
        if baseline.baseline_version == self.baseline_version:
            return []
        if baseline.source == "live" and (self.monitor is not None or self.pending_baselines):
            return []
        if (baseline.effective_at or 0) <= self.watermark:
            return self.apply_baseline(baseline)
        self.schedule_baseline(baseline)
        return []

    def schedule_baseline(self, baseline: Baseline) -> None:
        """Apply a baseline once the watermark reaches its ``effective_at``."""
        self.pending_baselines = [*self.pending_baselines, baseline][-PENDING_MAX:]

    def apply_baseline(self, baseline: Baseline) -> list[OutputMessage]:
        """Switch to another baseline. Buffered records are still tested against the current baseline."""
        outputs = self.flush() + self.close_drifts(self.watermark, accept=False)
        self.history.clear()
        self.request_hours.clear()
        self.replace_monitor(baseline)
        self.pending_baselines = [other for other in self.pending_baselines if other is not baseline]
        return outputs

    def relearn(self, relearn: Relearn) -> list[OutputMessage]:
        """Relearn signals from a given time. See :func:`pipeline.detect.stream.relearning.begin_relearning`."""
        return begin_relearning(self, relearn, self._settings)

    def adopt_baseline(self, baseline: Baseline, pane: int, restarted: Container[str] = ()) -> OutputMessage:
        """Continue with a baseline that this stream has built. Return the message that publishes it.

        The tests of ``restarted`` signals start again, and no drift of them may be open.
        """
        if self.monitor is None:
            raise RuntimeError(f"{self.subject} has no baseline that could be replaced")
        self.monitor = continue_monitor(
            self.monitor,
            baseline,
            self._settings,
            pane=pane,
            is_sampled=self.sampling.is_active,
            restarted=restarted,
        )
        self.baseline_version = baseline.baseline_version
        self.history.is_paused = False
        self.request_loss.apply_baseline(baseline)
        self.silence_after_s = self.silence.follow(baseline, self._settings)
        self.changed = self.evidence_changed = True
        return partition_baseline_output(baseline, self._partition)

    def replace_monitor(self, baseline: Baseline) -> Monitor:
        """Start a monitor with a baseline, and stop learning. Return the monitor."""
        self.relearning = None
        self.monitored_before = self.monitored
        self.monitor = Monitor(baseline, self._settings, is_sampled=self.sampling.is_active)
        self.baseline_version = baseline.baseline_version
        # A person maintains a baseline from a file.
        self.history.is_paused = baseline.source == "file"
        self.derived.apply_baseline(baseline)
        self.first_seen.follow(baseline)
        self.losses.apply_baseline(baseline)
        self.request_loss.apply_baseline(baseline)
        self.silence_after_s = self.silence.follow(baseline, self._settings)
        self.learner = None
        self.changed = self.evidence_changed = True
        return self.monitor

    def flush(self) -> list[OutputMessage]:
        """Observe the buffered records as a block."""
        self.settle()
        return self.observe_records(self.buffer.take()) if len(self.buffer) else []

    def on_gap(self) -> list[OutputMessage]:
        """Observe the buffered records, reset all evidence, and measure silence, throughput and spend from the next record."""
        outputs = self.flush()
        if self.monitor is not None:
            self.monitor.reset_evidence()
        for part in (self.losses, self.request_loss, self.fixed_limits):
            part.reset()
        self.derived.restart_rates()
        self.last_pane = None
        self.silence.is_paused = True
        self.changed = self.evidence_changed = True
        return outputs

    def _watermarks(self, records: Records) -> NDArray[np.int64]:
        return np.maximum.accumulate(np.maximum(records.times_ms, self.watermark))

    def _use(self, records: Records, watermarks: NDArray[np.int64]) -> list[PositionedOutput]:
        """Drop duplicates, count, and buffer the records."""
        if not len(watermarks):
            return []
        self.watermark = int(watermarks[-1])
        is_new = self.duplicates.find_new(records)
        panes = watermarks // PANE_MS
        outputs = self.losses.observe_duplicates(records, is_new, panes)
        if not is_new.all():
            rows = np.flatnonzero(is_new).tolist()
            self.counts["duplicates"] += len(is_new) - len(rows)
            if not rows:
                return outputs
            records, watermarks, panes = records.pick(rows), watermarks[rows], panes[rows]
        self.counts["used"] += len(records)
        late = int(np.count_nonzero(records.times_ms < watermarks))
        if late:
            self.counts["late"] += late
        if self.learner is None and self.relearning is None:
            return outputs + self._buffer_records(records, panes)
        # Cut at block boundaries, because a block can complete a baseline that applies to the records after it.
        start = 0
        for end in (*self.buffer.find_ends(panes), len(panes)):
            if end > start:
                outputs += self._buffer_records(records.cut(start, end), panes[start:end])
                start = end
        return outputs

    def _buffer_records(self, records: Records, panes: NDArray[np.int64]) -> list[PositionedOutput]:
        """Compute derived signals, buffer the records, and observe the blocks that they complete."""
        records.panes = panes
        self.derived.fill(records)
        self.columns.fill_custom_values(records)
        outputs = self.losses.observe_fields(records, self.columns)
        records, unversioned = self.outcome_labels.fill(records)
        self.counts["unversioned_outcomes"] += unversioned
        for position, block_records in self.buffer.push(records):
            if self._completed is None:
                outputs += ((position, output) for output in self.observe_records(block_records))
            else:
                self._completed.append((self, position, block_records))
        return outputs

    def observe_records(self, records: Records) -> list[OutputMessage]:
        """Pass one block to the statistics, the monitor and the learners."""
        block = self.columns.build_block(records)
        if self.block_observer is not None:
            self.block_observer(self.subject, block)
        self.evidence_changed = True
        first_pane = int(block.panes[0])
        renewed = self._begin_hour(first_pane) if self.history.begins_hour(first_pane) else []
        if self.history.has_room(first_pane, int(block.panes[-1]), block.values.shape[1]):
            self.history.add_values(block.values, block.panes)
        pane_before, self.last_pane = self.last_pane, int(block.panes[-1])
        silences = find_block_silences(self, pane_before, block.panes)
        self.statistics.observe(block)
        ended = self._follow_sampling(block)
        breaches = self.fixed_limits.observe(records, self.columns, is_sampled=self.sampling.is_active)
        if self.monitor is not None and self.baseline_version is not None:
            findings = [
                finding
                for finding in (*self.monitor.observe(block), *self.find_request_losses())
                if self.relearning is None or not self.relearning.is_muted(finding)
            ]
            found = (*silences, *self.first_seen.observe(block), *findings, *breaches)
            drifts = [self.drift_output(finding) for finding in found]
            return renewed + ended + drifts + continue_relearning(self, block)
        self.first_seen.observe(block)
        self.monitored_before += MonitoredCount(int(np.count_nonzero(np.isfinite(block.values))))
        return [self.drift_output(finding) for finding in breaches] + learn_baseline(self, block)

    def _begin_hour(self, pane: int) -> list[OutputMessage]:
        """Store the hour before a pane. If it ended a day, renew the baseline, unless an alert is open."""
        monitor, renewed = self.monitor, end_hour(self, pane, self._settings)
        if renewed is None or monitor is None:
            return []
        closed = self.end_drifts(monitor.close_drifts(pane * PANE_MS))
        return [*closed, self.adopt_baseline(renewed, pane)]

    def find_request_losses(self) -> list[Finding]:
        """Test the requests of the minutes that ended before the last observed pane. Return the findings."""
        minutes = self.derived.requests.take(self.last_pane or 0)
        if not minutes:
            return []
        add_request_hours(self, minutes)
        return self.request_loss.observe(minutes, self.silence_after_s)

    def drift_output(self, finding: Finding) -> OutputMessage:
        """Return the message of a finding. The hours since an alert began do not become part of a renewed baseline."""
        if finding.tier != "cause":
            self.history.exclude_since(finding.started_at)
        return finding.to_output(
            subject=self.subject,
            partition=self._partition,
            baseline_version=self.silence.version if finding.detector == "silence" else self.baseline_version or "",
            environment=self.columns.environment,
            provider=self.columns.provider,
        )

    def _follow_sampling(self, block: Block) -> list[OutputMessage]:
        """Select the tests again if a block starts or ends sampling by outcome. End the drifts of excluded tests."""
        if not self.sampling.update(block) or self.monitor is None:
            return []
        history = self.monitor.dump()["monitor"]
        self.monitor = Monitor(self.monitor.baseline, self._settings, is_sampled=self.sampling.is_active)
        self.monitor.load({"monitor": history})
        return self.end_drifts(self.monitor.end_untested(int(block.times_ms[0])))

    def close_drifts(self, now_ms: int, *, accept: bool) -> list[OutputMessage]:
        """End all published drifts because another baseline is applied. ``accept`` the request rate of today."""
        monitored = [] if self.monitor is None else self.monitor.close_drifts(now_ms)
        closed = self.end_drifts(monitored + self.request_loss.close(now_ms, accept=accept))
        return closed + self.losses.end_absences(self.columns.environment)

    def end_drifts(self, ended: Iterable[Finding]) -> list[OutputMessage]:
        """Return the messages of drifts that have ended, if they were published."""
        was_published = self.relearning.was_published if self.relearning is not None else None
        return [self.drift_output(finding) for finding in ended if was_published is None or was_published(finding)]
