"""Demotion of tests that page often. A ticket and a new baseline are proposed, to avoid alert fatigue."""

from collections.abc import Sequence
from typing import Any

from pipeline.detect.one_sided_tests import OneSidedTest
from pipeline.detect.settings import DAY_S

PAGES_PER_DAY_MAX = 2
"""Number of pages of one test within a day of event time at which its demotion is proposed."""

DAY_MS = DAY_S * 1000


class Demotion:
    """Recent firings of each page test.

    Parameters
    ----------
    tests
        All one-sided tests. Tests of failure modes that can be a P1 or P2 are never demoted.
    """

    def __init__(self, tests: Sequence[OneSidedTest]) -> None:
        self._tests = tests
        self._fired_ms: dict[int, list[int]] = {}

    def record_firing(self, test: int, time_ms: int) -> bool:
        """Record a firing at an event time in Unix milliseconds. Return whether to propose a demotion."""
        fired = self._tests[test]
        if fired.tier != "page" or not fired.is_demotable:
            return False
        times = self._fired_ms[test] = [*self._fired_ms.get(test, []), time_ms][-PAGES_PER_DAY_MAX - 1 :]
        return len(times) > PAGES_PER_DAY_MAX and times[-1] - times[0] <= DAY_MS

    def dump(self) -> list[Any]:
        """Return the state: the tests that fired and the times of their firings."""
        return [[list(self._tests[test].key), times] for test, times in self._fired_ms.items()]

    def load(self, state: list[Any]) -> None:
        """Restore the state that :meth:`dump` returned. Tests that no longer run are dropped."""
        indexes = {test.key: index for index, test in enumerate(self._tests)}
        fired = ((indexes.get(tuple(key)), times) for key, times in state)
        self._fired_ms = {test: list(times) for test, times in fired if test is not None}
