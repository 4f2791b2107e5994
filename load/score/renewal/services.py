"""The services of the suite, and their healthy weeks."""

from collections.abc import Iterable
from dataclasses import dataclass

from load.score.assistant import LiveSource
from schemas.drift import Drift, Tier
from schemas.topics import DAY_MS, HOUR_MS

DAYS = 28

WEEK_DAYS = 7


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its name, its mean requests per second, the weekday of its first record, and whether it is an office's."""

    name: str
    per_second: float
    first_day: int
    office: bool = False

    def source(self, seed: int, days: int) -> LiveSource:
        """Return its stream up to a day."""
        number = SERVICES.index(self)
        return LiveSource(seed * len(SERVICES) + number, days, self.per_second, self.office, self.first_day)


SERVICES = (
    Service("3 a second", 3.0, 0),
    Service("2 a second", 2.0, 3),
    Service("1.2 a second", 1.2, 6),
    Service("0.8 a second", 0.8, 2),
    Service("0.5 a second", 0.5, 5),
    Service("office, 0.5 a second", 2.0, 1, office=True),
    Service("0.3 a second", 0.3, 4),
    Service("0.2 a second", 0.2, 0),
)
"""The services. The busiest are first, so that no process runs alone at the end."""

SLOW_SERVICE = SERVICES[4]
"""Service whose failures last for days."""


def count_incidents(fired: Iterable[Drift], tier: Tier, start_ms: int) -> list[int]:
    """Return the number of incidents of a tier per week. Drifts that fire within an hour of the one before belong together.

    >>> count_incidents([], "page", 0)
    [0, 0, 0, 0]
    """
    weeks = [0] * (DAYS // WEEK_DAYS)
    times = sorted(drift.detected_at for drift in fired if drift.tier == tier)
    for before, time_ms in zip([-HOUR_MS - 1, *times], times, strict=False):
        if time_ms - before > HOUR_MS:
            weeks[min((time_ms - start_ms) // (WEEK_DAYS * DAY_MS), len(weeks) - 1)] += 1
    return weeks
