"""The Page-Hinkley bank: one array with the test statistics of all one-sided tests and bets of a stream."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors.cusum import Crossing, CusumState, StepSums, run_cusum, sample_evidence
from pipeline.detect.layout import NEXT_RECORD, Grid
from pipeline.detect.one_sided_tests import BETS, OneSidedTest, rate_evidence
from pipeline.detect.shared_values import share_array
from pipeline.detect.signals import channels

CAP_SHARE = 0.33
"""Share of a threshold that one pane may add, because a burst within a second is one event.

The share is slightly less than a third, so a test fires after four panes at the earliest. Chance alone may account for
the evidence of the first and the last pane.
"""

_SLOT = 0
"""Slot of the subject, which is the only slot in the state."""


class PageHinkleyBank:
    """Page's recursion on betting scores, with eight bets per one-sided test. The largest statistic of a test decides.

    The recursion W <- max(0, W + evidence) is evaluated after each sample. It equals ``river.drift.PageHinkley`` with
    a fixed reference of 0 on the evidence summed per sample. While the mean of a stream, given the past,
    stays within the band, on average at least exp(threshold) / 8 records pass between two alarms of a test. This holds
    for any distribution and dependence of the records (Shin, Ramdas and Rinaldo 2022, "E-detectors").

    One pane can raise a statistic by at most a third of its threshold. A test that has fired is *latched*: it then bets
    on a return to the baseline's mean. It recovers when that statistic reaches the recovery threshold and the mean
    since the start of the recovery is within the band. The caller applies the result of :meth:`observe` with
    :meth:`latch` and :meth:`rearm`, which take effect from the next block.

    Parameters
    ----------
    tests
        The ``S`` one-sided tests.
    channel_columns, presence_columns
        Shape ``(S,)``: for each test, the grid columns of its channel and of its signal's presence.
    recovery
        Threshold of a recovery.

    Attributes
    ----------
    state
        The statistics. Its tests are in the internal order: the tests of binary channels come first.
    binary_count
        Number of tests of binary channels.
    columns
        Shape ``(2, S)``: the grid columns of the presence and the channel of each test, in the internal order.
    ordered_thresholds, ordered_caps
        Shape ``(S,)``: the threshold of each test, and the maximum that one pane may add, in the internal order.
    record_evidence, event_evidence
        Shape ``(8, B)``: see :func:`pipeline.detect.one_sided_tests.rate_evidence`, for the binary tests.
    nulls, stakes, weights
        Shapes ``(L,)``, ``(8, L)`` and ``(L,)``: null boundaries, bets and weights of the other tests.
    """

    def __init__(
        self,
        tests: Sequence[OneSidedTest],
        channel_columns: NDArray[np.intp],
        presence_columns: NDArray[np.intp],
        recovery: float,
    ) -> None:
        self._tests, self._recovery = tests, recovery
        binary = np.array([test.channel in channels.BINARY for test in tests], dtype=bool)
        # Inside the bank, tests of binary channels come first, because their evidence is computed from sums alone.
        self._order = share_array(np.concatenate([np.flatnonzero(binary), np.flatnonzero(~binary)]))
        self._positions = share_array(np.argsort(self._order))
        self.binary_count = int(np.count_nonzero(binary))
        self.columns = share_array(np.stack([presence_columns[self._order], channel_columns[self._order]]))
        self._firing_thresholds = share_array(np.array([test.threshold for test in tests]))
        self.state = CusumState.of_size(1, BETS, len(tests))
        self._update_bets()

    @property
    def test_count(self) -> int:
        """Number of tests."""
        return len(self._tests)

    @property
    def latched(self) -> NDArray[np.bool_]:
        """Mask of the tests that have fired but not recovered, shape ``(S,)``."""
        latched: NDArray[np.bool_] = self.state.latched[_SLOT, self._positions]
        return latched

    @property
    def test_statistics(self) -> NDArray[np.float64]:
        """The current test statistics, shape ``(S, 8)``."""
        return self._capped_statistics()[:, self._positions].T

    @property
    def highest_statistics(self) -> NDArray[np.float64]:
        """The largest statistic of each test, shape ``(S,)``."""
        highest: NDArray[np.float64] = self._capped_statistics().max(axis=0)[self._positions]
        return highest

    def observe(
        self,
        grid: Grid,
        times_ms: NDArray[np.int64],
        may_fire: Callable[[Crossing], bool] = lambda _crossing: True,
    ) -> list[Crossing]:
        """Update the statistics with one block.

        Parameters
        ----------
        times_ms
            Shape ``(R,)``: event times.
        may_fire
            Function that decides whether a test may fire at a crossing. If it returns False, it is called again at the
            next sample at or above the threshold.

        Returns
        -------
        list[Crossing]
            At most one crossing per test, in the order of the tests.
        """
        if not self._tests:
            return []
        state, samples = self.state, grid.samples
        times = np.append(times_ms[samples.starts], NEXT_RECORD)
        sums = StepSums(grid.prefix_sums[:, None], times[:, None], self.columns)
        state.set_starts(sums)
        if samples.first_pane != state.panes[_SLOT]:
            state.statistics = state.bases = self._capped_statistics()[None]
        evidence, caps = self._evidence(grid), np.tile(self.ordered_caps, BETS)
        path, peaks, after = run_cusum(samples, evidence, state.statistics.ravel(), state.bases.ravel(), caps)
        highest = peaks.reshape(BETS, -1).max(axis=0)[self._positions]
        found = (
            self._crossing(path, sums, test, may_fire) for test in (highest >= self._thresholds).nonzero()[0].tolist()
        )
        crossings = [crossing for crossing in found if crossing is not None]
        shape, last_pane_start = state.statistics.shape, int(samples.pane_starts[-1])
        if last_pane_start > 0:
            state.bases = path[last_pane_start - 1].reshape(shape).copy()
        state.panes[_SLOT] = samples.last_pane
        state.statistics = after.reshape(shape).copy()
        state.advance(path.reshape(-1, *shape), sums)
        return crossings

    def latch(self, test: int, worst: float) -> None:
        """Latch a test, and test its recovery from ``worst``, the channel's mean when it fired."""
        self.state.latch(_SLOT, int(self._positions[test]), worst)
        self._update_bets()

    def rearm(self, test: int) -> None:
        """Reset a test to its normal bets, and set its statistics to 0."""
        self.state.rearm(_SLOT, int(self._positions[test]))
        self._update_bets()

    def subtract(self, test: int, evidence: NDArray[np.float64]) -> None:
        """Subtract evidence, shape ``(8,)``, from the statistics of a test."""
        state, position = self.state, self._positions[test]
        statistics = np.maximum(self._capped_statistics()[:, position] - evidence, 0.0)
        state.statistics[_SLOT, :, position] = statistics
        state.bases[_SLOT, :, position] = np.minimum(state.bases[_SLOT, :, position], statistics)
        state.started[_SLOT, statistics == 0.0, position] = NEXT_RECORD
        state.tallies[_SLOT, :, statistics == 0.0, position] = 0.0

    def strongest(self, test: int) -> Crossing:
        """Return the largest statistic of a test, as a crossing after the last record."""
        state, position = self.state, self._positions[test]
        statistics = self._capped_statistics()[:, position]
        bet = int(np.argmax(statistics))
        count, total = state.tallies[_SLOT, :, bet, position].tolist()
        started_at = int(state.started[_SLOT, bet, position])
        return Crossing(test, bet, -1, float(statistics[bet]), started_at, (count, total))

    def reset(self) -> None:
        """Set all statistics to 0 after a gap in the records, but leave latches unchanged."""
        self.state.reset()
        self.state.clear_panes()

    def continue_tests(self, source: "PageHinkleyBank", pairs: Sequence[tuple[int, int]]) -> None:
        """Continue the tests of another bank. ``pairs`` has the index of each test in this bank and in the other bank."""
        positions = [(int(self._positions[new]), int(source._positions[old])) for new, old in pairs]  # noqa: SLF001
        self.state.continue_tests(source.state, positions)
        self._update_bets()

    def dump(self) -> dict[str, Any]:
        """Return the state: arrays in the bank's internal order of tests."""
        return self.state.dump()

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned.

        Raises
        ------
        ValueError
            If the state belongs to other tests.
        """
        self.state.load(state, slots=1)
        self._update_bets()

    def _capped_statistics(self) -> NDArray[np.float64]:
        """Return the capped statistics, shape ``(8, S)``. Within a pane, the uncapped statistics may be higher."""
        state = self.state
        capped: NDArray[np.float64] = np.minimum(state.statistics[_SLOT], state.bases[_SLOT] + self.ordered_caps)
        return capped

    def _update_bets(self) -> None:
        tests = list(self._tests)
        nulls = np.array([test.null_boundary for test in tests])
        stakes = np.array([test.stakes for test in tests]).reshape(nulls.size, BETS)
        weights = np.array([test.weight for test in tests])[self._order]
        latched, worst = self.latched, self.state.worst[_SLOT, self._positions]
        for test in np.flatnonzero(latched).tolist():
            nulls[test], stakes[test] = tests[test].recovery_test(float(worst[test]))
        nulls, stakes = nulls[self._order], stakes[self._order].T
        binary, others = slice(self.binary_count), slice(self.binary_count, None)
        self.record_evidence, self.event_evidence = rate_evidence(stakes[:, binary], nulls[binary], weights[binary])
        # Copies of the parts, because a view would keep the whole array.
        self.nulls, self.stakes, self.weights = (
            array[..., others].copy(order="C") for array in (nulls, stakes, weights)
        )
        self._thresholds = share_array(np.where(latched, self._recovery, self._firing_thresholds))
        self.ordered_thresholds = share_array(self._thresholds[self._order])
        self.ordered_caps = share_array(self.ordered_thresholds * CAP_SHARE)

    def _evidence(self, grid: Grid) -> NDArray[np.float64]:
        """Return the evidence of each sample, shape ``(T, 8 * S)``."""
        count, binary = grid.sample_sums.shape[0], self.binary_count
        presence_columns, channel_columns = self.columns
        evidence = np.empty((count, BETS, self._order.size))
        if binary:
            records = grid.sample_sums.take(presence_columns[:binary], axis=1)[:, None]
            events = grid.sample_sums.take(channel_columns[:binary], axis=1)[:, None]
            np.multiply(records, self.record_evidence, out=evidence[:, :, :binary])
            evidence[:, :, :binary] += events * self.event_evidence
        if binary < self._order.size:
            surprise = grid.numbers.take(channel_columns[binary:], axis=2)
            surprise -= self.nulls
            presence_columns = presence_columns[binary:]
            if grid.prefix_sums[-1].take(presence_columns).min() < surprise.shape[0] * count:
                surprise *= grid.numbers.take(presence_columns, axis=2)
            others = sample_evidence(surprise, self.stakes).transpose(1, 0, 2)
            np.multiply(others, self.weights, out=evidence[:, :, binary:])
        return evidence.reshape(count, -1)

    def _crossing(
        self, path: NDArray[np.float64], sums: StepSums, test: int, may_fire: Callable[[Crossing], bool]
    ) -> Crossing | None:
        """Return the crossing at which a test fires or recovers, or None if it does neither."""
        position = int(self._positions[test])
        statistics, threshold = path[:, position :: self._order.size], float(self._thresholds[test])
        for crossing in self.state.find_crossings(statistics, threshold, sums, slot=_SLOT, test=position):
            candidate = replace(crossing, test=test)
            if candidate.is_recovery:
                # Only the first crossing of a block is checked.
                return candidate if candidate.is_within_band(self._tests[test]) else None
            if may_fire(candidate):
                return candidate
        return None
