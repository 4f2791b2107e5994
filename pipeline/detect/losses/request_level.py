"""The recent level of the requests of a stream, and the number of requests that it leads one to expect."""

import math
from typing import Any, NamedTuple

from pipeline.detect.traffic import MinuteRequests
from schemas.drift import MINUTE_MS

LEVEL_MINUTES = 30
"""Number of minutes over which the recent level is averaged, and after which the test begins. With higher values, a
gradual change looks more like a loss."""

FROZEN_ABOVE = 0.3
"""Evidence above which the recent level stays as it is, so a loss does not become normal."""

FROZEN_CHANCE = 1.0
"""Additional evidence, times the minutes that one independent request takes. In a stream with few requests, evidence
comes and goes by chance. If its level followed only the other minutes, it would be too high."""

FROZEN_MINUTES_MAX = 120
"""Maximum number of minutes for which the recent level stays as it is before a loss is found. A change that takes longer
to show is one of the day, such as a quiet Saturday, as often as a loss."""

RISE_MAX = 1.25
"""Largest factor by which the requests must rise above the recent level because the profile rises. On the first morning
of a weekend they do not rise."""

LEVEL_DEVIATIONS = 3.0
"""Number of standard deviations above the recent level at which a count is capped before it is averaged. A burst
therefore hardly raises the level, and its end is not a loss."""

TREND_HOURS = 168
"""Number of hours over which the level relative to the baseline follows a stream that grows or shrinks: a week, so a
weekend or a campaign changes it little."""

TREND_MAX = 2.0
"""Largest level of one hour relative to the baseline that counts."""


class _Level(NamedTuple):
    """The recent level of a stream.

    ``requests`` and ``expected`` are means per minute, of capped counts and of the profile. ``weight`` is the number of
    requests that a typical record represents.
    """

    requests: float = 0.0
    expected: float = 0.0
    weight: float = 1.0

    @property
    def ratio(self) -> float:
        """Requests relative to the profile."""
        return self.requests / self.expected if self.expected > 0.0 else 0.0

    def follow(self, requests: float, expected: float, weight: float, share: float) -> "_Level":
        """Return the level after a minute, which has a share of the means."""
        return _Level(
            self.requests + share * (requests - self.requests),
            self.expected + share * (expected - self.expected),
            self.weight + share * (weight - self.weight),
        )


class RequestLevel:
    """The recent level of a stream, and the trend of its level relative to the baseline over a week.

    The number of requests that a minute should have is the smallest of three: the profile of the baseline times the
    trend, the profile times the recent level relative to it, and the recent level itself, which may rise with the
    profile by a quarter. The recent level stays as it is while there is evidence of a loss.
    """

    def __init__(self) -> None:
        self._trend = 1.0
        self._hour = -1
        self._hour_requests = self._hour_expected = 0.0
        self._minutes = self._frozen_minutes = 0
        self._level = self._latest = _Level()

    @property
    def is_ready(self) -> bool:
        """Whether the level is the mean of enough minutes."""
        return self._minutes >= LEVEL_MINUTES

    @property
    def weight(self) -> float:
        """Number of requests that a typical record represents."""
        return self._level.weight

    def expect(self, in_profile: float, *, is_open: bool) -> float:
        """Return the requests expected in a minute.

        While a loss is open, the time of day may change a lot, so the level itself is no limit.
        """
        level = self._level
        expected = in_profile * min(self._trend, level.ratio)
        if is_open:
            return expected
        rise = min(in_profile / level.expected, RISE_MAX) if level.expected > 0.0 else 1.0
        return min(expected, level.requests * max(rise, 1.0))

    def follow(
        self, one: MinuteRequests, in_profile: float, dispersion: float, *, evidence: float, freeze_max: float
    ) -> None:
        """Add a minute to the level, and its hour to the trend once the hour has ended.

        Parameters
        ----------
        in_profile, dispersion
            Requests of the minute in the profile, and the dispersion of the profile.
        evidence
            Evidence of a loss, or infinity while a loss is open.
        freeze_max
            Largest evidence up to which the level may follow.
        """
        latest = self._latest if self._minutes else _Level()
        spread = max(dispersion, latest.weight)
        requests, squares = one.requests, one.squares
        self._minutes = min(self._minutes + 1, LEVEL_MINUTES + 1)
        if self._minutes > LEVEL_MINUTES:
            cap = latest.requests + LEVEL_DEVIATIONS * math.sqrt(latest.requests * spread) + latest.weight
            requests, squares = min(requests, cap), min(squares, cap * latest.weight)
        weight = squares / requests if requests > 0.0 else latest.weight
        share = 1.0 / min(self._minutes, LEVEL_MINUTES)
        self._latest = latest.follow(requests, in_profile, weight, share)
        is_open = math.isinf(evidence)
        if not is_open and self._minutes <= LEVEL_MINUTES:
            self._level = self._latest
        elif not is_open and not self._is_frozen(evidence, spread, freeze_max):
            self._level = self._level.follow(requests, in_profile, weight, share)
        hour = one.minute * MINUTE_MS // 3_600_000
        if hour != self._hour:
            if self._hour >= 0 and self._hour_expected > 0.0 and not is_open:
                ratio = min(self._hour_requests / self._hour_expected, TREND_MAX)
                self._trend += (ratio - self._trend) / TREND_HOURS
            self._hour, self._hour_requests, self._hour_expected = hour, 0.0, 0.0
        self._hour_requests += requests
        self._hour_expected += in_profile

    def restart(self) -> None:
        """Average the level again from the beginning."""
        self._minutes, self._hour = 0, -1

    def apply_baseline(self, *, accept: bool) -> None:
        """Start again with another baseline. ``accept`` the latest level as normal."""
        self._trend = min(self._latest.ratio, TREND_MAX) if accept and self._minutes else 1.0
        self.restart()

    def dump(self) -> list[Any]:
        """Return the state for :meth:`load`."""
        hour = [self._hour, self._hour_requests, self._hour_expected]
        return [self._trend, hour, self._minutes, self._frozen_minutes, list(self._level), list(self._latest)]

    def load(self, state: list[Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self._trend, hour, self._minutes, self._frozen_minutes, level, latest = state
        self._hour, self._hour_requests, self._hour_expected = hour
        self._level, self._latest = _Level(*level), _Level(*latest)

    def _is_frozen(self, evidence: float, spread: float, freeze_max: float) -> bool:
        """Return whether the level stays as it is, because there has been evidence of a loss for a while."""
        chance = FROZEN_CHANCE * spread / self._level.requests if self._level.requests > 0.0 else freeze_max
        if evidence <= FROZEN_ABOVE + min(chance, freeze_max):
            self._frozen_minutes = 0
            return False
        self._frozen_minutes += 1
        return self._frozen_minutes <= FROZEN_MINUTES_MAX
