"""The support assistant: a service with an answer cache, a nightly index, tenants with their own hours, and jobs.

Levels follow the hour of the day and the weekday, and differ from day to day. Many values are whole numbers, or zero in
most records. Ratings, evaluations and embeddings exist for few records only. The records of a period depend only on the
seed, the period and its conditions, so two runs that share a seed are equal until their events.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load.score.assistant.arrivals import BATCH_TENANT, CRON_TENANT, NEW_TENANT, TENANTS, draw_arrivals
from load.score.assistant.events import Stage
from load.score.assistant.smooth_noise import smooth_noise
from load.world import RecordColumns, noise
from schemas.topics import DAY_MS, HOUR_MS

HEALTHY = Stage()

CACHE_MS, CACHE_SPREAD = 8.0, 0.25
"""Median latency of an answer from the cache, and the standard deviation of its logarithm."""

FIRST_TOKEN_MS, TOKEN_MS = 350.0, 9.0
"""Milliseconds until the model's first token, and milliseconds per token, at the mean load."""

CONFIDENCE, CONFIDENCE_SPREAD = 0.72, 0.1

REBUILD_HOUR, REBUILD_JITTER_S = 2.2, 240.0
"""Hour (UTC) at which the nightly rebuild of the index ends, and the largest difference from it, in seconds."""

REFRESH_S = 300.0
"""Seconds between two updates of the features. Their age grows from 0 to this value."""

RATED_SHARE, EVALUATED_SHARE, EMBEDDED_SHARE, LINKED_SHARE = 0.03, 0.03, 0.05, 0.6
"""Shares of the answers that are rated, that are evaluated, whose input is logged as an embedding, and that show links."""

RATES: dict[str, float] = {
    "empty": 0.0003,
    "refused": 0.01,
    "thumbs_down": 0.15,
    "hallucinated": 0.04,
    "corrected": 0.01,
    "clicked": 0.3,
    "schema_valid": 0.9995,
    "filter_triggered": 0.002,
    "policy_violation": 0.001,
    "pii_detected": 0.001,
    "jailbreak_suspected": 0.001,
    "custom.english": 0.92,
}
"""Probabilities of the rates, among the records that report them."""

ERROR, TOOL_ERROR, RETRY, CALLS_TOOLS = 0.004, 0.01, 0.03, 0.45
INPUT_PRICE, OUTPUT_PRICE = 2e-6, 8e-6
CONTEXT_TOKENS = 16_384
DOCUMENTS = 8
REGIONS = ("eu-central-1", "us-east-1")
QUESTIONS = 150
"""Number of frequent questions whose answers are in the cache."""

FINISH_REASONS = {"stop": 0.97, "length": 0.025, "content_filter": 0.005}
ERROR_TYPES = {"timeout": 0.5, "rate_limit": 0.4, "server_error": 0.1}
MODEL, PROMPT = "m-2026-09", "p-12"

WEEKEND_LEVEL = 1.05
"""Factor applied to the lengths at weekends."""

LOAD_SPREAD = 0.12
"""Standard deviation of the logarithm of the load over tens of minutes."""

ATTACK_EVERY, ATTACK_LENGTH, ATTACK_SHARE = 4000, 6, 0.2
"""Mean number of records between two series of injection attempts, mean number of records in a series, and the share of
them that is an attempt."""


@dataclass(frozen=True, slots=True)
class Assistant:
    """The support assistant.

    Parameters
    ----------
    seed
        Seed of all records.
    per_second
        Mean requests per second of a weekday.
    office
        Whether it is used by an office only, from 08:00 to 18:00 UTC, Monday to Friday.
    """

    seed: int
    per_second: float = 2.0
    office: bool = False

    def draw(self, start_ms: int, end_ms: int, stage: Stage = HEALTHY, since_ms: int = 0) -> RecordColumns:
        """Draw the records from ``start_ms`` up to ``end_ms`` (Unix ms, the same day) in a stage since ``since_ms``.

        The columns contain ``cached``, which is not a field of a record.
        """
        random = np.random.default_rng((self.seed, start_ms))
        arrivals = draw_arrivals(random, self.seed, start_ms, end_ms, self.per_second, stage, office=self.office)
        times_ms, tenants = arrivals.times_ms, arrivals.tenants
        values = self._draw_values(random, times_ms, tenants, stage, since_ms)
        count = times_ms.size
        labels: dict[str, list[str | None]] = {
            "tenant": list(tenants),
            "region": list(np.array(REGIONS, dtype=object)[(random.random(count) < 0.3).astype(int)]),
            "finish_reason": _draw_labels(random, FINISH_REASONS, count),
            "error_type": _draw_labels(random, ERROR_TYPES, count),
            "fingerprint": self._draw_fingerprints(random, times_ms, values["cached"]),
            "schema_id": ["question-3"] * count,
            "provider_model": [MODEL] * count,
        }
        for row in np.flatnonzero(values["error"] == 0).tolist():
            labels["error_type"][row] = None
        return RecordColumns(times_ms, start_ms, values, self._versions(times_ms), labels)

    def draw_periods(
        self, start_ms: int, end_ms: int, stages: Sequence[Stage] = (), event_ms: int = 0
    ) -> Iterator[tuple[int, RecordColumns]]:
        """Yield the records from ``start_ms`` up to ``end_ms`` in periods of at most an hour, each with its end (Unix ms).

        The conditions are those of the last stage that has begun and not ended, relative to ``event_ms``.
        """
        spans = [
            (
                stage,
                event_ms + round(stage.after_min * 60_000),
                event_ms + round((stage.after_min + stage.for_min) * 6e4),
            )
            for stage in stages
        ]
        edges = {event_ms} | {time_ms for _, from_ms, to_ms in spans for time_ms in (from_ms, to_ms)}
        at_ms = start_ms
        while at_ms < end_ms:
            hour_ms = (at_ms // HOUR_MS + 1) * HOUR_MS
            until_ms = min([hour_ms, end_ms, *(edge for edge in edges if edge > at_ms)])
            current = [(stage, from_ms) for stage, from_ms, to_ms in spans if from_ms <= at_ms < to_ms]
            stage, since_ms = current[-1] if current else (HEALTHY, at_ms)
            yield until_ms, self.draw(at_ms, until_ms, stage, since_ms)
            at_ms = until_ms

    def rebuilt_ms(self, night: int) -> int:
        """Return when the rebuild of a day (days since 1970) ends, in Unix milliseconds."""
        jitter_s = np.random.default_rng((self.seed, night, 7)).uniform(-REBUILD_JITTER_S, REBUILD_JITTER_S)
        return night * DAY_MS + round(REBUILD_HOUR * HOUR_MS + jitter_s * 1000)

    def _level(self, name: str, times_ms: NDArray[np.int64], amplitude: float) -> noise.Floats:
        number = int.from_bytes(name.encode()[:6], "big")
        return noise.daily_cycle(times_ms, amplitude) * noise.day_level(self.seed, number, times_ms)

    def _draw_values(
        self,
        random: np.random.Generator,
        times_ms: NDArray[np.int64],
        tenants: NDArray[np.object_],
        stage: Stage,
        since_ms: int,
    ) -> dict[str, noise.Floats]:
        count = times_ms.size
        if not count:
            return dict.fromkeys(VALUE_NAMES, np.zeros(0))
        lengths, confidence = _tenant_levels(tenants)
        is_job = (tenants == CRON_TENANT) | (tenants == BATCH_TENANT)
        cached = (random.random(count) < stage.cache) & ~is_job
        model = ~cached
        load = np.exp(LOAD_SPREAD * smooth_noise(self.seed, "load", times_ms)) * self._level("load", times_ms, 0.3)
        failed = random.random(count) < ERROR
        answered = ~failed
        calls = np.where(model & (random.random(count) < CALLS_TOOLS), 1 + random.poisson(0.8, count), 0)
        turns = random.geometric(0.45, count)
        weekend = np.where(noise.is_weekend(times_ms), WEEKEND_LEVEL, 1.0)
        input_length = np.round(260.0 * lengths * weekend * turns**0.6 * np.exp(0.7 * random.normal(size=count)))
        input_tokens = np.round(420.0 + input_length / 4.2 + 700.0 * model + 180.0 * turns)
        output_tokens = 1 + np.round(220.0 * weekend * np.exp(0.6 * random.normal(size=count)))
        first_token = FIRST_TOKEN_MS * load * np.exp(0.4 * random.normal(size=count))
        generated = TOKEN_MS * output_tokens * load**0.5 * np.exp(0.1 * random.normal(size=count))
        from_cache = np.maximum(1.0, CACHE_MS * np.exp(CACHE_SPREAD * random.normal(size=count)))
        retries = np.where(model & (random.random(count) < RETRY), random.geometric(0.7, count), 0)
        latency = np.where(cached, from_cache, first_token + generated + 400.0 * calls + 900.0 * retries)
        price = np.where(model, INPUT_PRICE * input_tokens + OUTPUT_PRICE * output_tokens, 0.0)
        attacks = noise.Bursts(ATTACK_EVERY, ATTACK_LENGTH).draw(random, count)
        evaluated = answered & (random.random(count) < EVALUATED_SHARE)
        rated = answered & ~is_job & (random.random(count) < RATED_SHARE * stage.feedback)
        linked = answered & ~is_job & (random.random(count) < LINKED_SHARE)
        values: dict[str, noise.Floats] = {
            "cached": cached.astype(float),
            "latency_ms": np.asarray(np.round(latency), dtype=np.float64),
            "time_to_first_token_ms": np.where(model, np.round(first_token), np.nan),
            "error": failed.astype(float),
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "queue_depth": np.where(cached, 0, random.poisson(1.5 * load**2)).astype(float),
            "gpu_utilization": np.clip(
                0.42 * self._level("gpu", times_ms, 0.45) + 0.06 * random.normal(size=count), 0.0, 1.0
            ),
            "cost": price * (1 + retries),
            "retries": retries.astype(float),
            "length": np.round(4.2 * output_tokens * np.exp(0.1 * random.normal(size=count))),
            "confidence": np.clip(
                CONFIDENCE * noise.daily_cycle(times_ms, 0.01)
                + confidence
                + CONFIDENCE_SPREAD * random.normal(size=count),
                0.0,
                1.0,
            ),
            "similarity": np.clip(0.8 + 0.08 * random.normal(size=count), -1.0, 1.0),
            "tool_error": (random.random(count) < TOOL_ERROR).astype(float),
            "tool_calls": calls.astype(float),
            "steps": 1.0 + calls,
            "retrieval_score": np.clip(0.78 + 0.07 * random.normal(size=count), 0.0, 1.0),
            "retrieved_documents": random.binomial(DOCUMENTS, 0.85, count).astype(float),
            "index_age_s": self._draw_index_ages(random, times_ms, stage, since_ms),
            "feature_age_s": np.round(
                (times_ms / 1000.0 + self.seed * 37) % REFRESH_S + random.exponential(2.0, count)
            ),
            "null_fraction": np.where(random.random(count) < 0.2, np.round(random.beta(1.0, 12.0, count), 3), 0.0),
            "context_fraction": np.clip(input_tokens / CONTEXT_TOKENS, 0.0, 1.0),
            "input_length": input_length,
            "injection_score": np.where(
                attacks & (random.random(count) < ATTACK_SHARE),
                random.beta(8.0, 2.0, count),
                random.beta(1.0, 30.0, count),
            ),
        }
        for name, probability in RATES.items():
            values[name] = (random.random(count) < probability).astype(float)
        for names, is_reported in (
            (("length", "empty", "refused", "confidence", "corrected", "policy_violation", "pii_detected"), answered),
            (("hallucinated", "similarity"), evaluated),
            (("thumbs_down",), rated),
            (("clicked",), linked),
            (("tool_error",), calls > 0),
            (("retrieval_score", "retrieved_documents"), model),
        ):
            for name in names:
                values[name] = np.where(is_reported, values[name], np.nan)
        values["embedded"] = (random.random(count) < EMBEDDED_SHARE).astype(float)
        return values

    def _draw_index_ages(
        self, random: np.random.Generator, times_ms: NDArray[np.int64], stage: Stage, since_ms: int
    ) -> noise.Floats:
        """Return the age of the index at each time. The stage changes only the rebuilds that are due in it."""
        day = int(times_ms[0] // DAY_MS)
        rebuilt = np.array([self.rebuilt_ms(night) for night in range(day - 4, day + 1)])
        is_affected = rebuilt >= since_ms
        rebuilt = rebuilt + is_affected * round(stage.rebuild_late_h * HOUR_MS)
        newest = np.searchsorted(rebuilt, times_ms, side="right") - 1
        stale = (random.random(times_ms.size) < stage.stale_share) & is_affected[newest]
        return np.asarray(np.round((times_ms - rebuilt[np.maximum(newest - stale, 0)]) / 1000.0), dtype=np.float64)

    def _draw_fingerprints(
        self, random: np.random.Generator, times_ms: NDArray[np.int64], cached: noise.Floats
    ) -> list[str | None]:
        questions = np.minimum(random.geometric(0.03, times_ms.size), QUESTIONS).tolist()
        numbers = random.integers(1 << 40, size=times_ms.size).tolist()
        return [
            f"q{question}" if is_cached else f"{number:010x}"
            for question, number, is_cached in zip(questions, numbers, cached.tolist(), strict=True)
        ]

    def _versions(self, times_ms: NDArray[np.int64]) -> list[dict[str, str]]:
        """Return the versions of each record. Every night, the index gets a new one."""
        if not times_ms.size:
            return []
        day = int(times_ms[0] // DAY_MS)
        rebuilt_ms = self.rebuilt_ms(day)
        older, newer = ({"model": MODEL, "prompt": PROMPT, "index": f"i-{night}"} for night in (day - 1, day))
        return [newer if time_ms >= rebuilt_ms else older for time_ms in times_ms.tolist()]


VALUE_NAMES = (
    *("cached", "latency_ms", "time_to_first_token_ms", "error", "input_tokens", "output_tokens", "queue_depth"),
    *("gpu_utilization", "cost", "retries", "length", "confidence", "similarity", "tool_error", "tool_calls", "steps"),
    *("retrieval_score", "retrieved_documents", "index_age_s", "feature_age_s", "null_fraction", "context_fraction"),
    *("input_length", "injection_score", "embedded", *RATES),
)
"""Columns of the records."""


def _tenant_levels(tenants: NDArray[np.object_]) -> tuple[noise.Floats, noise.Floats]:
    """Return the factor of the lengths and the difference of the confidence, by record."""
    lengths, confidence = np.ones(tenants.size), np.zeros(tenants.size)
    for tenant in (*TENANTS, NEW_TENANT):
        rows = tenants == tenant.name
        lengths[rows], confidence[rows] = tenant.lengths, tenant.confidence
    lengths[tenants == BATCH_TENANT] = 2.5
    lengths[tenants == CRON_TENANT] = 0.5
    return lengths, confidence


def _draw_labels(random: np.random.Generator, shares: dict[str, float], count: int) -> list[str | None]:
    names = np.array(list(shares), dtype=object)
    bounds = np.cumsum(list(shares.values()))[:-1]
    return list(names[np.searchsorted(bounds, random.random(count), side="right")])
