"""The segment values of several streams, updated in one pass while no test of a value fires or is excluded."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.layout import NEXT_RECORD, BlockBatch
from pipeline.detect.segments.block_values import BlockValues
from pipeline.detect.segments.segment_bank import CAP_SHARE
from pipeline.detect.segments.segment_evidence import SEGMENT_BETS
from pipeline.detect.segments.segments import DEVIATING_EVIDENCE, SETTLING_PANES, Segments


class SegmentBatch:
    """The next state of the segments of the ``V`` streams of a batch, with ``n`` segment values over all streams.

    Parameters
    ----------
    segments, blocks
        The segments of the streams, and the segment values of their blocks. No test may be latched.
    batch
        The blocks of the streams.
    settle_records
        The setting ``segment_settle_records``.

    Attributes
    ----------
    unusual
        Shape ``(V,)``: whether a test of a value of the stream crosses its threshold, or ends its settling period while
        it deviates. Such a stream must be observed by itself.
    """

    def __init__(
        self, segments: Sequence[Segments], blocks: Sequence[BlockValues], batch: BlockBatch, settle_records: int
    ) -> None:
        self._segments, self._blocks, self._batch = segments, blocks, batch
        self.unusual = np.zeros(len(segments), dtype=bool)
        self._last_panes = batch.panes[batch.rows[1:] - 1].tolist()
        self._values = [value for block in blocks for value in block.monitored]
        counts = [len(block.monitored) for block in blocks]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).tolist()
        self._streams = np.repeat(np.arange(len(blocks)), counts)
        if self._values:
            self._group()
            self._stack()
            self._observe()
            self._find_settled(settle_records)

    def store(self, stream: int) -> None:
        """Replace the state of the segments of a stream."""
        block, segments, last_pane = self._blocks[stream], self._segments[stream], self._last_panes[stream]
        row_count = int(self._batch.rows[stream + 1] - self._batch.rows[stream])
        for dimension in block.dimensions:
            dimension.count_known(row_count)
        if block.not_monitored:
            totals = self._batch.prefix_sums[stream, -1].take(segments.grid_pairs[0])
            for value in block.not_monitored:
                value.last_pane = last_pane
                value.signal_records += totals
        first, end = self._starts[stream], self._starts[stream + 1]
        if first == end:
            return
        state, part = segments.bank.state, slice(first, end)
        slots, tests = self._slots[part], self._tests[stream]
        is_padded = len(segments.tests) != self._width
        for stored, array in (
            (state.statistics, self._statistics),
            (state.bases, self._bases),
            (state.started, self._started),
            (state.tallies, self._tallies),
        ):
            stored[slots] = array[part][..., tests] if is_padded else array[part]
        state.panes[slots] = last_pane
        records = self._records[part][:, tests] if is_padded else self._records[part]
        by_value = zip(self._values[part], records, self._value_records[part], self._still_settling[part], strict=True)
        for value, signal_records, count, is_settling in by_value:
            value.last_pane = last_pane
            value.signal_records += signal_records
            value.count_records(last_pane, count)
            if not is_settling:
                value.is_settling = False

    def _group(self) -> None:
        """Group the rows by value and pane, as :func:`group_rows` does for one block."""
        batch = self._batch
        codes: list[int] = []
        rows: list[int] = []
        runs: list[int] = []
        bounds, starts = batch.rows.tolist(), self._starts
        for stream, block in enumerate(self._blocks):
            for labels, first, end in block.labels:
                base = starts[stream]
                indexes: dict[str | None, int] = {
                    value.label: base + first + index for index, value in enumerate(block.monitored[first:end])
                }
                indexes[None] = -1
                runs.append(len(codes))
                codes.extend([indexes[label] for label in labels])
                rows.extend(range(bounds[stream], bounds[stream + 1]))
        value_of_entry, row_of_entry = np.array(codes), np.array(rows)
        self._densities = self._compute_densities(value_of_entry, np.array(runs))
        pane_count = int(batch.pane_numbers.max()) + 1
        keys = np.where(value_of_entry < 0, -1, value_of_entry * pane_count + batch.pane_numbers[row_of_entry])
        order = np.argsort(keys, kind="stable")[int(np.count_nonzero(keys < 0)) :]
        keys, self._rows = keys[order], row_of_entry[order]
        self._group_starts = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])
        self._group_values, self._group_panes = np.divmod(keys[self._group_starts], pane_count)
        self._pane_count = pane_count

    def _compute_densities(self, codes: NDArray[np.intp], runs: NDArray[np.intp]) -> NDArray[np.float64]:
        """Compute the density of each value, as :func:`compute_densities` does for one block."""
        count = len(self._values)
        records = np.bincount(codes[codes >= 0], minlength=count).astype(np.float64)
        is_repeated = (codes[1:] == codes[:-1]) & (codes[1:] >= 0)
        is_repeated[runs[1:] - 1] = False
        following = np.bincount(codes[1:][is_repeated], minlength=count).astype(np.float64)
        block_rows = np.diff(self._batch.rows)[self._streams]
        self._value_records = records.astype(np.intp).tolist()
        densities = np.maximum(following / np.maximum(records - 1.0, 1.0), records / np.maximum(1, block_rows))
        return np.minimum(densities, 1.0)

    def _stack(self) -> None:
        """Stack the tests of all streams, padded with tests without evidence."""
        evidences = [segments.bank.segment_evidence for segments in self._segments]
        binary = np.array([evidence.binary_count for evidence in evidences])
        others = np.array([len(segments.tests) for segments in self._segments]) - binary
        self._binary, width = int(binary.max()), int(binary.max() + others.max())
        self._width = width
        is_padded = bool((binary != self._binary).any() or (others != width - self._binary).any())
        positions = [
            np.concatenate([np.arange(b), np.arange(self._binary, self._binary + o)])
            for b, o in (zip(binary.tolist(), others.tolist(), strict=True) if is_padded else ())
        ]
        self._tests: Sequence[Any] = positions if is_padded else [slice(None)] * len(evidences)
        self._columns = self._pad([segments.grid_pairs for segments in self._segments], 0)
        self._thresholds = self._pad([segments.bank.firing_thresholds for segments in self._segments], np.inf)
        self._weights = self._pad([evidence.weights for evidence in evidences], 1.0)
        self._nulls = self._pad([evidence.nulls for evidence in evidences], 0.0)
        self._evidences, self._other_counts, self._binary_counts = evidences, others.tolist(), binary.tolist()
        slots = [value.slot for value in self._values]
        self._slots = np.array(slots)
        states = [segments.bank.state for segments in self._segments]
        bounds = np.concatenate([[0], np.cumsum([len(state.panes) for state in states])])
        taken = bounds[self._streams] + self._slots

        def stack(name: str, fill: float) -> NDArray[Any]:
            arrays = [getattr(state, name) for state in states]
            if is_padded:
                padded = []
                for stream, array in enumerate(arrays):
                    wide = np.full((*array.shape[:-1], width), fill, dtype=array.dtype)
                    wide[..., self._tests[stream]] = array
                    padded.append(wide)
                arrays = padded
            stacked: NDArray[Any] = np.concatenate(arrays).take(taken, axis=0)
            return stacked

        self._statistics, self._bases = stack("statistics", 0.0), stack("bases", 0.0)
        self._started, self._tallies = stack("started", NEXT_RECORD), stack("tallies", 0.0)
        self._excluded = stack("excluded", False)
        self._state_panes = np.concatenate([state.panes for state in states]).take(taken)

    def _pad(self, arrays: Sequence[NDArray[Any]], fill: float) -> NDArray[Any]:
        """Stack arrays with one row per stream, whose last axis are the tests."""
        if not isinstance(self._tests[0], np.ndarray):
            return np.array(arrays)
        padded = np.full((len(arrays), *arrays[0].shape[:-1], self._width), fill, dtype=arrays[0].dtype)
        for stream, array in enumerate(arrays):
            padded[stream][..., self._tests[stream]] = array
        return padded

    def _pad_values(self, arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Stack arrays of shape ``(tests,)`` with one row per segment value. Tests that do not exist have no end."""
        if not isinstance(self._tests[0], np.ndarray):
            return np.array(arrays)
        padded = np.full((len(arrays), self._width), np.inf)
        for row, stream, array in zip(padded, self._streams.tolist(), arrays, strict=True):
            row[self._tests[stream]] = array
        return padded

    def _pad_bets(self, arrays: Sequence[NDArray[Any]], counts: Sequence[int], width: int) -> NDArray[Any]:
        """Stack arrays of shape ``(4, tests)`` with one row per stream, padded with 0."""
        if all(count == width for count in counts):
            return np.array(arrays).reshape(len(arrays), SEGMENT_BETS, width)
        padded = np.zeros((len(arrays), SEGMENT_BETS, width), dtype=arrays[0].dtype)
        for stream, (array, count) in enumerate(zip(arrays, counts, strict=True)):
            padded[stream, :, :count] = array.reshape(SEGMENT_BETS, count)
        return padded

    def _sum_groups(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return sums by pane and value: of the pairs of all tests, ``(P, n, 2, S)``, and of log bets, ``(P, n, 4 * L)``.

        The pair of a test is the presence of its signal and its channel. ``L`` tests are not binary.
        """
        batch, binary, used = self._batch, self._binary, self._rows
        streams, width = batch.streams, batch.by_row.shape[1]
        offsets = (np.arange(streams.size) * width)[:, None, None]
        numbers: NDArray[np.float64] = batch.by_row.take(offsets + self._columns[streams])
        surprise = numbers[:, 1, binary:] - self._nulls[:, binary:][streams]
        surprise *= numbers[:, 0, binary:]
        stakes = self._pad_bets(
            [evidence.stakes for evidence in self._evidences], self._other_counts, self._width - binary
        )
        factors = np.tile(surprise.astype(np.float32), SEGMENT_BETS)
        factors *= stakes.reshape(len(self._segments), -1)[streams]
        factors += np.float32(1.0)
        np.log(factors, out=factors)
        shape, groups = (self._pane_count, len(self._values)), (self._group_panes, self._group_values)
        pairs = np.zeros((*shape, 2 * self._width))
        pairs[groups] = np.add.reduceat(
            numbers.reshape(streams.size, -1).take(used, axis=0), self._group_starts, axis=0
        )
        log_bets = np.zeros((*shape, factors.shape[1]))
        if factors.shape[1]:
            log_bets[groups] = np.add.reduceat(factors.take(used, axis=0), self._group_starts, axis=0)
        return pairs.reshape(*shape, 2, self._width), log_bets

    def _pane_evidence(self, log_bets: NDArray[np.float64], pairs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the evidence of each pane, as :meth:`SegmentEvidence.pane_evidence` does for one block."""
        binary, streams = self._binary, self._streams
        shape = (self._pane_count, len(self._values))
        evidence = np.empty((*shape, SEGMENT_BETS, self._width))
        if binary:
            record_evidence, event_evidence = (
                self._pad_bets(arrays, self._binary_counts, binary)[streams]
                for arrays in zip(
                    *((each.record_evidence, each.event_evidence) for each in self._evidences), strict=True
                )
            )
            np.multiply(pairs[:, :, 0, None, :binary], record_evidence, out=evidence[..., :binary])
            evidence[..., :binary] += pairs[:, :, 1, None, :binary] * event_evidence
        by_bet = log_bets.reshape(*shape, SEGMENT_BETS, self._width - binary)
        np.multiply(by_bet, self._weights[streams, None, binary:], out=evidence[..., binary:])
        if self._excluded.any():
            np.copyto(evidence, 0.0, where=self._excluded[:, None])
        weights = self._weights[streams]
        evidence /= (weights + (1.0 - weights) * self._densities[:, None])[:, None]
        return evidence

    def _observe(self) -> None:
        """Update the statistics, as :meth:`SegmentBank.observe` does for one block."""
        batch, streams, pane_count = self._batch, self._streams, self._pane_count
        values = np.arange(len(self._values))
        pairs, log_bets = self._sum_groups()
        evidence = self._pane_evidence(log_bets, pairs)
        before = self._statistics
        first_panes = batch.panes[batch.rows[:-1]][streams]
        bases = np.where((self._state_panes == first_panes)[:, None, None], self._bases, before)
        thresholds = self._thresholds[streams]
        caps = thresholds[:, None] * CAP_SHARE
        np.minimum(evidence[1:], caps, out=evidence[1:])
        np.minimum(evidence[0], bases + caps - before, out=evidence[0])
        path = np.empty((pane_count + 1, *before.shape))
        path[0] = before
        for pane, increment in enumerate(evidence):
            np.maximum(np.add(path[pane], increment, out=path[pane + 1]), 0.0, out=path[pane + 1])
        crosses = (path[1:].max(axis=0).max(axis=1) >= thresholds) & ~self._excluded
        self.unusual[streams[crosses.any(axis=1)]] = True
        last = np.diff(batch.panes_of)[streams] - 1
        self._statistics = path[-1]
        self._bases = np.where((last > 0)[:, None, None], path[last, values], bases)
        self._advance(path[1:], pairs)
        self._records = pairs[:, :, 0].sum(axis=0)

    def _advance(self, path: NDArray[np.float64], pairs: NDArray[np.float64]) -> None:
        """Update starts and tallies, as :meth:`CusumState.advance` does for one block."""
        batch, count, pane_count = self._batch, len(self._values), self._pane_count
        first_rows = np.full((pane_count + 1, count), batch.streams.size, dtype=np.intp)
        first_rows[self._group_panes, self._group_values] = self._rows[self._group_starts]
        next_rows = np.minimum.accumulate(first_rows[::-1])[::-1]
        times_ms = np.append(batch.times_ms, NEXT_RECORD).take(next_rows)
        np.copyto(self._started, times_ms[0][:, None, None], where=self._started == NEXT_RECORD)
        prefix_sums = np.zeros((pane_count + 1, *pairs.shape[1:]))
        np.cumsum(pairs, axis=0, out=prefix_sums[1:])
        steps = np.arange(1, pane_count + 1, dtype=np.min_scalar_type(pane_count))
        zeros = ((path == 0.0) * steps[:, None, None, None]).max(axis=0).astype(np.intp)
        restarted = zeros > 0
        np.copyto(self._started, times_ms.take(zeros * count + np.arange(count)[:, None, None]), where=restarted)
        self._tallies *= ~restarted[:, None]
        self._tallies += prefix_sums[-1][:, :, None]
        tests = np.arange(self._width)
        width = self._width
        offsets = (zeros * count + np.arange(count)[:, None, None]) * (2 * width) + tests
        self._tallies -= prefix_sums.take(offsets[:, None] + np.array([0, width])[:, None, None])

    def _find_settled(self, records_max: int) -> None:
        """Find the values that are still settling, and the streams with a test that may be excluded after that period."""
        is_settling = np.array([value.is_settling for value in self._values])
        if not is_settling.any():
            self._still_settling = [False] * len(self._values)
            return
        first_panes = np.array([value.first_pane for value in self._values])
        is_young = np.array(self._last_panes)[self._streams] - first_panes < SETTLING_PANES
        before = self._pad_values([value.signal_records for value in self._values])
        was_below = before < records_max
        is_below = (before + self._records < records_max) & is_young[:, None]
        deviates = self._statistics.max(axis=1) >= DEVIATING_EVIDENCE
        ends = (was_below & ~is_below & deviates).any(axis=1) & is_settling
        self.unusual[self._streams[ends]] = True
        self._still_settling = is_below.any(axis=1).tolist()
