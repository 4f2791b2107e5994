"""Observe completed blocks of many streams.

A block of a few records costs almost as much as a block of 512 records, because nearly all of its time is the overhead
of array operations. Therefore, the blocks of all streams that need only routine updates are observed as one batch. The
results are the same, to the last digit, as those of :meth:`pipeline.detect.stream.Stream.observe`, which observes all
others: of streams that learn or have an open drift, and blocks in which a test crosses its threshold.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission import PositionedOutput, Records
from pipeline.detect.blocks import find_categories, find_versions
from pipeline.detect.detectors import LateBursts, PageHinkleyBatch
from pipeline.detect.findings import FirstSeen
from pipeline.detect.layout import BlockBatch, BlockView, Grid
from pipeline.detect.monitor import Monitor
from pipeline.detect.segments import BlockValues, SegmentBatch, find_block_values
from pipeline.detect.settings import DetectSettings
from pipeline.detect.shape import ShapeDrifts
from pipeline.detect.signals import PANE_MS, catalogue
from pipeline.detect.statistics import add_values
from pipeline.detect.stream import Stream
from schemas.drift import MINUTE_MS

STREAMS_MIN = 4
"""Minimum number of streams in a batch. Fewer blocks are faster one by one."""

STREAMS_MAX = 32
"""Maximum number of streams in a batch. The arrays of more streams do not fit into the cache of a processor."""

ROWS_MAX = 4096
"""Maximum number of rows in a batch, for the same reason."""

BLOCK_ROWS_MAX = 128
"""Maximum number of records of a block in a batch. Larger blocks are as fast one by one."""

_PAIRWISE_MIN = 8
"""Number of addends from which numpy adds pairwise."""

_TOKENS = catalogue.SIGNAL_INDEX["output_tokens"]

CompletedBlocks = Sequence[tuple[Stream, int, Records]]
"""Streams with the position of the record that completed a block, and the records of the block."""

LabelSets = dict[str, set[str | None]]
LabelColumns = Mapping[str, Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class QuietBlock:
    """A block that may need only routine updates.

    Attributes
    ----------
    shape
        The numbers of rates, values, ages, signals and quantiles. The blocks of a batch have equal shapes.
    is_on_time
        Whether no recent record before the block was late.
    values
        The segment values of the block.
    versions, labels
        The distinct versions by kind, and all distinct labels that are reported when they are new.
    """

    stream: Stream
    position: int
    monitor: Monitor
    records: Records
    shape: tuple[int, ...]
    row_count: int
    is_on_time: bool
    values: BlockValues
    versions: LabelSets
    labels: LabelSets
    categories: Mapping[str, Sequence[str | None]]

    def observe(self) -> list[PositionedOutput]:
        """Observe the block by itself."""
        return [(self.position, output) for output in self.stream.observe_records(self.records)]


def observe_blocks(blocks: CompletedBlocks, settings: DetectSettings) -> list[PositionedOutput]:
    """Observe completed blocks. The blocks of each stream must be in order.

    Returns
    -------
    list[PositionedOutput]
        The drifts and baselines, each at the position of the record that completed its block.
    """
    outputs: list[PositionedOutput] = []
    for same_round in _split_into_rounds(blocks):
        candidates: list[QuietBlock] = []
        for stream, position, records in same_round:
            candidate = _find_quiet(stream, position, records) if len(same_round) >= STREAMS_MIN else None
            if candidate is None:
                outputs += ((position, output) for output in stream.observe_records(records))
            else:
                candidates.append(candidate)
        for batch in _split_into_batches(candidates):
            if len(batch) < STREAMS_MIN:
                for quiet in batch:
                    outputs += quiet.observe()
            else:
                outputs += _observe_batch(batch, settings)
    return outputs


def _split_into_rounds(blocks: CompletedBlocks) -> Sequence[CompletedBlocks]:
    """Return the first block of every stream, then the second block of every stream, and so on."""
    rounds: list[list[tuple[Stream, int, Records]]] = []
    counts: dict[str, int] = {}
    for block in blocks:
        subject = block[0].subject
        number = counts[subject] = counts.get(subject, -1) + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(block)
    return rounds


def _split_into_batches(candidates: list[QuietBlock]) -> Iterator[list[QuietBlock]]:
    # Blocks of similar lengths need little padding.
    candidates.sort(key=attrgetter("shape", "row_count"))
    for _, group in groupby(candidates, key=attrgetter("shape")):
        batch: list[QuietBlock] = []
        rows = 0
        for candidate in group:
            rows += candidate.row_count
            if len(batch) == STREAMS_MAX or rows > ROWS_MAX:
                yield batch
                batch, rows = [], candidate.row_count
            batch.append(candidate)
        yield batch


def _find_quiet(stream: Stream, position: int, records: Records) -> QuietBlock | None:
    """Return a block if it may need only routine updates.

    New segment values and the signals and labels of a first block are added to the stream, but nothing is counted.
    """
    monitor, row_count = stream.monitor, len(records)
    if monitor is None or not monitor.is_idle or row_count > BLOCK_ROWS_MAX:
        return None
    labels, first_pane, last_pane = records.labels, int(records.panes[0]), int(records.panes[-1])
    if not _is_routine(stream, labels, first_pane, last_pane):
        return None
    versions, categories = find_versions(labels), find_categories(labels)
    version_sets: LabelSets = {kind: set(column) for kind, column in versions.items()}
    label_sets = FirstSeen.distinct_labels(version_sets, categories)
    if not stream.first_seen.has_all(label_sets, last_pane):
        return None
    if stream.last_pane is None:
        stream.columns.add_signals(records)
        stream.statistics.add_signals(stream.columns.signals)
    signals, statistics = len(stream.columns.signals), stream.statistics
    if signals < 2 or len(statistics.names) != signals:
        return None
    segments = stream.columns.find_segments(labels)
    values = find_block_values(monitor.segments, segments, versions, first_pane, last_pane)
    if values is None:
        return None
    layout = monitor.layout
    return QuietBlock(
        stream=stream,
        position=position,
        monitor=monitor,
        records=records,
        shape=(
            layout.rate_count,
            layout.value_count,
            layout.age_indexes.size,
            signals,
            statistics.value_columns.size,
        ),
        row_count=row_count,
        is_on_time=monitor.late_bursts.is_idle(last_pane),
        values=values,
        versions=version_sets,
        labels=label_sets,
        categories=categories,
    )


def _is_routine(stream: Stream, labels: LabelColumns, first_pane: int, last_pane: int) -> bool:
    """Return whether a stream is only monitored, without relearning, sampling by outcome, or a silence."""
    if stream.relearning is not None or stream.block_observer is not None or stream.sampling.is_active:
        return False
    if stream.history.begins_hour(first_pane):
        return False
    sampled = labels.get("sampled")
    if sampled is not None and any(label is not None for label in sampled):
        return False
    pane_before = stream.last_pane
    return pane_before is None or stream.silence.excludes(pane_before, first_pane, last_pane, stream.silence_after_s)


def _observe_batch(quiet: Sequence[QuietBlock], settings: DetectSettings) -> list[PositionedOutput]:
    """Observe the blocks of a batch in one pass, and those with anything unusual one by one."""
    sources = np.array([each.stream.columns.sources for each in quiet])
    values = _concatenate_values([each.records for each in quiet], int(sources.max()) + 1)
    width = values.shape[1]
    monitored = np.array([each.stream.columns.find_sources(each.monitor.layout.signals) for each in quiet])
    monitored[monitored >= width] = -1
    batch = BlockBatch.build(
        [each.monitor.layout for each in quiet], [each.records for each in quiet], values, monitored
    )
    unusual = _find_new_signals(values, sources, batch.rows)
    banks = PageHinkleyBatch([each.monitor.bank for each in quiet], batch)
    segments = SegmentBatch(
        [each.monitor.segments for each in quiet],
        [each.values for each in quiet],
        batch,
        settings.segment_settle_records,
    )
    unusual |= banks.unusual | segments.unusual
    late = batch.find_late()
    follows_late = late | ~np.array([each.is_on_time for each in quiet])
    if follows_late.any():
        unusual |= follows_late & banks.find_high()
    usual = np.flatnonzero(~unusual).tolist()
    outputs: list[PositionedOutput] = []
    for index in np.flatnonzero(unusual).tolist():
        outputs += quiet[index].observe()
    if not usual:
        return outputs
    if len(usual) < len(quiet):
        rows = np.flatnonzero(~unusual[batch.streams])
        lengths = np.diff(batch.rows)[usual]
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        add_values([quiet[index].stream.statistics for index in usual], values[rows], sources[usual], bounds)
    else:
        add_values([each.stream.statistics for each in quiet], values, sources, batch.rows)
    totals, bins = _Totals.compute(quiet, batch, values, late), ShapeDrifts.count_batch(batch)
    for index in usual:
        history, part = quiet[index].stream.history, slice(int(batch.rows[index]), int(batch.rows[index + 1]))
        panes = batch.panes[part]
        if history.has_room(int(panes[0]), int(panes[-1]), sources.shape[1]):
            history.add_values(values[part].take(sources[index], axis=1), panes)
        banks.store(index)
        segments.store(index)
        outputs += _finish(quiet[index], batch, index, totals, bins[index])
    return outputs


@dataclass(frozen=True, slots=True)
class _Totals:
    """Totals of the blocks of a batch as plain lists.

    Attributes
    ----------
    late
        For each stream: whether a record is late.
    rows, panes_of
        The first row and the first pane of each stream, and the total.
    newest_ms, finite, monitored
        For each stream: the newest event time, and the numbers of finite and of monitored values.
    panes, pane_rows, requests
        For each pane: the pane, its first row, and its number of requests. ``pane_rows`` ends with the number of rows.
    tokens
        The output tokens of each row, 0 where it carries none.
    """

    late: list[bool]
    rows: list[int]
    panes_of: list[int]
    newest_ms: list[int]
    finite: list[int]
    monitored: list[int]
    panes: list[int]
    pane_rows: list[int]
    requests: list[int]
    tokens: list[float]
    sums_by_pane: NDArray[np.float64]

    @classmethod
    def compute(
        cls,
        quiet: Sequence[QuietBlock],
        batch: BlockBatch,
        values: NDArray[np.float64],
        late: NDArray[np.bool_],
    ) -> "_Totals":
        starts = batch.rows[:-1]
        pane_rows = batch.sample_starts[batch.pane_starts]
        is_request = np.concatenate([each.records.is_request for each in quiet])
        tokens = values[:, _TOKENS].copy()
        np.copyto(tokens, 0.0, where=np.isnan(tokens))
        finite = np.count_nonzero(np.isfinite(values), axis=1)
        present = np.count_nonzero(~np.isnan(batch.values), axis=1)
        return cls(
            late=late.tolist(),
            rows=batch.rows.tolist(),
            panes_of=batch.panes_of.tolist(),
            newest_ms=np.maximum.reduceat(batch.times_ms, starts).tolist(),
            finite=np.add.reduceat(finite, starts).tolist(),
            monitored=np.add.reduceat(present, starts).tolist(),
            panes=batch.panes[pane_rows].tolist(),
            pane_rows=[*pane_rows.tolist(), values.shape[0]],
            requests=np.add.reduceat(is_request.astype(np.intp), pane_rows).tolist(),
            tokens=tokens.tolist(),
            sums_by_pane=np.add.reduceat(batch.sample_sums[:-1], batch.pane_starts, axis=0),
        )


def _finish(
    quiet: QuietBlock, batch: BlockBatch, index: int, totals: _Totals, bins: NDArray[np.intp]
) -> list[PositionedOutput]:
    """Update everything of a stream that is not an array over all streams."""
    stream, monitor = quiet.stream, quiet.monitor
    statistics, row_count = stream.statistics, quiet.row_count
    first, end = totals.panes_of[index], totals.panes_of[index + 1]
    first_row, end_row = totals.rows[index], totals.rows[index + 1]
    first_pane, last_pane = totals.panes[first], totals.panes[end - 1]
    stream.columns.update_labels(quiet.records.labels)
    stream.evidence_changed, stream.last_pane = True, last_pane
    statistics.add_rows(row_count, totals.newest_ms[index])
    statistics.add_labels(quiet.categories)
    for pane in range(first, end):
        start, stop = totals.pane_rows[pane], totals.pane_rows[pane + 1]
        part = totals.tokens[start:stop]
        # Few numbers are added in order by numpy too.
        tokens = sum(part) if stop - start < _PAIRWISE_MIN else float(np.sum(np.array(part)))
        statistics.add_pane(totals.panes[pane], totals.requests[pane], tokens)
    stream.first_seen.refresh(quiet.labels, last_pane)
    monitor.finite_values += totals.finite[index]
    monitor.monitored_values += totals.monitored[index]
    _add_lateness(monitor.late_bursts, batch, index, totals)
    sums = batch.prefix_sums[index, -1]
    first_ms, request_id = int(batch.times_ms[first_row]), quiet.records.request_ids[0]
    findings = [(0, finding) for finding in monitor.shapes.add_counts(bins, first_pane, first_ms, request_id)]
    if not monitor.adwin.add_rows(row_count, sums):
        grid = batch.grid(index)
        mean_changes = monitor.find_mean_changes(grid, lambda: _view(quiet, batch, grid, index))
        findings += mean_changes
        if mean_changes:
            findings += monitor.find_evidence_due(_view(quiet, batch, grid, index))
    monitor.segment_drifts.reach(first_pane, last_pane)
    monitor.recent_values.observe(batch.values[first_row:end_row].copy())
    minute = last_pane * PANE_MS // MINUTE_MS
    is_within, width = first_pane * PANE_MS // MINUTE_MS == minute, 2 * len(monitor.layout.signals)
    if not is_within or not monitor.minute_series.add_minute(minute, sums[:width].copy(), quiet.versions):
        monitor.minute_series.observe(_view(quiet, batch, batch.grid(index), index))
    ordered = []
    if findings:
        view = _view(quiet, batch, batch.grid(index), index)
        ordered = [monitor.complete(finding, view) for _, finding in sorted(findings, key=lambda pair: pair[0])]
    ordered += stream.find_request_losses()
    ordered += stream.fixed_limits.observe(quiet.records, stream.columns)
    return [(quiet.position, stream.drift_output(finding)) for finding in ordered]


def _add_lateness(late_bursts: LateBursts, batch: BlockBatch, index: int, totals: _Totals) -> None:
    """Count a block by lateness, as :meth:`LateBursts.update` does, without subtracting an excess."""
    first, end = totals.panes_of[index], totals.panes_of[index + 1]
    distinct_panes = batch.panes[np.array(totals.pane_rows[first:end])]
    if totals.late[index]:
        rows = slice(totals.rows[index], totals.rows[index + 1])
        panes = batch.panes[rows]
        late_panes = late_bursts.lateness(panes, batch.times_ms[rows])
        if late_panes.any():
            late_bursts.add_late(panes, late_panes, distinct_panes, batch.by_row[rows])
            return
    late_bursts.add_on_time(distinct_panes, totals.sums_by_pane[first:end])


def _view(quiet: QuietBlock, batch: BlockBatch, grid: Grid, index: int) -> BlockView:
    part = batch.values[int(batch.rows[index]) : int(batch.rows[index + 1])]
    values = np.full((part.shape[0] + 1, part.shape[1]), np.nan)
    values[:-1] = part
    return BlockView(quiet.stream.columns.build_block(quiet.records), values, grid)


def _concatenate_values(blocks: Sequence[Records], width_min: int) -> NDArray[np.float64]:
    """Return the catalogue and custom values of all rows, with NaN where a record does not carry a signal."""
    values = np.concatenate([records.values for records in blocks])
    custom_width = max(width_min - Records.WIDTH, *(records.custom_values.shape[1] for records in blocks))
    if custom_width <= 0:
        return values
    custom = np.full((values.shape[0], custom_width), np.nan)
    start = 0
    for records in blocks:
        custom[start : start + len(records), : records.custom_values.shape[1]] = records.custom_values
        start += len(records)
    return np.concatenate([values, custom], axis=1)


def _find_new_signals(
    values: NDArray[np.float64], sources: NDArray[np.intp], rows: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Return a mask of the streams whose block carries a signal for the first time, shape ``(V,)``."""
    carried = np.logical_or.reduceat(~np.isnan(values), rows[:-1], axis=0)
    carried[np.arange(sources.shape[0])[:, None], sources] = False
    new: NDArray[np.bool_] = np.logical_or.reduce(carried, axis=1)
    return new
