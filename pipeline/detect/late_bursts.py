"""Late bursts: a burst whose records come late, and so spread over panes, is still one event."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.bank import CAP_SHARE, Bank, Crossing
from pipeline.detect.bets import of_rates
from pipeline.detect.block import PANE_MS, Block
from pipeline.detect.channels import BINARY
from pipeline.detect.layout import Layout
from pipeline.detect.segment_sums import by_row
from pipeline.detect.sides import Side
from pipeline.detect.view import View

KEPT_PANES = 8
"""Panes that are counted again."""

LATE_PANES = 4
"""A record that is later than this counts to the pane in which it came."""

KEPT_SECONDS = KEPT_PANES + LATE_PANES
"""Seconds of which the last eight panes may hold records. Bursts of the four before them count as well: three bursts of
a second each within ten may fire, as three of four in a row do."""

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

    def __init__(self, sides: Sequence[Side], layout: Layout, bank: Bank) -> None:
        self._sides, self._bank = sides, bank
        self._thresholds = np.array([side.threshold for side in sides])
        self._columns = np.stack([layout.side_carried, layout.side_channels], axis=1)
        self._panes = _Ring(KEPT_PANES, layout.width)
        self._seconds = _Ring(KEPT_SECONDS, layout.width)
        self._late_pane = _NONE
        self._burst: set[int] = set()

    def lifted(self, crossing: Crossing, view: View) -> bool:
        """Whether a side would not have fired in a block without what late bursts gave it."""
        panes, seconds = view.block.panes, own_seconds(view.block)
        if self._late_pane <= panes[0] - KEPT_PANES and (seconds == panes).all():
            return False
        side, samples = self._sides[crossing.side], view.grid.samples
        rows = int(samples.starts[crossing.sample] + samples.lengths[crossing.sample])
        numbers = by_row(view.grid, self._columns[crossing.side])[:rows]
        by_pane, by_second = (
            _counted(side, ring.with_rows(int(panes[rows - 1]), self._columns[crossing.side], of_rows[:rows], numbers))[
                crossing.bet
            ]
            for ring, of_rows in ((self._panes, panes), (self._seconds, seconds))
        )
        lifted = bool(crossing.evidence - max(0.0, by_pane - by_second) < side.threshold)
        if lifted:
            self._burst.add(crossing.side)
        return lifted

    def settle(self, view: View) -> None:
        """Take a block in, and from the walks what late bursts gave them, if it matters; after the bank."""
        grid, panes, seconds = view.grid, view.block.panes, own_seconds(view.block)
        heads = grid.samples.pane_starts
        own_panes, by_pane = panes[grid.samples.starts[heads]], np.add.reduceat(grid.sums, heads, axis=0)
        self._panes.add(own_panes, by_pane)
        if (seconds == panes).all():
            self._seconds.add(own_panes, by_pane)
        else:
            self._late_pane = int(panes[-1])
            own, places = np.unique(seconds, return_inverse=True)
            numbers = by_row(grid, np.arange(grid.sums.shape[1]))
            self._seconds.add(own, (places == np.arange(own.size)[:, None]) @ numbers)
        if self._late_pane > panes[-1] - KEPT_PANES and (self._burst or self._is_any_high()):
            self._lower(int(panes[-1]))

    def restart(self) -> None:
        """Forget all: the records to come do not follow the last."""
        self._panes.restart()
        self._seconds.restart()
        self._late_pane = _NONE

    def dump(self) -> dict[str, Any]:
        """The state: arrays and plain values."""
        return {"panes": self._panes.dump(), "seconds": self._seconds.dump(), "late_pane": self._late_pane}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is of other sides.
        """
        self._panes.load(state["panes"])
        self._seconds.load(state["seconds"])
        self._late_pane = int(state["late_pane"])

    def _is_any_high(self) -> bool:
        high = self._bank.highest >= HIGH_CAPS * CAP_SHARE * self._thresholds
        return bool((high & ~self._bank.latched).any())

    def _lower(self, pane: int) -> None:
        for side in np.flatnonzero(~self._bank.latched).tolist():
            by_pane, by_second = (
                _counted(self._sides[side], ring.held(pane, self._columns[side]))
                for ring in (self._panes, self._seconds)
            )
            # Of a burst that would have fired nothing is left: bets on small changes would keep it for long.
            left = 0.0 if side in self._burst else by_second
            given = np.where(by_pane - left > ROUNDING, by_pane - left, 0.0)
            if given.any():
                self._bank.lower(side, given)
        self._panes.follow(self._seconds)
        self._burst = set()


def own_seconds(block: Block) -> NDArray[np.int64]:
    """Shape ``(R,)``: the second of each record by its own clock, or the pane in which it came, if that is much later."""
    seconds = block.times_ms // PANE_MS
    np.copyto(seconds, block.panes, where=block.panes - seconds > LATE_PANES)
    return seconds


class _Ring:
    """Sums of the numbers of a grid by second, for the last so many: ``which`` they are, and ``sums``, ``(P, N)``."""

    def __init__(self, length: int, columns: int) -> None:
        self.which = np.full(length, _NONE, dtype=np.int64)
        self.sums = np.zeros((length, columns))

    def add(self, seconds: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        """Seconds, rising, and what was in each: shapes ``(P,)`` and ``(P, N)``."""
        length = self.which.size
        for second, held in zip(seconds[-length:].tolist(), sums[-length:], strict=True):
            place = second % length
            if self.which[place] < second:
                self.which[place], self.sums[place] = second, 0.0
            if self.which[place] == second:
                self.sums[place] += held

    def held(self, newest: int, columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Some columns of the sums, shape ``(P, 2)``; 0 of what is too old by now."""
        recent = self.which > newest - self.which.size
        return self.sums[:, columns] * recent[:, None]

    def with_rows(
        self, newest: int, columns: NDArray[np.intp], seconds: NDArray[np.int64], numbers: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The same, and what rows add to it: their seconds, ``(R,)``, and numbers, ``(R, 2)``."""
        own, places = np.unique(np.concatenate([self.which, seconds]), return_inverse=True)
        sums = np.zeros((own.size, columns.size))
        np.add.at(sums, places, np.concatenate([self.held(newest, columns), numbers]))
        return sums

    def follow(self, other: "_Ring") -> None:
        """Hold what another holds of the same seconds."""
        for place, second in enumerate(self.which.tolist()):
            at = second % other.which.size
            self.sums[place] = other.sums[at] if other.which[at] == second else 0.0

    def restart(self) -> None:
        self.which[:] = _NONE
        self.sums[:] = 0.0

    def dump(self) -> dict[str, Any]:
        return {"which": self.which.copy(), "sums": self.sums.copy()}

    def load(self, state: dict[str, Any]) -> None:
        sums = np.array(state["sums"], dtype=np.float64)
        if sums.shape != self.sums.shape:
            raise ValueError(f"kept sums of shape {sums.shape} do not fit {self.sums.shape}: the sides have changed")
        self.which, self.sums = np.array(state["which"], dtype=np.int64), sums


def _counted(side: Side, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """What some seconds count together for each bet, shape ``(8,)``, of the counts and totals in each, ``(P, 2)``."""
    counts, totals = sums.T[:, :, None]
    if side.channel in BINARY:
        none, event = of_rates(side.stakes, np.array(side.edge), np.array(side.weight))
        found = counts * none + totals * event
    else:
        # What the mean of some records says as often as there are records is nearly what they say.
        surprise = totals / np.maximum(counts, 1.0) - side.edge
        found = counts * np.log1p(surprise * side.stakes) * side.weight
    counted: NDArray[np.float64] = np.clip(found, 0.0, CAP_SHARE * side.threshold).sum(axis=0)
    return counted
