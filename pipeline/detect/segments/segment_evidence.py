"""The evidence from the records of a block, for each segment value, pane, bet and test."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.one_sided_tests import OneSidedTest, rate_evidence
from pipeline.detect.segments.segment_sums import SegmentSums
from pipeline.detect.shared_values import share_array
from pipeline.detect.signals import channels

EVERY_SECOND_BET = slice(1, None, 2)
"""Every second bet. Half as many bets detect a change almost as early, at half the cost and with half the state."""

SEGMENT_BETS = 4


class SegmentEvidence:
    """Evidence per segment value. All slots share the bets of a test, unless the test is latched, excluded or held in a slot.

    Parameters
    ----------
    tests
        The ``S`` one-sided tests. The tests of binary channels come first. The ``L`` tests of other channels follow.
    columns
        Shape ``(2, S)``: the indexes of the numbers that are the presence and the channel of each test.

    Attributes
    ----------
    binary_count
        Number ``B`` of tests of binary channels.
    weights, nulls
        Shape ``(S,)``: weights and null boundaries of the tests.
    stakes
        Shape ``(4 * L,)``, single precision: the bets of the tests of other channels.
    record_evidence, event_evidence
        Shape ``(4, B)``: see :func:`pipeline.detect.one_sided_tests.rate_evidence`.
    """

    def __init__(self, tests: Sequence[OneSidedTest], columns: NDArray[np.intp]) -> None:
        self._tests = tests
        self._presence_columns, self._channel_columns = columns
        self.binary_count = sum(test.channel in channels.BINARY for test in tests)
        self.weights = np.array([test.weight for test in tests])
        self.nulls = np.array([test.null_boundary for test in tests])
        stakes = np.array([test.stakes[EVERY_SECOND_BET] for test in tests]).reshape(-1, SEGMENT_BETS).T
        binary = slice(self.binary_count)
        self.stakes = stakes[:, self.binary_count :].astype(np.float32).ravel()
        self._repeated = share_array(np.tile(np.arange(len(tests) - self.binary_count), SEGMENT_BETS))
        self.record_evidence, self.event_evidence = rate_evidence(
            stakes[:, binary], self.nulls[binary], self.weights[binary]
        )
        nothing = np.zeros((0, len(tests)))
        self.update_bets(nothing.astype(bool), nothing.astype(bool), nothing, {})

    def update_bets(
        self,
        latched: NDArray[np.bool_],
        excluded: NDArray[np.bool_],
        worst: NDArray[np.float64],
        held: Mapping[tuple[int, int], OneSidedTest],
    ) -> None:
        """Override the shared bets of latched, excluded and held tests. The arrays have shape ``(n, S)``.

        A latched test bets on the return from ``worst``. An excluded test receives no evidence. ``held`` has the tests
        with another level by slot and test.
        """
        overridden = latched | excluded
        for key in held:
            overridden[key] = True
        self._override_slots, self._override_tests = np.nonzero(overridden)
        nulls, stakes = np.zeros(self._override_slots.size), np.zeros((SEGMENT_BETS, self._override_slots.size))
        for index, (slot, test) in enumerate(
            zip(self._override_slots.tolist(), self._override_tests.tolist(), strict=True)
        ):
            if not excluded[slot, test]:
                used = held.get((slot, test)) or self._tests[test]
                nulls[index], bets = used.null_boundary, used.stakes
                if latched[slot, test]:
                    nulls[index], bets = used.recovery_test(float(worst[slot, test]))
                stakes[:, index] = bets[EVERY_SECOND_BET]
        self._override_nulls, self._override_stakes = nulls, stakes
        self._override_excluded = excluded[self._override_slots, self._override_tests]
        self._override_record_evidence, self._override_event_evidence = rate_evidence(
            stakes, nulls, self.weights[self._override_tests]
        )

    def log_bets(self, numbers: NDArray[np.float64]) -> NDArray[np.float32]:
        """Compute ln(1 + stake * surprise) of each row, for each bet of each test of a channel that is not binary.

        Parameters
        ----------
        numbers
            Shape ``(R, N)``.

        Returns
        -------
        numpy.ndarray
            Shape ``(R, 4 * L)``.
        """
        others = slice(self.binary_count, None)
        surprise = numbers.take(self._channel_columns[others], axis=1)
        surprise -= self.nulls[others]
        surprise *= numbers.take(self._presence_columns[others], axis=1)
        # Single precision is enough for the evidence of one record, and takes half the time.
        factors: NDArray[np.float32] = surprise.astype(np.float32).take(self._repeated, axis=1)
        factors *= self.stakes
        factors += np.float32(1.0)
        np.log(factors, out=factors)
        return factors

    def pane_evidence(
        self, slots: NDArray[np.intp], sums: SegmentSums, densities: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Compute the evidence of each pane, shape ``(P, V, 4, S)``.

        Parameters
        ----------
        slots
            Shape ``(V,)``: the slot of each value.
        sums
            Sums of the block, including the sums of :meth:`log_bets`.
        densities
            Shape ``(V,)``, from 0 to 1: the density of the records of each value in the stream. The records of a value
            with density d have an autocorrelation time of 1 + (t - 1) * d, where t is the autocorrelation time of the
            subject.
        """
        binary, shape = self.binary_count, sums.groups.shape
        evidence = np.empty((*shape, SEGMENT_BETS, len(self._tests)))
        records = sums.sums.take(self._presence_columns[:binary], axis=2)[:, :, None]
        events = sums.sums.take(self._channel_columns[:binary], axis=2)[:, :, None]
        np.multiply(records, self.record_evidence, out=evidence[..., :binary])
        evidence[..., :binary] += events * self.event_evidence
        log_bets = sums.log_bets.reshape(*shape, SEGMENT_BETS, len(self._tests) - binary)
        np.multiply(log_bets, self.weights[binary:], out=evidence[..., binary:])
        if self._override_slots.size:
            self._apply_overrides(slots, sums, evidence)
        # The weights are 1 / t. This replaces them with 1 / (1 + (t - 1) * density).
        evidence /= (self.weights + (1.0 - self.weights) * densities[:, None])[:, None]
        return evidence

    def _apply_overrides(self, slots: NDArray[np.intp], sums: SegmentSums, evidence: NDArray[np.float64]) -> None:
        """Replace, in place, the evidence of tests that are latched or excluded."""
        value_of_slot = np.full(max(int(slots.max()), int(self._override_slots.max())) + 1, -1)
        value_of_slot[slots] = np.arange(slots.size)
        values = value_of_slot[self._override_slots]
        from_sums = (self._override_tests < self.binary_count) | self._override_excluded
        selected = np.flatnonzero((values >= 0) & from_sums)
        sum_values, tests = values[selected], self._override_tests[selected]
        records = sums.sums[:, sum_values, self._presence_columns[tests]].T[:, :, None]
        events = sums.sums[:, sum_values, self._channel_columns[tests]].T[:, :, None]
        evidence[:, sum_values, :, tests] = (
            records * self._override_record_evidence.T[selected, None]
            + events * self._override_event_evidence.T[selected, None]
        )
        for value in np.unique(values[(values >= 0) & ~from_sums]).tolist():
            selected = np.flatnonzero((values == value) & ~from_sums)
            tests = self._override_tests[selected]
            panes, rows, starts = sums.groups.value_rows(value)
            numbers = sums.numbers.take(rows, axis=0)
            surprise = numbers.take(self._channel_columns[tests], axis=1) - self._override_nulls[selected]
            surprise *= numbers.take(self._presence_columns[tests], axis=1)
            log_bets = np.log1p(surprise[:, None] * self._override_stakes[:, selected])
            by_pane = np.zeros((evidence.shape[0], SEGMENT_BETS, tests.size))
            by_pane[panes] = np.add.reduceat(log_bets, starts, axis=0) * self.weights[tests]
            evidence[:, value, :, tests] = by_pane.transpose(2, 0, 1)
