"""Learn the requests per minute of each UTC hour, and how far minutes fall below the minutes around them."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.detect.traffic.request_counts import MinuteRequests
from pipeline.detect.traffic.request_hours import RequestHours
from pipeline.detect.traffic.weekly_pattern import HOUR_MINUTES, HOURS
from pipeline.detect.traffic.window_count import WINDOW_MINUTES, WindowCount
from schemas.baseline import Traffic

WINDOWS_MAX = 14 * 24 * HOUR_MINUTES // WINDOW_MINUTES
"""Maximum number of windows that are stored: those of the last 14 days."""

HOUR_WINDOWS_MIN = 3
"""Minimum number of windows of each hour, of the six of a day. With fewer in any hour, nothing is expected."""

EMPTY_MINUTES_MAX = 24 * HOUR_MINUTES
"""Maximum number of minutes without records that count as minutes without requests. A longer gap is one in the input."""

_NEIGHBOURS = 2

DIP_VARIANCE = 0.391
"""Mean of ``max(min(a, c) - b, 0)**2`` for three independent standard normal numbers."""

DIP_DEVIATION = 2.8
"""Standard deviation of the square of a dip, relative to its mean, for independent normal numbers. It includes that
neighbouring dips share counts."""

DIP_STANDARD_ERRORS = 2.0
"""Number of standard errors by which a dispersion must be above 1. Otherwise it is 1: a day has few half hours."""

DIP_WINDOWS = (1, 3)
"""Numbers of windows over which counts are compared, besides single minutes. A stream of bursts and pauses has more
variance over half an hour than its minutes show."""


class RequestWindows:
    """The requests of a stream in windows of ten minutes.

    A *dip* is the amount by which a count is below both of its neighbours. Dips show the spread downwards: bursts cause
    few, and so does a daily cycle.
    """

    def __init__(self) -> None:
        self._windows: deque[tuple[int, float]] = deque(maxlen=WINDOWS_MAX)
        self._window = WindowCount()
        self._last_counts: list[float] = []
        self._dips = _Dips()
        self._hours = RequestHours()

    def add(self, minutes: Iterable[MinuteRequests]) -> None:
        """Add minutes in order."""
        minutes = list(minutes)
        self._hours.add(minutes)
        for minute, requests, squares, empty_after in minutes:
            if math.isnan(requests):
                self._last_counts.clear()
                continue
            self._add_minute(minute, requests, squares)
            if empty_after > EMPTY_MINUTES_MAX:
                self._last_counts.clear()
                continue
            for empty in range(minute + 1, minute + 1 + empty_after):
                self._add_minute(empty, 0.0, 0.0)

    def learn(self) -> Traffic | None:
        """Return what to expect, or None if neither the windows nor the hours cover each hour of a day."""
        by_hour: list[list[float]] = [[] for _ in range(HOURS)]
        for window, requests in self._windows:
            by_hour[window * WINDOW_MINUTES // HOUR_MINUTES % HOURS].append(requests)
        if min(map(len, by_hour)) < HOUR_WINDOWS_MIN:
            # Pauses of more than a day are only in the hours.
            by_hour = self._hours.by_hour_of_day()
            if not all(by_hour):
                return None
        # A median that is above the mean belongs to a stream with pauses, and one below it to a stream with bursts.
        typical = [min(float(np.mean(counts)), float(np.median(counts))) for counts in by_hour]
        dispersions = [self._dips.dispersion(), *(self._window_dispersion(width) for width in DIP_WINDOWS)]
        per_minute = [requests / WINDOW_MINUTES for requests in typical]
        return Traffic(requests_per_minute=per_minute, dispersion=max(dispersions), **self._hours.merge(None))

    def dump(self) -> list[Any]:
        """Return the state for :meth:`load`."""
        windows = [list(content) for content in self._windows]
        return [windows, self._window.dump(), list(self._last_counts), self._dips.dump(), self._hours.dump()]

    def load(self, state: Sequence[Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        windows, current, counts, dips, *hours = state
        self._window = WindowCount(*current)
        self._windows = deque(((window, requests) for window, requests in windows), maxlen=WINDOWS_MAX)
        self._last_counts, self._dips = list(counts), _Dips(*dips)
        self._hours.load(hours[0] if hours else None)

    def _add_minute(self, minute: int, requests: float, squares: float) -> None:
        counted = self._window.add(minute, requests, squares)
        if counted is not None:
            self._windows.append((minute // WINDOW_MINUTES, counted))
        self._last_counts.append(requests)
        if len(self._last_counts) > _NEIGHBOURS:
            self._dips.add(*self._last_counts)
            del self._last_counts[0]

    def _window_dispersion(self, width: int) -> float:
        """Return the dispersion over a number of consecutive windows."""
        sums: dict[int, list[float]] = {}
        for window, requests in self._windows:
            sums.setdefault(window // width, []).append(requests)
        counts = {index: sum(parts) for index, parts in sums.items() if len(parts) == width}
        dips = _Dips()
        for index, count in counts.items():
            before, after = counts.get(index - 1), counts.get(index + 1)
            if before is not None and after is not None:
                dips.add(before, count, after)
        return dips.dispersion()


@dataclass(slots=True)
class _Dips:
    """Sums over counts: of the squared dips, of the counts, and their number."""

    squares: float = 0.0
    total: float = 0.0
    count: int = 0

    def add(self, before: float, count: float, after: float) -> None:
        """Add a count with its neighbours."""
        self.squares += max(min(before, after) - count, 0.0) ** 2
        self.total += count
        self.count += 1

    def dispersion(self) -> float:
        """Return the variance relative to the mean, or 1 if it is not clearly larger."""
        if not self.total:
            return 1.0
        dispersion = self.squares / (DIP_VARIANCE * self.total)
        error = DIP_STANDARD_ERRORS * DIP_DEVIATION / math.sqrt(self.count)
        return dispersion if dispersion > 1.0 + error else 1.0

    def dump(self) -> list[Any]:
        """Return the fields in order."""
        return [self.squares, self.total, self.count]
