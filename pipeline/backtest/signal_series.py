"""The level of every signal over time, in bounded memory, for charts and for the newest level."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.signals import PANE_MS, Block, Signal

FIRST_WIDTH_MS = 10_000
"""Initial width of a bin in milliseconds. It doubles when there are too many bins."""

BINS_MAX = 600
"""Maximum number of bins of a subject, which is the maximum number of points of a line."""

BINS_MIN = 48
"""Minimum number of bins of a subject if there are many subjects."""

TOTAL_BINS = 60_000
"""Number of bins that all subjects share."""

Bins = dict[int, NDArray[np.float64]]
"""Rows by bin: the number of records with each signal, and the sum of their levels. Shape ``(2, C)``."""


@dataclass(slots=True)
class SubjectSeries:
    """The levels of one subject: the mean of a rate, and the typical median of a value, per bin of event time.

    The median of a bin is the mean of the medians of its blocks, weighted by records.
    """

    signals: list[Signal] = field(default_factory=list)
    width_ms: int = FIRST_WIDTH_MS
    bins: Bins = field(default_factory=dict)

    def observe(self, block: Block, bins_max: int) -> None:
        """Add a block, and halve the resolution while there are more than ``bins_max`` bins."""
        self.signals = list(block.signals)
        counts, levels = _levels(
            block.values, np.array([signal.kind == "rate" for signal in block.signals], dtype=bool)
        )
        index = int(block.panes[-1]) * PANE_MS // self.width_ms
        row = np.stack([counts, counts * levels])
        self.bins[index] = row if index not in self.bins else _add_rows(self.bins[index], row)
        while len(self.bins) > bins_max:
            self._double_width()

    def points(self, column: int, from_ms: int = 0) -> tuple[list[int], list[float]]:
        """Return the middles of the bins with records (Unix ms) and the levels of one signal, in order of time."""
        times, values = [], []
        for index, row in sorted(self.bins.items()):
            if column < row.shape[1] and row[0, column] and index * self.width_ms >= from_ms:
                times.append(index * self.width_ms + self.width_ms // 2)
                values.append(float(row[1, column] / row[0, column]))
        return times, values

    def level_since(self, column: int, from_ms: int) -> float | None:
        """Return the level of a signal in the bins that end after a time (Unix ms), or None without records."""
        rows = [
            row[:, column]
            for index, row in self.bins.items()
            if column < row.shape[1] and (index + 1) * self.width_ms > from_ms
        ]
        count, total = np.sum(rows, axis=0) if rows else (0.0, 0.0)
        return float(total / count) if count else None

    def count(self, column: int) -> int:
        """Return the number of records with a signal."""
        return int(sum(row[0, column] for row in self.bins.values() if column < row.shape[1]))

    def _double_width(self) -> None:
        merged: Bins = {}
        for index, row in self.bins.items():
            half = index // 2
            merged[half] = row if half not in merged else _add_rows(merged[half], row)
        self.bins, self.width_ms = merged, 2 * self.width_ms


class SignalSeries:
    """The series of all subjects. Together they have at most about :data:`TOTAL_BINS` bins."""

    def __init__(self) -> None:
        self.subjects: dict[str, SubjectSeries] = {}

    def observe(self, subject: str, block: Block) -> None:
        """Add a block of a subject."""
        series = self.subjects.get(subject)
        if series is None:
            series = self.subjects[subject] = SubjectSeries()
        series.observe(block, max(BINS_MIN, min(BINS_MAX, TOTAL_BINS // len(self.subjects))))


def _levels(values: NDArray[np.float64], is_rate: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the number of finite values of each column, and their mean (rate) or median (value). 0 without values."""
    counts = np.count_nonzero(np.isfinite(values), axis=0)
    levels = np.zeros(values.shape[1])
    present = counts > 0
    rates, amounts = np.flatnonzero(present & is_rate), np.flatnonzero(present & ~is_rate)
    levels[rates] = np.nansum(values[:, rates], axis=0) / counts[rates]
    ordered = np.sort(values[:, amounts], axis=0)  # NaN is last
    columns, last = np.arange(amounts.size), counts[amounts] - 1
    levels[amounts] = (ordered[last // 2, columns] + ordered[(last + 1) // 2, columns]) / 2
    return counts.astype(np.float64), levels


def _add_rows(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add two rows. A later row may have more columns."""
    if first.shape[1] > second.shape[1]:
        first, second = second, first
    total = second.copy()
    total[:, : first.shape[1]] += first
    return total
