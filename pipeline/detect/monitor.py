"""The monitor, which decides whether a stream has left its baseline.

For each block of records, the monitor performs these steps:

1. **Layout**: the monitored signals become a grid of numbers, cut into samples of eight records.
2. **Bank**: each one-sided test adds the evidence of each sample to its test statistics (Page-Hinkley).
3. **Crossing**: a test whose statistic reaches its threshold may fire. A test that has fired may recover.
4. **Checks**: a test does not fire if only the late records of a burst brought it to its threshold. A page is suppressed if
a kind of day that the baseline does not contain may explain it, or if it is due to one small tenant or to few records.
5. **Latch**: a test that fires is latched. From the next block, its statistics test whether it has recovered.
6. **Finding**: a test that fires, repeats its evidence or recovers gives a finding, which the stream publishes as drifts.

ADWIN and changes of shape (``shape/``) also raise tickets. The same tests run for each segment value (``segments/``).

To follow the decision to page, read ``layout/grid.py``; ``one_sided_test.py``, ``band.py`` and ``bets.py``;
``page_hinkley.py`` and ``cusum.py``; ``late_bursts.py``, ``known_days.py`` and ``single_tenant.py``; and ``latch.py``.
The formulas and a worked example are in ``docs/how-detection-works.md``.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import PackedBaseline
from pipeline.detect.detectors import AdwinBank, Crossing, Demotion, LateBursts, PageHinkleyBank
from pipeline.detect.findings import Finding, Latch, MinuteSeries, RecentValues
from pipeline.detect.known_days import KnownDays
from pipeline.detect.layout import BlockView, DerivedTests, Grid, GridLayout
from pipeline.detect.one_sided_tests import NotTestable, OneSidedTest, derive_tests
from pipeline.detect.recurring_tickets import RecurringTickets
from pipeline.detect.segments import (
    SegmentDrifts,
    SegmentObservation,
    Segments,
    describe_affected,
    is_single_small_tenant,
)
from pipeline.detect.settings import DetectSettings
from pipeline.detect.shape import ShapeDrifts
from pipeline.detect.signals import Block, catalogue, channels
from schemas.baseline import Baseline
from schemas.drift import Detector, DriftState


class Monitor:
    """Monitor that tests one stream against one baseline, and tracks the tests that have fired.

    The same blocks give the same findings and exactly the same state, even after a :meth:`dump` and :meth:`load`
    between any two blocks.

    Parameters
    ----------
    baseline
        The baseline to monitor against. Signals that it does not contain are not monitored.
    settings
        Tolerances, false-alarm budget, and times at which evidence is repeated.
    is_sampled
        Whether the records are sampled by outcome. Signals that depend on the outcome are then not tested.

    Attributes
    ----------
    packed_baseline
        The baseline in little memory.
    finite_values, monitored_values
        Number of finite signal values, and number of these values that have a test.
    not_testable
        The tests that the baseline does not support, with the reasons.
    EVIDENCE_SETTINGS, ADWIN_SETTINGS
        Names of the settings on which the evidence and the ADWIN windows depend. No other state depends on settings.

    Raises
    ------
    ValueError
        If the baseline has fewer than two knots for a signal, or its knots decrease.
    """

    EVIDENCE_SETTINGS: ClassVar = (*OneSidedTest.SETTINGS, "recovery_evidence")
    ADWIN_SETTINGS: ClassVar = AdwinBank.SETTINGS

    def __init__(self, baseline: Baseline, settings: DetectSettings, *, is_sampled: bool = False) -> None:
        self._settings = settings
        tests, self.not_testable = derive_tests(baseline, settings, is_sampled=is_sampled)
        self._tests = DerivedTests(tests)
        self.layout = GridLayout(baseline, self._tests)
        values = [self.layout.signals[index].name for index in self.layout.value_indexes]
        self.packed_baseline = PackedBaseline(baseline, self.layout.rank_tables, values)
        self.bank = PageHinkleyBank(
            self._tests, self.layout.channel_columns, self.layout.presence_columns, settings.recovery_evidence
        )
        self.late_bursts = LateBursts(self._tests, self.layout, self.bank)
        self.adwin = AdwinBank.for_tests(self._tests, self.layout, settings)
        self.recent_values = RecentValues(self.layout.value_indexes)
        self._demotion = Demotion(self._tests)
        self._known_days = known_days = KnownDays.from_baseline(baseline, settings)
        self.segments = Segments(self._tests, self.layout, settings, known_days)
        self.segment_drifts = SegmentDrifts(self.segments, self.packed_baseline, settings)
        self.minute_series = MinuteSeries(self.layout)
        self.shapes = ShapeDrifts(baseline, self.packed_baseline, self.layout, settings, is_sampled=is_sampled)
        self._latches: dict[int, Latch] = {}
        self._untested: list[tuple[NotTestable, Latch]] = []
        self._recurring = RecurringTickets()
        self.finite_values = self.monitored_values = 0

    @property
    def baseline(self) -> Baseline:
        """The baseline."""
        return self.packed_baseline.read()

    @property
    def is_idle(self) -> bool:
        """Whether no test has fired, so that a block can only fire a test."""
        is_fired = self._latches or self._untested or not (self.segment_drifts.is_idle and self.shapes.is_idle)
        return bool(self._tests) and not is_fired

    @property
    def open_alerts(self) -> set[str]:
        """Names of the signals with an open drift that pages or raises a ticket, except recurring tickets."""
        fired = (test for test in map(self._tests.__getitem__, self._latches) if test.tier != "cause")
        alerts = Counter(test.signal.name for test in fired)
        alerts += Counter(test.signal.name for test, _ in self._untested)
        return set(alerts + self.segment_drifts.open_signals + self.shapes.open_signals - self._recurring.open_signals)

    @property
    def tests(self) -> DerivedTests:
        """The one-sided tests of the full subject."""
        return self._tests

    def observe(self, block: Block) -> list[Finding]:
        """Test one block. Return the findings in the order of the records that caused them."""
        if not block.panes.size:
            return []
        self.finite_values += int(np.count_nonzero(np.isfinite(block.values)))
        ended = self.end_untested(int(block.times_ms[0]))
        if not self._tests:
            return ended
        view = self.layout.view(block)
        self.monitored_values += view.values.size - int(np.count_nonzero(np.isnan(view.values)))
        shape_changes = self.shapes.observe(view, lambda: {self._tests[test].signal.name for test in self._latches})
        observation = self.segments.update(view, block.segments, block.versions)
        withheld: set[int] = set()
        crossings = self.bank.observe(view.grid, block.times_ms, partial(self._may_fire, view, observation, withheld))
        self.late_bursts.update(view)
        for test in withheld:
            self.bank.rearm(test)
        crossed = {crossing.test for crossing in crossings}
        for test, latch in self._latches.items():
            if test not in crossed:
                latch.add(self._tally(view, -1, test))
        findings = [(0, finding) for finding in shape_changes]
        findings += [self._fire_or_recover(view, crossing) for crossing in crossings]
        findings += self.find_mean_changes(view.grid, lambda: view)
        findings += self.find_evidence_due(view)
        latched = {self._tests[test].crossing_key for test in self._latches}
        findings += self.segment_drifts.find_drifts(view, observation, latched)
        self.recent_values.observe(view.values)
        self.minute_series.observe(view)
        return ended + [self.complete(finding, view) for _, finding in sorted(findings, key=lambda pair: pair[0])]

    def close_drifts(self, now_ms: int, closes: Callable[[str, str], bool] | None = None) -> list[Finding]:
        """Close drifts because of a new baseline: all, or those of the signals and segments that ``closes`` selects."""
        closed = [test for test in self._latches if closes is None or closes(self._tests[test].signal.name, "")]
        findings = [self._end(self._tests[test], self._latches.pop(test), now_ms) for test in closed]
        for test in closed:
            self.bank.rearm(test)
        findings += self.segment_drifts.close_drifts(now_ms, closes) + self.shapes.close_drifts(now_ms, closes)
        return self.end_untested(now_ms) + [self._recurring.publish(finding) for finding in findings]

    def end_untested(self, now_ms: int) -> list[Finding]:
        """End the drifts whose tests no longer run after a change of settings or sampling."""
        untested, self._untested = self._untested, []
        findings = [self._end(test, latch, now_ms, reason=Latch.untested_reason(test)) for test, latch in untested]
        findings += self.segment_drifts.end_untested(now_ms) + self.shapes.end_untested(now_ms)
        return [self._recurring.publish(finding) for finding in findings]

    def reset_evidence(self) -> None:
        """Reset all statistics and windows after a gap in the records, but leave latches unchanged."""
        self.bank.reset()
        self.late_bursts.reset()
        self.adwin.reset()
        self.segments.bank.reset()
        self.shapes.reset()

    def dump(self) -> dict[str, dict[str, Any]]:
        """Return the state as three parts.

        ``monitor`` contains what happened: open drifts, segment values, recent values and series, by names, so it remains
        valid under other settings. ``evidence`` contains the statistics of the tests, and ``adwin`` the ADWIN windows.
        """
        latches = [latch.dump(self._tests[latch.test_index]) for latch in self._latches.values()]
        return {
            "monitor": {
                "baseline_version": self.packed_baseline.baseline_version,
                "latches": latches + [latch.dump(test) for test, latch in self._untested],
                "demotion": self._demotion.dump(),
                "segments": self.segments.dump(),
                "segment_drifts": self.segment_drifts.dump(),
                "recent_values": {
                    self.layout.signals[int(index)].name: values for index, values in self.recent_values.dump().items()
                },
                "minute_series": self.minute_series.dump(),
                "shapes": self.shapes.dump_drifts(),
                "recurring": self._recurring.dump(),
                "monitored_values": self.monitored_values,
                "finite_values": self.finite_values,
            },
            "evidence": {
                "bank": self.bank.dump(),
                "late_bursts": self.late_bursts.dump(),
                "segments": self.segments.dump_evidence(),
                "shapes": self.shapes.dump_evidence(),
            },
            "adwin": self.adwin.dump(),
        }

    def load(self, state: Mapping[str, dict[str, Any]]) -> None:
        """Restore the parts that :meth:`dump` returned.

        The parts ``evidence`` and ``adwin`` may be missing. The open drifts then remain open, and their recovery is
        tested from the next record.

        Raises
        ------
        ValueError
            If the state belongs to another baseline or to other tests.
        """
        self._load_history(state["monitor"])
        if "evidence" in state:
            self.bank.load(state["evidence"]["bank"])
            self.late_bursts.load(state["evidence"]["late_bursts"])
            self.segments.load_evidence(state["evidence"]["segments"])
            self.shapes.load_evidence(state["evidence"].get("shapes"))
        if "adwin" in state:
            self.adwin.load(state["adwin"])

    def _load_history(self, state: dict[str, Any]) -> None:
        if state["baseline_version"] != (version := self.packed_baseline.baseline_version):
            raise ValueError(
                f"the state of baseline {state['baseline_version']} does not fit baseline {version} of "
                f"{self.baseline.subject}: evidence is reset"
            )
        indexes, rest = self._tests.indexes_by_key, (self.not_testable, self.baseline, self._settings)
        for content in state["latches"]:
            if (key := tuple(content["test"])) not in indexes:
                self._untested.append((NotTestable.find(key, *rest), Latch.load(content, -1)))
                continue
            latch = self._latches[indexes[key]] = Latch.load(content, indexes[key])
            self.bank.latch(latch.test_index, latch.worst)
        self._demotion.load(state["demotion"])
        self.segments.load(state["segments"])
        self.segment_drifts.load(state["segment_drifts"], self._tests, lambda key: NotTestable.find(key, *rest))
        self.recent_values.load(
            {
                str(index): state["recent_values"].get(self.layout.signals[index].name, ())
                for index in self.layout.value_indexes
            }
        )
        self.minute_series.load(state["minute_series"])
        self.shapes.load_drifts(state.get("shapes", ()))  # Not in checkpoints of formats before 9, as the next.
        self._recurring.load(state.get("recurring", {}))
        self.monitored_values, self.finite_values = int(state["monitored_values"]), int(state["finite_values"])

    def _may_fire(
        self, view: BlockView, observation: SegmentObservation | None, withheld: set[int], crossing: Crossing
    ) -> bool:
        """Return whether a test may fire at a crossing, according to the late-burst, day and tenant checks.

        An alert that an unknown kind of day may explain is suppressed, and its test is reset after the block. So is a page
        that is due to a single small tenant, except that of a safety signal, because an attack comes from one tenant.
        """
        test = self._tests[crossing.test]
        if crossing.test in withheld or self.late_bursts.is_late_burst(crossing, view):
            return False
        if (is_page := test.tier == "page") and test.signal.name in catalogue.PROBE_SIGNALS:
            return True
        if self._known_days.may_explain(test, crossing.mean, int(view.block.times_ms[0])) or (
            is_page and is_single_small_tenant(self.segments, test, view, observation)
        ):
            withheld.add(crossing.test)
            return False
        if not is_page or crossing.tally[0] >= test.PAGE_RECORDS:
            return True
        return self.segments.affected_tenants(test.crossing_key) > 1

    def _fire_or_recover(self, view: BlockView, crossing: Crossing) -> tuple[int, Finding]:
        """Latch a test that has fired, or release a test that has recovered."""
        test = crossing.test
        row = view.last_carrying_row(crossing.step, int(self.layout.signal_indexes[test]))
        at_crossing = self._tally(view, crossing.step + 1, test)
        if test not in self._latches:
            latch = self._latch(view.block, row, crossing, "page_hinkley")
            finding = self._finding(test, latch, "firing", view, row, crossing.tally)
            latch.add(self._tally(view, -1, test) - at_crossing)
            return row, finding
        latch = self._latches.pop(test)
        latch.add(at_crossing)
        self.bank.rearm(test)
        if not self._is_latched(test):
            self.segment_drifts.rearm_suppressed(self._tests[test].crossing_key)
        self.adwin.forget(int(self.layout.channel_columns[test]))
        return row, self._finding(test, latch, "recovered", view, row, crossing.tally, evidence=crossing.evidence)

    def _end(self, test: OneSidedTest | NotTestable, latch: Latch, now_ms: int, **reason: Any) -> Finding:
        learned, recovery = self.baseline.signals[test.signal.name], self._settings.recovery_evidence
        return latch.build_end(test, learned, now_ms=now_ms, recovery=recovery, **reason)

    def _latch(self, block: Block, row: int, crossing: Crossing, detector: Detector) -> Latch:
        detected_at = int(block.times_ms[row])
        started_at = crossing.started_at if crossing.started_at >= 0 else detected_at
        latch = Latch(
            test_index=crossing.test,
            detector=detector,
            started_at=min(started_at, detected_at),
            detected_at=detected_at,
            pane=int(block.panes[row]),
            request_id=block.request_ids[row],
            evidence=crossing.evidence,
            worst=crossing.mean,
            records=int(crossing.tally[0]),
            demote=self._demotion.record_firing(crossing.test, detected_at),
        )
        self._latches[crossing.test] = latch
        self.bank.latch(crossing.test, crossing.mean)
        return latch

    def find_mean_changes(self, grid: Grid, find_view: Callable[[], BlockView]) -> list[tuple[int, Finding]]:
        """Fire the ticket tests of changes that ADWIN found, unless a test with the same key has already fired."""
        findings = []
        for change in self.adwin.observe(grid):
            if self._is_latched(change.test):
                continue
            view = find_view()
            crossing = self.bank.strongest(change.test)
            if crossing.tally[0] < self._settings.adwin_records:
                records, total = self._tally(view, -1, change.test).tolist()
                crossing = replace(crossing, started_at=int(view.block.times_ms[0]), tally=(records, total))
            if self._known_days.may_explain(self._tests[change.test], crossing.mean, int(view.block.times_ms[0])):
                continue
            latch = self._latch(view.block, change.row, crossing, "adwin")
            findings.append((change.row, self._finding(change.test, latch, "firing", view, change.row, crossing.tally)))
        return findings

    def find_evidence_due(self, view: BlockView) -> list[tuple[int, Finding]]:
        """Repeat the evidence of drifts whose update is due."""
        last_row = view.block.panes.size - 1
        findings = []
        for test, latch in self._latches.items():
            if latch.is_update_due(int(view.block.panes[last_row]), self._settings.evidence_after_s):
                records, total = latch.since_message
                findings.append((last_row, self._finding(test, latch, "evidence", view, last_row, (records, total))))
        return findings

    def _tally(self, view: BlockView, sample: int, test: int) -> NDArray[np.float64]:
        """Return the number of records with a test's signal before a sample, and the sum of the channel over them."""
        columns = [self.layout.presence_columns[test], self.layout.channel_columns[test]]
        tally: NDArray[np.float64] = view.grid.prefix_sums[sample].take(columns)
        return tally

    def _is_latched(self, test: int) -> bool:
        """Return whether a test with the same key has fired in any tier."""
        return any(self._tests[other].crossing_key == self._tests[test].crossing_key for other in self._latches)

    def _finding(
        self,
        index: int,
        latch: Latch,
        state: DriftState,
        view: BlockView,
        row: int,
        tally: tuple[float, float],
        *,
        evidence: float | None = None,
    ) -> Finding:
        test, now, signal = self._tests[index], None, int(self.layout.signal_indexes[index])
        if test.channel == channels.OVERDUE:
            now = self.layout.current_age(view.block, signal, row, is_reset=state == "recovered")
        elif self.layout.baseline_median(index) is not None:
            now = self.recent_values.median(signal, view.values, rows=row + 1, count=max(1.0, tally[0]))
        recovered = (evidence or 0.0, self._settings.recovery_evidence)
        return latch.build_finding(
            test,
            self.baseline.signals[test.signal.name],
            state,
            updated_at=int(view.block.times_ms[row]),
            tally=tally,
            now=now,
            evidence_and_threshold=recovered if state == "recovered" else (latch.evidence, test.threshold),
            carried_by=describe_affected(self.segments, test.crossing_key),
        )

    def complete(self, finding: Finding, view: BlockView) -> Finding:
        """Return a finding as it is published, with the minute series and the traffic share."""
        finding = self._recurring.publish(finding)
        learned, pane = self.baseline.signals[finding.signal.name], int(view.block.panes[-1])
        share = self.minute_series.traffic_share(finding, view) or self.segments.traffic_share(finding.segment, pane)
        return replace(self.minute_series.attach_series(finding, learned), traffic_share=share)
