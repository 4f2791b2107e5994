"""ADWIN on means of 50 records: finds the slow drift of values that single records do not show. For tickets alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river._river_rust.drift import AdaptiveWindowing

_CLOCK = 1
_BUCKETS_MAX = 5
_WINDOW_MIN = 5
_GRACE = 10
"""River's own defaults, but that every mean is looked at."""

RATE_SCALE = 5.0
"""A rate is divided by this times its usual value, and 1 is its most: ADWIN's bound assumes numbers of the order of 1."""

RATE_MIN = 1e-3
"""A usual rate counts as this at least."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One channel that ADWIN watches.

    ``usual`` is the baseline's mean; ``low`` and ``high`` are edges that the mean must have left, None where that way
    is not bad or cannot be judged.
    """

    column: int
    rate: bool
    usual: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """ADWIN saw the mean of a channel change, and since then it is beyond an edge. ``row`` is the pane's last record."""

    index: int
    rises: bool
    row: int


class PaneMeans:
    """One ADWIN a channel, fed the means of panes of records that carry the signal.

    River's Python class forgets its whole window on the update after a detection; its Rust core, used here, only drops
    what is older than the change, so that its mean is the mean since then. At the change itself that mean may still be
    mixed with what was before; so it is compared with the edges then, and with every pane after. The core keeps its state in bytes of its
    own. (Bifet and Gavalda 2007, "Learning from time-changing data with adaptive windowing".)

    Parameters
    ----------
    watched
        The channels.
    delta
        ADWIN's significance.
    records
        Records of a pane at least: a pane ends with a row of the unit, and goes on until it has as many values.
    """

    def __init__(self, watched: Sequence[Watched], delta: float, records: int) -> None:
        self._watched = tuple(watched)
        self._delta, self._records = delta, records
        self._columns = np.array([each.column for each in watched], dtype=np.intp)
        self._scales = np.array([_scale(each) for each in watched])
        self._mirrored = np.array([_mirrored(each) for each in watched], dtype=bool)
        self.restart()

    def restart(self) -> None:
        """Forget all windows: the next record does not follow the last."""
        self._windows = [self._window() for _ in self._watched]
        self._counts = np.zeros(len(self._watched))
        self._sums = np.zeros(len(self._watched))
        self._changed = [False] * len(self._watched)
        self._rows = 0

    def forget(self, index: int) -> None:
        """Forget one channel's window: what it holds is over, and would be mixed with what is now."""
        self._windows[index] = self._window()
        self._changed[index] = False
        self._counts[index] = self._sums[index] = 0.0

    def observe(self, channels: NDArray[np.float64]) -> list[Change]:
        """Take the channels of one block, shape ``(R, C)``, NaN where a record does not carry the signal."""
        if not self._watched:
            return []
        numbers = channels[:, self._columns]
        present = ~np.isnan(numbers)
        numbers[~present] = 0.0
        ends = np.arange(self._records - self._rows, numbers.shape[0] + 1, self._records)
        bounds = np.concatenate([[0], ends, [numbers.shape[0]]])
        changes: list[Change] = []
        counts = _between(present, bounds)
        sums = _between(numbers, bounds)
        for pane, end in enumerate(ends.tolist()):
            self._counts += counts[pane]
            self._sums += sums[pane]
            full = np.flatnonzero(self._counts >= self._records)
            means = self._scaled(self._sums[full] / self._counts[full], full)
            for index, mean in zip(full.tolist(), means.tolist(), strict=True):
                changes += self._update(index, mean, end - 1)
            self._counts[full] = 0.0
            self._sums[full] = 0.0
        self._counts += counts[-1]
        self._sums += sums[-1]
        self._rows = numbers.shape[0] - int(bounds[-2]) + (self._rows if not ends.size else 0)
        return changes

    def dump(self) -> dict[str, Any]:
        """The state; the windows are bytes of river's Rust core."""
        return {
            "windows": [bytes(window.__getstate__()) for window in self._windows],
            "counts": self._counts.copy(),
            "sums": self._sums.copy(),
            "changed": list(self._changed),
            "rows": self._rows,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is the state of other channels, or river cannot read its bytes.
        """
        if len(state["windows"]) != len(self._watched):
            raise ValueError(f"{len(state['windows'])} kept windows do not fit {len(self._watched)} channels")
        windows = []
        for kept in state["windows"]:
            window = self._window()
            try:
                window.__setstate__(kept)
            except BaseException as error:
                # The Rust core panics, with an exception of its own that is no Exception.
                if type(error).__name__ != "PanicException" and not isinstance(error, Exception):
                    raise
                raise ValueError(f"river cannot read a kept ADWIN window: {error}") from error
            windows.append(window)
        self._windows = windows
        self._counts = np.array(state["counts"], dtype=np.float64)
        self._sums = np.array(state["sums"], dtype=np.float64)
        self._changed = [bool(changed) for changed in state["changed"]]
        self._rows = int(state["rows"])

    def _window(self) -> Any:
        return AdaptiveWindowing(
            delta=self._delta,
            clock=_CLOCK,
            max_buckets=_BUCKETS_MAX,
            min_window_length=_WINDOW_MIN,
            grace_period=_GRACE,
        )

    def _scaled(self, means: NDArray[np.float64], index: NDArray[np.intp]) -> NDArray[np.float64]:
        bad = np.where(self._mirrored[index], 1.0 - means, means)
        scaled: NDArray[np.float64] = np.minimum(bad / self._scales[index], 1.0)
        return scaled

    def _update(self, index: int, mean: float, row: int) -> list[Change]:
        window, watched = self._windows[index], self._watched[index]
        self._changed[index] |= window.update(mean)
        if not self._changed[index]:
            return []
        now = window.get_total() / window.get_width()
        found = []
        for edge, rises in ((watched.high, True), (watched.low, False)):
            if edge is None:
                continue
            scaled = float(self._scaled(np.array([edge]), np.array([index]))[0])
            up = rises != bool(self._mirrored[index])
            if now > scaled if up else now < scaled:
                found.append(Change(index, rises, row))
        return found


def _between(columns: NDArray[Any], bounds: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sums of the rows between one bound and the next."""
    totals = np.zeros((columns.shape[0] + 1, columns.shape[1]))
    np.cumsum(columns, axis=0, out=totals[1:])
    return np.diff(totals[bounds], axis=0)


def _mirrored(watched: Watched) -> bool:
    """A rate that is usually high is watched by its rarer outcome."""
    return watched.rate and watched.usual > 0.5


def _scale(watched: Watched) -> float:
    usual = 1.0 - watched.usual if _mirrored(watched) else watched.usual
    return RATE_SCALE * max(usual, RATE_MIN) if watched.rate else 1.0
