"""The judge: everything that looks at the blocks of one unit against one baseline, and says what has left it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors import AdwinBank, Crossing, Demotion, LateBursts, PageHinkleyBank, adwin_channels
from pipeline.detect.findings import Finding, Latch, MinuteSeries, RecentValues, build_end, build_finding
from pipeline.detect.layout import BlockView, Layout, cut_samples
from pipeline.detect.one_sided_tests import PAGE_RECORDS, PROBE_SIGNALS, CrossingKey, OneSidedTest, derive_tests
from pipeline.detect.segments import SegmentDrifts, SegmentObservation, Segments, is_single_small_tenant
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import Block
from schemas.baseline import Baseline
from schemas.drift import DriftState

_KEPT = ("bank", "late_bursts", "means", "recent", "demotion", "segments", "segment_drifts", "minutes")
"""The parts that have a state of their own."""


class Monitor:
    """The Page-Hinkley bank and ADWIN over one unit, with what is latched and whose evidence is due.

    The same blocks give the same findings and, after a :meth:`dump` and :meth:`load` anywhere between two, the same
    state to the bit.

    Parameters
    ----------
    baseline
        What is normal. Signals that it does not know are not judged.
    settings
        Tolerances, false alarms, and when evidence is sent again.

    Attributes
    ----------
    baseline
        What it was made with.
    judged_values, seen_values
        Finite signal values that arrived, and those of them that some side watched.
    unjudged
        The sides that are not watched, with the reason.

    Raises
    ------
    ValueError
        If the baseline's knots are no quantiles: fewer than two, or falling.
    """

    def __init__(self, baseline: Baseline, settings: DetectSettings) -> None:
        self.baseline, self._settings = baseline, settings
        self._sides, self.unjudged = derive_tests(baseline, settings)
        self._layout = Layout(baseline, self._sides)
        self._bank = PageHinkleyBank(
            self._sides, self._layout.side_channels, self._layout.side_carried, settings.recovery_evidence
        )
        self._late_bursts = LateBursts(self._sides, self._layout, self._bank)
        self._watched, self._tickets = adwin_channels(self._sides, self._layout)
        self._means = AdwinBank(self._watched, settings.adwin_delta, settings.adwin_records)
        self._recent = RecentValues(self._layout.valued)
        self._segments = Segments(self._sides, self._layout, settings)
        self._segment_drifts = SegmentDrifts(self._segments, baseline, settings)
        self._minutes = MinuteSeries(self._layout)
        self._latches: dict[int, Latch] = {}
        self._demotion = Demotion(self._sides)
        self.judged_values = self.seen_values = 0

    @property
    def tests(self) -> Sequence[OneSidedTest]:
        """What is watched of the whole subject."""
        return self._sides

    @property
    def test_statistics(self) -> NDArray[np.float64]:
        """Shape ``(S, 8)``: the evidence of each side now, for each of its bets."""
        return self._bank.test_statistics

    @property
    def latched(self) -> NDArray[np.bool_]:
        """Shape ``(S,)``: which sides have fired and not recovered, and so walk back."""
        return self._bank.latched

    def observe(self, block: Block) -> list[Finding]:
        """Judge one block; findings in the order of the records that gave them."""
        if not block.panes.size:
            return []
        values = self._layout.values(block)
        self.seen_values += int(np.count_nonzero(np.isfinite(block.values)))
        self.judged_values += values.size - int(np.count_nonzero(np.isnan(values)))
        if not self._sides:
            return []
        view = BlockView(block, values, self._layout.grid(cut_samples(block.panes), values))
        seen = self._segments.observe(view, block.segments, block.versions)
        withheld: set[int] = set()
        crossings = self._bank.observe(view.grid, block.times_ms, partial(self._may_fire, view, seen, withheld))
        self._late_bursts.settle(view)
        for side in withheld:
            self._bank.rearm(side)
        crossed = {crossing.side for crossing in crossings}
        for side, latch in self._latches.items():
            if side not in crossed:
                latch.add(self._tally(view, -1, side))
        found = [self._crossed(view, crossing) for crossing in crossings]
        found += self._changes(view)
        found += self._evidence_due(view)
        found += self._segment_drifts.findings(view, seen, {self._sides[side].crossing_key for side in self._latches})
        self._recent.observe(values)
        self._minutes.observe(view)
        return [self._told(finding, view) for _, finding in sorted(found, key=lambda pair: pair[0])]

    def excluded_tests(self) -> list[tuple[str, str, CrossingKey]]:
        """Segment values with a normal of their own: dimension, value, and the side that is not judged there."""
        return self._segments.excluded_tests()

    def close(self, now_ms: int) -> list[Finding]:
        """What is to be said of all that was said to be off, when another baseline judges from now on."""
        latches, self._latches = list(self._latches.values()), {}
        found = [
            build_end(
                self._sides[latch.side],
                self.baseline.signals[self._sides[latch.side].signal.name],
                latch,
                now_ms=now_ms,
                recovery=self._settings.recovery_evidence,
            )
            for latch in latches
        ]
        return found + self._segment_drifts.close(now_ms)

    def reset_evidence(self) -> None:
        """All walks and windows to their beginning, latches kept: the records to come do not follow the last."""
        self._bank.reset()
        self._late_bursts.reset()
        self._means.reset()
        self._segments.bank.reset()

    def dump(self) -> dict[str, Any]:
        """The state: plain values, arrays and bytes."""
        return {
            "baseline_version": self.baseline.baseline_version,
            "latches": [latch.dump() for latch in self._latches.values()],
            **{name: getattr(self, f"_{name}").dump() for name in _KEPT},
            "judged_values": self.judged_values,
            "seen_values": self.seen_values,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it was kept against another baseline, or other sides.
        """
        if state["baseline_version"] != self.baseline.baseline_version:
            raise ValueError(
                f"state kept against baseline {state['baseline_version']} does not fit "
                f"{self.baseline.baseline_version} of {self.baseline.subject}: its walks start anew"
            )
        for name in _KEPT:
            getattr(self, f"_{name}").load(state[name])
        self._latches = {kept["side"]: Latch(**kept) for kept in state["latches"]}
        self.judged_values = int(state["judged_values"])
        self.seen_values = int(state["seen_values"])

    def _told(self, finding: Finding, view: BlockView) -> Finding:
        told, pane = self._minutes.series(finding, self.baseline.signals[finding.signal.name]), view.block.panes[-1]
        share = self._minutes.traffic_share(finding, view) or self._segments.traffic_share(finding.segment, int(pane))
        return replace(told, traffic_share=share)

    def _may_fire(
        self, view: BlockView, seen: SegmentObservation | None, withheld: set[int], crossing: Crossing
    ) -> bool:
        """Whether it is no burst that came late, and no bad minute of one user; what one small tenant does is withheld.

        Harm is never withheld: that it comes of one tenant, as an attack mostly does, makes it no smaller.
        """
        side = self._sides[crossing.side]
        if crossing.side in withheld or self._late_bursts.remove_excess(crossing, view):
            return False
        if side.tier != "page" or side.signal.name in PROBE_SIGNALS:
            return True
        if side.signal.layer != "safety" and is_single_small_tenant(self._segments, side.crossing_key, view, seen):
            withheld.add(crossing.side)
            return False
        return crossing.tally[0] >= PAGE_RECORDS or self._segments.tenants(side.crossing_key) > 1

    def _crossed(self, view: BlockView, crossing: Crossing) -> tuple[int, Finding]:
        """A side that fired, or recovered: then ``now`` looks at the records since the recovery began."""
        row = view.last_carrying_row(crossing.sample, int(self._layout.side_signals[crossing.side]))
        at_crossing = self._tally(view, crossing.sample + 1, crossing.side)
        if crossing.side not in self._latches:
            latch = self._latch(view.block, row, crossing)
            finding = self._finding(latch, "firing", view, row, crossing.tally)
            latch.add(self._tally(view, -1, crossing.side) - at_crossing)
            return row, finding
        latch = self._latches.pop(crossing.side)
        latch.add(at_crossing)
        self._bank.rearm(crossing.side)
        if not self._is_latched(crossing.side):
            self._segment_drifts.rearm(self._sides[crossing.side].crossing_key)
        column = int(self._layout.side_channels[crossing.side])
        for index, watched in enumerate(self._watched):
            if watched.column == column:
                self._means.forget(index)
        return row, self._finding(latch, "recovered", view, row, crossing.tally, evidence=crossing.evidence)

    def _latch(self, block: Block, row: int, crossing: Crossing, *, adwin: bool = False) -> Latch:
        detected_at = int(block.times_ms[row])
        started_at = crossing.started_at if crossing.started_at >= 0 else detected_at
        latch = Latch(
            side=crossing.side,
            detector="adwin" if adwin else "page_hinkley",
            started_at=min(started_at, detected_at),
            detected_at=detected_at,
            pane=int(block.panes[row]),
            request_id=block.request_ids[row],
            evidence=crossing.evidence,
            records=int(crossing.tally[0]),
            demote=self._demotion.proposed(crossing.side, detected_at),
        )
        self._latches[crossing.side] = latch
        self._bank.latch(crossing.side, crossing.tally[1] / max(crossing.tally[0], 1.0))
        return latch

    def _changes(self, view: BlockView) -> list[tuple[int, Finding]]:
        """Tickets for the changes that ADWIN saw, unless the side or the page beside it has fired already."""
        found = []
        for change in self._means.observe(view.grid):
            index = self._tickets[change.index].get(change.rises)
            if index is None or self._is_latched(index):
                continue
            crossing = self._bank.since(index)
            if crossing.tally[0] < self._settings.adwin_records:
                count, total = self._tally(view, -1, index).tolist()
                crossing = replace(crossing, started_at=int(view.block.times_ms[0]), tally=(count, total))
            latch = self._latch(view.block, change.row, crossing, adwin=True)
            found.append((change.row, self._finding(latch, "firing", view, change.row, crossing.tally)))
        return found

    def _tally(self, view: BlockView, sample: int, side: int) -> NDArray[np.float64]:
        """Before a sample of a block: the records that carry a side's signal, and the sum of its channel."""
        tally: NDArray[np.float64] = view.grid.totals[sample].take(
            [self._layout.side_carried[side], self._layout.side_channels[side]]
        )
        return tally

    def _is_latched(self, index: int) -> bool:
        what = self._sides[index].crossing_key
        return any(self._sides[other].crossing_key == what for other in self._latches)

    def _evidence_due(self, view: BlockView) -> list[tuple[int, Finding]]:
        """Evidence again of what fired some time ago; what no record carried since the last message is not repeated."""
        last = view.block.panes.size - 1
        found = []
        for latch in self._latches.values():
            if latch.next_due(int(view.block.panes[last]), self._settings.evidence_after_s):
                count, total = latch.recent
                found.append((last, self._finding(latch, "evidence", view, last, (count, total))))
        return found

    def _finding(
        self,
        latch: Latch,
        state: DriftState,
        view: BlockView,
        row: int,
        tally: tuple[float, float],
        *,
        evidence: float | None = None,
    ) -> Finding:
        side = self._sides[latch.side]
        now = None
        if self._layout.baseline_median(latch.side) is not None:
            place, count = int(self._layout.side_signals[latch.side]), max(1.0, tally[0])
            now = self._recent.median(place, view.values, rows=row + 1, count=count)
        recovered = (evidence or 0.0, self._settings.recovery_evidence)
        return build_finding(
            side,
            self.baseline.signals[side.signal.name],
            latch,
            state,
            updated_at=int(view.block.times_ms[row]),
            tally=tally,
            now=now,
            weighed=recovered if state == "recovered" else (latch.evidence, side.threshold),
            where=self._segments.carrying(side.crossing_key),
        )
