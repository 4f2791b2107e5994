"""The test statistics of the shapes of one stream: counts of the current window, and Page's CUSUM per bet."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.detect.one_sided_tests import OneSidedTest, rate_evidence
from pipeline.detect.shape.shape_tests import ShapeTest
from pipeline.detect.signals import Signal, channels

CAP_SHARE = 0.3
"""Share of a threshold that one window may add. A test therefore fires or recovers after four windows at the earliest."""


class ShapeBank:
    """Test statistics of ``M`` tests with ``K`` bets each.

    Parameters
    ----------
    tests
        The tests. At least one.
    value_count
        Number of values in the layout.

    Attributes
    ----------
    counts
        Shape ``(V, BINS)``: records per bin in the current window.
    statistics
        Shape ``(K, M)``.
    """

    def __init__(self, tests: Sequence[ShapeTest], value_count: int) -> None:
        # The tests themselves would need many times the memory of their numbers.
        self._values = np.array([each.value for each in tests], dtype=np.intp)
        self._bins = np.array([each.bin for each in tests], dtype=np.intp)
        self._rising = np.array([each.test.rising for each in tests])
        self._numbers = np.array([(each.test.null_boundary, each.test.mean, each.test.weight) for each in tests])
        self._without_event, self._event = rate_evidence(
            np.array([each.test.stakes for each in tests]).T,
            np.array([each.test.null_boundary for each in tests]),
            np.array([each.test.weight for each in tests]),
        )
        self._threshold = tests[0].test.threshold
        self.counts = np.zeros((value_count, channels.BINS), dtype=np.int64)
        self.reset()

    @property
    def keys(self) -> list[tuple[int, int, bool]]:
        """The value, the bin and the direction (rising or not) of each test."""
        return list(zip(self._values.tolist(), self._bins.tolist(), self._rising.tolist(), strict=True))

    def find(self, value: int, number: int, *, rising: bool) -> int | None:
        """Return the index of the test of a bin, or None if there is none."""
        found = np.flatnonzero((self._values == value) & (self._bins == number) & (self._rising == rising))
        return int(found[0]) if found.size else None

    def build_test(self, index: int, signals: Sequence[Signal]) -> ShapeTest:
        """Return a test. ``signals`` are the values of the layout."""
        value, number = int(self._values[index]), int(self._bins[index])
        rising = bool(self._rising[index])
        boundary, mean, weight = self._numbers[index].tolist()
        test = OneSidedTest.of_share(
            signals[value], rising=rising, boundary=boundary, mean=mean, weight=weight, threshold=self._threshold
        )
        return ShapeTest(value, number, test)

    def reset(self) -> None:
        """Set all statistics and counts to 0."""
        shape = self._event.shape
        self.counts[:] = 0
        self.statistics = np.zeros(shape)
        self._started = np.zeros(shape, dtype=np.int64)
        self._tallies = np.zeros((2, *shape), dtype=np.int32)

    def end_window(self, started_ms: int, excluded: set[int]) -> None:
        """Add the evidence of the counts, and start a new window.

        Parameters
        ----------
        started_ms
            Start of the window in Unix milliseconds.
        excluded
            Indexes of the values whose tests are reset, because a drift of the same signal is open.
        """
        records = self.counts.sum(axis=1).take(self._values)
        events = self.counts[self._values, self._bins]
        evidence = records * self._without_event + events * self._event
        np.minimum(evidence, CAP_SHARE * self._threshold, out=evidence)
        self._started[self.statistics == 0.0] = started_ms
        self.statistics += evidence
        self._tallies[0] += records.astype(np.int32)
        self._tallies[1] += events.astype(np.int32)
        is_zero = self.statistics <= 0.0
        if excluded:
            is_zero |= np.isin(self._values, list(excluded))
        self.statistics[is_zero] = 0.0
        self._tallies[:, is_zero] = 0
        self.counts[:] = 0

    def find_crossings(self) -> list[int]:
        """Return the strongest test of each value of which a statistic has reached the threshold."""
        highest = self.statistics.max(axis=0)
        strongest: dict[int, int] = {}
        for test in np.flatnonzero(highest >= self._threshold).tolist():
            value = int(self._values[test])
            if value not in strongest or highest[test] > highest[strongest[value]]:
                strongest[value] = test
        return list(strongest.values())

    def strongest_bet(self, test: int) -> tuple[float, int, int, int]:
        """Return the statistic of the strongest bet, its start in Unix milliseconds, and its records and events."""
        bet = int(np.argmax(self.statistics[:, test]))
        records, events = self._tallies[:, bet, test].tolist()
        return float(self.statistics[bet, test]), int(self._started[bet, test]), records, events

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {
            "counts": self.counts.copy(),
            "statistics": self.statistics.copy(),
            "started": self._started.copy(),
            "tallies": self._tallies.copy(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned.

        Raises
        ------
        ValueError
            If the state belongs to other tests.
        """
        self.counts = np.array(state["counts"], dtype=np.int64).reshape(self.counts.shape)
        shape = self._event.shape
        self.statistics = np.array(state["statistics"], dtype=np.float64).reshape(shape)
        self._started = np.array(state["started"], dtype=np.int64).reshape(shape)
        self._tallies = np.array(state["tallies"], dtype=np.int32).reshape(2, *shape)

    def continue_tests(self, source: "ShapeBank", pairs: Sequence[tuple[int, int]]) -> None:
        """Continue the tests of another bank. ``pairs`` has the index of each test in this bank and in the other bank."""
        here, there = (list(indexes) for indexes in zip(*pairs, strict=True)) if pairs else ([], [])
        self.statistics[:, here] = source.statistics[:, there]
        self._started[:, here] = source._started[:, there]  # noqa: SLF001 - the same class
        self._tallies[:, :, here] = source._tallies[:, :, there]  # noqa: SLF001 - the same class
