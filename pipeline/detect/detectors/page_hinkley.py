"""The Page-Hinkley bank: the walks of all sides and bets of one unit in one array, cut and capped by panes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors.cusum import evidence, run_cusum
from pipeline.detect.layout import Grid
from pipeline.detect.one_sided_tests import BETS, OneSidedTest, rate_evidence
from pipeline.detect.signals import channels

CAP_SHARE = 0.33
"""Share of a threshold that one pane may add: a burst within a second is one event. It is less than a third, so four
panes at least must have begun, and no more of the first and the last is needed than they will hold by chance."""

NEXT_RECORD = -1
"""A walk that stands at 0: it starts with the record to come."""

_TALLIES = 2
"""Kept since a walk's last zero: records with the signal, and the sum of the channel."""


_OF_WALKS = ("walks", "bases", "started", "tallies")


@dataclass(frozen=True, slots=True)
class Crossing:
    """A walk that reached its threshold at the end of a sample.

    ``bet`` is that of the walk, ``started_at`` the time of the first record after its last zero; ``tally`` holds, since
    then, the records that carry the signal and the sum of its channel.
    """

    side: int
    sample: int
    bet: int
    evidence: float
    started_at: int
    tally: tuple[float, float]


class PageHinkleyBank:
    """Walks W <- max(0, W + evidence of a record), for eight bets on every side; the largest counts.

    Page's recursion on betting scores: it equals ``river.drift.PageHinkley`` with its reference frozen at 0, fed the
    evidence summed over a sample. While a stream's mean given the past stays within the band, a side fires on average
    once in exp(threshold) / 8 records or more, whatever the shape of the stream and whatever else it depends on.

    Within one pane a walk counts a third of its threshold more at most. A side is either on watch, or latched: then it
    walks back towards the baseline's mean, and has recovered when it is sure to have come most of the way and the
    records since lie within the band on average. What :meth:`observe` reports takes effect through :meth:`latch`
    and :meth:`rearm`, from the next block on.

    Parameters
    ----------
    sides
        What is watched, S of them.
    columns, carried
        Shape ``(S,)``: of each side the columns of a grid that hold its channel, and that tell where its signal is
        carried.
    recovery
        Evidence for a recovery.
    """

    def __init__(
        self, sides: Sequence[OneSidedTest], columns: NDArray[np.intp], carried: NDArray[np.intp], recovery: float
    ) -> None:
        self._sides, self._recovery = tuple(sides), recovery
        binary = np.array([side.channel in channels.BINARY for side in sides], dtype=bool)
        # Sides of binary channels come first in all arrays of walks: their evidence is had from sums alone.
        self._order = np.concatenate([np.flatnonzero(binary), np.flatnonzero(~binary)])
        self._binary = int(np.count_nonzero(binary))
        self._places = np.argsort(self._order)
        self._columns, self._carried = columns[self._order], carried[self._order]
        self._tallied = np.tile(np.stack([self._carried, self._columns])[:, None], (1, BETS, 1)).reshape(_TALLIES, -1)
        self._fires = np.array([side.threshold for side in sides])
        shape = (BETS, len(sides))
        self._latched = np.zeros(len(sides), dtype=bool)
        self._worst = np.zeros(len(sides))
        self._walks = np.zeros(shape)
        self._bases = np.zeros(shape)
        self._started = np.full(shape, NEXT_RECORD, dtype=np.int64)
        self._tallies = np.zeros((_TALLIES, *shape))
        self._pane: int | None = None
        self._turn()

    @property
    def latched(self) -> NDArray[np.bool_]:
        """Shape ``(S,)``: which sides have fired and not recovered."""
        return self._latched

    @property
    def test_statistics(self) -> NDArray[np.float64]:
        """Shape ``(S, 8)``: the evidence now."""
        return self._counted[:, self._places].T

    @property
    def highest_statistics(self) -> NDArray[np.float64]:
        """Shape ``(S,)``: the evidence of each side's strongest walk."""
        highest: NDArray[np.float64] = self._counted.max(axis=0)[self._places]
        return highest

    def observe(
        self,
        grid: Grid,
        times_ms: NDArray[np.int64],
        may_fire: Callable[[Crossing], bool] = lambda _crossing: True,
    ) -> list[Crossing]:
        """Walk through one block.

        Parameters
        ----------
        times_ms
            Shape ``(R,)``: event times.
        may_fire
            Whether a side may fire as it would. Until it may, it waits.

        Returns
        -------
        list[Crossing]
            At most one a side, in the order of sides.
        """
        if not self._sides:
            return []
        np.copyto(self._started, times_ms[0], where=self._started == NEXT_RECORD)
        if grid.samples.first_pane != self._pane:
            self._walks = self._bases = self._counted
        steps = self._steps(grid)
        before, bases = self._walks.ravel(), self._bases.ravel()
        paths, peaks, after = run_cusum(grid.samples, steps, before, bases, self._caps)
        highest = peaks.reshape(BETS, -1).max(axis=0)[self._places]
        crossed = (highest >= self._thresholds).nonzero()[0].tolist()
        crossings = [each for side in crossed if (each := self._crossing(grid, paths, times_ms, side, may_fire))]
        self._keep(grid, paths, after, times_ms)
        return crossings

    def latch(self, side: int, worst: float) -> None:
        """Turn a side round: from now on it looks for the recovery from ``worst``, the channel's mean as it fired."""
        self._latched[side] = True
        self._worst[side] = worst
        self._reset(side)

    def rearm(self, side: int) -> None:
        """Turn a side forward again, at 0."""
        self._latched[side] = False
        self._reset(side)

    def lower(self, side: int, evidence: NDArray[np.float64]) -> None:
        """Take some evidence, shape ``(8,)``, from the walks of a side."""
        place = self._places[side]
        walks = np.maximum(self._counted[:, place] - evidence, 0.0)
        self._walks[:, place] = walks
        self._bases[:, place] = np.minimum(self._bases[:, place], walks)
        self._started[walks == 0.0, place] = NEXT_RECORD
        self._tallies[:, walks == 0.0, place] = 0.0

    def since(self, side: int) -> Crossing:
        """Where the side's strongest walk stands, as if it fired after the last record seen."""
        place = self._places[side]
        bet = int(np.argmax(self._counted[:, place]))
        count, total = self._tallies[:, bet, place].tolist()
        return Crossing(side, -1, bet, float(self._counted[bet, place]), int(self._started[bet, place]), (count, total))

    def reset(self) -> None:
        """All walks to 0, latches kept: the next record does not follow the last."""
        self._reset(self._order)
        self._pane = None

    def dump(self) -> dict[str, Any]:
        """The state: arrays, and plain values."""
        arrays = {name: getattr(self, f"_{name}")[..., self._places].swapaxes(-1, -2).copy() for name in _OF_WALKS}
        return {"latched": self._latched.copy(), "worst": self._worst.copy(), **arrays, "pane": self._pane}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is the state of other sides.
        """
        arrays = {"latched": np.array(state["latched"]), "worst": np.array(state["worst"])}
        arrays |= {name: np.array(state[name]).swapaxes(-1, -2) for name in _OF_WALKS}
        for name, array in arrays.items():
            own: NDArray[Any] = getattr(self, f"_{name}")
            if array.shape != own.shape:
                raise ValueError(f"kept {name} of shape {array.shape} do not fit {own.shape}: the sides have changed")
            ordered = array[..., self._order] if name in _OF_WALKS else array
            setattr(self, f"_{name}", ordered.astype(own.dtype, order="C"))
        self._pane = None if state["pane"] is None else int(state["pane"])
        self._turn()

    @property
    def _counted(self) -> NDArray[np.float64]:
        """What counts of the walks: within a pane they may stand above it."""
        counted: NDArray[np.float64] = np.minimum(self._walks, self._bases + self._caps.reshape(self._walks.shape))
        return counted

    def _reset(self, sides: int | NDArray[np.intp]) -> None:
        places = self._places[sides]
        self._walks[:, places] = 0.0
        self._bases[:, places] = 0.0
        self._started[:, places] = NEXT_RECORD
        self._tallies[:, :, places] = 0.0
        self._turn()

    def _turn(self) -> None:
        nulls = np.array([side.null_boundary for side in self._sides])
        stakes = np.array([side.stakes for side in self._sides]).reshape(nulls.size, BETS)
        weights = np.array([side.weight for side in self._sides])[self._order]
        for side in np.flatnonzero(self._latched).tolist():
            nulls[side], stakes[side] = self._sides[side].recovery_test(float(self._worst[side]))
        nulls, stakes = nulls[self._order], stakes[self._order].T
        binary, weighed = slice(self._binary), slice(self._binary, None)
        self._none, self._event = rate_evidence(stakes[:, binary], nulls[binary], weights[binary])
        self._nulls, self._stakes = nulls[weighed], stakes[:, weighed]
        self._weights = weights[weighed]
        self._thresholds = np.where(self._latched, self._recovery, self._fires)
        self._caps = np.tile(self._thresholds[self._order] * CAP_SHARE, BETS)

    def _steps(self, grid: Grid) -> NDArray[np.float64]:
        """The evidence of each sample, shape ``(T, 8 * S)``."""
        count, binary = grid.sums.shape[0], self._binary
        steps = np.empty((count, BETS, self._order.size))
        if binary:
            carried = grid.sums.take(self._carried[:binary], axis=1)[:, None]
            events = grid.sums.take(self._columns[:binary], axis=1)[:, None]
            np.multiply(carried, self._none, out=steps[:, :, :binary])
            steps[:, :, :binary] += events * self._event
        if binary < self._order.size:
            surprise = grid.numbers.take(self._columns[binary:], axis=2)
            surprise -= self._nulls
            carried = self._carried[binary:]
            if grid.totals[-1].take(carried).min() < surprise.shape[0] * count:
                surprise *= grid.numbers.take(carried, axis=2)
            found = evidence(surprise, self._stakes).transpose(1, 0, 2)
            np.multiply(found, self._weights, out=steps[:, :, binary:])
        return steps.reshape(count, -1)

    def _crossing(
        self,
        grid: Grid,
        paths: NDArray[np.float64],
        times_ms: NDArray[np.int64],
        side: int,
        may_fire: Callable[[Crossing], bool],
    ) -> Crossing | None:
        """Where a side fires, or has recovered, that has reached its threshold somewhere in the block."""
        place = int(self._places[side])
        walks, own = paths[:, place :: self._order.size], [self._carried[place], self._columns[place]]
        for sample in np.flatnonzero(walks.max(axis=1) >= self._thresholds[side]).tolist():
            bet = int(np.argmax(walks[sample]))
            zeros = np.flatnonzero(walks[:sample, bet] == 0.0)
            begin = int(zeros[-1]) + 1 if zeros.size else 0
            tally = grid.totals[sample + 1, own] - grid.totals[begin, own]
            if zeros.size:
                started_at = int(times_ms[grid.samples.starts[begin]])
            else:
                tally = tally + self._tallies[:, bet, place]
                started_at = int(self._started[bet, place])
            count, total = tally.tolist()
            crossing = Crossing(side, sample, bet, float(walks[sample, bet]), started_at, (count, total))
            if self._latched[side]:
                return crossing if self._within(side, total / max(count, 1.0)) else None
            if may_fire(crossing):
                return crossing
        return None

    def _within(self, side: int, mean: float) -> bool:
        own = self._sides[side]
        return bool(mean <= own.null_boundary if own.rising else mean >= own.null_boundary)

    def _keep(
        self, grid: Grid, paths: NDArray[np.float64], after: NDArray[np.float64], times_ms: NDArray[np.int64]
    ) -> None:
        samples, shape = grid.samples, self._walks.shape
        head = int(samples.pane_starts[-1])
        if head > 0:
            self._bases = paths[head - 1].reshape(shape).copy()
        self._pane = samples.last_pane
        self._walks = after.reshape(shape).copy()
        count = paths.shape[0]
        # Of each walk the samples up to its last zero: the largest number of one at which it was 0.
        numbers = np.arange(1, count + 1, dtype=np.min_scalar_type(count))
        zeros = ((paths == 0.0) * numbers[:, None]).max(axis=0).astype(np.intp)
        restarted = zeros > 0
        times = np.append(times_ms[samples.starts], NEXT_RECORD)
        np.copyto(self._started, times.take(zeros).reshape(shape), where=restarted.reshape(shape))
        tallies = self._tallies.reshape(_TALLIES, -1)
        tallies *= ~restarted
        tallies += grid.totals[-1].take(self._tallied)
        tallies -= grid.totals.take(zeros * grid.totals.shape[1] + self._tallied)
