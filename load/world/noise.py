"""The noise of the simulated service: daily cycle, day-to-day spread, autocorrelation and bursts, from one seed."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

DAY_MS = 86_400_000
DAY_SPREAD = 0.03
"""Standard deviation of the logarithm of a signal's level from day to day."""

Floats = NDArray[np.float64]


def daily_cycle(times_ms: NDArray[np.int64], amplitude: float) -> Floats:
    """A factor around 1 that follows the time of day: least at 03:00 UTC, most at 15:00.

    >>> daily_cycle(np.array([3, 15]) * 3_600_000, 0.2).round(3).tolist()
    [0.8, 1.2]
    """
    turns = (times_ms % DAY_MS) / DAY_MS - 9 / 24
    return 1.0 + amplitude * np.sin(2 * np.pi * turns)


def weekend(times_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which times lie on a Saturday or Sunday, in UTC.

    >>> weekend(np.array([0, 2, 3, 4]) * DAY_MS).tolist()
    [False, True, True, False]
    """
    # The first of January 1970 was a Thursday.
    found: NDArray[np.bool_] = (times_ms // DAY_MS + 3) % 7 >= 5
    return found


def day_spread(seed: int, signal: int, times_ms: NDArray[np.int64]) -> Floats:
    """A factor around 1 that no clock explains: a level of its own each day, moving evenly from noon to noon."""
    position = times_ms / DAY_MS - 0.5
    first = int(np.floor(position.min()))
    days = np.arange(first, int(np.floor(position.max())) + 2)
    levels = [np.random.default_rng((seed, signal, int(day) + 1)).normal(0.0, DAY_SPREAD) for day in days]
    return np.exp(np.interp(position, days, levels))


class Autocorrelated:
    """Standard normal noise in which each value remembers the one before (AR(1)), across chunks.

    Parameters
    ----------
    memory
        Correlation of neighbours, 0 to below 1; 0.9 lets a value count for about 19.
    """

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._last: float | None = None

    def draw(self, random: np.random.Generator, count: int) -> Floats:
        """The next ``count`` values."""
        shocks = random.normal(size=count)
        if self._last is None:
            self._last = float(random.normal())
        scaled = shocks * np.sqrt(1.0 - self._memory**2)
        values, _ = lfilter([1.0], [1.0, -self._memory], scaled, zi=np.array([self._memory * self._last]))
        self._last = float(values[-1])
        return np.asarray(values, dtype=np.float64)


class Bursts:
    """When something comes in waves: True inside a burst, across chunks.

    Parameters
    ----------
    every
        Records from one burst's start to the next, on average.
    length
        Records of a burst, on average.
    """

    def __init__(self, every: int, length: int) -> None:
        self._every = every
        self._length = length
        self._left = 0

    def draw(self, random: np.random.Generator, count: int) -> NDArray[np.bool_]:
        """The next ``count`` records."""
        inside = np.zeros(count, dtype=np.bool_)
        inside[: self._left] = True
        left = max(0, self._left - count)
        for start in np.flatnonzero(random.random(count) < 1 / self._every):
            end = int(start) + int(random.geometric(1 / self._length))
            inside[start:end] = True
            left = max(left, end - count)
        self._left = left
        return inside
