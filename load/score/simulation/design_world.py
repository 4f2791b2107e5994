"""The world that the design was measured on: twenty signals, a day of 100,000 records, parameters as they were."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from load.world import DAY_MS, Columns, Floats

DAY_RECORDS = 100_000
DAY_SPREAD = 0.03

LOGNORMAL = {
    # signal                  median, spread, memory
    "latency_ms": (800.0, 0.6, 0.3),
    "time_to_first_token_ms": (200.0, 0.8, 0.3),
    "input_tokens": (600.0, 1.1, 0.0),
    "output_tokens": (250.0, 0.9, 0.0),
    "length": (1000.0, 0.9, 0.0),
}
RATES = {
    "error": 0.005, "refused": 0.01, "thumbs_down": 0.02, "corrected": 0.005, "filter_triggered": 0.001,
    "policy_violation": 0.0005, "empty": 0.0, "jailbreak_suspected": 0.0001,
}  # fmt: skip
BETA = {"confidence": (8.0, 2.0), "similarity": (12.0, 4.0), "retrieval_score": (5.0, 3.0)}
BURSTY = {"pii_detected": 0.002}
BURST_FACTOR = 20.0


class DesignWorld:
    """Records of that world, ``per_second`` of them evenly spaced.

    Parameters
    ----------
    seed
        The same seed gives the same levels of days.
    chance
        A seed for all else.
    """

    def __init__(self, seed: int, start_ms: int, per_second: float, chance: int) -> None:
        self._seed, self._random = seed, np.random.default_rng(chance)
        self._clock_ms, self._step_ms, self._index = float(start_ms), 1000.0 / per_second, 0
        self._last: dict[str, float] = {}

    def skip_to(self, time_ms: int) -> None:
        """Let time pass without records."""
        self._clock_ms = max(self._clock_ms, float(time_ms))

    def draw(self, count: int = 4096) -> Columns:
        """The next ``count`` records."""
        times_ms = (self._clock_ms + self._step_ms * np.arange(count)).astype(np.int64)
        self._clock_ms += self._step_ms * count
        first, self._index = self._index, self._index + count
        busy = self._cycle(times_ms, 0.2)
        values: dict[str, Floats] = {}
        for name, (median, spread, memory) in LOGNORMAL.items():
            values[name] = median * busy * self._day(name, times_ms) * np.exp(spread * self._noise(name, count, memory))
        for name, rate in RATES.items():
            values[name] = self._rate(rate * busy * self._day(name, times_ms))
        for name, rate in BURSTY.items():
            chance = rate * busy * self._day(name, times_ms)
            inside = self._bursts(count)
            values[name] = self._rate(np.where(inside, np.minimum(chance * BURST_FACTOR, 0.9), 0.9 * chance))
        for name, (a, b) in BETA.items():
            scale = self._cycle(times_ms, 0.03) / 1.03
            values[name] = np.clip(self._random.beta(a, b, count) * scale, 0.0, 1.0)
        queue = 4.0 * busy * np.exp(0.5 * self._noise("queue_depth", count, 0.9))
        values["queue_depth"] = self._random.poisson(queue).astype(np.float64)
        values["gpu_utilization"] = np.clip(0.5 * busy + 0.08 * self._noise("gpu_utilization", count, 0.9), 0.0, 1.0)
        values["feature_age_s"] = self._random.uniform(0, 60, count) + self._random.exponential(3, count)
        versions = [{"model": "m", "prompt": "v1", "index": "i"}] * count
        return Columns(times_ms, first, values, versions)

    def _cycle(self, times_ms: NDArray[np.int64], amplitude: float) -> Floats:
        return 1.0 + amplitude * np.sin(2 * np.pi * (times_ms % DAY_MS) / DAY_MS)

    def _day(self, name: str, times_ms: NDArray[np.int64]) -> Floats:
        day = int(times_ms[0] // DAY_MS)
        levels = [self._level(name, day), self._level(name, day + 1)]
        return np.where(times_ms // DAY_MS == day, levels[0], levels[1])

    def _level(self, name: str, day: int) -> float:
        return float(np.exp(DAY_SPREAD * np.random.default_rng((self._seed, *name.encode(), day)).normal()))

    def _noise(self, name: str, count: int, memory: float) -> Floats:
        shocks = self._random.normal(size=count)
        if not memory:
            return shocks
        last = self._last.get(name, float(self._random.normal()))
        scale = (1.0 - memory**2) ** 0.5
        noise, _ = lfilter([1.0], [1.0, -memory], shocks * scale, zi=np.array([memory * last]))
        self._last[name] = float(noise[-1])
        return np.asarray(noise, dtype=np.float64)

    def _rate(self, chance: Floats) -> Floats:
        return (self._random.random(chance.size) < chance).astype(np.float64)

    def _bursts(self, count: int) -> NDArray[np.bool_]:
        inside = np.zeros(count, dtype=bool)
        for start in np.flatnonzero(self._random.random(count) < 1 / 2000).tolist():
            inside[start : start + int(self._random.geometric(1 / 20))] = True
        return inside


Draw = Callable[[int], Columns]
