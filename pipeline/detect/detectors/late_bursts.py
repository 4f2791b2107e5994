"""Late bursts: single events whose late records are spread over several panes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors.cusum import NO_PANE, Crossing
from pipeline.detect.detectors.page_hinkley import CAP_SHARE, PageHinkleyBank
from pipeline.detect.layout import BlockView, GridLayout
from pipeline.detect.one_sided_tests import OneSidedTest, rate_evidence
from pipeline.detect.shared_values import share_array
from pipeline.detect.signals import PANE_MS, channels

RECOUNTED_PANES = 8
"""Number of most recent panes that are recounted by event time."""

LATE_PANES_MAX = 4
"""Maximum lateness in panes. Records that are later than this are counted in the pane in which they arrived."""

HIGH_CAPS = 2
"""Number of caps that one burst may add to a statistic, because a burst can span two seconds. The excess is removed."""

ROUNDING_ERROR = 1e-9
"""Evidence up to this value is treated as rounding error."""


class LateBursts:
    """Correction that removes the evidence of late bursts from the statistics of a bank.

    A record is counted in the pane of the watermark at its arrival, because requests arrive in the order in which they
    end. If records are up to two seconds late, the records of one second are spread over up to four panes, and each of
    these panes may add the cap. Therefore the last eight panes are counted again by event time, with the same cap. The
    difference is the excess of the burst. It is 0 in a stream without late records.

    Parameters
    ----------
    tests, layout, bank
        The tests, layout and bank of the monitor.
    """

    def __init__(self, tests: Sequence[OneSidedTest], layout: GridLayout, bank: PageHinkleyBank) -> None:
        self._tests, self._bank = tests, bank
        self._thresholds = share_array(np.array([test.threshold for test in tests]))
        self._columns = share_array(np.stack([layout.presence_columns, layout.channel_columns], axis=1))
        self._panes = np.full(RECOUNTED_PANES, NO_PANE, dtype=np.int64)
        # Sums by pane and by lateness. Until a record is late, there is only the lateness 0.
        self._sums = np.zeros((RECOUNTED_PANES, 1, layout.width))
        self._late_pane = NO_PANE
        self._burst_tests: set[int] = set()

    def is_late_burst(self, crossing: Crossing, view: BlockView) -> bool:
        """Return whether a test reached its threshold only because of late bursts. Call this before :meth:`update`."""
        panes, late_panes = view.block.panes, self.lateness(view.block.panes, view.block.times_ms)
        if self._late_pane <= panes[0] - RECOUNTED_PANES and not late_panes.any():
            return False
        test, columns, samples = self._tests[crossing.test], self._columns[crossing.test], view.grid.samples
        rows = int(samples.starts[crossing.step] + samples.lengths[crossing.step])
        numbers = view.grid.numbers_by_row(columns)[:rows]
        sums = self._recent_sums(int(panes[rows - 1]), columns)
        stored_panes, stored_late_panes = np.nonzero(sums.any(axis=2))
        excess = self._excess(
            test,
            np.concatenate([self._panes[stored_panes], panes[:rows]]),
            np.concatenate([stored_late_panes, late_panes[:rows]]),
            np.concatenate([sums[stored_panes, stored_late_panes], numbers]),
        )
        is_burst = bool(crossing.evidence - excess[crossing.bet] < test.threshold)
        if is_burst:
            self._burst_tests.add(crossing.test)
        return is_burst

    def update(self, view: BlockView) -> None:
        """Count a block that the bank has observed, and subtract the excess from the bank's high statistics."""
        grid, panes, late_panes = view.grid, view.block.panes, self.lateness(view.block.panes, view.block.times_ms)
        pane_starts = grid.samples.pane_starts
        distinct_panes = panes[grid.samples.starts[pane_starts]]
        if late_panes.any():
            numbers = grid.numbers_by_row(np.arange(grid.sample_sums.shape[1]))
            self.add_late(panes, late_panes, distinct_panes, numbers)
        else:
            self.add_on_time(distinct_panes, np.add.reduceat(grid.sample_sums, pane_starts, axis=0))
        if not self.is_idle(int(panes[-1])) and (self._burst_tests or self._has_high_statistic()):
            self._subtract_excess(int(panes[-1]))

    @staticmethod
    def lateness(panes: NDArray[np.int64], times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many seconds each record is behind its pane, shape ``(R,)``. Values above 4 are replaced by 0."""
        late_panes = panes - times_ms // PANE_MS
        late_panes[late_panes > LATE_PANES_MAX] = 0
        return late_panes

    def is_idle(self, last_pane: int) -> bool:
        """Return whether no recent record was late, if the records of a block up to ``last_pane`` are not late either."""
        return self._late_pane <= last_pane - RECOUNTED_PANES

    def add_on_time(self, panes: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        """Count a block without late records. ``panes`` has shape ``(P,)``, ascending, and ``sums`` ``(P, N)``."""
        self._add(panes, sums[:, None])

    def add_late(
        self,
        panes: NDArray[np.int64],
        late_panes: NDArray[np.int64],
        distinct_panes: NDArray[np.int64],
        numbers: NDArray[np.float64],
    ) -> None:
        """Count a block with late records.

        Parameters
        ----------
        panes, late_panes
            Shape ``(R,)``: the panes of the records, and their lateness.
        distinct_panes
            Shape ``(P,)``: the distinct panes, ascending.
        numbers
            Shape ``(R, N)``: the numbers of the grid by row.
        """
        self._late_pane = int(panes[-1])
        keys = np.searchsorted(distinct_panes, panes) * (LATE_PANES_MAX + 1) + late_panes
        distinct_keys, positions = np.unique(keys, return_inverse=True)
        sums = np.zeros((distinct_panes.size * (LATE_PANES_MAX + 1), numbers.shape[1]))
        sums[distinct_keys] = (positions == np.arange(distinct_keys.size)[:, None]) @ numbers
        self._add(distinct_panes, sums.reshape(distinct_panes.size, LATE_PANES_MAX + 1, -1))

    def reset(self) -> None:
        """Clear all panes after a gap in the records."""
        self._panes[:], self._sums[:] = NO_PANE, 0.0
        self._late_pane = NO_PANE

    def dump(self) -> dict[str, Any]:
        """Return the state: arrays and plain values."""
        sums = np.zeros((RECOUNTED_PANES, LATE_PANES_MAX + 1, self._sums.shape[2]))
        sums[:, : self._sums.shape[1]] = self._sums
        return {"panes": self._panes.copy(), "sums": sums, "late_pane": self._late_pane}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned.

        Raises
        ------
        ValueError
            If the state belongs to other tests.
        """
        sums, shape = (
            np.array(state["sums"], dtype=np.float64),
            (RECOUNTED_PANES, LATE_PANES_MAX + 1, *self._sums.shape[2:]),
        )
        if sums.shape != shape:
            raise ValueError(f"stored sums have shape {sums.shape}, expected {shape}: the one-sided tests have changed")
        self._panes, self._sums = np.array(state["panes"], dtype=np.int64), sums
        self._late_pane = int(state["late_pane"])
        self._drop_lateness()

    def _add(self, panes: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        """Add sums of shape ``(P, L, N)`` for ascending panes of shape ``(P,)``. ``L`` is the lateness in panes."""
        if self._sums.shape[1] < sums.shape[1]:
            wide = np.zeros((RECOUNTED_PANES, sums.shape[1], sums.shape[2]))
            wide[:, : self._sums.shape[1]] = self._sums
            self._sums = wide
        elif self._sums.shape[1] > sums.shape[1]:
            self._drop_lateness()
        for pane, pane_sums in zip(panes[-RECOUNTED_PANES:].tolist(), sums[-RECOUNTED_PANES:], strict=True):
            slot = pane % RECOUNTED_PANES
            if self._panes[slot] != pane:
                self._panes[slot], self._sums[slot] = pane, 0.0
            self._sums[slot, : pane_sums.shape[0]] += pane_sums

    def _drop_lateness(self) -> None:
        """Free the sums of late records if there are none."""
        if not self._sums[:, 1:].any():
            self._sums = self._sums[:, :1].copy()

    def _recent_sums(self, newest_pane: int, columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the sums of two columns, shape ``(8, L, 2)``, with 0 for panes that are too old."""
        is_recent = self._panes > newest_pane - RECOUNTED_PANES
        return self._sums[:, :, columns] * is_recent[:, None, None]

    def _has_high_statistic(self) -> bool:
        high = self._bank.highest_statistics >= HIGH_CAPS * CAP_SHARE * self._thresholds
        return bool((high & ~self._bank.latched).any())

    def _subtract_excess(self, newest_pane: int) -> None:
        panes = np.repeat(self._panes, self._sums.shape[1])
        late_panes = np.tile(np.arange(self._sums.shape[1]), RECOUNTED_PANES)
        for index in np.flatnonzero(~self._bank.latched).tolist():
            sums = self._recent_sums(newest_pane, self._columns[index]).reshape(-1, 2)
            excess = self._excess(self._tests[index], panes, late_panes, sums, is_burst=index in self._burst_tests)
            if excess.any():
                self._bank.subtract(index, excess)
        self._burst_tests = set()
        self._move_late_to_own_second()

    def _move_late_to_own_second(self) -> None:
        """Move late records to the pane of their event time, so no excess is subtracted twice."""
        sums = self._sums.copy()
        self._sums[:, 1:] = 0.0
        for slot, pane in enumerate(self._panes.tolist()):
            for late_panes in range(1, self._sums.shape[1]):
                own_slot = (pane - late_panes) % RECOUNTED_PANES
                if self._panes[own_slot] == pane - late_panes:
                    self._sums[own_slot, 0] += sums[slot, late_panes]

    def _excess(
        self,
        test: OneSidedTest,
        panes: NDArray[np.int64],
        late_panes: NDArray[np.int64],
        sums: NDArray[np.float64],
        *,
        is_burst: bool = False,
    ) -> NDArray[np.float64]:
        """Compute the evidence that late bursts added, per bet.

        For a burst that would have fired, all evidence of the panes counts as excess. Otherwise, the remaining evidence
        would stay in the bets on small changes for a long time.

        Parameters
        ----------
        panes, late_panes, sums
            Shapes ``(E,)``, ``(E,)`` and ``(E, 2)``: panes, lateness, and sums of presence and channel.

        Returns
        -------
        numpy.ndarray
            Shape ``(8,)``.
        """
        by_pane = _capped_evidence(test, _sum_by_key(panes, sums))
        by_second = (
            np.zeros_like(by_pane) if is_burst else _capped_evidence(test, _sum_by_key(panes - late_panes, sums))
        )
        excess = by_pane - by_second
        return np.where(excess > ROUNDING_ERROR, excess, 0.0)


def _sum_by_key(keys: NDArray[np.int64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    _, positions = np.unique(keys, return_inverse=True)
    grouped = np.zeros((int(positions.max()) + 1, sums.shape[1]))
    np.add.at(grouped, positions, sums)
    return grouped


def _capped_evidence(test: OneSidedTest, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the total evidence of each bet, shape ``(8,)``. The evidence of each second is capped.

    ``sums`` has shape ``(P, 2)``: for each second, the sums of presence and channel.
    """
    records, totals = sums.T[:, :, None]
    if test.channel in channels.BINARY:
        record_evidence, event_evidence = rate_evidence(
            test.stakes, np.array(test.null_boundary), np.array(test.weight)
        )
        evidence = records * record_evidence + totals * event_evidence
    else:
        # The evidence of the mean times the number of records approximates the evidence of the records.
        surprise = totals / np.maximum(records, 1.0) - test.null_boundary
        evidence = records * np.log1p(surprise * test.stakes) * test.weight
    capped: NDArray[np.float64] = np.clip(evidence, 0.0, CAP_SHARE * test.threshold).sum(axis=0)
    return capped
