"""The requests of each hour of up to 28 days, and the gaps between records: what a baseline knows of weeks and pauses."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pipeline.detect.traffic.request_counts import MinuteRequests
from pipeline.detect.traffic.weekly_pattern import HOUR_MINUTES, HOURS, Gap, read_gaps
from pipeline.detect.traffic.window_count import WINDOW_MINUTES, WindowCount
from schemas.baseline import TRAFFIC_HOURS_MAX, Traffic
from schemas.drift import MINUTE_MS

HOUR_WINDOWS = HOUR_MINUTES // WINDOW_MINUTES
HOUR_WINDOWS_MIN = 3
"""Minimum number of windows of an hour. With fewer, its requests are not known."""

PAUSE_MINUTES_MAX = 4 * 24 * HOUR_MINUTES
"""Maximum number of minutes without records that count as minutes without requests: four days without work. A longer gap
may be one in the input."""

RECENT_MINUTES = 60
"""Number of minutes that show whether a stream was busy before a silence."""


def _never(_begins: int, _minutes: int, /) -> bool:
    return False


class RequestHours:
    """The requests of the hours of a stream since its baseline was renewed, and the longest gap that began in each hour."""

    def __init__(self) -> None:
        self._window = WindowCount()
        self._hour: int | None = None
        self._requests, self._windows = 0.0, 0
        self._hours: dict[int, float] = {}
        self._gaps: dict[int, Gap] = {}
        self._recent: deque[tuple[int, float]] = deque()

    def add(
        self,
        minutes: Iterable[MinuteRequests],
        *,
        is_excluded: bool = False,
        pages: Callable[[int, int], bool] = _never,
    ) -> None:
        """Add minutes in order.

        Parameters
        ----------
        is_excluded
            Whether the minutes are not normal, so neither their hour nor their gaps are stored.
        pages
            Whether a gap pages, from its last minute with a record and its length in minutes. Its hours are not stored.
        """
        for minute, requests, squares, empty_after in minutes:
            if math.isnan(requests):
                self._recent.clear()
                continue
            self._add_recent(minute // WINDOW_MINUTES, requests)
            if is_excluded:
                continue
            self._add_minute(minute, requests, squares)
            if not empty_after or empty_after > PAUSE_MINUTES_MAX:
                continue
            gap = Gap(minute, empty_after, pages(minute, empty_after))
            known = self._gaps.get(minute // HOUR_MINUTES)
            if known is None or known.minutes < gap.minutes:
                self._gaps[minute // HOUR_MINUTES] = gap
            if not gap.paged:
                for empty in range(minute + 1, minute + 1 + empty_after):
                    self._add_minute(empty, 0.0, 0.0)

    @staticmethod
    def recent_from(minute: int) -> int:
        """Return the first minute of the recent requests up to a minute: the start of a window, about an hour before."""
        return (minute - RECENT_MINUTES + 1) // WINDOW_MINUTES * WINDOW_MINUTES

    def recent_requests(self, minute: int) -> float:
        """Return the requests from :meth:`recent_from` on, of the minutes that were added."""
        first = self.recent_from(minute) // WINDOW_MINUTES
        return sum(requests for window, requests in self._recent if window >= first)

    def by_hour_of_day(self) -> list[list[float]]:
        """Return the requests per window of the hours, for each UTC hour. Hours in a pause count only if all are."""
        by_hour: list[list[float]] = [[] for _ in range(HOURS)]
        for hour, requests in sorted((self._hours | self._current_hour()).items()):
            by_hour[hour % HOURS].append(requests / HOUR_WINDOWS)
        return [[count for count in counts if count > 0.0] or counts for counts in by_hour]

    def merge(self, before: Traffic | None) -> dict[str, Any]:
        """Return the fields ``hours_from``, ``hourly_requests`` and ``gaps`` of a baseline, with those of one before."""
        hours, gaps = _read(before)
        hours |= self._hours | self._current_hour()
        gaps |= self._gaps
        if not hours:
            return {}
        end = max(hours) + 1
        first = max(min(hours), end - TRAFFIC_HOURS_MAX)
        return {
            "hours_from": first * HOUR_MINUTES * MINUTE_MS,
            "hourly_requests": [hours.get(hour) for hour in range(first, end)],
            "gaps": [
                gap.to_contract(first * HOUR_MINUTES) for hour, gap in sorted(gaps.items()) if first <= hour < end
            ],
        }

    def clear(self) -> None:
        """Remove the hours that were added, because a baseline contains them, or because another normal state begins."""
        self._hours.clear()
        self._gaps.clear()

    def dump(self) -> list[Any]:
        """Return the state for :meth:`load`."""
        return [
            self._window.dump(),
            [self._hour, self._requests, self._windows],
            sorted([hour, requests] for hour, requests in self._hours.items()),
            [list(gap) for _, gap in sorted(self._gaps.items())],
            [list(recent) for recent in self._recent],
        ]

    def load(self, state: Sequence[Any] | None) -> None:
        """Restore the state that :meth:`dump` returned. Checkpoints of formats before 9 do not contain it."""
        if state is None:
            return
        window, (self._hour, self._requests, self._windows), hours, gaps, recent = state
        self._window = WindowCount(*window)
        self._hours = {int(hour): float(requests) for hour, requests in hours}
        self._gaps = {int(gap[0]) // HOUR_MINUTES: Gap(*gap) for gap in gaps}
        self._recent = deque((int(window), float(requests)) for window, requests in recent)

    def _add_recent(self, window: int, requests: float) -> None:
        if self._recent and self._recent[-1][0] == window:
            requests += self._recent.pop()[1]
        self._recent.append((window, requests))
        while self._recent[0][0] < window - RECENT_MINUTES // WINDOW_MINUTES:
            self._recent.popleft()

    def _add_minute(self, minute: int, requests: float, squares: float) -> None:
        hour = minute // HOUR_MINUTES
        if hour != self._hour:
            self._end_hour()
            self._hour, self._requests, self._windows = hour, 0.0, 0
        counted = self._window.add(minute, requests, squares)
        if counted is not None:
            self._requests += counted
            self._windows += 1

    def _current_hour(self) -> dict[int, float]:
        """Return the requests of the current hour by its number, if enough of it is known."""
        if self._hour is None or self._windows < HOUR_WINDOWS_MIN:
            return {}
        return {self._hour: float(f"{self._requests * HOUR_WINDOWS / self._windows:.6g}")}

    def _end_hour(self) -> None:
        ended = self._current_hour()
        if self._hour is None or not ended:
            return
        self._hours |= ended
        for old in [old for old in self._hours if old <= self._hour - TRAFFIC_HOURS_MAX]:
            del self._hours[old]
        for old in [old for old in self._gaps if old <= self._hour - TRAFFIC_HOURS_MAX]:
            del self._gaps[old]


def _read(traffic: Traffic | None) -> tuple[dict[int, float], dict[int, Gap]]:
    """Return the hours and the gaps of a baseline, by the number of their hour."""
    if traffic is None or traffic.hours_from is None:
        return {}, {}
    first = traffic.hours_from // MINUTE_MS // HOUR_MINUTES
    hours = {first + row: requests for row, requests in enumerate(traffic.hourly_requests) if requests is not None}
    return hours, {gap.begins // HOUR_MINUTES: gap for gap in read_gaps(traffic, first * HOUR_MINUTES)}
