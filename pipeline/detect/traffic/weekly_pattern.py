"""What a baseline knows of a stream by hour of the week: typical requests, pauses, and when requests usually end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from schemas.baseline import Traffic, TrafficGap
from schemas.drift import MINUTE_MS

HOURS = 24
HOUR_MINUTES = 60
WEEK_HOURS = 7 * HOURS

PROFILE_DAYS_MIN = 8
"""Minimum number of days from which requests are expected by hour of the week, instead of hour of the day."""

CHANCE_DEVIATIONS = 3.0
"""Number of standard deviations up to which an hour that is known once may differ from the same hour of other days by
chance. It is then averaged with them."""

PAUSE_MINUTES_MIN = 120
"""Minimum number of minutes of a pause. It covers at least one full hour, so it shows in the hours."""

PAUSE_REQUESTS = 20.0
"""Minimum number of independent requests that the mean rate of all hours would have during a pause. A gap of 20 expected
requests is not due to chance, not even in 28 days of a sparse stream."""

PAUSED_SHARE = 0.5
"""Share of an hour from which a pause is the state of the hour, and share of such hours from which no request is expected."""

ENDS_MINUTES = 60
"""Minutes around the known start of a pause in which requests may end again: people leave earlier or later."""

DAYS_MIN = 3
"""Number of days with requests from which a pause that began only once at its time of day is not taken for a daily one."""


class Gap(NamedTuple):
    """Minutes without a record. ``begins`` is the last minute with a record."""

    begins: int
    minutes: int
    paged: bool

    def to_contract(self, first: int) -> TrafficGap:
        """Return the gap of a baseline whose hours begin in a minute."""
        return TrafficGap(after_s=60 * (self.begins - first), length_s=60 * self.minutes, paged=self.paged)


def read_gaps(traffic: Traffic, first: int) -> list[Gap]:
    """Return the gaps of a baseline whose hours begin in a minute."""
    return [Gap(first + gap.after_s // 60, gap.length_s // 60, gap.paged) for gap in traffic.gaps]


@dataclass(frozen=True, slots=True)
class WeeklyPattern:
    """The requests by UTC hour of the week. Hour 0 is the first of a Thursday, as in Unix time.

    Attributes
    ----------
    typical
        Shape ``(168,)``: requests in the hour while the stream is not paused. For hours of the week that are not known, it
        is the median of the same hour of the other days.
    weeks, paused
        Shape ``(168,)``: number of weeks in which the hour is known, and in which the stream was paused.
    is_expected
        Shape ``(168,)``: whether requests are expected. They are not at the times at which requests may end.
    may_end
        Shape ``(168,)``: whether the requests have ended within an hour of this time, on a day like this.
    is_repeated
        Shape ``(168,)``: whether gaps that paged have begun within an hour of this time, so often that they are normal.
    has_daily_pauses
        Whether the requests end for hours at the same time of several days.
    is_week_known
        Whether each hour of the week is known.
    longest_gap_s, longest_pause_s
        Longest gap that did not page, and longest pause, of which some may have paged before they were repeated.
    largest_gap_requests
        Largest number of requests that are typical during a gap that is not a pause.
    evidence
        Log evidence of one missing request: 1 for independent requests, and less if they come in bursts.
    """

    typical: NDArray[np.float64]
    weeks: NDArray[np.int16]
    paused: NDArray[np.int16]
    is_expected: NDArray[np.bool_]
    may_end: NDArray[np.bool_]
    is_repeated: NDArray[np.bool_]
    has_daily_pauses: bool
    is_week_known: bool
    longest_gap_s: float
    longest_pause_s: float
    largest_gap_requests: float
    evidence: float

    @classmethod
    def from_traffic(cls, traffic: Traffic | None) -> Self | None:
        """Return the pattern, or None if an hour of the day is not known."""
        if traffic is None or traffic.hours_from is None:
            return None
        table = _HourTable.read(traffic, traffic.hours_from)
        hours, requests, is_known, is_paused = table.hours, table.requests, table.is_known, table.is_paused
        if np.unique(hours[is_known] % HOURS).size < HOURS:
            return None
        gaps, pauses = table.gaps, table.pauses
        weeks, paused = (_count(hours[mask] % WEEK_HOURS) for mask in (is_known, is_known & is_paused))
        typical, paused_by_day = _typical(table), _share_by_day(hours, is_known, is_paused)
        share = np.where(weeks > 0, paused / np.maximum(weeks, 1), np.tile(paused_by_day, 7))
        is_active = is_known & ~is_paused & (requests > 0.0)
        active_days = np.unique(hours[is_active] // HOURS).size
        may_end, _ = _find_ends(pauses, int(hours[0]), active_days)
        long_pauses = [pause for pause in pauses if pause.minutes >= PAUSE_MINUTES_MIN]
        _, has_daily_pauses = _find_ends(long_pauses, int(hours[0]), active_days)
        is_expected = (share < PAUSED_SHARE) & ~may_end & (typical > 0.0)
        rates = typical[hours % WEEK_HOURS] / HOUR_MINUTES
        unpaged = [gap for gap in gaps if not gap.paged]
        return cls(
            typical=typical,
            weeks=weeks,
            paused=paused,
            is_expected=is_expected,
            may_end=may_end,
            is_repeated=_find_ends([pause for pause in pauses if pause.paged], int(hours[0]), active_days)[0],
            has_daily_pauses=has_daily_pauses,
            is_week_known=bool(weeks.all()),
            longest_gap_s=60.0 * max((gap.minutes for gap in unpaged), default=0),
            longest_pause_s=60.0 * max((gap.minutes for gap in pauses), default=0),
            largest_gap_requests=max((_integrate(rates, gap) for gap in unpaged if gap not in pauses), default=0.0),
            evidence=bursts_evidence(traffic.dispersion),
        )

    def typical_between(self, from_ms: int, to_ms: int) -> float:
        """Return the typical requests between two times, Unix milliseconds."""
        total, hour_ms = 0.0, HOUR_MINUTES * MINUTE_MS
        while from_ms < to_ms:
            hour = from_ms // hour_ms
            end_ms = min(to_ms, (hour + 1) * hour_ms)
            total += float(self.typical[hour % WEEK_HOURS]) * (end_ms - from_ms) / hour_ms
            from_ms = end_ms
        return total


def weekly_requests(traffic: Traffic) -> NDArray[np.float64] | None:
    """Return the typical requests by UTC hour of the week, shape ``(168,)``. Return None before a week is known.

    An hour that is known once is averaged with the same hour of the other days, unless they differ by more than chance.
    """
    if traffic.hours_from is None or len(traffic.hourly_requests) < PROFILE_DAYS_MIN * HOURS:
        return None
    table = _HourTable.read(traffic, traffic.hours_from)
    by_day = _typical_by_day(table)
    weekly = np.tile(by_day, 7)
    for hour in range(WEEK_HOURS):
        counts = table.requests[table.is_known & (table.hours % WEEK_HOURS == hour)]
        if not counts.size:
            continue
        typical, other = min(float(counts.mean()), float(np.median(counts))), weekly[hour]
        is_chance = abs(typical - other) <= CHANCE_DEVIATIONS * math.sqrt(traffic.dispersion * other)
        weekly[hour] = (typical + other) / 2 if counts.size == 1 and is_chance else typical
    return weekly


@dataclass(frozen=True, slots=True)
class _HourTable:
    """The hours of a baseline.

    Attributes
    ----------
    hours, requests, is_paused
        Shape ``(H,)``: numbers of the hours, their requests or NaN, and whether most of the hour was a pause.
    gaps, pauses
        The gaps that are normal, and those of them that are too long for chance.
    """

    hours: NDArray[np.int64]
    requests: NDArray[np.float64]
    is_paused: NDArray[np.bool_]
    gaps: Sequence[Gap]
    pauses: Sequence[Gap]

    @classmethod
    def read(cls, traffic: Traffic, from_ms: int) -> Self:
        requests = np.array([np.nan if each is None else each for each in traffic.hourly_requests], dtype=np.float64)
        known = read_gaps(traffic, 0)
        gaps = [gap for gap in known if not gap.paged or _is_repeated(gap, known)]
        is_known = np.isfinite(requests)
        per_minute = float(requests[is_known].mean()) / HOUR_MINUTES if is_known.any() else 0.0
        requests_min = PAUSE_REQUESTS / bursts_evidence(traffic.dispersion)
        # A gap that paged is long enough, and no chance once it is repeated.
        pauses = [
            gap
            for gap in gaps
            if gap.paged or (gap.minutes >= PAUSE_MINUTES_MIN and gap.minutes * per_minute >= requests_min)
        ]
        is_paused = _cover(pauses, requests.size) >= PAUSED_SHARE
        requests[is_paused & ~is_known] = 0.0
        hours = from_ms // MINUTE_MS // HOUR_MINUTES + np.arange(requests.size)
        return cls(hours, requests, is_paused, gaps, pauses)

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Mask of the hours whose requests are known, shape ``(H,)``."""
        mask: NDArray[np.bool_] = np.isfinite(self.requests)
        return mask


def _typical_by_day(table: _HourTable) -> NDArray[np.float64]:
    """Return the median of the hours without a pause by UTC hour of the day, shape ``(24,)``."""
    is_running, by_day = table.is_known & ~table.is_paused, np.zeros(HOURS)
    for hour in range(HOURS):
        of_hour = table.requests[is_running & (table.hours % HOURS == hour)]
        by_day[hour] = float(np.median(of_hour)) if of_hour.size else 0.0
    return by_day


def bursts_evidence(dispersion: float) -> float:
    """Return the log evidence of one missing request of a stream with a dispersion.

    If the rate varies as a gamma distribution, counts are negative binomial, and a count with the mean ``m`` is 0 with
    the probability ``dispersion ** (-m / (dispersion - 1))``.

    >>> [round(bursts_evidence(dispersion), 3) for dispersion in (1.0, 2.0, 10.0, 66.0)]
    [1.0, 0.693, 0.256, 0.064]
    """
    return math.log(dispersion) / (dispersion - 1.0) if dispersion > 1.0 else 1.0


def _is_repeated(gap: Gap, gaps: Sequence[Gap]) -> bool:
    """Return whether another gap began at the same time of another week, or at the same time of two other days."""
    others = [other for other in gaps if other is not gap and 2 * other.minutes >= gap.minutes]
    weekly = any(_is_near(gap.begins, other.begins, 7 * HOURS) for other in others)
    return weekly or sum(_is_near(gap.begins, other.begins, HOURS) for other in others) > 1


def _is_near(begins: int, other: int, period_hours: int) -> bool:
    period = period_hours * HOUR_MINUTES
    distance = (begins - other) % period
    return min(distance, period - distance) <= ENDS_MINUTES


def _cover(pauses: Sequence[Gap], count: int) -> NDArray[np.float64]:
    """Return the share of each hour that is in a pause, shape ``(count,)``."""
    minutes = np.zeros(count * HOUR_MINUTES)
    for pause in pauses:
        minutes[pause.begins + 1 : pause.begins + 1 + pause.minutes] = 1.0
    means: NDArray[np.float64] = minutes.reshape(count, HOUR_MINUTES).mean(axis=1)
    return means


def _count(hours: NDArray[np.int64]) -> NDArray[np.int16]:
    return np.bincount(hours, minlength=WEEK_HOURS).astype(np.int16)


def _typical(table: _HourTable) -> NDArray[np.float64]:
    """Return the mean of the hours without a pause by hour of the week, or the median by hour of the day if unknown."""
    is_running = table.is_known & ~table.is_paused
    cells = table.hours[is_running] % WEEK_HOURS
    sums = np.bincount(cells, table.requests[is_running], minlength=WEEK_HOURS)
    counts = np.bincount(cells, minlength=WEEK_HOURS)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.tile(_typical_by_day(table), 7))


def _share_by_day(
    hours: NDArray[np.int64], is_known: NDArray[np.bool_], is_paused: NDArray[np.bool_]
) -> NDArray[np.float64]:
    known, paused = (np.bincount(hours[mask] % HOURS, minlength=HOURS) for mask in (is_known, is_known & is_paused))
    shares: NDArray[np.float64] = paused / np.maximum(known, 1)
    return shares


def _find_ends(pauses: Sequence[Gap], first: int, active_days: int) -> tuple[NDArray[np.bool_], bool]:
    """Return the hours of the week in which requests may end, and whether they end at one time of several days."""
    weekly, days_by_hour = np.zeros(WEEK_HOURS, dtype=bool), np.zeros(HOURS, dtype=np.int64)
    last_day = np.full(HOURS, -1, dtype=np.int64)
    for pause in pauses:
        begins = first * HOUR_MINUTES + pause.begins
        near = np.arange((begins - ENDS_MINUTES) // HOUR_MINUTES, (begins + ENDS_MINUTES) // HOUR_MINUTES + 1)
        weekly[near % WEEK_HOURS] = True
        new = near[last_day[near % HOURS] != near // HOURS] % HOURS
        days_by_hour[new] += 1
        last_day[near % HOURS] = near // HOURS
    is_daily = days_by_hour >= (2 if active_days >= DAYS_MIN else 1)
    return weekly | np.tile(is_daily, 7), bool(is_daily.any())


def _integrate(rates: NDArray[np.float64], gap: Gap) -> float:
    """Return the typical requests during a gap. ``rates`` has the requests per minute of each hour."""
    hours, counts = np.unique(np.arange(gap.begins, gap.begins + gap.minutes + 1) // HOUR_MINUTES, return_counts=True)
    inside = hours < rates.size
    return float((rates[hours[inside]] * counts[inside]).sum())
