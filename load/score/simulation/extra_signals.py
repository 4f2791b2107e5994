"""Extra signals and labels of the simulated bot: user actions, evaluations, tenants, regions and providers."""

from dataclasses import replace

import numpy as np
import orjson
from numpy.typing import NDArray

from load.world import RecordColumns, noise
from schemas.topics import DAY_MS, HOUR_MS

EVALUATED_SHARE = 0.1
"""Share of the answers that are checked for hallucinations."""

RATES: dict[str, tuple[float, float]] = {
    # signal               probability, amplitude of the daily cycle
    "hallucinated": (0.03, 0.1),
    "corrected": (0.01, 0.2),
    "clicked": (0.3, 0.1),
    "converted": (0.05, 0.1),
    "jailbreak_suspected": (0.002, 0.2),
}

TENANTS = {"acme": 0.5, "globex": 0.25, "initech": 0.15, "umbrella": 0.07, "hooli": 0.03}
"""Share of each tenant in weekday traffic."""

WEEKEND_TENANTS = {"acme": 0.35, "globex": 0.35, "initech": 0.2, "umbrella": 0.07, "hooli": 0.03}
"""Share of each tenant in weekend traffic. The largest tenant is used in office hours, so its share is lower."""

TENANT_LEVELS = {"acme": 1.0, "globex": 1.02, "initech": 0.99, "umbrella": 1.01, "hooli": 0.98}
"""Factors applied to the latencies and lengths of each tenant, because tenants send slightly different requests."""

TENANT_SIGNALS = ("latency_ms", "time_to_first_token_ms", "length", "output_tokens", "input_tokens", "input_length")
"""Signals whose level differs by tenant."""

REGIONS = {"ap-southeast-2": 0.5, "eu-central-1": 0.3, "us-east-1": 0.2}
ERROR_TYPES = {"timeout": 0.6, "rate_limit": 0.3, "server_error": 0.1}
FINISH_REASONS = {"stop": 0.965, "length": 0.03, "content_filter": 0.005}
SCHEMA_ID = "orders-7"

TOOL_ERROR, RETRY = 0.01, 0.03
"""Probabilities that a tool call of a request fails, and that a request needs a retry."""

INPUT_PRICE, OUTPUT_PRICE = 2e-6, 8e-6
"""Price of one token."""

CONTEXT_WINDOW = 16_384
"""Number of tokens in the context window."""

REBUILD_HOUR = 2.0
"""Hour of the day at which the rebuild of an index is due, if it is rebuilt every night."""

REBUILD_JITTER_S = 180.0
"""Largest difference between the time of a rebuild and the time at which it is due."""

EMBEDDING_SIZE = 16
EMBEDDING_SPREAD = 0.7
"""Standard deviation of the components of an embedding around their mean direction."""


def add_extra_signals(columns: RecordColumns, seed: int) -> RecordColumns:
    """Return the records with extra signals and labels. The additions depend only on the seed and the record index."""
    random = np.random.default_rng((seed, columns.first_index))
    count = len(columns.times_ms)
    values = dict(columns.values)
    for name, (base, amplitude) in RATES.items():
        probability = base * noise.daily_cycle(columns.times_ms, amplitude)
        values[name] = (random.random(count) < probability).astype(np.float64)
    values["hallucinated"][random.random(count) >= EVALUATED_SHARE] = np.nan
    tenants = _draw_tenants(random, columns.times_ms)
    levels = np.array(list(TENANT_LEVELS.values()))[tenants]
    for name in TENANT_SIGNALS:
        values[name] = values[name] * levels
    labels: dict[str, list[str | None]] = {
        "tenant": list(np.array(list(TENANTS), dtype=object)[tenants]),
        "region": _draw_labels(random, REGIONS, count),
        "finish_reason": _draw_labels(random, FINISH_REASONS, count),
        "error_type": _draw_labels(random, ERROR_TYPES, count),
        "schema_id": [SCHEMA_ID] * count,
        "provider_model": [versions["model"] for versions in columns.versions],
        "fingerprint": [f"{number:08x}" for number in random.integers(0, 1 << 32, count).tolist()],
    }
    failed = (values["error"] > 0).tolist()
    labels["error_type"] = [
        label if is_error else None for label, is_error in zip(labels["error_type"], failed, strict=True)
    ]
    return RecordColumns(columns.times_ms, columns.first_index, values, columns.versions, labels)


def add_agent_signals(columns: RecordColumns, seed: int) -> RecordColumns:
    """Return the records with the signals of an agent and of its budget. They depend only on the seed and the index.

    Two requests in three need no tool. The others need more calls by day than by night, and each result of a tool fills
    the context window further.
    """
    random = np.random.default_rng((seed, columns.first_index, len(TENANTS)))
    values, count = columns.values, len(columns.times_ms)
    needs_tool = random.random(count) < 0.33 * noise.daily_cycle(columns.times_ms, 0.1)
    tool_calls = np.where(needs_tool, random.geometric(0.5, count), 0).astype(np.float64)
    steps = tool_calls + 1.0
    retries = (random.random(count) < RETRY * noise.daily_cycle(columns.times_ms, 0.3)) * random.geometric(0.8, count)
    tokens = values["input_tokens"] * steps
    cost = INPUT_PRICE * tokens + OUTPUT_PRICE * values["output_tokens"] * steps
    agent_values = {
        "cost": cost,
        "retries": retries.astype(np.float64),
        "tool_error": (random.random(count) < TOOL_ERROR).astype(np.float64),
        "tool_calls": tool_calls,
        "steps": steps,
        "context_fraction": np.minimum(tokens / CONTEXT_WINDOW, 1.0),
    }
    return replace(columns, values=values | agent_values)


def add_rebuilds(columns: RecordColumns, seed: int, *, missed_from_ms: int | None = None) -> RecordColumns:
    """Return the records with the age of an index that is rebuilt every night, a few minutes early or late.

    The rebuilds that are due in the hour before ``missed_from_ms`` and later are missed.
    """
    due_ms = round(REBUILD_HOUR * HOUR_MS)
    nights = (columns.times_ms - due_ms) // DAY_MS
    first, last = int(nights.min()) - 1, int(nights.max()) + 1
    if missed_from_ms is not None:
        last = min(last, (missed_from_ms - HOUR_MS - due_ms) // DAY_MS)
        first = min(first, last)
    jitters = [np.random.default_rng((seed, night)).uniform(-1.0, 1.0) for night in range(first, last + 1)]
    rebuilt_ms = np.arange(first, last + 1) * DAY_MS + due_ms + REBUILD_JITTER_S * 1000.0 * np.array(jitters)
    newest = np.searchsorted(rebuilt_ms, columns.times_ms, side="right") - 1
    return replace(columns, values=columns.values | {"index_age_s": (columns.times_ms - rebuilt_ms[newest]) / 1000.0})


def add_embeddings(
    lines: list[bytes], columns: RecordColumns, seed: int, *, model_changed: NDArray[np.bool_]
) -> list[bytes]:
    """Return the lines of the given columns after adding an embedding to every line.

    Embeddings lie near one direction, or near a second direction where ``model_changed``, shape ``(N,)``, is true.
    """
    random = np.random.default_rng((seed, columns.first_index, EMBEDDING_SIZE))
    directions = np.random.default_rng(EMBEDDING_SIZE).normal(size=(2, EMBEDDING_SIZE))
    shifts = EMBEDDING_SPREAD * random.normal(size=(model_changed.size, EMBEDDING_SIZE))
    embeddings = np.round(directions[model_changed.astype(int)] + shifts, 4).tolist()
    embedded = []
    for line, embedding in zip(lines, embeddings, strict=True):
        record = orjson.loads(line)
        record["data"]["embedding"] = embedding
        embedded.append(orjson.dumps(record))
    return embedded


def _draw_tenants(random: np.random.Generator, times_ms: NDArray[np.int64]) -> NDArray[np.intp]:
    """Draw the tenant of each record, as an index into the list of tenants."""
    draws = random.random(times_ms.size)
    workday, weekend = (np.cumsum(list(shares.values()))[:-1] for shares in (TENANTS, WEEKEND_TENANTS))
    is_weekend = noise.is_weekend(times_ms)
    return np.where(is_weekend, weekend.searchsorted(draws, "right"), workday.searchsorted(draws, "right"))


def _draw_labels(random: np.random.Generator, shares: dict[str, float], count: int) -> list[str | None]:
    names = np.array(list(shares), dtype=object)
    bounds = np.cumsum(list(shares.values()))[:-1]
    return list(names[np.searchsorted(bounds, random.random(count), side="right")])
