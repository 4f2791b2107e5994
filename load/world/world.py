"""Simulated service: a support bot with retrieval and configurable failures.

It sends records as a serving system would. Latency, queue and utilisation depend on the same load. Levels follow the
time of day and differ from day to day. Injection attempts and filter hits come in bursts. The same seed gives the same
records.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from load.world.failure_table import SimulatedFailure
from load.world.noise import AutocorrelatedNoise, Bursts, Floats, daily_cycle, day_level, is_weekend
from load.world.record_columns import RecordColumns
from schemas.deployment import Deployment

CHUNK_RECORDS = 4096
"""Number of records generated at a time. The records of a seed depend on this number."""

TRAFFIC_AMPLITUDE = 0.2
"""Amplitude of the daily cycle of requests."""

WEEKEND_TRAFFIC = 0.6
"""Weekend requests as a share of weekday requests."""

WEEKEND_LEVEL = 1.04
"""Factor applied to latencies and lengths at weekends, when other users ask different questions."""

UTILIZATION_AMPLITUDE = 0.03
"""Amplitude of the daily cycle of utilisation, which is low because machines are added as traffic grows."""

RATES: dict[str, tuple[float, float]] = {
    # signal              probability, amplitude of the daily cycle
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
    # signal                   median, spread, share of the load in the spread, amplitude of the daily cycle
    "latency_ms": (800.0, 0.6, 0.5, 0.2),
    "time_to_first_token_ms": (200.0, 0.7, 0.5, 0.2),
    "input_tokens": (600.0, 1.0, 0.0, 0.1),
    "output_tokens": (250.0, 0.9, 0.0, 0.1),
    "length": (1000.0, 0.9, 0.0, 0.1),
    "input_length": (2400.0, 1.0, 0.0, 0.1),
}

RATIOS: dict[str, tuple[float, float, float]] = {
    # signal           parameters of a beta distribution, amplitude of the daily cycle
    "confidence": (8.0, 2.0, 0.02),
    "similarity": (12.0, 4.0, 0.02),
    "retrieval_score": (7.0, 3.0, 0.02),
    "injection_score": (1.0, 30.0, 0.02),
    "null_fraction": (1.0, 60.0, 0.02),
}

OTHER_VALUES = (
    "queue_depth",
    "gpu_utilization",
    "cpu_utilization",
    "retrieved_documents",
    "index_age_s",
    "feature_age_s",
)

SIGNALS = (*RATES, *AMOUNTS, *RATIOS, *OTHER_VALUES)

BURST_FACTOR = 20.0
"""Factor applied to the probability of a filter hit inside a burst."""

BURST_INJECTION_SHARE = 0.04
"""Share of the records inside a burst that are injection attempts."""

SHARD_INTERVAL_S = 3600.0
"""Seconds between two builds of an index shard. The index age of an answer is drawn uniformly from 0 to this value."""

INITIAL_VERSIONS = {"model": "m-2026-10", "prompt": "v41", "index": "idx-9", "flag:rerank": "on"}
"""Versions before the first deployment."""


@dataclass
class World:
    """Simulated service that answers requests from ``start_ms`` indefinitely.

    Parameters
    ----------
    seed
        Seed of the records and of the daily levels.
    start_ms
        Unix milliseconds of the first record.
    records_per_second
        Mean rate over a day. The daily cycle and the noise change the rate.
    failures
        Failures to simulate. Without failures, the service is healthy.
    deployments
        Deployments. Records after the time of a deployment contain its version.
    noise_seed
        Seed of everything except the daily levels; None means ``seed``. Instances that differ only in this seed
        simulate the same service.
    """

    SAMPLE_INTERVAL_MS: ClassVar = 450_000
    """Milliseconds from one sample to the next: eight samples per hour."""

    SAMPLE_RECORDS: ClassVar = 256
    """Number of records in a sample, which is enough to estimate the autocorrelation."""

    BOUNDED_SIGNALS: ClassVar = (
        "confidence",
        "similarity",
        "injection_score",
        "null_fraction",
        "gpu_utilization",
        "cpu_utilization",
    )
    """Signals with values from 0 to 1."""

    VERSIONED_KINDS: ClassVar = ("model", "prompt", "index")
    """Deployment kinds whose versions appear in the records under the name of the kind."""

    seed: int
    start_ms: int
    records_per_second: float = 50.0
    failures: Sequence[SimulatedFailure] = ()
    deployments: Sequence[Deployment] = ()
    noise_seed: int | None = None

    def __post_init__(self) -> None:
        if not self.records_per_second > 0:
            raise ValueError("records_per_second must be above 0")
        self._random = np.random.default_rng(self.seed if self.noise_seed is None else self.noise_seed)
        self._clock_ms = float(self.start_ms)
        self._next_index = 0
        self._load = AutocorrelatedNoise(0.9)
        self._amount_noise = {name: AutocorrelatedNoise(0.3) for name in AMOUNTS}
        self._bursts = Bursts(every=2000, length=20)
        self._versions = self._version_timeline()

    def skip_to(self, time_ms: int) -> None:
        """Skip to a time without generating the records before it."""
        self._clock_ms = max(self._clock_ms, float(time_ms))

    def draw(self, count: int = CHUNK_RECORDS) -> RecordColumns:
        """Draw the next ``count`` records."""
        random = self._random
        now_ms = np.array([int(self._clock_ms)])
        traffic = daily_cycle(now_ms, TRAFFIC_AMPLITUDE)[0] * (WEEKEND_TRAFFIC if is_weekend(now_ms)[0] else 1.0)
        gaps_ms = random.exponential(1000.0 / (self.records_per_second * traffic), size=count)
        exact_ms = self._clock_ms + np.cumsum(gaps_ms)
        self._clock_ms = float(exact_ms[-1])
        times_ms = exact_ms.astype(np.int64)
        load, bursts = self._load.draw(random, count), self._bursts.draw(random, count)
        values = self._draw_values(times_ms, load, bursts) | self._draw_rates(times_ms, bursts)
        first_index, self._next_index = self._next_index, self._next_index + count
        return RecordColumns(times_ms, first_index, values, self._versions_at(times_ms))

    def generate(self, *, until_ms: int | None = None, records: int | None = None) -> Iterator[RecordColumns]:
        """Yield records until a time (Unix ms) or a number of records is reached.

        Raises
        ------
        ValueError
            If neither limit is given.
        """
        if until_ms is None and records is None:
            raise ValueError("the simulated service never ends: give until_ms or records")
        remaining = records
        while remaining is None or remaining > 0:
            columns = self.draw()
            count = len(columns.times_ms) if remaining is None else min(remaining, len(columns.times_ms))
            if until_ms is not None:
                count = min(count, int(np.searchsorted(columns.times_ms, until_ms)))
            if count:
                yield columns.head(count)
            if count < len(columns.times_ms):
                return
            remaining = None if remaining is None else remaining - count

    def sample(self, until_ms: int, *, records: int = SAMPLE_RECORDS) -> Iterator[tuple[int, RecordColumns]]:
        """Yield a sample of records at regular times from the start up to ``until_ms``, as (Unix ms, records)."""
        for at_ms in range(self.start_ms, until_ms, self.SAMPLE_INTERVAL_MS):
            self.skip_to(at_ms)
            yield at_ms, self.draw(records)

    def _level(self, name: str, times_ms: NDArray[np.int64], amplitude: float) -> Floats:
        return daily_cycle(times_ms, amplitude) * day_level(self.seed, SIGNALS.index(name), times_ms)

    def _draw_rates(self, times_ms: NDArray[np.int64], bursts: NDArray[np.bool_]) -> dict[str, Floats]:
        rates = {}
        for name, (base, amplitude) in RATES.items():
            probability = np.full(len(times_ms), base)
            if amplitude:
                probability = probability * self._level(name, times_ms, amplitude)
            if name == "filter_triggered":
                probability = np.where(bursts, probability * BURST_FACTOR, probability)
            for failure in self.failures:
                for effect in failure.effects:
                    if effect.signal == name and effect.how == "probability":
                        strength = np.minimum(failure.strength(times_ms), 1.0)
                        probability = probability + (effect.amount - probability) * strength
            rates[name] = (self._random.random(len(times_ms)) < probability).astype(np.float64)
        return rates

    def _draw_values(self, times_ms: NDArray[np.int64], load: Floats, bursts: NDArray[np.bool_]) -> dict[str, Floats]:
        random, count = self._random, len(times_ms)
        values: dict[str, Floats] = {}
        for name, (median, spread, load_share, amplitude) in AMOUNTS.items():
            own_noise = self._amount_noise[name].draw(random, count)
            noise = np.sqrt(load_share) * load + np.sqrt(1.0 - load_share) * own_noise
            level = self._level(name, times_ms, amplitude) * np.where(is_weekend(times_ms), WEEKEND_LEVEL, 1.0)
            values[name] = median * level * np.exp(spread * noise)
        for name, (a, b, amplitude) in RATIOS.items():
            values[name] = random.beta(a, b, count) * daily_cycle(times_ms, amplitude)
        is_attempt = bursts & (random.random(count) < BURST_INJECTION_SHARE)
        attempts = np.where(is_attempt, random.beta(8.0, 2.0, count), 0.0)
        values["injection_score"] = np.maximum(values["injection_score"], attempts)
        values["queue_depth"] = random.poisson(4.0 * daily_cycle(times_ms, 0.2) * np.exp(0.5 * load)).astype(np.float64)
        values["gpu_utilization"] = 0.5 * daily_cycle(times_ms, UTILIZATION_AMPLITUDE) + 0.08 * load
        values["cpu_utilization"] = (
            0.35 * daily_cycle(times_ms, UTILIZATION_AMPLITUDE) + 0.05 * load + random.normal(0.0, 0.03, count)
        )
        values["retrieved_documents"] = random.binomial(8, 0.8, count).astype(np.float64)
        values["index_age_s"] = random.uniform(0.0, SHARD_INTERVAL_S, count)
        values["feature_age_s"] = random.uniform(0.0, 60.0, count) + random.exponential(3.0, count)
        self._apply_failures(values, times_ms)
        for name in self.BOUNDED_SIGNALS:
            values[name] = np.clip(values[name], 0.0, 1.0)
        return values

    def _apply_failures(self, values: dict[str, Floats], times_ms: NDArray[np.int64]) -> None:
        for failure in self.failures:
            strength = failure.strength(times_ms)
            if not strength.any():
                continue
            for effect in failure.effects:
                if effect.how == "factor":
                    values[effect.signal] = values[effect.signal] * (1.0 + (effect.amount - 1.0) * strength)
                elif effect.how == "offset":
                    values[effect.signal] = values[effect.signal] + effect.amount * strength
                elif effect.how == "growth":
                    since_s = np.maximum(times_ms - failure.at_ms, 0) / 1000.0
                    values[effect.signal] = values[effect.signal] + effect.amount * strength * since_s

    def _version_timeline(self) -> list[tuple[int, dict[str, str]]]:
        """Return the serving versions as ``(start in Unix ms, versions)``, in order. The first entry starts at 0."""
        timeline = [(0, dict(INITIAL_VERSIONS))]
        for deployment in sorted(self.deployments, key=lambda deployment: deployment.timestamp):
            kind = deployment.kind
            name = kind if kind in self.VERSIONED_KINDS else f"{kind}:{deployment.name}"
            if deployment.to_version is not None and name in timeline[-1][1]:
                timeline.append((deployment.timestamp, timeline[-1][1] | {name: deployment.to_version}))
        return timeline

    def _versions_at(self, times_ms: NDArray[np.int64]) -> list[dict[str, str]]:
        starts_ms = np.array([start_ms for start_ms, _ in self._versions])
        rows = np.searchsorted(starts_ms, times_ms, side="right") - 1
        return [self._versions[row][1] for row in rows.tolist()]
