"""The Page-Hinkley banks of several streams, updated in one pass while nothing crosses a threshold or a cap."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors.cusum import sample_evidence
from pipeline.detect.detectors.late_bursts import HIGH_CAPS
from pipeline.detect.detectors.page_hinkley import CAP_SHARE, PageHinkleyBank
from pipeline.detect.layout import NEXT_RECORD, BlockBatch
from pipeline.detect.one_sided_tests import BETS


class PageHinkleyBatch:
    """The next state of the banks of the ``V`` streams of a batch. The tests of all streams are one axis.

    Parameters
    ----------
    banks
        The banks. No test may be latched.
    batch
        The blocks of the streams.

    Attributes
    ----------
    unusual
        Shape ``(V,)``: whether a test of the stream crosses its threshold, or rises by more than the cap within a pane.
        Such a stream must be observed by itself.
    """

    def __init__(self, banks: Sequence[PageHinkleyBank], batch: BlockBatch) -> None:
        self._banks = banks
        counts = np.array([bank.test_count for bank in banks])
        binary_counts = np.array([bank.binary_count for bank in banks])
        bounds = np.zeros(counts.size + 1, dtype=np.intp)
        np.cumsum(counts, out=bounds[1:])
        streams = np.repeat(np.arange(counts.size), counts)
        is_binary = np.arange(streams.size) - bounds[streams] < binary_counts[streams]
        # Binary tests of all streams come first, because their evidence is computed from sums alone.
        order = np.concatenate([np.flatnonzero(is_binary), np.flatnonzero(~is_binary)])
        self._bounds, self._binary_count = bounds.tolist(), int(binary_counts.sum())
        self._positions = np.empty_like(order)
        self._positions[order] = np.arange(order.size)
        self._streams = streams[order]
        self._columns = np.concatenate([bank.columns for bank in banks], axis=1).take(order, axis=1)
        self._ordered_thresholds = np.concatenate([bank.ordered_thresholds for bank in banks])
        self._ordered_caps = np.concatenate([bank.ordered_caps for bank in banks])
        self._thresholds, self._caps = self._ordered_thresholds[order], self._ordered_caps[order]
        states = [bank.state for bank in banks]
        statistics, bases = (
            np.concatenate([array[0] for array in arrays], axis=1).take(order, axis=1)
            for arrays in ([state.statistics for state in states], [state.bases for state in states])
        )
        started = np.concatenate([state.started[0] for state in states], axis=1).take(order, axis=1)
        tallies = np.concatenate([state.tallies[0] for state in states], axis=2).take(order, axis=2)
        first_rows = batch.rows[:-1]
        begins_pane = batch.panes[first_rows] != np.array([state.panes[0] for state in states])
        capped = np.minimum(statistics, bases + self._caps)
        is_new = begins_pane[self._streams]
        statistics, bases = np.where(is_new, capped, statistics), np.where(is_new, capped, bases)
        path = self._run(batch, statistics)
        self._last_panes = batch.panes[batch.rows[1:] - 1].tolist()
        self.unusual = self._find_unusual(batch, path, bases)
        self._finish(batch, path, bases, started, tallies)

    def find_high(self) -> NDArray[np.bool_]:
        """Return a mask of the streams with a statistic from which late bursts are subtracted, shape ``(V,)``."""
        capped = np.minimum(self._statistics, self._bases + self._ordered_caps)
        is_high = capped.max(axis=0) >= HIGH_CAPS * CAP_SHARE * self._ordered_thresholds
        high: NDArray[np.bool_] = np.logical_or.reduceat(is_high, self._bounds[:-1])
        return high

    def store(self, stream: int) -> None:
        """Replace the state of the bank of a stream."""
        part = slice(self._bounds[stream], self._bounds[stream + 1])
        state = self._banks[stream].state
        state.statistics[0] = self._statistics[:, part]
        state.bases[0] = self._bases[:, part]
        state.started[0] = self._started[:, part]
        state.tallies[0] = self._tallies[:, :, part]
        state.panes[0] = self._last_panes[stream]

    def _evidence(self, batch: BlockBatch) -> NDArray[np.float64]:
        """Return the evidence of each sample, shape ``(L, 8, tests)``."""
        presence_columns, channel_columns = self._columns
        width, binary = batch.by_row.shape[1], self._binary_count
        samples = batch.sample_indexes.take(self._streams, axis=1)
        evidence = np.empty((samples.shape[0], BETS, self._streams.size))
        offsets = samples * width
        if binary:
            record_evidence, event_evidence = (
                np.concatenate(arrays, axis=1)
                for arrays in zip(*((bank.record_evidence, bank.event_evidence) for bank in self._banks), strict=True)
            )
            sums = batch.sample_sums.ravel()
            records = sums.take(offsets[:, :binary] + presence_columns[:binary])[:, None]
            events = sums.take(offsets[:, :binary] + channel_columns[:binary])[:, None]
            np.multiply(records, record_evidence, out=evidence[:, :, :binary])
            evidence[:, :, :binary] += events * event_evidence
        if binary < self._streams.size:
            nulls, weights = (
                np.concatenate(arrays)
                for arrays in zip(*((bank.nulls, bank.weights) for bank in self._banks), strict=True)
            )
            stakes = np.concatenate([bank.stakes for bank in self._banks], axis=1)
            numbers = batch.numbers.reshape(batch.numbers.shape[0], -1)
            surprise = numbers.take(offsets[:, binary:] + channel_columns[binary:], axis=1)
            surprise -= nulls
            surprise *= numbers.take(offsets[:, binary:] + presence_columns[binary:], axis=1)
            others = sample_evidence(surprise, stakes).transpose(1, 0, 2)
            np.multiply(others, weights, out=evidence[:, :, binary:])
        return evidence

    def _run(self, batch: BlockBatch, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the statistics after each sample, shape ``(L, 8, tests)``."""
        path = self._evidence(batch)
        for row in path:
            np.add(row, statistics, out=row)
            statistics = np.maximum(row, 0.0, out=row)
        return path

    def _find_unusual(
        self, batch: BlockBatch, path: NDArray[np.float64], bases: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        unusual = np.zeros(len(self._banks), dtype=bool)
        peaks = path.max(axis=0)
        unusual[self._streams[(peaks >= self._thresholds).any(axis=0)]] = True
        bets, tests = np.nonzero(peaks > self._caps)
        if bets.size:
            high, base, caps = path[:, bets, tests], bases[bets, tests], self._caps[tests]
            begins_pane = np.zeros(batch.sample_sums.shape[0], dtype=bool)
            begins_pane[batch.pane_starts] = True
            begins = begins_pane[batch.sample_indexes[:, self._streams[tests]]]
            exceeds = high[0] > base + caps
            for step in range(1, high.shape[0]):
                base = np.where(begins[step], high[step - 1], base)
                exceeds |= high[step] > base + caps
            unusual[self._streams[tests[exceeds]]] = True
        return unusual

    def _finish(
        self,
        batch: BlockBatch,
        path: NDArray[np.float64],
        bases: NDArray[np.float64],
        started: NDArray[np.int64],
        tallies: NDArray[np.float64],
    ) -> None:
        """Compute the state after the blocks, as :meth:`CusumState.advance` does for one block."""
        positions, streams = self._positions, self._streams
        last_pane_starts = (batch.pane_starts[batch.panes_of[1:] - 1] - batch.samples[:-1])[streams]
        before = np.take_along_axis(path, np.maximum(last_pane_starts - 1, 0)[None, None], axis=0)[0]
        bases = np.where(last_pane_starts > 0, before, bases)
        steps = np.arange(1, path.shape[0] + 1, dtype=np.min_scalar_type(path.shape[0]))
        zeros = ((path == 0.0) * steps[:, None, None]).max(axis=0).astype(np.intp)
        restarted = zeros > 0
        np.copyto(started, batch.step_times_ms[0][streams], where=started == NEXT_RECORD)
        np.copyto(started, batch.step_times_ms.take(zeros * len(self._banks) + streams), where=restarted)
        width, length = batch.by_row.shape[1], batch.prefix_sums.shape[1]
        prefix_sums = batch.prefix_sums.ravel()
        total_offsets = (streams * length + length - 1) * width
        zero_offsets = (streams * length + zeros) * width
        tallies *= ~restarted
        tallies += prefix_sums.take(total_offsets + self._columns)[:, None]
        tallies -= prefix_sums.take(zero_offsets + self._columns[:, None])
        self._statistics, self._bases = path[-1].take(positions, axis=1), bases.take(positions, axis=1)
        self._started, self._tallies = started.take(positions, axis=1), tallies.take(positions, axis=2)
