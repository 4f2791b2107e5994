"""The number of requests that a baseline expects in a minute, by UTC hour of the day or of the week."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pipeline.detect.traffic.weekly_pattern import HOUR_MINUTES, weekly_requests
from schemas.baseline import Baseline

STEEP_RATIO = 0.5
"""Ratio of the smaller to the larger of two neighbouring hours below which the smaller one is expected between their
centres. The time at which requests end in the evening is not known to the minute."""


@dataclass(frozen=True, slots=True)
class RequestProfile:
    """The requests per minute of a baseline.

    Attributes
    ----------
    requests_per_minute
        Requests per minute in each UTC hour of the day (24 numbers), or of the week from a Thursday on (168 numbers).
    dispersion
        Variance of the requests of a minute, relative to that of independent requests: at least 1.
    """

    requests_per_minute: Sequence[float]
    dispersion: float

    @classmethod
    def from_baseline(cls, baseline: Baseline) -> Self | None:
        """Return the profile of a baseline, or None if the baseline has none, because it covers less than a day."""
        if baseline.traffic is None:
            return None
        weekly = weekly_requests(baseline.traffic)
        if weekly is None:
            return cls(tuple(baseline.traffic.requests_per_minute), baseline.traffic.dispersion)
        return cls(array("d", (weekly / HOUR_MINUTES).tolist()), baseline.traffic.dispersion)

    def expected_at(self, minute: int) -> float:
        """Return the requests expected in a minute (Unix milliseconds // 60,000).

        It is interpolated between the centres of two hours, or the smaller one if they differ by more than a factor of 2.

        >>> profile = RequestProfile((60.0,) * 12 + (120.0,) * 6 + (0.0,) * 6, 1.0)
        >>> [profile.expected_at(minute) for minute in (0, 11 * 60 + 45, 12 * 60, 17 * 60 + 45)]
        [0.0, 75.0, 90.0, 0.0]
        """
        hours, minutes = divmod(minute - HOUR_MINUTES // 2, HOUR_MINUTES)
        before = self.requests_per_minute[hours % len(self.requests_per_minute)]
        after = self.requests_per_minute[(hours + 1) % len(self.requests_per_minute)]
        low, high = min(before, after), max(before, after)
        if low < STEEP_RATIO * high:
            return low
        return before + (after - before) * minutes / HOUR_MINUTES
