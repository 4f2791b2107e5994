"""Online statistics of a stream. They do not require a baseline."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Block, LabelCounts, Signal
from pipeline.detect.statistics.quantiles import Quantiles

THROUGHPUT_PANES = 60
"""Number of panes (seconds) over which throughput is averaged."""

REPETITION_RECORDS = 256
"""Number of most recent outputs over which repetition is computed."""

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""Quantiles of a value, by their names in a snapshot."""

FINGERPRINT_CATEGORY = "fingerprint"
TOKENS_SIGNAL = "output_tokens"


class Statistics:
    """Statistics of every signal and category, throughput, tokens per second, and repetition.

    The statistics of a signal (count, mean, variance, quantiles) and of a category (label shares) cover all records.
    Throughput and tokens per second cover the last 60 seconds of event time. Repetition is the share of the most common
    fingerprint among the last 256 outputs.

    Parameters
    ----------
    settings
        ``categories_max`` limits the labels of a category.

    Attributes
    ----------
    SETTINGS
        Names of the settings on which the statistics depend.
    """

    SETTINGS: ClassVar = ("categories_max",)

    def __init__(self, settings: DetectSettings) -> None:
        self._settings = settings
        self.names: list[str] = []
        self._kinds: list[str] = []
        self.value_columns = _find_value_columns(self._kinds)
        self.moments = np.zeros((3, 0))
        self.quantiles = Quantiles(0)
        self._label_counts: dict[str, LabelCounts] = {}
        self.panes: deque[tuple[int, int, float]] = deque(maxlen=THROUGHPUT_PANES)
        self._fingerprints: deque[str] = deque(maxlen=REPETITION_RECORDS)
        self._records = 0
        self._newest_ms: int | None = None

    def observe(self, block: Block) -> None:
        """Add one block."""
        if not block.panes.size:
            return
        self.add_signals(block.signals)
        self.add_rows(block.panes.size, int(block.times_ms.max()))
        self._add_moments(block.values)
        self.quantiles.add(block.values.take(self.value_columns, axis=1))
        self._add_panes(block)
        self.add_labels(block.categories)

    def count_labels(self) -> tuple[int, int]:
        """Return the largest number of labels of a category that are counted by name, and the number of other records."""
        counts = self._label_counts.values()
        named = [len(one.counts) - (LabelCounts.OTHER in one.counts) for one in counts]
        return max(named, default=0), sum(one.counts.get(LabelCounts.OTHER, 0) for one in counts)

    def add_signals(self, signals: Sequence[Signal]) -> None:
        """Add the signals of a block that are new. The first signals are always the known ones."""
        new = signals[len(self.names) :]
        if not new:
            return
        self.names += [signal.name for signal in new]
        self._kinds += [signal.kind for signal in new]
        self.value_columns = _find_value_columns(self._kinds)
        self.moments = np.hstack([self.moments, np.zeros((3, len(new)))])
        self.quantiles.widen(self.value_columns.size)

    def add_rows(self, rows: int, newest_ms: int) -> None:
        """Count the records of one block. ``newest_ms`` is their newest event time."""
        self._records += rows
        self._newest_ms = newest_ms if self._newest_ms is None else max(self._newest_ms, newest_ms)

    def add_labels(self, categories: Mapping[str, Sequence[str | None]]) -> None:
        """Add the labels of one block, by category."""
        for name, labels in categories.items():
            if name == FINGERPRINT_CATEGORY:
                self._fingerprints.extend(label for label in labels if label is not None)
                continue
            if name not in self._label_counts:
                self._label_counts[name] = LabelCounts(self._settings.categories_max)
            self._label_counts[name].add(labels)

    def add_pane(self, pane: int, count: int, tokens: float) -> None:
        """Add the requests and output tokens of one block in one pane."""
        if self.panes and self.panes[-1][0] == pane:
            _, count_before, tokens_before = self.panes.pop()
            self.panes.append((pane, count_before + count, tokens_before + tokens))
        else:
            self.panes.append((pane, count, tokens))

    def snapshot(self) -> dict[str, Any]:
        """Return the statistics as plain values, by signal, by category and overall. None means no records."""
        count, mean, squares = self.moments
        signals: dict[str, dict[str, float | int | None]] = {}
        quantile_columns = {int(column): index for index, column in enumerate(self.value_columns)}
        shares = tuple(QUANTILES.values())
        for index, (name, kind) in enumerate(zip(self.names, self._kinds, strict=True)):
            records = int(count[index])
            row: dict[str, float | int | None] = {"count": records}
            row["rate" if kind == "rate" else "mean"] = float(mean[index]) if records else None
            row["variance"] = float(squares[index] / count[index]) if records else None
            if index in quantile_columns:
                row |= dict(zip(QUANTILES, self.quantiles.estimate(quantile_columns[index], shares), strict=True))
            signals[name] = row
        throughput, tokens = self._per_second()
        return {
            "records": self._records,
            "newest_ms": self._newest_ms,
            "signals": signals,
            "categories": {name: counts.shares() for name, counts in self._label_counts.items()},
            "throughput_per_s": throughput,
            "tokens_per_s": tokens,
            "repetition": self._repetition(),
        }

    def dump(self) -> dict[str, Any]:
        """Return the state: plain values and arrays."""
        return {
            "names": list(self.names),
            "kinds": list(self._kinds),
            "moments": self.moments.copy(),
            "quantiles": self.quantiles.dump(),
            "label_counts": {name: dict(counts.counts) for name, counts in self._label_counts.items()},
            "panes": [list(pane) for pane in self.panes],
            "fingerprints": list(self._fingerprints),
            "records": self._records,
            "newest_ms": self._newest_ms,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self.names, self._kinds = list(state["names"]), list(state["kinds"])
        self.value_columns = _find_value_columns(self._kinds)
        self.moments = np.array(state["moments"], dtype=np.float64).reshape(3, len(self.names))
        self.quantiles.load(state["quantiles"])
        self._label_counts = {
            name: LabelCounts(self._settings.categories_max, counts) for name, counts in state["label_counts"].items()
        }
        self.panes = deque(((int(p), int(n), float(t)) for p, n, t in state["panes"]), maxlen=THROUGHPUT_PANES)
        self._fingerprints = deque(state["fingerprints"], maxlen=REPETITION_RECORDS)
        self._records = int(state["records"])
        self._newest_ms = state["newest_ms"]

    def _add_moments(self, values: NDArray[np.float64]) -> None:
        """Update the count, the mean and the sum of squared deviations of each signal.

        The pairwise update of Chan, Golub and LeVeque is exact for blocks of any size and numerically stable.
        """
        absent = np.isnan(values)
        present = values.shape[0] - absent.sum(axis=0, dtype=np.float64)
        numbers = values.copy()
        np.copyto(numbers, 0.0, where=absent)
        mean = numbers.sum(axis=0) / np.maximum(present, 1.0)
        numbers -= mean
        np.copyto(numbers, 0.0, where=absent)
        numbers *= numbers
        count, old_mean, old_squares = self.moments
        share = present / np.maximum(count + present, 1.0)
        difference = mean - old_mean
        old_squares += numbers.sum(axis=0) + difference * difference * count * share
        old_mean += difference * share
        count += present

    def _add_panes(self, block: Block) -> None:
        panes = block.panes
        starts = [0, *((panes[1:] != panes[:-1]).nonzero()[0] + 1).tolist()]
        column = block.values[:, self.names.index(TOKENS_SIGNAL)] if TOKENS_SIGNAL in self.names else None
        for start, end in zip(starts, [*starts[1:], panes.size], strict=True):
            pane, count = int(panes[start]), int(np.count_nonzero(block.first[start:end]))
            tokens = 0.0 if column is None else float(np.nansum(column[start:end]))
            self.add_pane(pane, count, tokens)

    def _per_second(self) -> tuple[float | None, float | None]:
        if not self.panes:
            return None, None
        newest = self.panes[-1][0]
        recent = [pane for pane in self.panes if pane[0] > newest - THROUGHPUT_PANES]
        seconds = (newest - recent[0][0] + 1) * PANE_MS / 1000
        return sum(pane[1] for pane in recent) / seconds, sum(pane[2] for pane in recent) / seconds

    def _repetition(self) -> float | None:
        if not self._fingerprints:
            return None
        return Counter(self._fingerprints).most_common(1)[0][1] / len(self._fingerprints)


def _find_value_columns(kinds: Sequence[str]) -> NDArray[np.intp]:
    """Return the columns of value signals. Rates have no quantiles."""
    return np.array([index for index, kind in enumerate(kinds) if kind != "rate"], dtype=np.intp)
