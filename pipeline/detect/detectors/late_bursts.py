"""Late bursts: a burst whose records come late, and so spread over panes, is still one event."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors.page_hinkley import CAP_SHARE, Crossing, PageHinkleyBank
from pipeline.detect.layout import BlockView, Layout, numbers_by_row
from pipeline.detect.one_sided_tests import OneSidedTest, rate_evidence
from pipeline.detect.signals import PANE_MS, Block, channels

KEPT_PANES = 8
"""Panes that are counted again."""

LATE_PANES = 4
"""A record that is later than this counts to the pane in which it came."""

HIGH_CAPS = 2
"""A walk that is higher than one burst can lift it, over the edge of a second."""

ROUNDING = 1e-9
"""Evidence that is only rounding."""

_NONE = -1


class LateBursts:
    """What late bursts have given to the walks of a bank, and taking it from them.

    Panes go by the watermark, since requests come in the order in which they end, not in which they began. So the records
    of one second that come up to two seconds late lie in four panes, and each pane may add its share. The last eight
    panes are therefore counted once more by the records' own seconds, with the same cap: what is less so is the
    burst's, and does not count. In a stream without late records nothing is.

    Parameters
    ----------
    sides, layout, bank
        Those of a judge.
    """

    def __init__(self, sides: Sequence[OneSidedTest], layout: Layout, bank: PageHinkleyBank) -> None:
        self._sides, self._bank = sides, bank
        self._thresholds = np.array([side.threshold for side in sides])
        self._columns = np.stack([layout.side_carried, layout.side_channels], axis=1)
        self._panes = np.full(KEPT_PANES, _NONE, dtype=np.int64)
        self._sums = np.zeros((KEPT_PANES, LATE_PANES + 1, layout.width))
        self._late_pane = _NONE
        self._burst: set[int] = set()

    def remove_excess(self, crossing: Crossing, view: BlockView) -> bool:
        """Whether a side would not have fired in a block without what late bursts gave it."""
        panes, late = view.block.panes, lateness(view.block)
        if self._late_pane <= panes[0] - KEPT_PANES and not late.any():
            return False
        side, samples = self._sides[crossing.side], view.grid.samples
        rows = int(samples.starts[crossing.sample] + samples.lengths[crossing.sample])
        numbers = numbers_by_row(view.grid, self._columns[crossing.side])[:rows]
        held = self._held(int(panes[rows - 1]), self._columns[crossing.side])
        kept_panes, kept_late = np.nonzero(held.any(axis=2))
        given = self._given(
            side,
            np.concatenate([self._panes[kept_panes], panes[:rows]]),
            np.concatenate([kept_late, late[:rows]]),
            np.concatenate([held[kept_panes, kept_late], numbers]),
        )
        lifted = bool(crossing.evidence - given[crossing.bet] < side.threshold)
        if lifted:
            self._burst.add(crossing.side)
        return lifted

    def settle(self, view: BlockView) -> None:
        """Take a block in, and from the walks what late bursts gave them, if it matters; after the bank."""
        grid, panes, late = view.grid, view.block.panes, lateness(view.block)
        heads = grid.samples.pane_starts
        own_panes = panes[grid.samples.starts[heads]]
        if late.any():
            self._late_pane = int(panes[-1])
            keys = np.searchsorted(own_panes, panes) * (LATE_PANES + 1) + late
            found, places = np.unique(keys, return_inverse=True)
            numbers = numbers_by_row(grid, np.arange(grid.sums.shape[1]))
            sums = np.zeros((own_panes.size * (LATE_PANES + 1), numbers.shape[1]))
            sums[found] = (places == np.arange(found.size)[:, None]) @ numbers
            self._add(own_panes, sums.reshape(own_panes.size, LATE_PANES + 1, -1))
        else:
            self._add(own_panes, np.add.reduceat(grid.sums, heads, axis=0)[:, None])
        if self._late_pane > panes[-1] - KEPT_PANES and (self._burst or self._is_any_high()):
            self._lower(int(panes[-1]))

    def reset(self) -> None:
        """Forget all: the records to come do not follow the last."""
        self._panes[:], self._sums[:] = _NONE, 0.0
        self._late_pane = _NONE

    def dump(self) -> dict[str, Any]:
        """The state: arrays and plain values."""
        return {"panes": self._panes.copy(), "sums": self._sums.copy(), "late_pane": self._late_pane}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is of other sides.
        """
        sums = np.array(state["sums"], dtype=np.float64)
        if sums.shape != self._sums.shape:
            raise ValueError(f"kept sums of shape {sums.shape} do not fit {self._sums.shape}: the sides have changed")
        self._panes, self._sums = np.array(state["panes"], dtype=np.int64), sums
        self._late_pane = int(state["late_pane"])

    def _add(self, panes: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        """Panes, rising, and what came in each: shapes ``(P,)`` and ``(P, L, N)``, the on-time first."""
        for pane, held in zip(panes[-KEPT_PANES:].tolist(), sums[-KEPT_PANES:], strict=True):
            place = pane % KEPT_PANES
            if self._panes[place] != pane:
                self._panes[place], self._sums[place] = pane, 0.0
            self._sums[place, : held.shape[0]] += held

    def _held(self, newest: int, columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Some columns of the sums, shape ``(8, 5, 2)``; 0 of what is too old by now."""
        recent = self._panes > newest - KEPT_PANES
        return self._sums[:, :, columns] * recent[:, None, None]

    def _is_any_high(self) -> bool:
        high = self._bank.highest_statistics >= HIGH_CAPS * CAP_SHARE * self._thresholds
        return bool((high & ~self._bank.latched).any())

    def _lower(self, newest: int) -> None:
        panes, late = np.repeat(self._panes, LATE_PANES + 1), np.tile(np.arange(LATE_PANES + 1), KEPT_PANES)
        for side in np.flatnonzero(~self._bank.latched).tolist():
            sums = self._held(newest, self._columns[side]).reshape(-1, 2)
            given = self._given(self._sides[side], panes, late, sums, whole=side in self._burst)
            if given.any():
                self._bank.lower(side, given)
        self._burst = set()
        self._be_on_time()

    def _be_on_time(self) -> None:
        """From now on all that is known counts to its own second: what is so counted twice, is counted once."""
        own = self._sums.copy()
        self._sums[:, 1:] = 0.0
        for place, pane in enumerate(self._panes.tolist()):
            for late in range(1, LATE_PANES + 1):
                at = (pane - late) % KEPT_PANES
                if self._panes[at] == pane - late:
                    self._sums[at, 0] += own[place, late]

    def _given(
        self,
        side: OneSidedTest,
        panes: NDArray[np.int64],
        late: NDArray[np.int64],
        sums: NDArray[np.float64],
        *,
        whole: bool = False,
    ) -> NDArray[np.float64]:
        """What bursts gave each bet of a side, shape ``(8,)``, of sums by pane and lateness: each ``(E,)`` and ``(E, 2)``.

        Of a burst that would have fired the whole: bets on small changes would keep what is left of it for long.
        """
        by_pane = _counted(side, _grouped(panes, sums))
        by_second = np.zeros_like(by_pane) if whole else _counted(side, _grouped(panes - late, sums))
        given = by_pane - by_second
        return np.where(given > ROUNDING, given, 0.0)


def lateness(block: Block) -> NDArray[np.int64]:
    """Shape ``(R,)``: how many seconds behind its pane each record is by its own clock; 0 if that is more than four."""
    late = block.panes - block.times_ms // PANE_MS
    late[late > LATE_PANES] = 0
    return late


def _grouped(keys: NDArray[np.int64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places = np.unique(keys, return_inverse=True)
    grouped = np.zeros((int(places.max()) + 1, sums.shape[1]))
    np.add.at(grouped, places, sums)
    return grouped


def _counted(side: OneSidedTest, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """What some seconds count together for each bet, shape ``(8,)``, of the counts and totals in each, ``(P, 2)``."""
    counts, totals = sums.T[:, :, None]
    if side.channel in channels.BINARY:
        none, event = rate_evidence(side.stakes, np.array(side.null_boundary), np.array(side.weight))
        found = counts * none + totals * event
    else:
        # What the mean of some records says as often as there are records is nearly what they say.
        surprise = totals / np.maximum(counts, 1.0) - side.null_boundary
        found = counts * np.log1p(surprise * side.stakes) * side.weight
    counted: NDArray[np.float64] = np.clip(found, 0.0, CAP_SHARE * side.threshold).sum(axis=0)
    return counted
