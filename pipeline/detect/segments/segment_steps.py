"""The steps of segment walks: what the records of a block are as evidence, by value, pane, bet and side."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.one_sided_tests import OneSidedTest, rate_evidence
from pipeline.detect.segments.segment_sums import SegmentSums
from pipeline.detect.signals import channels

EVERY = slice(1, None, 2)
"""Of the eight bets of a side: half of them see a change hardly later, at half the cost and half the state."""

BETS = 4


class SegmentEvidence:
    """The evidence of records. All slots share the bets of a side, unless it has fired there or is set aside.

    Parameters
    ----------
    sides
        The S sides that are watched, rates and tails first; of these L are neither.
    columns, carried
        Shape ``(S,)``: of each side the columns that hold its channel, and that tell where its signal is carried.
    """

    def __init__(self, sides: Sequence[OneSidedTest], columns: NDArray[np.intp], carried: NDArray[np.intp]) -> None:
        self._sides, self._columns, self._carried = tuple(sides), columns, carried
        self._binary = sum(side.channel in channels.BINARY for side in sides)
        self._weights = np.array([side.weight for side in sides])
        self._nulls = np.array([side.null_boundary for side in sides])
        self._stakes = np.array([side.stakes[EVERY] for side in sides]).reshape(-1, BETS).T
        self._weighed_stakes = self._stakes[:, self._binary :].astype(np.float32).ravel()
        self._repeated = np.tile(np.arange(len(self._sides) - self._binary), BETS)
        binary = slice(self._binary)
        self._none, self._event = rate_evidence(self._stakes[:, binary], self._nulls[binary], self._weights[binary])
        nothing = np.zeros((0, len(self._sides)))
        self.turn(nothing.astype(bool), nothing.astype(bool), nothing)

    def turn(self, latched: NDArray[np.bool_], aside: NDArray[np.bool_], worst: NDArray[np.float64]) -> None:
        """Say which sides of which slots have bets of their own: shapes ``(n, S)``, as the bank knows them.

        What is latched bets on the way back from ``worst``; of what is aside no record is evidence.
        """
        self._own_slots, self._own_sides = np.nonzero(latched | aside)
        nulls, stakes = np.zeros(self._own_slots.size), np.zeros((BETS, self._own_slots.size))
        for place, (slot, side) in enumerate(zip(self._own_slots.tolist(), self._own_sides.tolist(), strict=True)):
            if not aside[slot, side]:
                nulls[place], bets = self._sides[side].recovery_test(float(worst[slot, side]))
                stakes[:, place] = bets[EVERY]
        self._own_nulls, self._own_stakes = nulls, stakes
        self._own_aside = aside[self._own_slots, self._own_sides]
        weights = self._weights[self._own_sides]
        self._own_none, self._own_event = rate_evidence(stakes, nulls, weights)

    def scores(self, numbers: NDArray[np.float64]) -> NDArray[np.float32]:
        """What each row says of the sides that are neither rates nor tails: ln(1 + stake * surprise), bet by bet.

        Parameters
        ----------
        numbers
            Shape ``(R, N)``.

        Returns
        -------
        numpy.ndarray
            Shape ``(R, 4 * L)``.
        """
        weighed = slice(self._binary, None)
        surprise = numbers.take(self._columns[weighed], axis=1)
        surprise -= self._nulls[weighed]
        surprise *= numbers.take(self._carried[weighed], axis=1)
        # Single precision is plenty for the evidence of one record, and half the time.
        factors = surprise.astype(np.float32).take(self._repeated, axis=1)
        factors *= self._weighed_stakes
        factors += np.float32(1.0)
        np.log(factors, out=factors)
        return factors

    def evidence_of(
        self, slots: NDArray[np.intp], sums: SegmentSums, densities: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The evidence of each pane, shape ``(P, V, 4, S)``.

        Parameters
        ----------
        slots
            Shape ``(V,)``: of each value.
        sums
            The scores in it are those of :meth:`scores`.
        densities
            Shape ``(V,)``, 0 to 1: how close together the records of each value lie. Of an autocorrelation time t of the
            subject, 1 + (t - 1) x density is left for records that are thinned so.
        """
        binary, shape = self._binary, sums.parts.shape
        steps = np.empty((*shape, BETS, len(self._sides)))
        carried = sums.sums.take(self._carried[:binary], axis=2)[:, :, None]
        events = sums.sums.take(self._columns[:binary], axis=2)[:, :, None]
        np.multiply(carried, self._none, out=steps[..., :binary])
        steps[..., :binary] += events * self._event
        np.multiply(
            sums.scores.reshape(*shape, BETS, len(self._sides) - binary), self._weights[binary:], out=steps[..., binary:]
        )  # fmt: skip
        if self._own_slots.size:
            self._own_steps(slots, sums, steps)
        # Weights are 1 / t: this turns them into 1 / (1 + (t - 1) x density).
        steps /= (self._weights + (1.0 - self._weights) * densities[:, None])[:, None]
        return steps

    def _own_steps(self, slots: NDArray[np.intp], sums: SegmentSums, steps: NDArray[np.float64]) -> None:
        """The steps of what is latched or aside, in place of those of the others."""
        places = np.full(max(int(slots.max()), int(self._own_slots.max())) + 1, -1)
        places[slots] = np.arange(slots.size)
        values = places[self._own_slots]
        is_sum = (self._own_sides < self._binary) | self._own_aside
        own = np.flatnonzero((values >= 0) & is_sum)
        at, sides = values[own], self._own_sides[own]
        carried = sums.sums[:, at, self._carried[sides]].T[:, :, None]
        events = sums.sums[:, at, self._columns[sides]].T[:, :, None]
        steps[:, at, :, sides] = carried * self._own_none.T[own, None] + events * self._own_event.T[own, None]
        for value in np.unique(values[(values >= 0) & ~is_sum]).tolist():
            own = np.flatnonzero((values == value) & ~is_sum)
            sides = self._own_sides[own]
            panes, rows, starts = sums.parts.of_value(value)
            numbers = sums.numbers.take(rows, axis=0)
            surprise = numbers.take(self._columns[sides], axis=1) - self._own_nulls[own]
            surprise *= numbers.take(self._carried[sides], axis=1)
            scores = np.log1p(surprise[:, None] * self._own_stakes[:, own])
            found = np.zeros((steps.shape[0], BETS, sides.size))
            found[panes] = np.add.reduceat(scores, starts, axis=0) * self._weights[sides]
            steps[:, value, :, sides] = found.transpose(2, 0, 1)
