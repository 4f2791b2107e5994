"""The learner: collects what a baseline needs, in bounded memory, from a live unit or from a file."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines.baseline import LearnedColumn, LearnedData, Source, build_baseline
from pipeline.detect.baselines.burst import Burst
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import OTHER_LABEL, PANE_MS, Block, LabelCounts, Signal, channels
from schemas.baseline import Baseline

BURSTS_PER_SLICE = 4
"""Bursts spread evenly over a slice: their means show its autocorrelation."""

FIRST_WIDTH_MS = 1000
"""Milliseconds of a slice at first; it doubles, and neighbours join, whenever there are more than twice as many as asked."""

WAITS_MAX = 2
"""Times ``settings.ready_after_s`` that a signal which is still moving is waited for."""

MIXED_MAX = 0.5
"""A category of which more than this share is 'other', such as a hash, has no mix to speak of."""


class Learner:
    """Slices of time, each with counts and sums of every signal and four bursts of its first 64 values.

    Between ``settings.slices`` and twice as many slices cover whatever time there is, so a file of an hour and a live
    day are learned alike, in the same memory.

    Parameters
    ----------
    subject
        Whose baseline it will be.
    settings
        When it is ready.
    """

    def __init__(self, subject: str, settings: DetectSettings) -> None:
        self._subject, self._settings = subject, settings
        self._signals: list[Signal] = []
        self._origin_ms: int | None = None
        self._end_ms = 0
        self._width_ms = FIRST_WIDTH_MS
        self._records = 0
        self._gap_panes = 0
        self._waits = 1
        self._totals: dict[int, NDArray[np.float64]] = {}
        self._bursts: dict[tuple[int, int], Burst] = {}
        self._mixes: dict[str, LabelCounts] = {}
        self._changed: set[str] = set()

    def observe(self, block: Block) -> None:
        """Take one block; times are those of its panes."""
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
        while (self._end_ms - 1 - self._origin_ms) // self._width_ms >= 2 * self._settings.slices:
            self._double()
        quarters = (block.panes * PANE_MS - self._origin_ms) * BURSTS_PER_SLICE // self._width_ms
        heads = np.concatenate([[0], np.flatnonzero(np.diff(quarters)) + 1, [quarters.size]]).tolist()
        for begin, end in pairwise(heads):
            self._take(int(quarters[begin]), block.values[begin:end])
        for name, labels in block.categories.items():
            if name not in self._mixes:
                self._mixes[name] = LabelCounts(self._settings.categories_max)
            self._mixes[name].add(labels)
        self._changed.add("head")

    def ready(self) -> bool:
        """Whether enough event time and records have passed."""
        if self._origin_ms is None:
            return False
        enough_time = self._end_ms - self._origin_ms >= self._waits * self._settings.ready_after_s * 1000
        return enough_time and self._records >= self._settings.ready_records

    def wait_longer(self) -> bool:
        """Be ready only after twice the time, because something was still moving; False if that has been asked before."""
        if self._waits >= WAITS_MAX:
            return False
        self._waits += 1
        self._changed.add("head")
        return True

    def baseline(self, source: Source, *, centroid: list[float] | None = None) -> Baseline:
        """The baseline of what has been seen so far.

        Parameters
        ----------
        source
            Where it comes from.
        centroid
            The direction that embeddings were compared with.

        Raises
        ------
        ValueError
            If nothing has been seen.
        """
        if self._origin_ms is None:
            raise ValueError(f"no record of {self._subject} has been seen: there is nothing to learn a baseline from")
        count = max(self._totals) + 1
        columns = [self._column(index, signal, count) for index, signal in enumerate(self._signals)]
        learned = LearnedData(
            columns=columns,
            categories={name: mix.counts for name, mix in self._mixes.items() if _is_mix(mix)},
            slice_starts_ms=[self._origin_ms + index * self._width_ms for index in range(count)],
            from_ms=self._origin_ms,
            to_ms=self._end_ms,
            records=self._records,
            longest_gap_s=self._gap_panes * PANE_MS / 1000,
            quietest_per_s=self._quietest_per_s(count),
            centroid=centroid,
        )
        return build_baseline(self._subject, learned, source, self._settings)

    def dump_parts(self) -> dict[str, dict[str, Any]]:
        """The parts of the state that changed since the last call; what is finished is given once."""
        changed, self._changed = self._changed, set()
        parts = {}
        for name in sorted(changed):
            kind, *place = name.split("-")
            if kind == "head":
                parts[name] = self._head()
            elif kind == "totals":
                parts[name] = {"width_ms": self._width_ms, "totals": self._totals[int(place[0])].copy()}
            else:
                burst = self._bursts[int(place[0]), int(place[1])]
                sizes = [column.size for column in burst.columns]
                parts[name] = {"width_ms": self._width_ms, "sizes": sizes, "values": np.concatenate(burst.columns)}
        return parts

    def load_part(self, name: str, state: dict[str, Any]) -> None:
        """Take up a part that :meth:`dump_parts` gave, in any order; parts of an earlier slice width are left out.

        Raises
        ------
        ValueError
            If there is no part of that name.
        """
        kind, *place = name.split("-")
        if kind == "head":
            self._load_head(state)
            return
        if kind not in ("totals", "burst"):
            raise ValueError(f"a learner has no part {name!r}: it has head, totals-SLICE and burst-SLICE-QUARTER")
        if not self._fits(state["width_ms"]):
            return
        if kind == "totals":
            self._totals[int(place[0])] = np.array(state["totals"], dtype=np.float64)
        else:
            values = np.asarray(state["values"], dtype=np.float64)
            columns = np.split(values, np.cumsum(state["sizes"])[:-1])
            self._bursts[int(place[0]), int(place[1])] = Burst([np.array(column) for column in columns])

    def _head(self) -> dict[str, Any]:
        return {
            "origin_ms": self._origin_ms,
            "end_ms": self._end_ms,
            "width_ms": self._width_ms,
            "records": self._records,
            "gap_panes": self._gap_panes,
            "waits": self._waits,
            "signals": [[signal.name, signal.kind] for signal in self._signals],
            "categories": {name: dict(mix.counts) for name, mix in self._mixes.items()},
        }

    def _load_head(self, state: dict[str, Any]) -> None:
        signals = [channels.signal_by_name(name, kind) for name, kind in state["signals"]]
        if None in signals:
            unknown = [name for (name, _), signal in zip(state["signals"], signals, strict=True) if signal is None]
            raise ValueError(f"the catalogue has no {', '.join(unknown)} any more: learning starts anew")
        self._signals = [signal for signal in signals if signal is not None]
        self._fits(state["width_ms"])
        self._origin_ms, self._end_ms = state["origin_ms"], state["end_ms"]
        self._records, self._gap_panes = state["records"], state["gap_panes"]
        self._waits = state.get("waits", 1)
        limit = self._settings.categories_max
        self._mixes = {name: LabelCounts(limit, counts) for name, counts in state["categories"].items()}

    def _fits(self, width_ms: int) -> bool:
        """Whether a part is of the widest slices known; wider ones than before replace all earlier ones."""
        if width_ms > self._width_ms:
            self._width_ms = width_ms
            self._totals.clear()
            self._bursts.clear()
        return width_ms == self._width_ms

    def _take(self, quarter: int, values: NDArray[np.float64]) -> None:
        index, place = divmod(quarter, BURSTS_PER_SLICE)
        present = ~np.isnan(values)
        totals = _widened(self._totals.get(index), values.shape[1])
        totals[0] += present.sum(axis=0)
        totals[1] += np.where(present, values, 0.0).sum(axis=0)
        self._totals[index] = totals
        self._changed.add(f"totals-{index}")
        burst = self._bursts.setdefault((index, place), Burst())
        if not burst.full(values.shape[1]) and burst.take(values):
            self._changed.add(f"burst-{index}-{place}")

    def _double(self) -> None:
        self._width_ms *= 2
        totals: dict[int, NDArray[np.float64]] = {}
        for index in sorted(self._totals):
            own = self._totals[index]
            width = max(own.shape[1], totals[index // 2].shape[1] if index // 2 in totals else 0)
            totals[index // 2] = _widened(totals.get(index // 2), width) + _widened(own, width)
        bursts: dict[tuple[int, int], Burst] = {}
        for index, place in sorted(self._bursts):
            joined = divmod((index * BURSTS_PER_SLICE + place) // 2, BURSTS_PER_SLICE)
            bursts[joined] = (
                bursts[joined].join(self._bursts[index, place]) if joined in bursts else self._bursts[index, place]
            )
        self._totals, self._bursts = totals, bursts
        self._changed = {"head", *(f"totals-{index}" for index in totals)}
        self._changed |= {f"burst-{index}-{place}" for index, place in bursts}

    def _quietest_per_s(self, count: int) -> float:
        """Records a second in the slice with fewest, by the signal that most carry; the ends are no whole slices."""
        inner = [self._totals[place][0].max(initial=0) if place in self._totals else 0 for place in range(1, count - 1)]
        return float(min(inner, default=0)) * 1000 / self._width_ms

    def _column(self, index: int, signal: Signal, count: int) -> LearnedColumn:
        kept = [
            (burst.columns[index], place)
            for place, burst in sorted(self._bursts.items())
            if index < len(burst.columns) and burst.columns[index].size
        ]
        sizes = [values.size for values, _ in kept]
        quarters = np.array([place[0] * BURSTS_PER_SLICE + place[1] for _, place in kept], dtype=np.int64)
        totals = np.zeros((2, count))
        for place, own in self._totals.items():
            if index < own.shape[1]:
                totals[:, place] = own[:, index]
        return LearnedColumn(
            signal=signal,
            values=np.concatenate([values for values, _ in kept]) if kept else np.zeros(0),
            slices=np.repeat(np.array([place[0] for _, place in kept], dtype=np.intp), sizes),
            bursts=np.repeat(np.arange(len(kept), dtype=np.intp), sizes),
            counts=totals[0],
            sums=totals[1],
            times_ms=np.repeat((self._origin_ms or 0) + quarters * self._width_ms // BURSTS_PER_SLICE, sizes),
        )


def _widened(totals: NDArray[np.float64] | None, width: int) -> NDArray[np.float64]:
    wide = np.zeros((2, width))
    if totals is not None:
        wide[:, : totals.shape[1]] = totals
    return wide


def _is_mix(mix: LabelCounts) -> bool:
    return mix.counts.get(OTHER_LABEL, 0) <= MIXED_MAX * sum(mix.counts.values())
