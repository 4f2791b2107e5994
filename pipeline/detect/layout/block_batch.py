"""The blocks of several streams as columns, with one grid for all their samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission import Records
from pipeline.detect.baselines import RankTables
from pipeline.detect.layout.grid import NEXT_RECORD, SAMPLE_RECORDS, Grid, Samples
from pipeline.detect.layout.grid_layout import GridLayout
from pipeline.detect.signals import PANE_MS

_OFFSETS = np.arange(SAMPLE_RECORDS)[:, None]


@dataclass(frozen=True, slots=True)
class BlockBatch:
    """``V`` blocks, one per stream, with ``R`` rows in total.

    All streams have equal numbers of rates, values and ages that can be overdue. Each block has the same samples,
    numbers and sums as in a grid of its own, to the last digit. ``T`` is the number of samples over all blocks, and
    ``L`` the largest number of samples of a block.

    Attributes
    ----------
    layouts
        The layouts of the ``V`` streams.
    streams
        Shape ``(R,)``: the stream of each row.
    rows, samples, panes_of
        Shape ``(V + 1,)``: index of the first row, sample and pane of each stream, and the total.
    panes, times_ms
        Shape ``(R,)``: as in a block.
    pane_numbers
        Shape ``(R,)``: the pane of each row, counted from the first pane of its block.
    values
        Shape ``(R, signals)``: the monitored values.
    by_row
        Shape ``(R + 1, N)``: the numbers of the grid by row. The last row is 0.
    numbers
        Shape ``(H, T + 1, N)``: as in a grid, with a last sample of zeros.
    sample_sums
        Shape ``(T + 1, N)``: the sum of each sample, with a last sample of zeros.
    sample_starts, sample_lengths, pane_starts
        Shapes ``(T,)``, ``(T,)`` and ``(panes,)``: first row and number of rows of each sample, and first sample of each
        pane.
    sample_indexes
        Shape ``(L, V)``: the samples of each stream, padded with ``T``.
    prefix_sums
        Shape ``(V, L + 1, N)``: the sums before each sample of a stream, and over all its samples.
    step_times_ms
        Shape ``(L + 1, V)``: the time of the first record of each sample, padded with ``NEXT_RECORD``.
    """

    layouts: Sequence[GridLayout]
    streams: NDArray[np.intp]
    rows: NDArray[np.intp]
    samples: NDArray[np.intp]
    panes_of: NDArray[np.intp]
    panes: NDArray[np.int64]
    times_ms: NDArray[np.int64]
    pane_numbers: NDArray[np.intp]
    values: NDArray[np.float64]
    by_row: NDArray[np.float64]
    numbers: NDArray[np.float64]
    sample_sums: NDArray[np.float64]
    sample_starts: NDArray[np.intp]
    sample_lengths: NDArray[np.intp]
    pane_starts: NDArray[np.intp]
    sample_indexes: NDArray[np.intp]
    prefix_sums: NDArray[np.float64]
    step_times_ms: NDArray[np.int64]

    @classmethod
    def build(
        cls,
        layouts: Sequence[GridLayout],
        blocks: Sequence[Records],
        values: NDArray[np.float64],
        sources: NDArray[np.intp],
    ) -> "BlockBatch":
        """Build the batch from its blocks.

        Parameters
        ----------
        values
            Shape ``(R, columns)``: the catalogue and custom values of all rows.
        sources
            Shape ``(V, signals)``: the column of each monitored signal, or -1.
        """
        lengths = np.array([len(block) for block in blocks])
        rows = _bounds(lengths)
        row_count, stream_count = int(rows[-1]), len(blocks)
        streams = np.repeat(np.arange(stream_count), lengths)
        panes = np.concatenate([block.panes for block in blocks])
        times_ms = np.concatenate([block.times_ms for block in blocks])
        begins_pane = np.ones(row_count, dtype=bool)
        np.not_equal(panes[1:], panes[:-1], out=begins_pane[1:])
        begins_pane[rows[:-1]] = True
        first_rows = np.flatnonzero(begins_pane)
        pane_lengths = np.append(first_rows[1:], row_count) - first_rows
        samples_per_pane = -(-pane_lengths // SAMPLE_RECORDS)
        pane_starts = np.cumsum(samples_per_pane) - samples_per_pane
        pane_of_sample = np.repeat(np.arange(first_rows.size), samples_per_pane)
        sample_count = pane_of_sample.size
        offsets = (np.arange(sample_count) - pane_starts[pane_of_sample]) * SAMPLE_RECORDS
        starts = first_rows[pane_of_sample] + offsets
        sample_lengths = np.minimum(pane_lengths[pane_of_sample] - offsets, SAMPLE_RECORDS)
        pane_of_row = np.cumsum(begins_pane) - 1
        panes_of = np.append(pane_of_row[rows[:-1]], first_rows.size)
        samples = np.append(pane_starts[panes_of[:-1]], sample_count)
        monitored, overdue = _monitored_values(layouts, rows, values, sources, streams, times_ms)
        by_row = _grid_rows(layouts, rows, monitored, overdue)
        height = int(sample_lengths.max())
        sample_rows = starts + _OFFSETS[:height]
        sample_rows[_OFFSETS[:height] >= sample_lengths] = row_count
        numbers = np.zeros((height, sample_count + 1, by_row.shape[1]))
        numbers[:, :-1] = by_row.take(sample_rows, axis=0)
        sample_sums = numbers.sum(axis=0)
        per_stream = np.diff(samples)
        longest = int(per_stream.max())
        steps = np.arange(longest)[:, None]
        sample_indexes = np.where(steps < per_stream, samples[:-1] + steps, sample_count)
        prefix_sums = np.zeros((stream_count, longest + 1, by_row.shape[1]))
        np.cumsum(sample_sums.take(sample_indexes.T, axis=0), axis=1, out=prefix_sums[:, 1:])
        step_times_ms = np.full((longest + 1, stream_count), NEXT_RECORD, dtype=np.int64)
        step_times_ms[:-1] = np.append(times_ms[starts], NEXT_RECORD).take(sample_indexes)
        return cls(
            layouts=layouts,
            streams=streams,
            rows=rows,
            samples=samples,
            panes_of=panes_of,
            panes=panes,
            times_ms=times_ms,
            pane_numbers=pane_of_row - panes_of[streams],
            values=monitored,
            by_row=by_row,
            numbers=numbers,
            sample_sums=sample_sums,
            sample_starts=starts,
            sample_lengths=sample_lengths,
            pane_starts=pane_starts,
            sample_indexes=sample_indexes,
            prefix_sums=prefix_sums,
            step_times_ms=step_times_ms,
        )

    def find_late(self) -> NDArray[np.bool_]:
        """Return a mask of the streams with a record that is behind its pane, shape ``(V,)``."""
        late: NDArray[np.bool_] = np.logical_or.reduceat(self.times_ms // PANE_MS != self.panes, self.rows[:-1])
        return late

    def grid(self, stream: int) -> Grid:
        """Return the grid of one stream."""
        first, end = int(self.samples[stream]), int(self.samples[stream + 1])
        row = int(self.rows[stream])
        lengths = self.sample_lengths[first:end]
        height = int(lengths.max())
        starts = self.sample_starts[first:end] - row
        offsets = _OFFSETS[:height]
        panes = slice(int(self.panes_of[stream]), int(self.panes_of[stream + 1]))
        samples = Samples(
            starts=starts,
            lengths=lengths,
            rows=np.where(offsets < lengths, starts + offsets, int(self.rows[stream + 1]) - row),
            pane_starts=self.pane_starts[panes] - first,
            first_pane=int(self.panes[row]),
            last_pane=int(self.panes[int(self.rows[stream + 1]) - 1]),
        )
        return Grid(
            samples,
            self.numbers[:height, first:end].copy(),
            self.sample_sums[first:end],
            self.prefix_sums[stream, : end - first + 1],
        )


def _bounds(lengths: NDArray[np.intp]) -> NDArray[np.intp]:
    bounds = np.zeros(lengths.size + 1, dtype=np.intp)
    np.cumsum(lengths, out=bounds[1:])
    return bounds


def _monitored_values(
    layouts: Sequence[GridLayout],
    rows: NDArray[np.intp],
    values: NDArray[np.float64],
    sources: NDArray[np.intp],
    streams: NDArray[np.intp],
    times_ms: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the monitored values of all rows, and which ages are overdue, as a layout does for one block."""
    row_count, width = values.shape
    sources = sources[streams]
    monitored: NDArray[np.float64] = values.take(sources + (np.arange(row_count) * width)[:, None], mode="clip")
    np.copyto(monitored, np.nan, where=sources < 0)
    overdue = np.zeros((row_count, layouts[0].age_indexes.size), dtype=bool)
    if overdue.size:
        columns = np.array([layout.age_indexes for layout in layouts])[streams]
        limits = np.array([layout.age_limits for layout in layouts])[streams]
        np.greater(np.take_along_axis(monitored, columns, axis=1), limits, out=overdue)
    for stream, layout in enumerate(layouts):
        if layout.has_hours:
            part = slice(int(rows[stream]), int(rows[stream + 1]))
            layout.correct_hours(monitored[part], times_ms[part])
    np.copyto(monitored, np.nan, where=np.isinf(monitored))
    if overdue.size:
        overdue &= ~np.isnan(np.take_along_axis(monitored, columns, axis=1))
    return monitored, overdue


def _grid_rows(
    layouts: Sequence[GridLayout],
    rows: NDArray[np.intp],
    monitored: NDArray[np.float64],
    overdue: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the numbers of the grid by row, with a last row of zeros."""
    rate_count = layouts[0].rate_count
    values = np.ascontiguousarray(np.fmin(monitored[:, rate_count:], np.inf).T)
    ranks = RankTables.ranks_of_blocks([layout.rank_tables for layout in layouts], values, rows).T
    by_row = np.zeros((monitored.shape[0] + 1, layouts[0].width))
    layouts[0].fill_numbers(monitored, ranks, overdue, by_row[:-1])
    return by_row
