"""The Page-Hinkley bank: the walks of all sides and bets of one unit in one array, cut and capped by panes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.bets import BETS
from pipeline.detect.samples import Samples
from pipeline.detect.sides import Side
from pipeline.detect.walks import evidence, walked

CAP_SHARE = 0.25
"""Share of a threshold that one pane may add: a burst within a second is one event, so four panes at least fire."""

NEXT_RECORD = -1
"""A walk that stands at 0: it starts with the record to come."""

_TALLIES = 2
"""Kept since a walk's last zero: records with the signal, and the sum of the channel."""


_ARRAYS = ("latched", "worst", "walks", "bases", "started", "tallies")


@dataclass(frozen=True, slots=True)
class Crossing:
    """A walk that reached its threshold at the end of a sample.

    ``started_at`` is the time of the first record after the walk's last zero; ``tally`` holds, since then, the records
    that carry the signal and the sum of its channel.
    """

    side: int
    sample: int
    evidence: float
    started_at: int
    tally: tuple[float, float]


class Bank:
    """Walks W <- max(0, W + evidence of a record), for eight bets on every side; the largest counts.

    Page's recursion on betting scores: it equals ``river.drift.PageHinkley`` with its reference frozen at 0, fed the
    evidence summed over a sample. While a stream's mean given the past stays within the band, a side fires on average
    once in exp(threshold) / 8 records or more, whatever the shape of the stream and whatever else it depends on.

    Within one pane a walk rises by a quarter of its threshold at most. A side is either on watch, or latched: then it
    walks back towards the baseline's mean, and has recovered when it is sure to have come most of the way and the
    records since lie within the band on average. What :meth:`observe` reports takes effect through :meth:`latch`
    and :meth:`rearm`, from the next block on.

    Parameters
    ----------
    sides
        What is watched, S of them.
    columns, signals
        Shape ``(S,)``: of each side the column of its channel, and that of its signal.
    recovery
        Evidence for a recovery.
    """

    def __init__(
        self, sides: Sequence[Side], columns: NDArray[np.intp], signals: NDArray[np.intp], recovery: float
    ) -> None:
        shape = (len(sides), BETS)
        self._columns, self._signals = columns, signals
        self._sides = tuple(sides)
        self._edges = np.array([side.edge for side in sides])
        self._weights = np.array([side.weight for side in sides])[:, None]
        self._ahead = np.array([side.stakes for side in sides]).reshape(shape)
        self._fires = np.array([side.threshold for side in sides])
        self._recovery = recovery
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
    def walks(self) -> NDArray[np.float64]:
        """Shape ``(S, 8)``: the evidence now."""
        return self._walks

    def observe(
        self,
        samples: Samples,
        channels: NDArray[np.float64],
        totals: NDArray[np.float64],
        times_ms: NDArray[np.int64],
    ) -> list[Crossing]:
        """Walk through one block.

        Parameters
        ----------
        channels
            Shape ``(R, C)``, NaN where a record does not carry the signal.
        totals
            Shape ``(2, T + 1, S)``: of every side, before each sample, the records that carry the signal and the sum
            of the channel.
        times_ms
            Shape ``(R,)``: event times.

        Returns
        -------
        list[Crossing]
            At most one a side, in the order of sides.
        """
        if not self._edges.size:
            return []
        self._started[self._started == NEXT_RECORD] = times_ms[0]
        before = self._walks
        if samples.first_pane != self._pane:
            self._bases = before.copy()
        surprise = channels[:, self._columns]
        surprise -= self._nulls
        surprise[np.isnan(surprise)] = 0.0
        steps = evidence(samples, surprise, self._stakes)
        steps *= self._weights
        paths = walked(samples, steps, before, self._bases, self._thresholds * CAP_SHARE)
        crossings = self._crossings(samples, paths, totals, times_ms)
        self._keep(samples, paths, totals, times_ms)
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

    def since(self, side: int) -> Crossing:
        """Where the side's strongest walk stands, as if it fired after the last record seen."""
        bet = int(np.argmax(self._walks[side]))
        count, total = self._tallies[:, side, bet].tolist()
        return Crossing(side, -1, float(self._walks[side, bet]), int(self._started[side, bet]), (count, total))

    def restart(self) -> None:
        """All walks to 0, latches kept: the next record does not follow the last."""
        self._reset(slice(None))
        self._pane = None

    def dump(self) -> dict[str, Any]:
        """The state: arrays, and plain values."""
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, f"_{name}") for name in _ARRAYS}
        return {name: array.copy() for name, array in arrays.items()} | {"pane": self._pane}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is the state of other sides.
        """
        arrays = {name: np.array(state[name]) for name in _ARRAYS}
        for name, array in arrays.items():
            own: NDArray[Any] = getattr(self, f"_{name}")
            if array.shape != own.shape:
                raise ValueError(f"kept {name} of shape {array.shape} do not fit {own.shape}: the sides have changed")
            setattr(self, f"_{name}", array.astype(own.dtype))
        self._pane = None if state["pane"] is None else int(state["pane"])
        self._turn()

    def _reset(self, side: int | slice) -> None:
        self._walks[side] = 0.0
        self._bases[side] = 0.0
        self._started[side] = NEXT_RECORD
        self._tallies[:, side] = 0.0
        self._turn()

    def _turn(self) -> None:
        self._stakes, self._nulls = self._ahead.copy(), self._edges.copy()
        for side in np.flatnonzero(self._latched).tolist():
            self._nulls[side], self._stakes[side] = self._sides[side].way_back(float(self._worst[side]))
        self._thresholds = np.where(self._latched, self._recovery, self._fires)

    def _crossings(
        self,
        samples: Samples,
        paths: NDArray[np.float64],
        totals: NDArray[np.float64],
        times_ms: NDArray[np.int64],
    ) -> list[Crossing]:
        found: list[Crossing] = []
        for side in np.flatnonzero(paths.max(axis=(0, 2)) >= self._thresholds).tolist():
            walks = paths[:, side]
            sample = int(np.argmax(walks.max(axis=1) >= self._thresholds[side]))
            bet = int(np.argmax(walks[sample]))
            zeros = np.flatnonzero(walks[:sample, bet] == 0.0)
            begin = int(zeros[-1]) + 1 if zeros.size else 0
            tally = totals[:, sample + 1, side] - totals[:, begin, side]
            if zeros.size:
                started_at = int(times_ms[samples.starts[begin]])
            else:
                tally = tally + self._tallies[:, side, bet]
                started_at = int(self._started[side, bet])
            count, total = tally.tolist()
            if self._latched[side] and not self._within(side, total / max(count, 1.0)):
                continue
            found.append(Crossing(side, sample, float(walks[sample, bet]), started_at, (count, total)))
        return found

    def _within(self, side: int, mean: float) -> bool:
        return bool(mean <= self._edges[side] if self._sides[side].rising else mean >= self._edges[side])

    def _keep(
        self,
        samples: Samples,
        paths: NDArray[np.float64],
        totals: NDArray[np.float64],
        times_ms: NDArray[np.int64],
    ) -> None:
        count = samples.starts.size
        head = int(samples.pane_starts[-1])
        if head > 0:
            self._bases = paths[head - 1].copy()
        self._pane = samples.last_pane
        self._walks = paths[-1].copy()
        after = np.where(paths == 0.0, np.arange(1, count + 1)[:, None, None], 0).max(axis=0)
        restarted = after > 0
        times = np.append(times_ms[samples.starts], NEXT_RECORD)
        self._started = np.where(restarted, times[after], self._started)
        own = np.arange(self._edges.size)[:, None]
        self._tallies = np.where(restarted, 0.0, self._tallies) + (totals[:, -1, :, None] - totals[:, after, own])
