"""The unit: one subject in one partition, and all that detect knows of it. Its records go in, its findings come out."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import Learner, nonstationary_signals
from pipeline.detect.blocks import Buffer, Columns, Derived, Rows
from pipeline.detect.findings import Finding, FirstSeen, Silence, drift_output, silence_threshold_s
from pipeline.detect.intake import Duplicates, EventTimeGuard, PositionedOutput, Run
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Block
from pipeline.detect.statistics import Statistics
from pipeline.detect.stream.relearning import Relearning
from pipeline.step import Output
from schemas.baseline import Baseline
from schemas.relearn import Relearn
from schemas.topics import BASELINES

PENDING_MAX = 4
"""Baselines that wait for the event time from which they apply; at another one the oldest is forgotten."""


@dataclass(slots=True)
class MonitoredCount:
    """How many finite signal values arrived, and how many of them a ready baseline judged."""

    seen: int = 0
    monitored: int = 0


class Stream:
    """One subject in one partition.

    Parameters
    ----------
    subject, partition
        Which.
    settings
        Limits, and when a baseline is ready.

    Attributes
    ----------
    watermark
        The newest event time admitted, Unix milliseconds; 0 before any. It never goes back.
    counts
        Records ``used``, of these ``late`` (behind the watermark), and ``duplicates``, which are not used.
    baseline_version, pending, offered
        The baseline it judges by, those that wait for their time, and the version of the last it was shown.
    last_pane
        That of the newest record looked at; None before any.
    silent_after_s
        From how many seconds without a record on it is silent; None while it has no baseline.
    heard_ms
        In a replay, the partition's watermark at its last record.
    relearning
        The signals whose new normal is being learned, if any: they are not judged.
    touched, flushed
        Whether records, or a block, have changed the state since it was last dumped.
    """

    def __init__(self, subject: str, partition: int, settings: DetectSettings) -> None:
        self.subject = subject
        self.watermark = 0
        self.counts: Counter[str] = Counter()
        self.columns = Columns(settings.custom_signals_max, settings.segments)
        self.derived = Derived(settings)
        self.duplicates = Duplicates(settings.duplicate_window)
        self.event_time_guard = EventTimeGuard(settings)
        self.buffer = Buffer(settings)
        self.statistics = Statistics(settings)
        self.first_seen = FirstSeen()
        self.silence = Silence()
        self.learner: Learner | None = Learner(subject, settings)
        self.monitor: Monitor | None = None
        self.relearning: Relearning | None = None
        self.baseline_version: str | None = None
        self.pending: list[Baseline] = []
        self.offered: str | None = None
        self.changed = self.flushed = False
        self.judged_before = MonitoredCount()
        self._partition, self._settings = partition, settings
        self.last_pane: int | None = None
        self.silent_after_s: float | None = None
        self.heard_ms = 0
        self._quiet_ms: int | None = None

    @property
    def monitored(self) -> MonitoredCount:
        """Over the unit's whole life, whatever baselines it had."""
        judge = self.monitor
        if judge is None:
            return self.judged_before
        return MonitoredCount(
            self.judged_before.seen + judge.seen_values, self.judged_before.monitored + judge.judged_values
        )

    def push(self, run: Run) -> list[PositionedOutput]:
        """Take records that were admitted.

        Parameters
        ----------
        run
            At least one record, in the order of arrival.
        """
        self.changed = True
        watermarks = np.maximum.accumulate(np.maximum(run.times_ms, self.watermark))
        outputs: list[PositionedOutput] = []
        self._quiet_ms = None
        start = 0
        for baseline in sorted(self.pending, key=lambda each: each.effective_at or 0):
            due = int(np.searchsorted(watermarks, baseline.effective_at or 0))
            if due < len(watermarks):
                # The record that reaches the time is the first that the new baseline judges.
                outputs += self._take(run.cut(start, due), watermarks[start:due])
                outputs += ((run.places[due], output) for output in self.apply_baseline(baseline))
                start = due
        outputs += self._take(run.cut(start, len(watermarks)), watermarks[start:])
        return outputs

    def advance_silence(self, elapsed_ms: int, wall_ms: int) -> list[Output]:
        """Let wall time pass in which no record of the unit came though all that there were have been read."""
        if self.silent_after_s is None:
            return []
        # Of the time in which its last record came, nobody knows how much was quiet.
        self._quiet_ms = 0 if self._quiet_ms is None else self._quiet_ms + elapsed_ms
        return [] if self._quiet_ms < self.silent_after_s * 1000 else self.report_silence(max(wall_ms, self.watermark))

    def report_silence(self, now_ms: int) -> list[Output]:
        """Know that no record has come for long enough; told once."""
        if self.silent_after_s is None or self.silence.since:
            return []
        self.changed = True
        version = self.baseline_version or ""
        return [self._drift(self.silence.begin(self.watermark, now_ms, self.silent_after_s, version))]

    def offer_baseline(self, baseline: Baseline) -> list[Output]:
        """Be shown a baseline of the subject: take it at once, when its time comes, or not at all."""
        self.changed = True
        self.offered = baseline.baseline_version
        if baseline.baseline_version == self.baseline_version:
            return []
        if baseline.source == "live" and (self.monitor is not None or self.pending):
            return []
        if (baseline.effective_at or 0) <= self.watermark:
            return self.apply_baseline(baseline)
        self.schedule_baseline(baseline)
        return []

    def schedule_baseline(self, baseline: Baseline) -> None:
        """Apply a baseline as soon as the watermark reaches the time from which it is effective."""
        self.pending = [*self.pending, baseline][-PENDING_MAX:]

    def apply_baseline(self, baseline: Baseline) -> list[Output]:
        """Judge by another baseline from now on; what was buffered is still judged by the one before."""
        outputs = self.flush() + self._close(self.watermark)
        self.replace_monitor(baseline)
        self.pending = [other for other in self.pending if other is not baseline]
        return outputs

    def relearn(self, relearn: Relearn) -> list[Output]:
        """Learn signals anew from a time on, unless the baseline was learned after it, or none is there yet."""
        if self.monitor is None or relearn.at <= self.monitor.baseline.learned_to:
            return []
        outputs = self.flush()
        before, at_ms = self.relearning, relearn.at
        self.relearning = Relearning(
            self.subject, relearn.signals, self._settings, at_ms=at_ms, since_ms=self.watermark, before=before
        )
        if not relearn.signals or "embedding_similarity" in relearn.signals:
            self.derived.embeddings.reset_centroid()
        self.changed = self.flushed = True
        return outputs

    def replace_monitor(self, baseline: Baseline) -> None:
        """Start a judge with a baseline, and stop to learn one."""
        self.relearning = None
        self.judged_before = self.monitored
        self.monitor = Monitor(baseline, self._settings)
        self.baseline_version = baseline.baseline_version
        self.derived.follow(baseline)
        self.first_seen.follow(baseline)
        self.silent_after_s = silence_threshold_s(baseline, self._settings)
        self.learner = None
        self.changed = self.flushed = True

    def flush(self) -> list[Output]:
        """Make a block of what is buffered and look at it."""
        return self._look(self.buffer.take()) if len(self.buffer) else []

    def reset_evidence(self) -> None:
        """Forget what must not span a hole in the records."""
        if self.monitor is not None:
            self.monitor.reset_evidence()
        self.changed = self.flushed = True

    def _take(self, run: Run, watermarks: NDArray[np.int64]) -> list[PositionedOutput]:
        if not len(watermarks):
            return []
        self.watermark = int(watermarks[-1])
        new = self.duplicates.find_new(run.fields.keys)
        if not all(new):
            kept = [row for row, is_new in enumerate(new) if is_new]
            self.counts["duplicates"] += len(new) - len(kept)
            if not kept:
                return []
            run, watermarks = run.pick(kept), watermarks[kept]
        self.counts["used"] += len(run)
        late = int(np.count_nonzero(run.times_ms < watermarks))
        if late:
            self.counts["late"] += late
        panes = watermarks // PANE_MS
        if self.learner is None and self.relearning is None:
            return self._fill(run, panes)
        # A block can bring a baseline, and what is told of the records after it depends on that.
        outputs: list[PositionedOutput] = []
        start = 0
        for end in (*self.buffer.ends(panes), len(panes)):
            if end > start:
                outputs += self._fill(run.cut(start, end), panes[start:end])
                start = end
        return outputs

    def _fill(self, run: Run, panes: NDArray[np.int64]) -> list[PositionedOutput]:
        """Tell the derived signals of records, and look at the blocks that they end."""
        for reason, count in self.derived.fill(run.fields.values, run.fields, panes).items():
            self.columns.bad_fields["data.embedding", reason] += count
        rows = self.columns.rows(run.fields, run.times_ms, panes)
        return [(place, output) for place, block in self.buffer.push(rows, run.places) for output in self._look(block)]

    def _look(self, rows: Rows) -> list[Output]:
        """Let everything that watches the unit look at one block."""
        block = self.columns.block(rows)
        self.flushed = True
        silences = self._silences(block)
        self.statistics.observe(block)
        if self.monitor is not None and self.baseline_version is not None:
            judged = [
                finding
                for finding in self.monitor.observe(block)
                if self.relearning is None or not self.relearning.is_muted(finding)
            ]
            drifts = [self._drift(finding) for finding in (*silences, *self.first_seen.observe(block), *judged)]
            return drifts + self._relearn(block, self.monitor.baseline)
        self.first_seen.observe(block)
        self.judged_before.seen += int(np.count_nonzero(np.isfinite(block.values)))
        return self._learn(block)

    def _silences(self, block: Block) -> list[Finding]:
        """The silences that records end, seen before or only now."""
        before, self.last_pane = self.last_pane, int(block.panes[-1])
        if self.silent_after_s is None or before is None:
            return []
        return self.silence.find_silence(before, block.panes, self.silent_after_s, self.baseline_version or "")

    def _drift(self, finding: Finding) -> Output:
        return drift_output(
            finding,
            subject=self.subject,
            partition=self._partition,
            baseline_version=self.silence.version if finding.detector == "silence" else self.baseline_version or "",
            environment=self.columns.environment,
            provider=self.columns.provider,
        )

    def _close(self, now_ms: int) -> list[Output]:
        """End all drifts that were told: another baseline judges from now on."""
        if self.monitor is None:
            return []
        found = self.monitor.close(now_ms)
        return [self._drift(each) for each in found if self.relearning is None or self.relearning.has_relearn(each)]

    def _relearn(self, block: Block, baseline: Baseline) -> list[Output]:
        if self.relearning is None:
            return []
        merged = self.relearning.learn(block, baseline, centroid=self.derived.embeddings.centroid)
        if merged is None:
            return []
        closed = self._close(int(block.panes[-1]) * PANE_MS)
        self.replace_monitor(merged)
        return [*closed, baseline_output(merged)]

    def _learn(self, block: Block) -> list[Output]:
        if self.learner is None:
            return []
        self.learner.observe(block)
        if not self.learner.is_ready():
            return []
        baseline = self.learner.baseline("live", centroid=self.derived.embeddings.centroid)
        if nonstationary_signals(baseline) and self.learner.extend_learning():
            return []
        self.replace_monitor(baseline)
        return [baseline_output(baseline)]


def baseline_output(baseline: Baseline) -> Output:
    """The message of a baseline, with the key under which only its newest copy is kept."""
    return Output(BASELINES, f"{baseline.subject}/{baseline.baseline_version}".encode(), baseline.to_json())
