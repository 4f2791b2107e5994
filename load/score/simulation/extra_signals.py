"""Further signals and labels of the simulated bot: what its users do, what evaluations say, what serves it."""

import numpy as np
import orjson
from numpy.typing import NDArray

from load.world import Columns, daily_cycle, weekend

EVALUATED = 0.1
"""Share of the answers that are checked for hallucinations."""

RATES: dict[str, tuple[float, float]] = {
    # signal               probability, amplitude of its daily cycle
    "hallucinated": (0.03, 0.1),
    "corrected": (0.01, 0.2),
    "clicked": (0.3, 0.1),
    "converted": (0.05, 0.1),
    "jailbreak_suspected": (0.002, 0.2),
}

TENANTS = {"acme": 0.5, "globex": 0.25, "initech": 0.15, "umbrella": 0.07, "hooli": 0.03}
WEEKEND_TENANTS = {"acme": 0.35, "globex": 0.35, "initech": 0.2, "umbrella": 0.07, "hooli": 0.03}
"""Their shares on a weekend: the largest is an office."""

TENANT_LEVELS = {"acme": 1.0, "globex": 1.02, "initech": 0.99, "umbrella": 1.01, "hooli": 0.98}
"""Each asks a little differently: what its latencies and lengths are multiplied by."""

LEVELLED = ("latency_ms", "time_to_first_token_ms", "length", "output_tokens", "input_tokens", "input_length")
REGIONS = {"ap-southeast-2": 0.5, "eu-central-1": 0.3, "us-east-1": 0.2}
ERROR_TYPES = {"timeout": 0.6, "rate_limit": 0.3, "server_error": 0.1}
FINISH_REASONS = {"stop": 0.965, "length": 0.03, "content_filter": 0.005}
SCHEMA_ID = "orders-7"

EMBEDDING_SIZE = 16
EMBEDDING_SPREAD = 0.7
"""Of each number about its direction's."""


def widened(columns: Columns, seed: int) -> Columns:
    """The same records with further signals and labels; they depend on the seed and the records' place alone."""
    random = np.random.default_rng((seed, columns.first_index))
    count = len(columns.times_ms)
    values = dict(columns.values)
    for name, (probability, amplitude) in RATES.items():
        chance = probability * daily_cycle(columns.times_ms, amplitude)
        values[name] = (random.random(count) < chance).astype(np.float64)
    values["hallucinated"][random.random(count) >= EVALUATED] = np.nan
    tenants = _tenants(random, columns.times_ms)
    level = np.array(list(TENANT_LEVELS.values()))[tenants]
    for name in LEVELLED:
        values[name] = values[name] * level
    labels: dict[str, list[str | None]] = {
        "tenant": list(np.array(list(TENANTS), dtype=object)[tenants]),
        "region": _drawn(random, REGIONS, count),
        "finish_reason": _drawn(random, FINISH_REASONS, count),
        "error_type": _drawn(random, ERROR_TYPES, count),
        "schema_id": [SCHEMA_ID] * count,
        "provider_model": [versions["model"] for versions in columns.versions],
        "fingerprint": [f"{number:08x}" for number in random.integers(0, 1 << 32, count).tolist()],
    }
    failed = (values["error"] > 0).tolist()
    labels["error_type"] = [kind if each else None for kind, each in zip(labels["error_type"], failed, strict=True)]
    return Columns(columns.times_ms, columns.first_index, values, columns.versions, labels)


def embeddings(columns: Columns, seed: int, *, turned: NDArray[np.bool_]) -> list[list[float]]:
    """An embedding for each record: near one direction, or near another where the model has ``turned``."""
    random = np.random.default_rng((seed, columns.first_index, EMBEDDING_SIZE))
    directions = np.random.default_rng(EMBEDDING_SIZE).normal(size=(2, EMBEDDING_SIZE))
    vectors = directions[turned.astype(int)] + EMBEDDING_SPREAD * random.normal(size=(turned.size, EMBEDDING_SIZE))
    return list(np.round(vectors, 4).tolist())


def embedded(lines: list[bytes], columns: Columns, seed: int, *, turned: NDArray[np.bool_]) -> list[bytes]:
    """The lines of some columns with their embeddings."""
    found = []
    for line, embedding in zip(lines, embeddings(columns, seed, turned=turned), strict=True):
        record = orjson.loads(line)
        record["data"]["embedding"] = embedding
        found.append(orjson.dumps(record))
    return found


def _tenants(random: np.random.Generator, times_ms: NDArray[np.int64]) -> NDArray[np.intp]:
    """Each record's tenant, as its place among them."""
    chance = random.random(times_ms.size)
    usual, weekends = (np.cumsum(list(shares.values()))[:-1] for shares in (TENANTS, WEEKEND_TENANTS))
    return np.where(weekend(times_ms), weekends.searchsorted(chance, "right"), usual.searchsorted(chance, "right"))


def _drawn(random: np.random.Generator, shares: dict[str, float], count: int) -> list[str | None]:
    names = np.array(list(shares), dtype=object)
    bounds = np.cumsum(list(shares.values()))[:-1]
    return list(names[np.searchsorted(bounds, random.random(count), side="right")])
