"""The requests of one window of ten minutes, without the excess of a burst."""

import math
from dataclasses import astuple, dataclass
from typing import Any

WINDOW_MINUTES = 10
"""Number of minutes per window."""

BURST_DEVIATIONS = 4.0
"""Number of standard deviations above the other minutes at which the largest minute of a window is capped, because it
may be a burst, such as a job that runs once an hour."""


@dataclass(slots=True)
class WindowCount:
    """Sums over the minutes of the current window: requests, squared weights, the largest minute, and their number."""

    window: int | None = None
    requests: float = 0.0
    squares: float = 0.0
    largest: float = 0.0
    minutes: int = 0

    def add(self, minute: int, requests: float, squares: float) -> float | None:
        """Add a minute. Return the requests of its window if the window is complete, and otherwise None."""
        window = minute // WINDOW_MINUTES
        if window != self.window:
            self.window, self.minutes = window, 0
            self.requests = self.squares = self.largest = 0.0
        self.requests += requests
        self.squares += squares
        self.largest = max(self.largest, requests)
        self.minutes += 1
        return self.requests - self._burst() if self.minutes == WINDOW_MINUTES else None

    def dump(self) -> list[Any]:
        """Return the fields in order."""
        return list(astuple(self))

    def _burst(self) -> float:
        """Return the excess of the largest minute."""
        if not self.requests:
            return 0.0
        others = (self.requests - self.largest) / (WINDOW_MINUTES - 1)
        weight = self.squares / self.requests
        return max(0.0, self.largest - others - BURST_DEVIATIONS * math.sqrt(others * weight) - weight)
