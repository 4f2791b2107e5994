"""The Page-Hinkley bank: the walks of all sides and bets of one unit in one array, cut and capped by panes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.bets import BETS
from pipeline.detect.samples import SAMPLE_RECORDS, Samples
from pipeline.detect.sides import Side

CAP_SHARE = 0.25
"""Share of a threshold that one pane may add: a burst within a second is one event, so four panes at least fire."""

NEXT_RECORD = -1
"""A walk that stands at 0: it starts with the record to come."""

_TALLIES = 2
"""Kept since a walk's last zero: records with the signal, and the sum of the channel."""


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
    walks the other way, from the edge back towards the baseline's mean. What :meth:`observe` reports takes effect
    through :meth:`latch` and :meth:`rearm`, from the next block on.

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
        self._edges = np.array([side.edge for side in sides])
        self._weights = np.array([side.weight for side in sides])[:, None]
        self._ahead = np.array([side.stakes for side in sides]).reshape(shape)
        self._back = np.array([side.stakes_back for side in sides]).reshape(shape)
        self._fires = np.array([side.threshold for side in sides])
        self._recovery = recovery
        self._latched = np.zeros(len(sides), dtype=bool)
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
        steps = self._evidence(samples, channels)
        paths = np.cumsum(steps, axis=0)
        paths += before
        lowest = np.minimum.accumulate(paths, axis=0)
        np.minimum(lowest, 0.0, out=lowest)
        paths -= lowest
        if samples.first_pane != self._pane:
            self._bases = before.copy()
        self._apply_cap(samples, steps, paths, before)
        crossings = self._crossings(samples, paths, totals, times_ms)
        self._keep(samples, paths, totals, times_ms)
        return crossings

    def latch(self, side: int) -> None:
        """Turn a side round: from now on it looks for the recovery."""
        self._latched[side] = True
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
        return {
            "latched": self._latched.copy(),
            "walks": self._walks.copy(),
            "bases": self._bases.copy(),
            "started": self._started.copy(),
            "tallies": self._tallies.copy(),
            "pane": self._pane,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is the state of other sides.
        """
        arrays = {name: np.array(state[name]) for name in ("latched", "walks", "bases", "started", "tallies")}
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
        self._stakes = np.where(self._latched[:, None], self._back, self._ahead)
        self._thresholds = np.where(self._latched, self._recovery, self._fires)
        self._caps = (self._thresholds * CAP_SHARE)[:, None]

    def _evidence(self, samples: Samples, channels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evidence of each sample, ``(T, S, 8)``: one logarithm of the product of what its records multiply."""
        surprise = channels[:, self._columns]
        surprise -= self._edges
        surprise[np.isnan(surprise)] = 0.0
        order = np.argsort(-samples.lengths, kind="stable")
        starts, lengths = samples.starts[order], samples.lengths[order]
        products = surprise[starts][:, :, None] * self._stakes
        products += 1.0
        factors = np.empty_like(products)
        for offset in range(1, SAMPLE_RECORDS):
            longer = int(np.count_nonzero(lengths > offset))
            if not longer:
                break
            part = factors[:longer]
            np.multiply(surprise[starts[:longer] + offset][:, :, None], self._stakes, out=part)
            part += 1.0
            products[:longer] *= part
        np.log(products, out=products)
        products *= self._weights
        evidence = factors
        evidence[order] = products
        return evidence

    def _apply_cap(
        self,
        samples: Samples,
        steps: NDArray[np.float64],
        paths: NDArray[np.float64],
        before: NDArray[np.float64],
    ) -> None:
        """Step through the walks that rose by more than the cap within a pane; the others are right as they are."""
        side, bet = np.nonzero(paths.max(axis=0) > self._caps)
        if not side.size:
            return
        caps = self._caps[side, 0]
        high, step = paths[:, side, bet], steps[:, side, bet]
        bases = self._bases[side, bet]
        heads = samples.pane_starts
        floors = np.concatenate([bases[None], high[heads[1:] - 1]])
        bound = np.flatnonzero((np.maximum.reduceat(high, heads, axis=0) > floors + caps).any(axis=0))
        if not bound.size:
            return
        step, caps, base = step[:, bound], caps[bound], bases[bound]
        walk = before[side[bound], bet[bound]]
        begins = np.zeros(samples.starts.size, dtype=bool)
        begins[heads[1:]] = True
        stepped = np.empty_like(step)
        for sample in range(step.shape[0]):
            if begins[sample]:
                base = walk
            walk = np.maximum(np.minimum(walk + step[sample], base + caps), 0.0)
            stepped[sample] = walk
        paths[:, side[bound], bet[bound]] = stepped

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
            found.append(Crossing(side, sample, float(walks[sample, bet]), started_at, (count, total)))
        return found

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
