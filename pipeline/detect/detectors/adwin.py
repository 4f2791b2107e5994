"""ADWIN on means of 50 records: finds the slow drift of values that single records do not show. For tickets alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river._river_rust.drift import AdaptiveWindowing

from pipeline.detect.layout import Grid, Layout
from pipeline.detect.one_sided_tests import OneSidedTest

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
class AdwinChannel:
    """One channel that ADWIN watches.

    ``column`` and ``carried`` are the columns of a grid that hold the channel, and that tell where its signal is
    carried. ``usual`` is the baseline's mean; ``low`` and ``high`` are edges that the mean must have left, None where that way
    is not bad or cannot be judged.
    """

    column: int
    carried: int
    rate: bool
    usual: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class MeanChange:
    """ADWIN saw the mean of a channel change, and since then it is beyond an edge. ``row`` is the pane's last record."""

    index: int
    rises: bool
    row: int


class AdwinBank:
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

    def __init__(self, watched: Sequence[AdwinChannel], delta: float, records: int) -> None:
        self._watched = tuple(watched)
        self._delta, self._records = delta, records
        self._columns = np.array([[each.carried for each in watched], [each.column for each in watched]], dtype=np.intp)
        self._scales = np.array([_scale(each) for each in watched])
        self._mirrored = np.array([float(_mirrored(each)) for each in watched])
        self._signs = 1.0 - 2.0 * self._mirrored
        self._edges = [_edges(each) for each in watched]
        self.reset()

    def reset(self) -> None:
        """Forget all windows: the next record does not follow the last."""
        self._windows = [self._window() for _ in self._watched]
        self._tallies = np.zeros((2, len(self._watched)))
        self._changed = [False] * len(self._watched)
        self._rows = 0

    def forget(self, index: int) -> None:
        """Forget one channel's window: what it holds is over, and would be mixed with what is now."""
        self._windows[index] = self._window()
        self._changed[index] = False
        self._tallies[:, index] = 0.0

    def observe(self, grid: Grid) -> list[MeanChange]:
        """Take one block."""
        if not self._watched:
            return []
        rows = int(grid.samples.starts[-1] + grid.samples.lengths[-1])
        tallies, total = self._tallies, grid.totals[-1].take(self._columns)
        ends = range(self._records - self._rows, rows + 1, self._records)
        self._rows = rows - ends[-1] if ends else self._rows + rows
        if not ends:
            tallies += total
            return []
        changes: list[MeanChange] = []
        before = grid.before(np.array(ends, dtype=np.intp), self._columns.ravel()).reshape(-1, *self._columns.shape)
        tallies += before[0]
        for pane, end in enumerate(ends):
            if pane:
                tallies += before[pane] - before[pane - 1]
            full = tallies[0] >= self._records
            means = self._scaled(tallies).tolist()
            for index, is_full in enumerate(full.tolist()):
                if not is_full:
                    continue
                if self._windows[index].update(means[index]):
                    self._changed[index] = True
                if self._changed[index]:
                    changes += self._beyond(index, end - 1)
            tallies *= ~full
        tallies += total - before[-1]
        return changes

    def dump(self) -> dict[str, Any]:
        """The state; the windows are bytes of river's Rust core."""
        return {
            "windows": [bytes(window.__getstate__()) for window in self._windows],
            "counts": self._tallies[0].copy(),
            "sums": self._tallies[1].copy(),
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
        self._tallies = np.array([state["counts"], state["sums"]], dtype=np.float64)
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

    def _scaled(self, tallies: NDArray[np.float64]) -> NDArray[np.float64]:
        """The means as windows see them; of what no record carried, anything."""
        means = tallies[1] / np.maximum(tallies[0], 1.0)
        scaled: NDArray[np.float64] = np.minimum((means * self._signs + self._mirrored) / self._scales, 1.0)
        return scaled

    def _beyond(self, index: int, row: int) -> list[MeanChange]:
        window = self._windows[index]
        now = window.get_total() / window.get_width()
        return [
            MeanChange(index, rises, row)
            for edge, rises, above in self._edges[index]
            if (now > edge if above else now < edge)
        ]


def adwin_channels(sides: Sequence[OneSidedTest], layout: Layout) -> tuple[list[AdwinChannel], list[dict[bool, int]]]:
    """The channels to watch, and for each by direction (rising or not) the ticket side that it may latch."""
    tickets: dict[int, dict[bool, int]] = {}
    for index, side in enumerate(sides):
        if side.tier == "ticket" and side.channel in ("location", "rate"):
            own = tickets.setdefault(int(layout.side_channels[index]), {})
            own[side.direction == "up"] = index
    watched = []
    for column, own in tickets.items():
        index = next(iter(own.values()))
        edges = {rising: sides[other].null_boundary for rising, other in own.items()}
        carried, is_rate = int(layout.side_carried[index]), sides[index].channel == "rate"
        watched.append(AdwinChannel(column, carried, is_rate, sides[index].mean, edges.get(False), edges.get(True)))
    return watched, list(tickets.values())


def _edges(watched: AdwinChannel) -> list[tuple[float, bool, bool]]:
    """The edges as a window sees them, each with whether the channel rises beyond it, and whether the window does."""
    mirrored, scale = _mirrored(watched), _scale(watched)
    return [
        (min((1.0 - edge if mirrored else edge) / scale, 1.0), rises, rises != mirrored)
        for edge, rises in ((watched.high, True), (watched.low, False))
        if edge is not None
    ]


def _mirrored(watched: AdwinChannel) -> bool:
    """A rate that is usually high is watched by its rarer outcome."""
    return watched.rate and watched.usual > 0.5


def _scale(watched: AdwinChannel) -> float:
    usual = 1.0 - watched.usual if _mirrored(watched) else watched.usual
    return RATE_SCALE * max(usual, RATE_MIN) if watched.rate else 1.0
