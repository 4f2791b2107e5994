"""Online statistics of a unit, with or without a baseline: what people see of a subject, and what needs no band."""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Block, LabelCounts, Signal
from pipeline.detect.statistics.quantiles import Quantiles

THROUGHPUT_PANES = 60
"""Panes (seconds) over which throughput is a mean."""

REPETITION_RECORDS = 256
"""Outputs among which the most common is looked for."""

SHARES = (0.5, 0.95, 0.99)
FINGERPRINT = "fingerprint"
TOKENS = "output_tokens"


class Statistics:
    """Count, mean, variance and quantiles of every signal, mix of every category, throughput, tokens a second, repetition.

    Counts, means, quantiles and mixes are over all that was seen; throughput and tokens a second over the last 60
    seconds of event time; repetition, the share of the most common fingerprint, over the last 256 outputs.

    Parameters
    ----------
    settings
        The limit on labels of a category.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self._settings = settings
        self._names: list[str] = []
        self._kinds: list[str] = []
        self._valued = _valued(self._kinds)
        self._moments = np.zeros((3, 0))
        self._quantiles = Quantiles(0)
        self._mixes: dict[str, LabelCounts] = {}
        self._panes: deque[tuple[int, int, float]] = deque(maxlen=THROUGHPUT_PANES)
        self._fingerprints: deque[str] = deque(maxlen=REPETITION_RECORDS)
        self._records = 0
        self._newest_ms: int | None = None

    def observe(self, block: Block) -> None:
        """Take one block."""
        if not block.panes.size:
            return
        self._grow(block)
        self._records += block.panes.size
        newest = int(block.times_ms.max())
        self._newest_ms = newest if self._newest_ms is None else max(self._newest_ms, newest)
        self._add_moments(block.values)
        self._quantiles.add(block.values.take(self._valued, axis=1))
        self._add_panes(block)
        for name, labels in block.categories.items():
            if name == FINGERPRINT:
                self._fingerprints.extend(label for label in labels if label is not None)
                continue
            if name not in self._mixes:
                self._mixes[name] = LabelCounts(self._settings.categories_max)
            self._mixes[name].add(labels)

    def snapshot(self) -> dict[str, Any]:
        """The statistics as plain values: by signal, by category, and of the whole. None where there are no records."""
        count, mean, squares = self._moments
        signals: dict[str, dict[str, float | int | None]] = {}
        places = {int(column): place for place, column in enumerate(self._valued)}
        for index, (name, kind) in enumerate(zip(self._names, self._kinds, strict=True)):
            records = int(count[index])
            row: dict[str, float | int | None] = {"count": records}
            row["rate" if kind == "rate" else "mean"] = float(mean[index]) if records else None
            row["variance"] = float(squares[index] / count[index]) if records else None
            if index in places:
                row |= dict(zip(("p50", "p95", "p99"), self._quantiles.estimate(places[index], SHARES), strict=True))
            signals[name] = row
        throughput, tokens = self._per_second()
        return {
            "records": self._records,
            "newest_ms": self._newest_ms,
            "signals": signals,
            "categories": {name: mix.shares() for name, mix in self._mixes.items()},
            "throughput_per_s": throughput,
            "tokens_per_s": tokens,
            "repetition": self._repetition(),
        }

    def dump(self) -> dict[str, Any]:
        """The state: plain values, and arrays."""
        return {
            "names": list(self._names),
            "kinds": list(self._kinds),
            "moments": self._moments.copy(),
            "quantiles": self._quantiles.dump(),
            "mixes": {name: dict(mix.counts) for name, mix in self._mixes.items()},
            "panes": [list(pane) for pane in self._panes],
            "fingerprints": list(self._fingerprints),
            "records": self._records,
            "newest_ms": self._newest_ms,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._names, self._kinds = list(state["names"]), list(state["kinds"])
        self._valued = _valued(self._kinds)
        self._moments = np.array(state["moments"], dtype=np.float64).reshape(3, len(self._names))
        self._quantiles.load(state["quantiles"])
        self._mixes = {
            name: LabelCounts(self._settings.categories_max, counts) for name, counts in state["mixes"].items()
        }
        self._panes = deque(((int(p), int(n), float(t)) for p, n, t in state["panes"]), maxlen=THROUGHPUT_PANES)
        self._fingerprints = deque(state["fingerprints"], maxlen=REPETITION_RECORDS)
        self._records = int(state["records"])
        self._newest_ms = state["newest_ms"]

    def _grow(self, block: Block) -> None:
        fresh: list[Signal] = list(block.signals[len(self._names) :])
        if not fresh:
            return
        self._names += [signal.name for signal in fresh]
        self._kinds += [signal.kind for signal in fresh]
        self._valued = _valued(self._kinds)
        self._moments = np.hstack([self._moments, np.zeros((3, len(fresh)))])
        self._quantiles.widen(self._valued.size)

    def _add_moments(self, values: NDArray[np.float64]) -> None:
        """Chan's pairwise update: exact for a block of any size, and stable in the long run."""
        absent = np.isnan(values)
        here = values.shape[0] - absent.sum(axis=0, dtype=np.float64)
        numbers = values.copy()
        np.copyto(numbers, 0.0, where=absent)
        mean = numbers.sum(axis=0) / np.maximum(here, 1.0)
        numbers -= mean
        np.copyto(numbers, 0.0, where=absent)
        numbers *= numbers
        count, old_mean, old_squares = self._moments
        share = here / np.maximum(count + here, 1.0)
        difference = mean - old_mean
        old_squares += numbers.sum(axis=0) + difference * difference * count * share
        old_mean += difference * share
        count += here

    def _add_panes(self, block: Block) -> None:
        panes = block.panes
        heads = [0, *((panes[1:] != panes[:-1]).nonzero()[0] + 1).tolist()]
        column = block.values[:, self._names.index(TOKENS)] if TOKENS in self._names else None
        for begin, end in zip(heads, [*heads[1:], panes.size], strict=True):
            pane, count = int(panes[begin]), int(np.count_nonzero(block.first[begin:end]))
            token = 0.0 if column is None else float(np.nansum(column[begin:end]))
            if self._panes and self._panes[-1][0] == pane:
                _, before, tokens_before = self._panes.pop()
                self._panes.append((pane, before + count, tokens_before + token))
            else:
                self._panes.append((pane, count, token))

    def _per_second(self) -> tuple[float | None, float | None]:
        if not self._panes:
            return None, None
        newest = self._panes[-1][0]
        recent = [pane for pane in self._panes if pane[0] > newest - THROUGHPUT_PANES]
        seconds = (newest - recent[0][0] + 1) * PANE_MS / 1000
        return sum(pane[1] for pane in recent) / seconds, sum(pane[2] for pane in recent) / seconds

    def _repetition(self) -> float | None:
        if not self._fingerprints:
            return None
        return Counter(self._fingerprints).most_common(1)[0][1] / len(self._fingerprints)


def _valued(kinds: Sequence[str]) -> NDArray[np.intp]:
    """The columns of values, which have quantiles; rates have none."""
    return np.array([index for index, kind in enumerate(kinds) if kind != "rate"], dtype=np.intp)
