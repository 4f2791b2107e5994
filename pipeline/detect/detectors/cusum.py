"""CUSUM statistics: the evidence from each sample, Page's recursion with a cap per pane, and threshold crossings.

W <- max(0, W + evidence of a sample)        (Page 1954, "Continuous inspection schemes")
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.layout import NEXT_RECORD, Samples
from pipeline.detect.one_sided_tests import OneSidedTest

NO_PANE = -1
"""Pane number of a slot without records."""

_TALLIES = 2


def sample_evidence(surprise: NDArray[np.float64], stakes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum ln(1 + stake * surprise) over the records of each sample.

    Computing the sum as the logarithm of a product costs one eighth as much. Every factor is at least 0.05, so a
    product of eight factors cannot underflow.

    Parameters
    ----------
    surprise
        Shape ``(H, T, S)``: distance of each record from the test's null boundary, or 0 if the record does not carry
        the signal.
    stakes
        Shape ``(K, S)``: the stakes of each test.

    Returns
    -------
    numpy.ndarray
        Shape ``(K, T, S)``.

    >>> sample_evidence(np.array([[[0.5]], [[0.25]]]), np.array([[1.0]])).round(4).tolist()  # ln(1.5 * 1.25)
    [[[0.6286]]]
    """
    height, count, tests = surprise.shape
    # The stakes are repeated per sample to make the innermost loops long.
    repeated = np.empty((stakes.shape[0], count, tests))
    repeated[:] = stakes[:, None]
    products: NDArray[np.float64] = surprise[0] * repeated
    products += 1.0
    factors = np.empty_like(products)
    for offset in range(1, height):
        np.multiply(surprise[offset], repeated, out=factors)
        factors += 1.0
        products *= factors
    np.log(products, out=products)
    return products


def run_cusum(
    samples: Samples,
    evidence: NDArray[np.float64],
    before: NDArray[np.float64],
    bases: NDArray[np.float64],
    caps: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Run the recursion over a block. A pane can raise a statistic by at most the cap.

    The uncapped statistic continues within the pane, so records after a burst in the same pane first reduce the part
    above the cap. The next pane starts from the capped statistic.

    Parameters
    ----------
    evidence
        Shape ``(T, W)``: the evidence of each sample.
    before, bases
        Shape ``(W,)``: the statistics now, and at the start of the first sample's pane.
    caps
        Shape ``(W,)``: maximum that one pane may add to each statistic.

    Returns
    -------
    path, peaks, after
        Shapes ``(T, W)``, ``(W,)`` and ``(W,)``: the capped statistics after each sample, exactly 0 at the minimum;
        their maximum; and the uncapped statistics after the last sample.
    """
    path = np.empty_like(evidence)
    zero, statistic = np.zeros(evidence.shape[1]), before
    for increment, row in zip(evidence, path, strict=True):
        np.add(statistic, increment, out=row)
        statistic = np.maximum(row, zero, out=row)
    peaks = path.max(axis=0)
    after = path[-1]
    high = (peaks > caps).nonzero()[0]
    if high.size:
        after = after.copy()
        if _apply_cap(samples, evidence, path, after, before=before, bases=bases, caps=caps, columns=high):
            peaks = path.max(axis=0)
    return path, peaks, after


def _apply_cap(
    samples: Samples,
    evidence: NDArray[np.float64],
    path: NDArray[np.float64],
    after: NDArray[np.float64],
    *,
    before: NDArray[np.float64],
    bases: NDArray[np.float64],
    caps: NDArray[np.float64],
    columns: NDArray[np.intp],
) -> bool:
    """Recompute in place the statistics that rose by more than the cap within a pane. Return whether there were any."""
    high, pane_starts = path[:, columns], samples.pane_starts
    floors = np.concatenate([bases[columns][None], high[pane_starts[1:] - 1]])
    exceeds = (np.maximum.reduceat(high, pane_starts, axis=0) > floors + caps[columns]).any(axis=0)
    columns = columns[exceeds]
    if not columns.size:
        return False
    statistic, base, cap, increments = before[columns], bases[columns], caps[columns], evidence[:, columns]
    later_pane_starts = set(pane_starts[1:].tolist())
    capped = np.empty_like(increments)
    for sample in range(increments.shape[0]):
        if sample in later_pane_starts:
            base = statistic = np.minimum(statistic, base + cap)
        statistic = np.maximum(statistic + increments[sample], 0.0)
        capped[sample] = np.minimum(statistic, base + cap)
    path[:, columns] = capped
    after[columns] = statistic
    return True


@dataclass(frozen=True, slots=True)
class Crossing:
    """A test statistic that reached its threshold.

    Attributes
    ----------
    test, bet
        The one-sided test and its strongest bet.
    step
        The step of the block in which the statistic reached the threshold: a sample for a subject, a pane for a
        segment value.
    evidence
        Value of the statistic.
    started_at
        The estimated start: the time of the first record after the statistic's last zero, Unix milliseconds.
    tally
        Number of records since ``started_at`` that carry the signal, and the sum of its channel over these records.
    is_recovery
        Whether this is the recovery of a test that had fired.
    value
        Index of the segment value in the block, or 0 for the full subject.
    """

    test: int
    bet: int
    step: int
    evidence: float
    started_at: int
    tally: tuple[float, float]
    is_recovery: bool = False
    value: int = 0

    @property
    def mean(self) -> float:
        """The channel's mean since the start."""
        return self.tally[1] / max(self.tally[0], 1.0)

    def is_within_band(self, test: OneSidedTest) -> bool:
        """Return whether the mean since the start is within the band of the test."""
        return self.mean <= test.null_boundary if test.rising else self.mean >= test.null_boundary


@dataclass(frozen=True, slots=True)
class StepSums:
    """Sums over the records of ``V`` values in the ``T`` steps of a block.

    Attributes
    ----------
    prefix_sums
        Shape ``(T + 1, V, N)``, contiguous: the sum of the numbers before each step, and over all steps.
    times_ms
        Shape ``(T + 1, V)``: the time of the first record in or after each step, or ``NEXT_RECORD`` if there is none.
    columns
        Shape ``(2, S)``: the indexes of the numbers that are the presence and the channel of each test.
    """

    prefix_sums: NDArray[np.float64]
    times_ms: NDArray[np.int64]
    columns: NDArray[np.intp]


@dataclass(slots=True)
class CusumState:
    """Test statistics of ``S`` tests with ``K`` bets in ``V`` slots: one for a subject, or one per segment value.

    Attributes
    ----------
    statistics, bases
        Shape ``(V, K, S)``: the current statistics, and the statistics at the start of the current pane.
    started
        Shape ``(V, K, S)``: the time of the first record after the last zero, or ``NEXT_RECORD`` if the statistic is 0.
    tallies
        Shape ``(V, 2, K, S)``: number of records since the last zero that carry the signal, and sum of its channel.
    latched, worst
        Shape ``(V, S)``: whether the test has fired and not yet recovered, and the channel's mean when it fired.
    panes
        Shape ``(V,)``: the current pane.
    """

    statistics: NDArray[np.float64]
    bases: NDArray[np.float64]
    started: NDArray[np.int64]
    tallies: NDArray[np.float64]
    latched: NDArray[np.bool_]
    worst: NDArray[np.float64]
    panes: NDArray[np.int64]

    @classmethod
    def of_size(cls, slots: int, bets: int, tests: int) -> Self:
        """Return the initial state."""
        return cls(
            statistics=np.zeros((slots, bets, tests)),
            bases=np.zeros((slots, bets, tests)),
            started=np.full((slots, bets, tests), NEXT_RECORD, dtype=np.int64),
            tallies=np.zeros((slots, _TALLIES, bets, tests)),
            latched=np.zeros((slots, tests), dtype=bool),
            worst=np.zeros((slots, tests)),
            panes=np.full(slots, NO_PANE, dtype=np.int64),
        )

    def reset(self, slots: int | slice = slice(None), tests: int | slice = slice(None)) -> None:
        """Set the statistics of the given slots and tests to 0, but leave latches unchanged."""
        self.statistics[slots, :, tests] = 0.0
        self.bases[slots, :, tests] = 0.0
        self.started[slots, :, tests] = NEXT_RECORD
        self.tallies[slots, :, :, tests] = 0.0

    def clear_panes(self, slots: int | slice = slice(None)) -> None:
        """Clear the current pane of the given slots."""
        self.panes[slots] = NO_PANE

    def latch(self, slot: int, test: int, worst: float) -> None:
        """Mark a test as fired, with the channel's mean at that time, and set its statistics to 0."""
        self.latched[slot, test], self.worst[slot, test] = True, worst
        self.reset(slot, test)

    def rearm(self, slot: int, test: int) -> None:
        """Mark a test as not fired, and set its statistics to 0."""
        self.latched[slot, test] = False
        self.reset(slot, test)

    def set_starts(self, sums: StepSums) -> None:
        """Set the start of all statistics that are 0 to the first record of a block."""
        np.copyto(self.started, sums.times_ms[0][:, None, None], where=self.started == NEXT_RECORD)

    def find_crossings(
        self, path: NDArray[np.float64], threshold: float, sums: StepSums, *, slot: int, test: int
    ) -> Iterator[Crossing]:
        """Find the steps of a block at which a test is at or above its threshold. Call it before :meth:`advance`.

        Parameters
        ----------
        path
            Shape ``(T, K)``: the statistics of the test after each step.
        """
        prefix_sums, columns = sums.prefix_sums[:, slot], sums.columns[:, test]
        for step in np.flatnonzero(path.max(axis=1) >= threshold).tolist():
            bet = int(np.argmax(path[step]))
            zeros = np.flatnonzero(path[:step, bet] == 0.0)
            first = int(zeros[-1]) + 1 if zeros.size else 0
            tally = prefix_sums[step + 1, columns] - prefix_sums[first, columns]
            if zeros.size:
                started_at = int(sums.times_ms[first, slot])
            else:
                tally = tally + self.tallies[slot, :, bet, test]
                started_at = int(self.started[slot, bet, test])
            count, total = tally.tolist()
            is_recovery = bool(self.latched[slot, test])
            yield Crossing(test, bet, step, float(path[step, bet]), started_at, (count, total), is_recovery, slot)

    def advance(self, path: NDArray[np.float64], sums: StepSums) -> None:
        """Update starts and tallies after a block.

        Parameters
        ----------
        path
            Shape ``(T, V, K, S)``: the statistics after each step.
        """
        count, slots = path.shape[:2]
        width = sums.prefix_sums.shape[2]
        # Number of steps up to and including the last step that left the statistic at 0.
        numbers = np.arange(1, count + 1, dtype=np.min_scalar_type(count))
        zeros = ((path == 0.0) * numbers[:, None, None, None]).max(axis=0).astype(np.intp)
        restarted = zeros > 0
        positions = zeros * slots + np.arange(slots)[:, None, None]
        np.copyto(self.started, sums.times_ms.take(positions), where=restarted)
        self.tallies *= ~restarted[:, None]
        self.tallies += sums.prefix_sums[-1].take(sums.columns, axis=1)[:, :, None]
        self.tallies -= sums.prefix_sums.take(positions[:, None] * width + sums.columns[:, None])

    def take(self, slots: NDArray[np.intp]) -> Self:
        """Return a copy of the given slots."""
        return type(self)(*(array[slots] for _, array in self._arrays()))

    def put(self, slots: NDArray[np.intp], part: Self) -> None:
        """Replace the given slots. No slot may occur twice."""
        for (_, array), (_, replacement) in zip(self._arrays(), part._arrays(), strict=True):
            array[slots] = replacement

    def append_slot(self) -> None:
        """Append a slot of zeros."""
        self._replace(
            {
                name: np.concatenate([array, np.zeros((1, *array.shape[1:]), dtype=array.dtype)])
                for name, array in self._arrays()
            }
        )

    def continue_tests(self, source: Self, pairs: Sequence[tuple[int, int]]) -> None:
        """Continue tests of another state. All slots are replaced; tests without a pair start at 0.

        Parameters
        ----------
        pairs
            For each continued test: its index in this state, and its index in the other state.
        """
        new, old = (np.array([pair[side] for pair in pairs], dtype=np.intp) for side in (0, 1))
        start = self.of_size(source.panes.size, source.statistics.shape[1], self.latched.shape[1])
        arrays, others = start.dump(), source.dump()
        for name, array in arrays.items():
            if name == "panes":
                array[:] = others[name]
            else:
                array[..., new] = others[name][..., old]
        self._replace(arrays)

    def dump(self) -> dict[str, Any]:
        """Return the state as one array per field."""
        return {name: array.copy() for name, array in self._arrays()}

    def load(self, state: dict[str, Any], *, slots: int | None = None) -> None:
        """Restore the state that :meth:`dump` returned. Any number of slots is accepted unless ``slots`` is given.

        Raises
        ------
        ValueError
            If the state belongs to other tests.
        """
        slots = len(state["panes"]) if slots is None else slots
        arrays = {}
        for name, array in self._arrays():
            stored, shape = np.array(state[name]), (slots, *array.shape[1:])
            if stored.shape != shape:
                raise ValueError(
                    f"stored {name} have shape {stored.shape}, expected {shape}: the one-sided tests have changed"
                )
            arrays[name] = stored.astype(array.dtype, order="C")
        self._replace(arrays)

    def _arrays(self) -> list[tuple[str, NDArray[Any]]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]

    def _replace(self, arrays: dict[str, NDArray[Any]]) -> None:
        for name, array in arrays.items():
            setattr(self, name, array)
