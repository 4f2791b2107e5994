"""When a subject without records counts as silent: the rule of a baseline, as times of a ticket and of a page."""

import math
from dataclasses import dataclass
from typing import Self

from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.traffic import WEEK_HOURS, WeeklyPattern
from schemas.baseline import Baseline
from schemas.topics import HOUR_MS

LONGEST_GAPS = 3.0
"""Minimum length of a silence, as a multiple of the longest gap of the baseline, in seconds or in typical requests."""

REQUESTS_DUE = 28.0
"""Minimum number of independent requests expected during a silence. With Poisson arrivals, it is the log evidence."""

SHARE_MIN = 0.57
"""Share of the typical requests that is expected. It is the null boundary of the loss of requests, for the same reason: on
a weekend that a baseline does not know, six requests may come where a weekday has ten."""

BUSY_SHARE = 0.25
"""Share of the typical requests of the last hour from which a stream was busy. Few requests on a weekend are not."""

BUSY_SHARE_UNKNOWN = 0.5
"""The same in an hour of the week that the baseline does not know."""

PAUSED_MIN_S = 1800.0
"""Minimum seconds of a silence in a stream that pauses every day. People may end half an hour earlier."""

PAUSED_MIN_UNKNOWN_S = 3600.0
"""The same in an hour of the week that the baseline does not know, such as the first Friday afternoon."""

SLOW_HOURS = 3
"""Number of expected hours with few requests from which a day that is not known is one with few requests."""

RESUME_TICKET_S = 3600.0
"""Seconds by which requests may come later than they are expected after a pause, before a ticket."""

RESUME_PAGE_S = 7200.0
"""The same before a page: expected seconds that have passed without a request."""

WEEKS_MIN = 3
"""Number of weeks in which requests came in an hour of the week, from which their absence after a pause pages that day.
With fewer weeks, a public holiday is as likely as a failure."""

DAY_OFF_S = DAY_S
"""Seconds after the first missing requests from which a silence pages that began in a pause, if weeks are not known. One
day off is usual, and two are not."""

UNKNOWN_WEEK_S = 7 * DAY_S
"""Seconds of a silence that always page, if the baseline does not know a week, but pauses."""


@dataclass(frozen=True, slots=True)
class SilenceDue:
    """When a silence is found, in Unix milliseconds, and the requests that are typical until then.

    ``ticket_ms`` is None if there is no ticket before the page.
    """

    page_ms: int
    page_requests: float = 0.0
    ticket_ms: int | None = None
    ticket_requests: float = 0.0

    @property
    def first_ms(self) -> int:
        """Time of the first finding."""
        return self.page_ms if self.ticket_ms is None else self.ticket_ms


class SilenceRule:
    """The rule for the silences of a stream.

    A silence that begins while the stream is busy, at a time at which requests never ended, pages when enough requests are
    missing. A silence that begins or goes on in a pause is a ticket, once requests are expected again and an hour late. It
    pages if they were never missing at that hour in three weeks, or on the second day. A baseline without hours has one
    limit in seconds, and so does every baseline as its upper limit.

    Parameters
    ----------
    pattern
        What the baseline knows of each hour of the week, or None.
    limit_s
        Seconds without a record after which the subject is silent in any case.
    silence_min_s
        Minimum seconds of a silence.

    Attributes
    ----------
    least_s
        Seconds without a record before which no silence is found, whenever it begins.
    """

    def __init__(self, pattern: WeeklyPattern | None, limit_s: float, silence_min_s: float) -> None:
        self._pattern, self._limit_ms, self._min_s = pattern, round(limit_s * 1000), silence_min_s
        self.least_s = limit_s
        if pattern is None:
            return
        due = max(REQUESTS_DUE / pattern.evidence, LONGEST_GAPS * SHARE_MIN * pattern.largest_gap_requests)
        self._due = due
        highest_per_s = SHARE_MIN * float(pattern.typical.max()) / 3600
        due_s = due / highest_per_s if highest_per_s > 0.0 else limit_s
        self.least_s = min(limit_s, max(silence_min_s, due_s, PAUSED_MIN_S if pattern.has_daily_pauses else 0.0))

    @classmethod
    def from_baseline(cls, baseline: Baseline, settings: DetectSettings) -> Self:
        """Return the rule of a baseline."""
        pattern = WeeklyPattern.from_traffic(baseline.traffic)
        limit_s = longest_s(baseline.longest_gap_s, baseline.quietest_per_s, settings)
        if pattern is not None:
            gaps_s = LONGEST_GAPS * pattern.longest_gap_s
            is_week_known = pattern.is_week_known or not pattern.has_daily_pauses
            limit_s = max(limit_s, gaps_s, 0.0 if is_week_known else UNKNOWN_WEEK_S)
        return cls(pattern, limit_s, settings.silence_min_s)

    def find_due(self, last_ms: int, from_ms: int, requests: float) -> SilenceDue:
        """Return when a silence is found.

        Parameters
        ----------
        last_ms
            Time of the last record.
        from_ms
            Time from which the silence is measured. It is later than ``last_ms`` if the worker was stopped in between.
        requests
            Requests of the hour up to the last record.
        """
        pattern, limit_ms = self._pattern, from_ms + self._limit_ms
        if pattern is None:
            return SilenceDue(limit_ms)
        if pattern.may_end[_hour_of_week(last_ms)]:
            limit_ms = max(limit_ms, from_ms + round(1000 * LONGEST_GAPS * pattern.longest_pause_s))
        running, ticket = _MissingRequests(self._due, 0.0), _MissingRequests(self._due, RESUME_TICKET_S)
        weeks, day_off = (_MissingRequests(self._due, RESUME_PAGE_S) for _ in range(2))
        running.earliest_ms = from_ms + round(1000 * self._running_min_s(last_ms))
        is_running, first_known_ms = self._is_running(last_ms, from_ms, requests), limit_ms
        is_slow_day = not is_running and self._is_slow_day(last_ms)
        page_ms, ticket_ms, at_ms = limit_ms, None, from_ms
        while at_ms < page_ms:
            cell = _hour_of_week(at_ms)
            end_ms = min((at_ms // HOUR_MS + 1) * HOUR_MS, page_ms)
            per_ms = SHARE_MIN * float(pattern.typical[cell]) / HOUR_MS
            is_running = is_running and not pattern.may_end[cell]
            found = [running.add(per_ms, at_ms, end_ms)] if is_running else []
            is_slow_day = is_slow_day and bool(pattern.is_expected[cell])
            if pattern.is_expected[cell] and not is_slow_day:
                missing_ms = ticket.add(per_ms, at_ms, end_ms)
                ticket_ms = missing_ms if ticket_ms is None else ticket_ms
                if pattern.weeks[cell] and not pattern.paused[cell]:
                    first_known_ms = min(first_known_ms, at_ms)
                    if at_ms >= first_known_ms + DAY_OFF_S * 1000:
                        found.append(day_off.add(per_ms, at_ms, end_ms))
                    if pattern.weeks[cell] >= WEEKS_MIN:
                        found.append(weeks.add(per_ms, at_ms, end_ms))
            page_ms = min([page_ms, *(time_ms for time_ms in found if time_ms is not None)])
            at_ms = end_ms
        page_requests = pattern.typical_between(from_ms, page_ms)
        if ticket_ms is None or ticket_ms >= page_ms:
            return SilenceDue(page_ms, page_requests)
        return SilenceDue(page_ms, page_requests, ticket_ms, pattern.typical_between(from_ms, ticket_ms))

    def pages(self, last_ms: int, requests: float, end_ms: int) -> bool:
        """Return whether a silence up to a time pages, or does not only because it has paged at this time before.

        The second kind is normal at its own time, and says nothing about others.
        """
        pattern = self._pattern
        if pattern is not None and pattern.is_repeated[_hour_of_week(last_ms)]:
            return end_ms - last_ms >= self.least_s * 1000
        return self.find_due(last_ms, last_ms, requests).page_ms <= end_ms

    def _running_min_s(self, last_ms: int) -> float:
        """Return the minimum seconds of a silence that begins while the stream is running."""
        pattern = self._pattern
        if pattern is None or not pattern.has_daily_pauses:
            return self._min_s
        return max(self._min_s, PAUSED_MIN_S if pattern.weeks[_hour_of_week(last_ms)] else PAUSED_MIN_UNKNOWN_S)

    def _is_running(self, last_ms: int, from_ms: int, requests: float) -> bool:
        """Return whether a silence begins while the stream is busy, at a time at which requests never ended."""
        pattern = self._pattern
        if pattern is None:
            return False
        hours = range(last_ms // HOUR_MS, min(from_ms // HOUR_MS, last_ms // HOUR_MS + pattern.may_end.size) + 1)
        if any(pattern.may_end[hour % pattern.may_end.size] for hour in hours):
            return False
        if not pattern.has_daily_pauses:
            return True
        share = BUSY_SHARE if pattern.weeks[_hour_of_week(last_ms)] else BUSY_SHARE_UNKNOWN
        return requests >= share * pattern.typical_between(last_ms - HOUR_MS, last_ms)

    def _is_slow_day(self, last_ms: int) -> bool:
        """Return whether requests were expected for hours, but few came, in an hour of the week that is not known.

        On the first weekend, each of few requests would otherwise begin another silence.
        """
        pattern = self._pattern
        cells = [_hour_of_week(last_ms - back * HOUR_MS) for back in range(SLOW_HOURS)]
        return pattern is not None and not pattern.weeks[cells[0]] and all(pattern.is_expected[cell] for cell in cells)


def longest_s(longest_gap_s: float, quietest_per_s: float, settings: DetectSettings) -> float:
    """Return the seconds after which a subject is silent, whatever its hours: the limit of a baseline without them."""
    due_s = REQUESTS_DUE / quietest_per_s if quietest_per_s > 0 else 0.0
    return max(settings.silence_min_s, LONGEST_GAPS * longest_gap_s, due_s)


@dataclass(slots=True)
class _MissingRequests:
    """Requests that are missing in a silence, in the hours that count.

    Attributes
    ----------
    due
        Number of missing requests that are enough.
    delay_s
        Seconds after the start of the first hour that counts, before which they are not enough.
    earliest_ms
        The end of that time, or None before the first hour.
    """

    due: float
    delay_s: float
    earliest_ms: int | None = None
    requests: float = 0.0

    def add(self, per_ms: float, from_ms: int, to_ms: int) -> int | None:
        """Add a time with the same rate. Return when enough requests are missing, if that is before its end."""
        if self.earliest_ms is None:
            self.earliest_ms = from_ms + round(self.delay_s * 1000)
        left = max(self.due - self.requests, 0.0)
        self.requests += per_ms * (to_ms - from_ms)
        if self.requests < self.due or self.earliest_ms > to_ms:
            return None
        return max(from_ms + math.ceil(left / per_ms) if left else from_ms, self.earliest_ms)


def _hour_of_week(time_ms: int) -> int:
    return time_ms // HOUR_MS % WEEK_HOURS
