"""The Page-Hinkley banks of several streams, updated in one pass while nothing crosses a threshold or a cap."""

from collections.abc import Sequence
from typing import Any

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
        binary_counts = np.array([bank.binary_count for bank in banks])
        other_counts = np.array([bank.test_count for bank in banks]) - binary_counts
        # Binary tests of all streams come first, because their evidence is computed from sums alone.
        counts = np.concatenate([binary_counts, other_counts])
        self._bounds = np.concatenate([[0], np.cumsum(counts)]).tolist()
        self._binary_count = self._bounds[len(banks)]
        self._streams = np.repeat(np.tile(np.arange(len(banks)), 2), counts)
        self._columns = self._join([bank.columns for bank in banks])
        self._thresholds = self._join([bank.ordered_thresholds for bank in banks])
        self._caps = self._join([bank.ordered_caps for bank in banks])
        states = [bank.state for bank in banks]
        statistics = self._join([state.statistics[0] for state in states])
        bases = self._join([state.bases[0] for state in states])
        started = self._join([state.started[0] for state in states])
        tallies = self._join([state.tallies[0] for state in states])
        begins_pane = batch.panes[batch.rows[:-1]] != np.array([state.panes[0] for state in states])
        is_new = begins_pane[self._streams]
        capped = np.minimum(statistics, bases + self._caps)
        np.copyto(statistics, capped, where=is_new)
        np.copyto(bases, capped, where=is_new)
        path = self._run(batch, statistics)
        self._last_panes = batch.panes[batch.rows[1:] - 1].tolist()
        self.unusual = self._find_unusual(batch, path, bases)
        self._finish(batch, path, bases, started, tallies)

    def find_high(self) -> NDArray[np.bool_]:
        """Return a mask of the streams with a statistic from which late bursts are subtracted, shape ``(V,)``."""
        capped = np.minimum(self._statistics, self._bases + self._caps)
        is_high = capped.max(axis=0) >= HIGH_CAPS * CAP_SHARE * self._thresholds
        high = np.zeros(len(self._banks), dtype=bool)
        high[self._streams[is_high]] = True
        return high

    def store(self, stream: int) -> None:
        """Replace the state of the bank of a stream."""
        bank, bounds, others = self._banks[stream], self._bounds, len(self._banks) + stream
        state, binary = bank.state, bank.binary_count
        parts = (
            (slice(None, binary), slice(bounds[stream], bounds[stream + 1])),
            (slice(binary, None), slice(bounds[others], bounds[others + 1])),
        )
        for tests, part in parts:
            state.statistics[0, :, tests] = self._statistics[:, part]
            state.bases[0, :, tests] = self._bases[:, part]
            state.started[0, :, tests] = self._started[:, part]
            state.tallies[0, :, :, tests] = self._tallies[:, :, part]
        state.panes[0] = self._last_panes[stream]

    def _join(self, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Join arrays whose last axis are the tests of a stream."""
        parts = [array[..., : bank.binary_count] for array, bank in zip(arrays, self._banks, strict=True)]
        parts += [array[..., bank.binary_count :] for array, bank in zip(arrays, self._banks, strict=True)]
        return np.concatenate(parts, axis=-1)

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
        streams = self._streams
        last_pane_starts = (batch.pane_starts[batch.panes_of[1:] - 1] - batch.samples[:-1])[streams]
        width = path[0].size
        offsets = np.maximum(last_pane_starts - 1, 0) * width + np.arange(width).reshape(path.shape[1:])
        np.copyto(bases, path.take(offsets), where=last_pane_starts > 0)
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
        # The path of all samples is not needed any more.
        self._statistics, self._bases, self._started, self._tallies = path[-1].copy(), bases, started, tallies
