"""Demotion: a side that pages often is proposed for a ticket and a new baseline, for alert fatigue is a defect."""

from collections.abc import Sequence
from typing import Any

from pipeline.detect.one_sided_tests import OneSidedTest
from pipeline.detect.settings import DAY_S

PAGES_A_DAY_MAX = 2
"""Pages of one side within a day of event time that nobody is asked about."""

DAY_MS = DAY_S * 1000


class Demotion:
    """When each page side last fired.

    Parameters
    ----------
    sides
        All that may page; those of failure modes that can be a P1 or P2 are never proposed.
    """

    def __init__(self, sides: Sequence[OneSidedTest]) -> None:
        self._sides = sides
        self._fired: dict[int, list[int]] = {}

    def proposed(self, side: int, time_ms: int) -> bool:
        """Count a firing of a side, at an event time in Unix milliseconds, and say whether it is one too many."""
        own = self._sides[side]
        if not own.is_demotable:
            return False
        times = self._fired[side] = [*self._fired.get(side, []), time_ms][-PAGES_A_DAY_MAX - 1 :]
        return len(times) > PAGES_A_DAY_MAX and times[-1] - times[0] <= DAY_MS

    def dump(self) -> list[Any]:
        """The state: of each side that fired its number and times."""
        return [[side, times] for side, times in self._fired.items()]

    def load(self, state: list[Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._fired = {side: list(times) for side, times in state}
