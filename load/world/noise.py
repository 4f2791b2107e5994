"""Noise of the simulated service: daily cycle, daily levels, autocorrelation and bursts, all from one seed."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from schemas.topics import DAY_MS

DAY_SPREAD = 0.03
"""Day-to-day standard deviation of the logarithm of a signal's level."""

Floats = NDArray[np.float64]


def daily_cycle(times_ms: NDArray[np.int64], amplitude: float) -> Floats:
    """Return a factor around 1 that follows the time of day, lowest at 03:00 UTC and highest at 15:00.

    >>> daily_cycle(np.array([3, 15]) * 3_600_000, 0.2).round(3).tolist()
    [0.8, 1.2]
    """
    turns = (times_ms % DAY_MS) / DAY_MS - 9 / 24
    return 1.0 + amplitude * np.sin(2 * np.pi * turns)


def is_weekend(times_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each time is on a Saturday or Sunday, in UTC.

    >>> is_weekend(np.array([0, 2, 3, 4]) * DAY_MS).tolist()
    [False, True, True, False]
    """
    # 1 January 1970 was a Thursday.
    weekend: NDArray[np.bool_] = (times_ms // DAY_MS + 3) % 7 >= 5
    return weekend


def day_level(seed: int, signal: int, times_ms: NDArray[np.int64]) -> Floats:
    """Return a factor around 1 with a random level per day, interpolated from noon to noon."""
    position = times_ms / DAY_MS - 0.5
    first = int(np.floor(position.min()))
    days = np.arange(first, int(np.floor(position.max())) + 2)
    levels = [np.random.default_rng((seed, signal, int(day) + 1)).normal(0.0, DAY_SPREAD) for day in days]
    return np.exp(np.interp(position, days, levels))


class AutocorrelatedNoise:
    """Autocorrelated (AR(1)) standard normal noise, continuous across chunks.

    Parameters
    ----------
    correlation
        Correlation of neighbouring values, from 0 to below 1. At 0.9, the autocorrelation time is about 19 values.
    """

    def __init__(self, correlation: float) -> None:
        self._correlation = correlation
        self._last: float | None = None

    def draw(self, random: np.random.Generator, count: int) -> Floats:
        """Draw the next ``count`` values."""
        shocks = random.normal(size=count)
        if self._last is None:
            self._last = float(random.normal())
        scaled = shocks * np.sqrt(1.0 - self._correlation**2)
        values, _ = lfilter([1.0], [1.0, -self._correlation], scaled, zi=np.array([self._correlation * self._last]))
        self._last = float(values[-1])
        return np.asarray(values, dtype=np.float64)


class Bursts:
    """Bursts of records, continuous across chunks.

    Parameters
    ----------
    every
        Mean number of records between the starts of two successive bursts.
    length
        Mean number of records in a burst.
    """

    def __init__(self, every: int, length: int) -> None:
        self._every = every
        self._length = length
        self._remaining = 0

    def draw(self, random: np.random.Generator, count: int) -> NDArray[np.bool_]:
        """Return whether each of the next ``count`` records is inside a burst."""
        inside = np.zeros(count, dtype=np.bool_)
        inside[: self._remaining] = True
        remaining = max(0, self._remaining - count)
        for start in np.flatnonzero(random.random(count) < 1 / self._every):
            end = int(start) + int(random.geometric(1 / self._length))
            inside[start:end] = True
            remaining = max(remaining, end - count)
        self._remaining = remaining
        return inside
