"""From a world's columns to records as JSON, quickly: tens of thousands a second."""

from collections.abc import Collection, Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from load.noise import Floats
from load.world import RATES, SIGNALS, Columns

SUBJECT = "support-bot"
REGIONS = ("ap-southeast-2", "eu-central-1", "us-east-1")
TENANTS = ("acme", "globex", "initech", "umbrella", "hooli")

FURTHER_RATES = ("hallucinated", "corrected", "clicked", "converted", "jailbreak_suspected")
"""Rates that not every service reports: a world has them where it is asked for them."""

CATEGORIES = ("fingerprint", "finish_reason")
ALL_SIGNALS = (*SIGNALS, *FURTHER_RATES, *CATEGORIES)

DECIMALS: dict[str, int] = {
    "latency_ms": 1, "time_to_first_token_ms": 1, "input_tokens": 0, "output_tokens": 0, "length": 0, "input_length": 0,
    "queue_depth": 0, "retrieved_documents": 0, "index_age_s": 1, "feature_age_s": 1,
}  # fmt: skip
"""Digits that a serving system would report; ratios get four."""

RATIO_DECIMALS = 4


def json_lines(
    columns: Columns, *, subject: str = SUBJECT, seed: int = 0, signals: Collection[str] = ALL_SIGNALS
) -> list[bytes]:
    """The records of some columns, one JSON object each, without a line's end.

    ``seed`` makes request ids of different worlds differ; region, tenant and fingerprint follow from the id. Only
    ``signals`` are reported.
    """
    return [orjson.dumps(record) for record in records(columns, subject=subject, seed=seed, signals=signals)]


def records(
    columns: Columns, *, subject: str = SUBJECT, seed: int = 0, signals: Collection[str] = ALL_SIGNALS
) -> Iterator[dict[str, Any]]:
    """The same as objects."""
    lists = {name: _listed(name, column) for name, column in columns.values.items()}
    numbers = np.arange(columns.first_index, columns.first_index + len(columns.times_ms), dtype=np.uint64)
    mixed = (numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)) >> np.uint64(16)
    kept = ([name for name in names if name in signals and name in lists] for names in _LAYOUT.values())
    sections = zip(*(_section(lists, names) for names in kept), strict=True)
    rows = zip(
        repeat(subject), numbers.tolist(), mixed.tolist(), written_times(columns.times_ms), columns.versions, sections,
        strict=False,
    )  # fmt: skip
    prefix = f"r{seed:x}-"
    categories = all(name in signals for name in CATEGORIES)
    told = _Labels(columns.labels)
    for row, (name, number, mix, time, versions, (infrastructure, output, data, safety)) in enumerate(rows):
        if categories:
            output["fingerprint"] = told.of("fingerprint", row) or f"{mix & 0xFFFFFFFF:08x}"
            output["finish_reason"] = told.of("finish_reason", row) or ("length" if mix % 37 == 0 else "stop")
        if told.some:
            infrastructure["error_type"] = told.of("error_type", row)
            data["schema_id"] = told.of("schema_id", row)
        yield {
            "subject": name,
            "request_id": f"{prefix}{number:x}",
            "timestamp": time,
            "versions": versions,
            "environment": "production",
            "segment": {
                "region": told.of("region", row) or REGIONS[mix % len(REGIONS)],
                "tenant": told.of("tenant", row) or TENANTS[mix % len(TENANTS)],
            },
            "provider": "example-ai",
            "provider_model": told.of("provider_model", row) or versions["model"],
            "infrastructure": infrastructure,
            "output": output,
            "data": data,
            "safety": safety,
        }


class _Labels:
    """The labels that a world tells, by name and row."""

    def __init__(self, labels: dict[str, list[str | None]]) -> None:
        self.some = bool(labels)
        self._labels = labels

    def of(self, name: str, row: int) -> str | None:
        """None where it tells none."""
        column = self._labels.get(name)
        return None if column is None else column[row]


def written_times(times_ms: NDArray[np.int64]) -> list[str]:
    """RFC 3339 in UTC, with milliseconds.

    >>> written_times(np.array([1795489920123]))
    ['2026-11-24T03:12:00.123Z']
    """
    texts = np.datetime_as_string(times_ms.astype("datetime64[ms]"), unit="ms")
    return [f"{text}Z" for text in texts.tolist()]


_LAYOUT: dict[str, tuple[str, ...]] = {
    "infrastructure": (
        "latency_ms", "time_to_first_token_ms", "error", "input_tokens", "output_tokens", "queue_depth",
        "gpu_utilization", "cpu_utilization",
    ),
    "output": (
        "length", "empty", "refused", "confidence", "similarity", "thumbs_down", "hallucinated", "corrected", "clicked",
        "converted",
    ),
    "data": (
        "retrieval_score", "retrieved_documents", "index_age_s", "feature_age_s", "null_fraction", "schema_valid",
        "input_length",
    ),
    "safety": ("filter_triggered", "policy_violation", "injection_score", "pii_detected", "jailbreak_suspected"),
}  # fmt: skip


def _section(lists: dict[str, list[Any]], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    columns = zip(*(lists[name] for name in names), strict=True)
    return (dict(zip(names, row, strict=True)) for row in columns)


def _listed(name: str, column: Floats) -> list[Any]:
    absent = np.isnan(column)
    if absent.any():
        found = np.full(column.size, None, dtype=object)
        found[~absent] = _listed(name, column[~absent])
        return list(found)
    if name in RATES or name in FURTHER_RATES:
        return list((column > 0).tolist())
    decimals = DECIMALS.get(name, RATIO_DECIMALS)
    rounded = np.round(column, decimals)
    return list((rounded.astype(np.int64) if decimals == 0 else rounded).tolist())
