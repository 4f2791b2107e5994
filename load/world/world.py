"""The world: a simulated support bot with retrieval, whose records are of the contract and whose truth is known.

It stands before the path: what comes out are records, as a serving system would send them. Latency, queue and
utilisation share one load; levels follow the time of day and differ from day to day; injection attempts and filter
hits come in bursts. The same seed gives the same world. Failures and deployments come from a :class:`load.world.plan.Plan`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from load.world.failures import failure
from load.world.noise import Autocorrelated, Bursts, Floats, daily_cycle, day_spread, weekend
from load.world.plan import Plan

CHUNK_RECORDS = 4096
"""Records drawn at once; part of what a seed means."""

TRAFFIC_AMPLITUDE = 0.2
"""How far the number of requests follows the time of day."""

WEEKEND_TRAFFIC = 0.6
"""Requests on a weekend, as a share of those of a working day."""

WEEKEND_LEVEL = 1.04
"""Latencies and lengths on a weekend: other people ask, and other things."""

SCALED_AMPLITUDE = 0.03
"""How far utilisation follows the time of day: machines are added and taken away with the traffic."""

RATES: dict[str, tuple[float, float]] = {
    # signal              probability, amplitude of its daily cycle
    "error": (0.005, 0.2),
    "empty": (0.0002, 0.0),
    "refused": (0.01, 0.2),
    "thumbs_down": (0.02, 0.2),
    "schema_valid": (0.9999, 0.0),
    "filter_triggered": (0.001, 0.2),
    "policy_violation": (0.002, 0.2),
    "pii_detected": (0.001, 0.2),
}

AMOUNTS: dict[str, tuple[float, float, float, float]] = {
    # signal                   median, spread, share of the spread that is load, amplitude of its daily cycle
    "latency_ms": (800.0, 0.6, 0.5, 0.2),
    "time_to_first_token_ms": (200.0, 0.7, 0.5, 0.2),
    "input_tokens": (600.0, 1.0, 0.0, 0.1),
    "output_tokens": (250.0, 0.9, 0.0, 0.1),
    "length": (1000.0, 0.9, 0.0, 0.1),
    "input_length": (2400.0, 1.0, 0.0, 0.1),
}

RATIOS: dict[str, tuple[float, float, float]] = {
    # signal           both parameters of a beta distribution, amplitude of its daily cycle
    "confidence": (8.0, 2.0, 0.02),
    "similarity": (12.0, 4.0, 0.02),
    "retrieval_score": (7.0, 3.0, 0.02),
    "injection_score": (1.0, 30.0, 0.02),
    "null_fraction": (1.0, 60.0, 0.02),
}

OTHERS = ("queue_depth", "gpu_utilization", "cpu_utilization", "retrieved_documents", "index_age_s", "feature_age_s")

SIGNALS = (*RATES, *AMOUNTS, *RATIOS, *OTHERS)

BOUNDED = ("confidence", "similarity", "injection_score", "null_fraction", "gpu_utilization", "cpu_utilization")
"""Signals between 0 and 1."""

BURST_FACTOR = 20.0
"""How much likelier a filter's hit is inside a burst."""

BURST_ATTEMPTS = 0.04
"""The share of records inside a burst that try to inject."""

SHARD_INTERVAL_S = 3600.0
"""The index has many shards, each rebuilt this often: an answer's index age is anything from 0 to it."""


@dataclass(frozen=True, slots=True)
class Columns:
    """``N`` records as columns: ``times_ms`` in order, ``values`` by signal (rates as 0.0 and 1.0), versions by row.

    A value that is NaN is not reported. ``labels`` are by name; a name that is absent has its usual labels.
    """

    times_ms: NDArray[np.int64]
    first_index: int
    values: dict[str, Floats]
    versions: list[dict[str, str]]
    labels: dict[str, list[str | None]] = field(default_factory=dict)


@dataclass
class World:
    """A service that answers ``records_per_second`` requests on average, from ``start_ms`` on, for ever.

    Parameters
    ----------
    seed
        The same seed gives the same records.
    start_ms
        Unix milliseconds of the first record.
    records_per_second
        Mean over a day; the daily cycle and chance move it.
    plan
        What is deployed and what fails; an empty one is a healthy service.
    chance
        A seed for everything but the levels of days, so that two worlds can be of one service. Without one it is
        ``seed``.
    """

    seed: int
    start_ms: int
    records_per_second: float = 50.0
    plan: Plan = field(default_factory=Plan)
    chance: int | None = None

    def __post_init__(self) -> None:
        if not self.records_per_second > 0:
            raise ValueError("records_per_second must be above 0")
        self._random = np.random.default_rng(self.seed if self.chance is None else self.chance)
        self._clock_ms = float(self.start_ms)
        self._index = 0
        self._load = Autocorrelated(0.9)
        self._own = {name: Autocorrelated(0.3) for name in AMOUNTS}
        self._bursts = Bursts(every=2000, length=20)
        self._timeline = self.plan.versions_by_time()

    def skip_to(self, time_ms: int) -> None:
        """Let time pass without records, as when only a sample of a long time is wanted."""
        self._clock_ms = max(self._clock_ms, float(time_ms))

    def draw(self, count: int = CHUNK_RECORDS) -> Columns:
        """The next ``count`` records."""
        random = self._random
        now = np.array([int(self._clock_ms)])
        busy = daily_cycle(now, TRAFFIC_AMPLITUDE)[0] * (WEEKEND_TRAFFIC if weekend(now)[0] else 1.0)
        gaps = random.exponential(1000.0 / (self.records_per_second * busy), size=count)
        exact = self._clock_ms + np.cumsum(gaps)
        self._clock_ms = float(exact[-1])
        times_ms = exact.astype(np.int64)
        load, bursts = self._load.draw(random, count), self._bursts.draw(random, count)
        values = self._values(times_ms, load, bursts) | self._rates(times_ms, bursts)
        first_index, self._index = self._index, self._index + count
        return Columns(times_ms, first_index, values, self._versions(times_ms))

    def _level(self, name: str, times_ms: NDArray[np.int64], amplitude: float) -> Floats:
        return daily_cycle(times_ms, amplitude) * day_spread(self.seed, SIGNALS.index(name), times_ms)

    def _rates(self, times_ms: NDArray[np.int64], bursts: NDArray[np.bool_]) -> dict[str, Floats]:
        rates = {}
        for name, (probability, amplitude) in RATES.items():
            chance = np.full(len(times_ms), probability)
            if amplitude:
                chance = chance * self._level(name, times_ms, amplitude)
            if name == "filter_triggered":
                chance = np.where(bursts, chance * BURST_FACTOR, chance)
            for change in self.plan.changes:
                for effect in failure(change.failure).effects:
                    if effect.signal == name and effect.how == "probability":
                        chance = chance + (effect.amount - chance) * np.minimum(change.strength(times_ms), 1.0)
            rates[name] = (self._random.random(len(times_ms)) < chance).astype(np.float64)
        return rates

    def _values(self, times_ms: NDArray[np.int64], load: Floats, bursts: NDArray[np.bool_]) -> dict[str, Floats]:
        random, count = self._random, len(times_ms)
        values: dict[str, Floats] = {}
        for name, (median, spread, shared, amplitude) in AMOUNTS.items():
            noise = np.sqrt(shared) * load + np.sqrt(1.0 - shared) * self._own[name].draw(random, count)
            level = self._level(name, times_ms, amplitude) * np.where(weekend(times_ms), WEEKEND_LEVEL, 1.0)
            values[name] = median * level * np.exp(spread * noise)
        for name, (a, b, amplitude) in RATIOS.items():
            values[name] = random.beta(a, b, count) * daily_cycle(times_ms, amplitude)
        attempts = np.where(bursts & (random.random(count) < BURST_ATTEMPTS), random.beta(8.0, 2.0, count), 0.0)
        values["injection_score"] = np.maximum(values["injection_score"], attempts)
        values["queue_depth"] = random.poisson(4.0 * daily_cycle(times_ms, 0.2) * np.exp(0.5 * load)).astype(np.float64)
        values["gpu_utilization"] = 0.5 * daily_cycle(times_ms, SCALED_AMPLITUDE) + 0.08 * load
        values["cpu_utilization"] = (
            0.35 * daily_cycle(times_ms, SCALED_AMPLITUDE) + 0.05 * load + random.normal(0.0, 0.03, count)
        )
        values["retrieved_documents"] = random.binomial(8, 0.8, count).astype(np.float64)
        values["index_age_s"] = random.uniform(0.0, SHARD_INTERVAL_S, count)
        values["feature_age_s"] = random.uniform(0.0, 60.0, count) + random.exponential(3.0, count)
        self._fail(values, times_ms)
        for name in BOUNDED:
            values[name] = np.clip(values[name], 0.0, 1.0)
        return values

    def _fail(self, values: dict[str, Floats], times_ms: NDArray[np.int64]) -> None:
        for change in self.plan.changes:
            strength = change.strength(times_ms)
            if not strength.any():
                continue
            for effect in failure(change.failure).effects:
                if effect.how == "factor":
                    values[effect.signal] = values[effect.signal] * (1.0 + (effect.amount - 1.0) * strength)
                elif effect.how == "offset":
                    values[effect.signal] = values[effect.signal] + effect.amount * strength
                elif effect.how == "growth":
                    since_s = np.maximum(times_ms - change.at_ms, 0) / 1000.0
                    values[effect.signal] = values[effect.signal] + effect.amount * strength * since_s

    def _versions(self, times_ms: NDArray[np.int64]) -> list[dict[str, str]]:
        starts = np.array([at for at, _ in self._timeline])
        rows = np.searchsorted(starts, times_ms, side="right") - 1
        return [self._timeline[row][1] for row in rows.tolist()]


def generate(world: World, *, until_ms: int | None = None, records: int | None = None) -> Iterator[Columns]:
    """Draw a world's records up to a time, a number, or whichever comes first.

    Raises
    ------
    ValueError
        If neither is given: a world never ends by itself.
    """
    if until_ms is None and records is None:
        raise ValueError("say until when, or how many records: a world never ends by itself")
    left = records
    while left is None or left > 0:
        columns = world.draw()
        keep = len(columns.times_ms) if left is None else min(left, len(columns.times_ms))
        if until_ms is not None:
            keep = min(keep, int(np.searchsorted(columns.times_ms, until_ms)))
        if keep:
            yield cut(columns, keep)
        if keep < len(columns.times_ms):
            return
        left = None if left is None else left - keep


def cut(columns: Columns, keep: int) -> Columns:
    """The first ``keep`` records."""
    values = {name: column[:keep] for name, column in columns.values.items()}
    labels = {name: column[:keep] for name, column in columns.labels.items()}
    return Columns(columns.times_ms[:keep], columns.first_index, values, columns.versions[:keep], labels)
