"""The segment bank: the statistics of the subject's page tests for each monitored segment value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors import Crossing, CusumState, StepSums
from pipeline.detect.one_sided_tests import OneSidedTest
from pipeline.detect.segments.segment_evidence import SEGMENT_BETS, SegmentEvidence
from pipeline.detect.segments.segment_sums import SegmentSums
from pipeline.detect.shared_values import share_array

CAP_SHARE = 0.2
"""Share of a threshold that one pane may add. It is lower than for the subject, because late bursts are not removed."""


@dataclass(slots=True)
class SegmentState(CusumState):
    """The state of a :class:`SegmentBank`. ``excluded``, shape ``(n, S)``, marks tests that do not run."""

    excluded: NDArray[np.bool_]

    @classmethod
    def of_size(cls, slots: int, bets: int, tests: int) -> Self:
        """Return the initial state."""
        excluded = np.zeros((slots, tests), dtype=bool)
        return cls(**CusumState.of_size(slots, bets, tests).dump(), excluded=excluded)


class SegmentBank:
    """Test statistics as in :class:`pipeline.detect.detectors.PageHinkleyBank`, for each of ``n`` slots.

    The bank uses every second bet, and evaluates the statistics only at the end of a pane or block. The false-alarm
    guarantee does not depend on that. The evidence of a record is computed once for all slots, except for tests that
    are latched or excluded in a slot.

    Parameters
    ----------
    tests
        The ``S`` one-sided tests. The tests of binary channels come first.
    channel_columns, presence_columns
        Shape ``(S,)``: for each test, the indexes of the numbers that are its channel and its signal's presence.
    recovery
        Threshold of a recovery.

    Attributes
    ----------
    segment_evidence
        The evidence from the records of a block.
    state
        The statistics.
    firing_thresholds
        Shape ``(S,)``: the threshold of each test.
    held
        The tests with a level of their own, by slot and test: what a person accepted for a value.
    """

    def __init__(
        self,
        tests: Sequence[OneSidedTest],
        channel_columns: NDArray[np.intp],
        presence_columns: NDArray[np.intp],
        recovery: float,
    ) -> None:
        self._tests, self._recovery = tests, recovery
        self._columns = share_array(np.stack([presence_columns, channel_columns]))
        self.firing_thresholds = share_array(np.array([test.threshold for test in tests]))
        self.segment_evidence = SegmentEvidence(tests, self._columns)
        self.state = SegmentState.of_size(0, SEGMENT_BETS, len(tests))
        self.held: dict[tuple[int, int], OneSidedTest] = {}
        self._bets_changed = True

    def __len__(self) -> int:
        return len(self.state.panes)

    @property
    def latched(self) -> NDArray[np.bool_]:
        """Mask of the tests that have fired but not recovered, shape ``(n, S)``."""
        return self.state.latched

    @property
    def excluded(self) -> NDArray[np.bool_]:
        """Mask of the tests that do not run, shape ``(n, S)``."""
        return self.state.excluded

    @property
    def test_statistics(self) -> NDArray[np.float64]:
        """The current test statistics, shape ``(n, 4, S)``."""
        return self.state.statistics

    def open_slot(self, slot: int) -> None:
        """Start all tests of a slot at 0. The slot must exist or be the next new slot."""
        state = self.state
        if slot == len(self):
            state.append_slot()
        state.latched[slot] = state.excluded[slot] = False
        self.held = {key: test for key, test in self.held.items() if key[0] != slot}
        state.clear_panes(slot)
        self.reset_slot(slot)

    def reset_slot(self, slot: int) -> None:
        """Set all statistics of a slot to 0."""
        self.state.reset(slot)
        self._bets_changed = True

    def latch(self, slot: int, test: int, worst: float) -> None:
        """Latch a test, and test its recovery from ``worst``, the channel's mean when it fired."""
        self.state.latch(slot, test, worst)
        self._bets_changed = True

    def rearm(self, slot: int, test: int) -> None:
        """Reset a test to its normal bets, and set its statistics to 0."""
        self.state.rearm(slot, test)
        self._bets_changed = True

    def exclude(self, slot: int, test: int) -> None:
        """Stop running a test in a slot."""
        self.state.excluded[slot, test] = True
        self.state.reset(slot, test)
        self._bets_changed = True

    def hold(self, slot: int, test: int, mean: float, boundary: float) -> None:
        """Run a test in a slot with another normal mean and its null boundary, and set its statistics to 0."""
        self.held[slot, test] = self._tests[test].with_level(mean, boundary)
        self.state.excluded[slot, test] = False
        self.rearm(slot, test)

    def evidence(self, slot: int, test: int) -> float:
        """Return the largest statistic of a test."""
        return float(self.state.statistics[slot, :, test].max())

    def records_since_zero(self, slot: int, test: int, *, evidence_min: float) -> float:
        """Return the number of records with a test's signal since its largest statistic was 0.

        The number is 0 if that statistic is below ``evidence_min``.
        """
        statistics = self.state.statistics[slot, :, test]
        bet = int(np.argmax(statistics))
        return float(self.state.tallies[slot, 0, bet, test]) if statistics[bet] >= evidence_min else 0.0

    def reset(self) -> None:
        """Set all statistics to 0 after a gap in the records, but leave latches and exclusions unchanged."""
        self.state.reset()
        self.state.clear_panes()
        self._bets_changed = True

    def observe(
        self,
        slots: NDArray[np.intp],
        sums: SegmentSums,
        times_ms: NDArray[np.int64],
        may_fire: Callable[[Crossing], bool],
        densities: NDArray[np.float64] | None = None,
    ) -> list[Crossing]:
        """Update the statistics with one block.

        Parameters
        ----------
        slots
            Shape ``(V,)``: the slot of each value. No slot may occur twice.
        times_ms
            Shape ``(R,)``: event times.
        may_fire
            Function that returns whether a test may fire at a crossing. If it returns False, it is called again at the
            next pane at or above the threshold.
        densities
            Shape ``(V,)``: see :meth:`SegmentEvidence.pane_evidence`. The default is 1.

        Returns
        -------
        list[Crossing]
            At most one crossing per value and test, in the order of the values, then of the tests.
        """
        if self._bets_changed:
            self.segment_evidence.update_bets(self.latched, self.excluded, self.state.worst, self.held)
            self._bets_changed = False
        groups, state = sums.groups, self.state.take(slots)
        evidence = self.segment_evidence.pane_evidence(
            slots, sums, np.ones(slots.size) if densities is None else densities
        )
        before = state.statistics
        same_pane = (state.panes == groups.first_pane)[:, None, None]
        bases = np.where(same_pane, state.bases, before)
        thresholds = np.where(state.latched, self._recovery, self.firing_thresholds)
        caps = thresholds[:, None] * CAP_SHARE
        # A step is a pane, so the cap applies to the step. Only the first step may continue an earlier pane.
        np.minimum(evidence[1:], caps, out=evidence[1:])
        np.minimum(evidence[0], bases + caps - before, out=evidence[0])
        path = np.empty((evidence.shape[0] + 1, *before.shape))
        path[0] = before
        for pane, increment in enumerate(evidence):
            np.maximum(np.add(path[pane], increment, out=path[pane + 1]), 0.0, out=path[pane + 1])
        prefix_sums = np.zeros((path.shape[0], *sums.sums.shape[1:]))
        np.cumsum(sums.sums, axis=0, out=prefix_sums[1:])
        step_sums = StepSums(prefix_sums, groups.next_times(times_ms), self._columns)
        state.set_starts(step_sums)
        crossings = self._crossings(state, slots, path[1:], thresholds, step_sums, may_fire)
        state.statistics, state.bases = path[-1], path[-2] if groups.shape[0] > 1 else bases
        state.panes[:] = groups.last_pane
        state.advance(path[1:], step_sums)
        self.state.put(slots, state)
        return crossings

    def continue_tests(self, source: "SegmentBank", pairs: Sequence[tuple[int, int]]) -> None:
        """Continue the tests of another bank. ``pairs`` has the index of each test in this bank and in the other bank."""
        self.state.continue_tests(source.state, pairs)
        self._bets_changed = True

    def dump(self) -> dict[str, Any]:
        """Return the state as arrays."""
        return self.state.dump()

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned.

        Raises
        ------
        ValueError
            If the state belongs to other tests.
        """
        self.state.load(state)
        self._bets_changed = True

    def _crossings(
        self,
        state: SegmentState,
        slots: NDArray[np.intp],
        path: NDArray[np.float64],
        thresholds: NDArray[np.float64],
        sums: StepSums,
        may_fire: Callable[[Crossing], bool],
    ) -> list[Crossing]:
        crossings: list[Crossing] = []
        peaks = path.max(axis=(0, 2))
        for value, test in np.argwhere((peaks >= thresholds) & ~state.excluded).tolist():
            crossings_of_test = state.find_crossings(
                path[:, value, :, test], float(thresholds[value, test]), sums, slot=value, test=test
            )
            used = self.held.get((int(slots[value]), test)) or self._tests[test]
            for crossing in crossings_of_test:
                if crossing.is_within_band(used) if crossing.is_recovery else may_fire(crossing):
                    crossings.append(crossing)
                    break
        return crossings
