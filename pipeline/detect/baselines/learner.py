"""The learner, which collects the data for a baseline in bounded memory, from a live stream or from a file."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines.baseline import (
    BaselineSource,
    LearnedColumn,
    LearnedData,
    build_baseline,
    required_records,
)
from pipeline.detect.baselines.field_presence import FieldPresence
from pipeline.detect.baselines.quarters import AgeHistory, Burst, QuarterAges
from pipeline.detect.baselines.stationarity import nonstationary_signals
from pipeline.detect.learning_progress import LearningProgress
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Block, LabelCounts, Signal, channels
from pipeline.detect.traffic import MinuteRequests, RequestWindows
from schemas.baseline import Baseline

BURSTS_PER_SLICE = 4
"""Number of bursts per slice, one at the start of each quarter. Their means reveal the autocorrelation within the
slice."""

FIRST_WIDTH_MS = 1000
"""Initial width of a slice in milliseconds. It doubles when there are twice as many slices as ``settings.slices``."""

READY_AFTER_FACTOR_MAX = 2
"""Maximum learning time of a signal that is still changing, as a multiple of ``settings.ready_after_s``."""

OTHER_SHARE_MAX = 0.5
"""Maximum share of 'other' in a category. A category with a higher share, such as one that contains hashes, has no
distribution to learn."""


class Learner:
    """Learner of one subject: time slices with counts, sums and four bursts of up to 64 values per signal.

    For an age, it also stores the longest age and the earliest origin of each quarter of a slice.

    Any period is divided into at least ``settings.slices`` and at most twice as many slices. An hour from a file and a
    live day are therefore learned in the same way and use the same memory.

    Parameters
    ----------
    subject
        The subject of the baseline.
    settings
        Number of slices, and the requirements of a ready baseline.

    Attributes
    ----------
    SETTINGS
        Names of the settings on which the learned data depends.
    PROGRESS_ITEMS
        Prefixes of the names of the parts that :meth:`progress` needs. They are a small share of the state.
    """

    SETTINGS: ClassVar = ("slices", "categories_max")
    PROGRESS_ITEMS: ClassVar = ("head", "totals-")

    def __init__(self, subject: str, settings: DetectSettings) -> None:
        self._subject, self._settings = subject, settings
        self._signals: list[Signal] = []
        self._origin_ms: int | None = None
        self._end_ms = 0
        self._width_ms = FIRST_WIDTH_MS
        self._records = 0
        self._gap_panes = 0
        self._ready_after_factor = 1
        self._is_sampled = False
        self._totals: dict[int, NDArray[np.float64]] = {}
        self._bursts: dict[tuple[int, int], Burst] = {}
        # None if the first records were learned by a version that does not store ages.
        self._ages: AgeHistory | None = AgeHistory(BURSTS_PER_SLICE)
        self._label_counts: dict[str, LabelCounts] = {}
        self._presence = FieldPresence()
        self._requests = RequestWindows()
        self._changed: set[str] = set()

    def observe(self, block: Block) -> None:
        """Add a block of records. The start of a record's pane is used as its time."""
        if not block.panes.size:
            return
        self._signals = list(block.signals)
        if self._origin_ms is None:
            self._origin_ms = int(block.panes[0]) * PANE_MS
        else:
            self._gap_panes = max(self._gap_panes, int(block.panes[0]) - self._end_ms // PANE_MS)
        self._gap_panes = max(self._gap_panes, int(np.diff(block.panes).max(initial=0)) - 1)
        self._end_ms = (int(block.panes[-1]) + 1) * PANE_MS
        self._records += block.panes.size
        self._is_sampled = self._is_sampled or block.is_sampled
        while (self._end_ms - 1 - self._origin_ms) // self._width_ms >= 2 * self._settings.slices:
            self._double_width()
        quarters = (block.panes * PANE_MS - self._origin_ms) * BURSTS_PER_SLICE // self._width_ms
        bounds = np.concatenate([[0], np.flatnonzero(np.diff(quarters)) + 1, [quarters.size]]).tolist()
        for begin, end in pairwise(bounds):
            self._add_rows(int(quarters[begin]), block.values[begin:end], block.times_ms[begin:end])
        for name, labels in block.categories.items():
            if name not in self._label_counts:
                self._label_counts[name] = LabelCounts(self._settings.categories_max)
            self._label_counts[name].add(labels)
        self._presence.observe(block)
        self._changed.add("head")

    def add_requests(self, minutes: Iterable[MinuteRequests]) -> None:
        """Add the requests of minutes, in order."""
        self._requests.add(minutes)

    def learn(self, block: Block, *, centroid: list[float] | None = None) -> Baseline | None:
        """Add a block. Return the baseline when it is ready, or later if a channel is still changing."""
        self.observe(block)
        if not self.is_ready():
            return None
        baseline = self.baseline("live", centroid=centroid)
        return None if nonstationary_signals(baseline) and self.extend_learning() else baseline

    def is_ready(self) -> bool:
        """Return whether enough event time has passed and enough records have arrived."""
        if self._origin_ms is None:
            return False
        enough_time = self._end_ms - self._origin_ms >= self._required_s * 1000
        return enough_time and self._records >= self._settings.ready_records

    def extend_learning(self) -> bool:
        """Double the learning time, because a channel is still changing.

        Return False if it has already been doubled.
        """
        if self._ready_after_factor >= READY_AFTER_FACTOR_MAX:
            return False
        self._ready_after_factor += 1
        self._changed.add("head")
        return True

    def progress(self) -> LearningProgress | None:
        """Return the progress towards the baseline, or None before the first record.

        It needs only the parts of the state that ``PROGRESS_ITEMS`` names.
        """
        if self._origin_ms is None:
            return None
        counts = np.zeros(len(self._signals))
        for totals in self._totals.values():
            counts[: totals.shape[1]] += totals[0]
        required = [required_records(signal, self._settings) for signal in self._signals]
        return LearningProgress(
            from_ms=self._origin_ms,
            to_ms=self._end_ms,
            records=self._records,
            required_s=self._required_s,
            required_records=self._settings.ready_records,
            signals=int(np.count_nonzero(counts)),
            ready_signals=int(np.count_nonzero(counts >= required)),
        )

    def baseline(self, source: BaselineSource, *, centroid: list[float] | None = None) -> Baseline:
        """Build a baseline from the records so far.

        Parameters
        ----------
        source
            Source of the records.
        centroid
            Mean direction with which embeddings were compared.

        Raises
        ------
        ValueError
            If there are no records.
        """
        if self._origin_ms is None:
            raise ValueError(f"{self._subject} has no records from which to learn a baseline")
        count = max(self._totals) + 1
        bursts = [(burst.columns, *key) for key, burst in sorted(self._bursts.items())]
        learned = LearnedData(
            columns=[self._column(index, signal, count, bursts) for index, signal in enumerate(self._signals)],
            categories={name: labels.counts for name, labels in self._label_counts.items() if _is_learnable(labels)},
            slice_starts_ms=[self._origin_ms + index * self._width_ms for index in range(count)],
            from_ms=self._origin_ms,
            to_ms=self._end_ms,
            records=self._records,
            longest_gap_s=self._gap_panes * PANE_MS / 1000,
            quietest_per_s=self._quietest_per_s(count),
            centroid=centroid,
            expected_fields=self._presence.expected_fields(),
            is_sampled=self._is_sampled,
            traffic=self._requests.learn(),
        )
        return build_baseline(self._subject, learned, source, self._settings)

    def mark_all(self) -> None:
        """Mark all parts of the state as changed."""
        self._changed = {"head", *(f"totals-{index}" for index in self._totals)}
        # A burst of records without signals has no columns, and is not stored.
        stored = (key for key, burst in self._bursts.items() if burst.has_columns)
        self._changed |= {f"burst-{slice_index}-{quarter_index}" for slice_index, quarter_index in stored}

    def dump_parts(self) -> dict[str, dict[str, Any]]:
        """Return the parts of the state that changed since the last call. A finished slice is returned only once."""
        changed, self._changed = self._changed, set()
        parts = {}
        for name in sorted(changed):
            kind, *indexes = name.split("-")
            if kind == "head":
                parts[name] = self._dump_head()
            elif kind == "totals":
                index = int(indexes[0])
                parts[name] = {"width_ms": self._width_ms, "totals": self._totals[index].copy()}
                ages = None if self._ages is None else self._ages.dump_slice(index)
                if ages is not None:
                    parts[name]["ages"] = ages
            else:
                burst = self._bursts[int(indexes[0]), int(indexes[1])]
                columns = burst.columns
                sizes = [column.size for column in columns]
                parts[name] = {"width_ms": self._width_ms, "sizes": sizes, "values": np.concatenate(columns)}
        return parts

    def load_part(self, name: str, state: dict[str, Any]) -> None:
        """Restore a part from :meth:`dump_parts`. Parts can come in any order. Parts of narrower slices are ignored.

        Raises
        ------
        ValueError
            If no part has this name, or the state contains a signal that is no longer in the catalogue.
        """
        kind, *indexes = name.split("-")
        if kind == "head":
            self._load_head(state)
            return
        if kind not in ("totals", "burst"):
            raise ValueError(
                f"a learner has no part {name!r}: its parts are head, totals-SLICE and burst-SLICE-QUARTER"
            )
        if not self._accept_width(state["width_ms"]):
            return
        if kind == "totals":
            self._totals[int(indexes[0])] = np.array(state["totals"], dtype=np.float64)
            if self._ages is not None and "ages" in state:
                self._ages.load_slice(int(indexes[0]), state["ages"])
        else:
            values = np.asarray(state["values"], dtype=np.float64)
            columns = np.split(values, np.cumsum(state["sizes"])[:-1])
            burst = self._bursts[int(indexes[0]), int(indexes[1])] = Burst(columns)
            burst.pack()

    @property
    def _required_s(self) -> float:
        return self._ready_after_factor * self._settings.ready_after_s

    def _dump_head(self) -> dict[str, Any]:
        return {
            "origin_ms": self._origin_ms,
            "end_ms": self._end_ms,
            "width_ms": self._width_ms,
            "records": self._records,
            "gap_panes": self._gap_panes,
            "ready_after_factor": self._ready_after_factor,
            "is_sampled": self._is_sampled,
            "signals": [[signal.name, signal.kind] for signal in self._signals],
            "categories": {name: dict(labels.counts) for name, labels in self._label_counts.items()},
            "presence": self._presence.dump(),
            "has_ages": self._ages is not None,
            "requests": self._requests.dump(),
        }

    def _load_head(self, state: dict[str, Any]) -> None:
        signals = [channels.signal_by_name(name, kind) for name, kind in state["signals"]]
        if None in signals:
            unknown = [name for (name, _), signal in zip(state["signals"], signals, strict=True) if signal is None]
            raise ValueError(f"signals no longer in the catalogue: {', '.join(unknown)}; learning starts again")
        self._signals = [signal for signal in signals if signal is not None]
        self._accept_width(state["width_ms"])
        self._origin_ms, self._end_ms = state["origin_ms"], state["end_ms"]
        self._records, self._gap_panes = state["records"], state["gap_panes"]
        self._ready_after_factor = state["ready_after_factor"]
        # Checkpoints of earlier versions do not contain this mark.
        self._is_sampled = state.get("is_sampled", False)
        limit = self._settings.categories_max
        self._label_counts = {name: LabelCounts(limit, counts) for name, counts in state["categories"].items()}
        if "presence" in state:  # Checkpoints of formats before 6 do not contain it.
            self._presence.load(state["presence"])
        if not state.get("has_ages", False):  # Ages of which only the last part is known have no longest value.
            self._ages = None
        if "requests" in state:  # Checkpoints of formats before 9 do not contain it.
            self._requests.load(state["requests"])

    def _accept_width(self, width_ms: int) -> bool:
        """Return whether a part has the current slice width.

        A wider part discards all narrower parts that were loaded before it.
        """
        if width_ms > self._width_ms:
            self._width_ms = width_ms
            self._totals.clear()
            self._bursts.clear()
            if self._ages is not None:
                self._ages.clear()
        return width_ms == self._width_ms

    def _add_rows(self, quarter: int, values: NDArray[np.float64], times_ms: NDArray[np.int64]) -> None:
        slice_index, quarter_index = divmod(quarter, BURSTS_PER_SLICE)
        present = ~np.isnan(values)
        totals = _widen(self._totals.get(slice_index), values.shape[1])
        totals[0] += present.sum(axis=0)
        totals[1] += np.where(present, values, 0.0).sum(axis=0)
        self._totals[slice_index] = totals
        self._changed.add(f"totals-{slice_index}")
        if self._ages is not None and (columns := self._age_columns()):
            self._ages.add_rows(slice_index, quarter_index, values.take(columns, axis=1), times_ms)
        burst = self._bursts.get((slice_index, quarter_index))
        if burst is None:
            if self._bursts:
                self._bursts[max(self._bursts)].pack()
            burst = self._bursts[slice_index, quarter_index] = Burst()
        if not burst.is_full(values.shape[1]) and burst.add(values):
            self._changed.add(f"burst-{slice_index}-{quarter_index}")

    def _double_width(self) -> None:
        self._width_ms *= 2
        totals: dict[int, NDArray[np.float64]] = {}
        for index in sorted(self._totals):
            narrow = self._totals[index]
            width = max(narrow.shape[1], totals[index // 2].shape[1] if index // 2 in totals else 0)
            totals[index // 2] = _widen(totals.get(index // 2), width) + _widen(narrow, width)
        bursts: dict[tuple[int, int], Burst] = {}
        for (slice_index, quarter_index), burst in sorted(self._bursts.items()):
            key = divmod((slice_index * BURSTS_PER_SLICE + quarter_index) // 2, BURSTS_PER_SLICE)
            bursts[key] = bursts[key].merge(burst) if key in bursts else burst
            bursts[key].pack()
        self._totals, self._bursts = totals, bursts
        if self._ages is not None:
            self._ages.double_width()
        self.mark_all()

    def _quietest_per_s(self, count: int) -> float:
        """Return the records per second of the most common signal in its quietest complete slice."""
        inner = [self._totals[index][0].max(initial=0) if index in self._totals else 0 for index in range(1, count - 1)]
        return float(min(inner, default=0)) * 1000 / self._width_ms

    def _column(
        self, index: int, signal: Signal, count: int, columns: Sequence[tuple[list[NDArray[np.float64]], int, int]]
    ) -> LearnedColumn:
        bursts = [
            (values[index], slice_index, quarter_index)
            for values, slice_index, quarter_index in columns
            if index < len(values) and values[index].size
        ]
        sizes = [values.size for values, _, _ in bursts]
        slices = np.array([slice_index for _, slice_index, _ in bursts], dtype=np.int64)
        quarters = slices * BURSTS_PER_SLICE + np.array([quarter for _, _, quarter in bursts], dtype=np.int64)
        totals = np.zeros((2, count))
        for slice_index, slice_totals in self._totals.items():
            if index < slice_totals.shape[1]:
                totals[:, slice_index] = slice_totals[:, index]
        return LearnedColumn(
            signal=signal,
            values=np.concatenate([values for values, _, _ in bursts]) if bursts else np.zeros(0),
            slices=np.repeat(slices.astype(np.intp), sizes),
            bursts=np.repeat(np.arange(len(bursts), dtype=np.intp), sizes),
            counts=totals[0],
            sums=totals[1],
            times_ms=np.repeat((self._origin_ms or 0) + quarters * self._width_ms // BURSTS_PER_SLICE, sizes),
            ages=self._quarter_ages(index),
        )

    def _age_columns(self) -> list[int]:
        return [index for index, signal in enumerate(self._signals) if signal.kind == "age"]

    def _quarter_ages(self, index: int) -> QuarterAges | None:
        if self._ages is None or self._signals[index].kind != "age":
            return None
        return self._ages.find_quarters(self._age_columns().index(index), self._origin_ms or 0, self._width_ms)


def _widen(totals: NDArray[np.float64] | None, width: int) -> NDArray[np.float64]:
    wide = np.zeros((2, width))
    if totals is not None:
        wide[:, : totals.shape[1]] = totals
    return wide


def _is_learnable(label_counts: LabelCounts) -> bool:
    counts = label_counts.counts
    return counts.get(LabelCounts.OTHER, 0) <= OTHER_SHARE_MAX * sum(counts.values())
