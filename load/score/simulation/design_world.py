"""Simulated service for which the detector was designed: twenty signals and 100,000 records per day."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from load.world import RecordColumns
from schemas.topics import DAY_MS

DAY_RECORDS = 100_000
"""Number of records in the day from which the baseline is learned."""

DAY_SPREAD = 0.03
"""Day-to-day standard deviation of the logarithm of a signal's level."""

Floats = NDArray[np.float64]

LOGNORMAL = {
    # signal                  median, spread, autocorrelation
    "latency_ms": (800.0, 0.6, 0.3),
    "time_to_first_token_ms": (200.0, 0.8, 0.3),
    "input_tokens": (600.0, 1.1, 0.0),
    "output_tokens": (250.0, 0.9, 0.0),
    "length": (1000.0, 0.9, 0.0),
}
RATES = {
    "error": 0.005,
    "refused": 0.01,
    "thumbs_down": 0.02,
    "corrected": 0.005,
    "filter_triggered": 0.001,
    "policy_violation": 0.0005,
    "empty": 0.0,
    "jailbreak_suspected": 0.0001,
}
BETA = {"confidence": (8.0, 2.0), "similarity": (12.0, 4.0), "retrieval_score": (5.0, 3.0)}
BURSTY_RATES = {"pii_detected": 0.002}
BURST_FACTOR = 20.0


class DesignWorld:
    """Source of evenly spaced records of the service that was used to design the detector.

    Parameters
    ----------
    seed
        Seed of the daily levels.
    start_ms
        Unix milliseconds of the first record.
    per_second
        Records per second.
    noise_seed
        Seed of all other random values.
    """

    def __init__(self, seed: int, start_ms: int, per_second: float, noise_seed: int) -> None:
        self._seed, self._random = seed, np.random.default_rng(noise_seed)
        self._clock_ms, self._interval_ms, self._next_index = float(start_ms), 1000.0 / per_second, 0
        self._last_noise: dict[str, float] = {}

    def skip_to(self, time_ms: int) -> None:
        """Skip to a time without generating the records before it."""
        self._clock_ms = max(self._clock_ms, float(time_ms))

    def draw(self, count: int) -> RecordColumns:
        """Draw the next ``count`` records."""
        times_ms = (self._clock_ms + self._interval_ms * np.arange(count)).astype(np.int64)
        self._clock_ms += self._interval_ms * count
        first_index, self._next_index = self._next_index, self._next_index + count
        traffic = self._daily_cycle(times_ms, 0.2)
        values: dict[str, Floats] = {}
        for name, (median, spread, correlation) in LOGNORMAL.items():
            level = median * traffic * self._day_level(name, times_ms)
            values[name] = level * np.exp(spread * self._noise(name, count, correlation))
        for name, rate in RATES.items():
            values[name] = self._draw_rate(rate * traffic * self._day_level(name, times_ms))
        for name, rate in BURSTY_RATES.items():
            probability = rate * traffic * self._day_level(name, times_ms)
            inside = self._draw_bursts(count)
            in_burst = np.minimum(probability * BURST_FACTOR, 0.9)
            values[name] = self._draw_rate(np.where(inside, in_burst, 0.9 * probability))
        for name, (a, b) in BETA.items():
            scale = self._daily_cycle(times_ms, 0.03) / 1.03
            values[name] = np.clip(self._random.beta(a, b, count) * scale, 0.0, 1.0)
        queue = 4.0 * traffic * np.exp(0.5 * self._noise("queue_depth", count, 0.9))
        values["queue_depth"] = self._random.poisson(queue).astype(np.float64)
        gpu = 0.5 * traffic + 0.08 * self._noise("gpu_utilization", count, 0.9)
        values["gpu_utilization"] = np.clip(gpu, 0.0, 1.0)
        values["feature_age_s"] = self._random.uniform(0, 60, count) + self._random.exponential(3, count)
        versions = [{"model": "m", "prompt": "v1", "index": "i"}] * count
        return RecordColumns(times_ms, first_index, values, versions)

    def _daily_cycle(self, times_ms: NDArray[np.int64], amplitude: float) -> Floats:
        return 1.0 + amplitude * np.sin(2 * np.pi * (times_ms % DAY_MS) / DAY_MS)

    def _day_level(self, name: str, times_ms: NDArray[np.int64]) -> Floats:
        day = int(times_ms[0] // DAY_MS)
        levels = [self._draw_level(name, day), self._draw_level(name, day + 1)]
        return np.where(times_ms // DAY_MS == day, levels[0], levels[1])

    def _draw_level(self, name: str, day: int) -> float:
        return float(np.exp(DAY_SPREAD * np.random.default_rng((self._seed, *name.encode(), day)).normal()))

    def _noise(self, name: str, count: int, correlation: float) -> Floats:
        shocks = self._random.normal(size=count)
        if not correlation:
            return shocks
        last = self._last_noise.get(name, float(self._random.normal()))
        scale = (1.0 - correlation**2) ** 0.5
        noise, _ = lfilter([1.0], [1.0, -correlation], shocks * scale, zi=np.array([correlation * last]))
        self._last_noise[name] = float(noise[-1])
        return np.asarray(noise, dtype=np.float64)

    def _draw_rate(self, probability: Floats) -> Floats:
        return (self._random.random(probability.size) < probability).astype(np.float64)

    def _draw_bursts(self, count: int) -> NDArray[np.bool_]:
        inside = np.zeros(count, dtype=bool)
        for start in np.flatnonzero(self._random.random(count) < 1 / 2000).tolist():
            inside[start : start + int(self._random.geometric(1 / 20))] = True
        return inside
