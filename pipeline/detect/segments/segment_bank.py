"""The segment bank: the walks of the subject's page sides, for each watched value of a segment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors import NEXT_RECORD
from pipeline.detect.one_sided_tests import OneSidedTest
from pipeline.detect.segments.segment_steps import BETS, SegmentEvidence
from pipeline.detect.segments.segment_sums import SegmentSums

CAP_SHARE = 0.2
"""Share of a threshold that one pane may add: less than of the whole subject, since no burst is told from its lateness."""

_NO_PANE = -1

_KEPT = ("latched", "aside", "worst", "walks", "bases", "started", "tallies", "panes")


@dataclass(frozen=True, slots=True)
class SegmentCrossing:
    """A walk of a value that reached its threshold, at the end of a pane of the block; both are counted from 0.

    ``is_back`` is whether it had fired and has recovered; ``started_at`` and ``tally`` as in :class:`pipeline.detect.detectors.page_hinkley.Crossing`.
    """

    value: int
    side: int
    pane: int
    is_back: bool
    evidence: float
    started_at: int
    tally: tuple[float, float]


class SegmentBank:
    """Walks as those of :class:`pipeline.detect.detectors.page_hinkley.Bank`, of the same sides, in each of ``n`` slots.

    Every second bet is made, and the walks are looked at only where a pane or the block ends; the guarantee does not depend on it. What a record says of a
    side is computed once for all slots; only the sides of a slot that have fired ask something of their own.

    Parameters
    ----------
    sides
        The S sides that are watched, rates and tails first.
    columns, carried
        Shape ``(S,)``: of each side the columns that hold its channel, and that tell where its signal is carried.
    recovery
        Evidence for a recovery.

    Attributes
    ----------
    steps
        What the records of a block are as evidence.
    latched, aside
        Shape ``(n, S)``: which sides have fired and not recovered, and which are not judged in this slot.
    """

    def __init__(
        self, sides: Sequence[OneSidedTest], columns: NDArray[np.intp], carried: NDArray[np.intp], recovery: float
    ) -> None:
        self._sides, self._columns, self._carried, self._recovery = tuple(sides), columns, carried, recovery
        self._fires = np.array([side.threshold for side in sides])
        self.steps = SegmentEvidence(sides, columns, carried)
        shape = (0, BETS, len(self._sides))
        self.latched = np.zeros((0, len(self._sides)), dtype=bool)
        self.aside = np.zeros((0, len(self._sides)), dtype=bool)
        self._worst = np.zeros((0, len(self._sides)))
        self._walks, self._bases = np.zeros(shape), np.zeros(shape)
        self._started = np.zeros(shape, dtype=np.int64)
        self._tallies = np.zeros((0, 2, BETS, len(self._sides)))
        self._panes = np.zeros(0, dtype=np.int64)
        self._has_turned = True

    def __len__(self) -> int:
        return int(self.latched.shape[0])

    @property
    def test_statistics(self) -> NDArray[np.float64]:
        """Shape ``(n, 4, S)``: the evidence now."""
        return self._walks

    def clear(self, slot: int) -> None:
        """Make a slot that may be the next new one: all its sides on watch, at 0."""
        if slot == len(self):
            for name in _KEPT:
                own: NDArray[Any] = self._get(name)
                self._set(name, np.concatenate([own, np.zeros((1, *own.shape[1:]), dtype=own.dtype)]))
        self.latched[slot] = self.aside[slot] = False
        self._panes[slot] = _NO_PANE
        self._reset(slot, slice(None))

    def stop_slot(self, slot: int) -> None:
        """All walks of a slot to 0."""
        self._reset(slot, slice(None))

    def latch(self, slot: int, side: int, worst: float) -> None:
        """Turn a side round: from now on it looks for the recovery from ``worst``, the channel's mean as it fired."""
        self.latched[slot, side] = True
        self._worst[slot, side] = worst
        self._reset(slot, side)

    def rearm(self, slot: int, side: int) -> None:
        """Turn a side forward again, at 0."""
        self.latched[slot, side] = False
        self._reset(slot, side)

    def exclude(self, slot: int, side: int) -> None:
        """Judge a side no more in this slot."""
        self.aside[slot, side] = True
        self._reset(slot, side)

    def evidence(self, slot: int, side: int) -> float:
        """That of a side's strongest walk."""
        return float(self._walks[slot, :, side].max())

    def records_with(self, evidence: float, slot: int, side: int) -> float:
        """How many records carried a side's signal since its strongest walk was last 0; 0 if that has less evidence."""
        bet = int(np.argmax(self._walks[slot, :, side]))
        return float(self._tallies[slot, 0, bet, side]) if self._walks[slot, bet, side] >= evidence else 0.0

    def reset(self) -> None:
        """All walks to 0; what is latched or aside stays so."""
        self._reset(slice(None), slice(None))
        self._panes[:] = _NO_PANE

    def observe(
        self,
        slots: NDArray[np.intp],
        sums: SegmentSums,
        times_ms: NDArray[np.int64],
        may_fire: Callable[[int, float], bool],
        densities: NDArray[np.float64] | None = None,
    ) -> list[SegmentCrossing]:
        """Walk through one block.

        Parameters
        ----------
        slots
            Shape ``(V,)``: of each value, none twice.
        times_ms
            Shape ``(R,)``: event times.
        may_fire
            Of a side and the records since its walk was last 0: whether they are enough to fire. Until they are, the
            side waits.
        densities
            Shape ``(V,)``: as of :meth:`pipeline.detect.segments.segment_steps.SegmentSteps.of`; without them 1.

        Returns
        -------
        list[SegmentCrossing]
            At most one a value and side, in this order.
        """
        if self._has_turned:
            self.steps.turn(self.latched, self.aside, self._worst)
            self._has_turned = False
        parts, before = sums.parts, self._walks[slots]
        steps = self.steps.evidence_of(slots, sums, np.ones(slots.size) if densities is None else densities)
        same_pane = (self._panes[slots] == parts.first_pane)[:, None, None]
        bases = np.where(same_pane, self._bases[slots], before)
        thresholds = np.where(self.latched[slots], self._recovery, self._fires)
        caps = thresholds[:, None] * CAP_SHARE
        # Each step is a whole pane, so the cap binds a step; only the first may go on with a pane begun before.
        np.minimum(steps[1:], caps, out=steps[1:])
        np.minimum(steps[0], bases + caps - before, out=steps[0])
        paths = np.empty((steps.shape[0] + 1, *before.shape))
        paths[0] = before
        for pane, step in enumerate(steps):
            np.maximum(np.add(paths[pane], step, out=paths[pane + 1]), 0.0, out=paths[pane + 1])
        totals = np.zeros((paths.shape[0], *sums.sums.shape[1:]))
        np.cumsum(sums.sums, axis=0, out=totals[1:])
        next_times = parts.next_times(times_ms)
        started = self._started[slots]
        self._started[slots] = np.where(started == NEXT_RECORD, next_times[0][:, None, None], started)
        crossings = self._crossings(slots, paths[1:], thresholds, totals, next_times, may_fire)
        self._bases[slots] = paths[-2] if parts.shape[0] > 1 else bases
        self._panes[slots] = parts.last_pane
        self._keep(slots, paths, totals, next_times)
        return crossings

    def dump(self) -> dict[str, Any]:
        """The state: arrays."""
        return {name: self._get(name).copy() for name in _KEPT}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave.

        Raises
        ------
        ValueError
            If it is the state of other sides.
        """
        arrays = {name: np.array(state[name]) for name in _KEPT}
        count = arrays["latched"].shape[0]
        for name, array in arrays.items():
            own = self._get(name)
            if array.shape != (count, *own.shape[1:]):
                raise ValueError(f"kept {name} of shape {array.shape} do not fit {own.shape[1:]}: sides have changed")
            self._set(name, array.astype(own.dtype))
        self._has_turned = True

    def _get(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = getattr(self, name if name in ("latched", "aside") else f"_{name}")
        return found

    def _set(self, name: str, array: NDArray[Any]) -> None:
        setattr(self, name if name in ("latched", "aside") else f"_{name}", array)

    def _reset(self, slot: int | slice, side: int | slice) -> None:
        self._walks[slot, :, side] = 0.0
        self._bases[slot, :, side] = 0.0
        self._started[slot, :, side] = NEXT_RECORD
        self._tallies[slot, :, :, side] = 0.0
        self._has_turned = True

    def _crossings(
        self,
        slots: NDArray[np.intp],
        paths: NDArray[np.float64],
        thresholds: NDArray[np.float64],
        totals: NDArray[np.float64],
        next_times: NDArray[np.int64],
        may_fire: Callable[[int, float], bool],
    ) -> list[SegmentCrossing]:
        found: list[SegmentCrossing] = []
        peaks = paths.max(axis=(0, 2))
        for value, side in np.argwhere((peaks >= thresholds) & ~self.aside[slots]).tolist():
            slot, walks = int(slots[value]), paths[:, value, :, side]
            latched = bool(self.latched[slot, side])
            for pane in np.flatnonzero(walks.max(axis=1) >= thresholds[value, side]).tolist():
                bet = int(np.argmax(walks[pane]))
                zeros = np.flatnonzero(walks[:pane, bet] == 0.0)
                begin = int(zeros[-1]) + 1 if zeros.size else 0
                own = [self._carried[side], self._columns[side]]
                tally = totals[pane + 1, value, own] - totals[begin, value, own]
                if zeros.size:
                    started_at = int(next_times[begin, value])
                else:
                    tally = tally + self._tallies[slot, :, bet, side]
                    started_at = int(self._started[slot, bet, side])
                count, total = tally.tolist()
                if not (self._within(side, total / max(count, 1.0)) if latched else may_fire(side, count)):
                    continue
                found.append(
                    SegmentCrossing(value, side, pane, latched, float(walks[pane, bet]), started_at, (count, total))
                )  # fmt: skip
                break
        return found

    def _within(self, side: int, mean: float) -> bool:
        own = self._sides[side]
        return bool(mean <= own.null_boundary if own.rising else mean >= own.null_boundary)

    def _keep(
        self,
        slots: NDArray[np.intp],
        paths: NDArray[np.float64],
        totals: NDArray[np.float64],
        next_times: NDArray[np.int64],
    ) -> None:
        """Where the walks stand after the block, and what came since they were last 0."""
        self._walks[slots] = paths[-1]
        count = paths.shape[0] - 1
        numbers = np.arange(1, count + 1, dtype=np.min_scalar_type(count))
        after = ((paths[1:] == 0.0) * numbers[:, None, None, None]).max(axis=0).astype(np.intp)
        values = np.arange(slots.size)[:, None, None]
        restarted = after > 0
        self._started[slots] = np.where(restarted, next_times[after, values], self._started[slots])
        tallies = self._tallies[slots]
        tallies *= ~restarted[:, None]
        for place, columns in enumerate((self._carried, self._columns)):
            own = totals.take(columns, axis=2)
            tallies[:, place] += own[-1][:, None] - own[after, values, np.arange(columns.size)]
        self._tallies[slots] = tallies
