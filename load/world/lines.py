"""From a world's columns to records as JSON, quickly: a hundred thousand a second.

Nothing is built record by record but the line itself: each column becomes a list of JSON texts, and one template,
written once for the signals that are there, takes a text of each.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from load.world.noise import Floats
from load.world.world import RATES, SIGNALS, Columns

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

LAYOUT: dict[str, tuple[str, ...]] = {
    "infrastructure": (
        "latency_ms", "time_to_first_token_ms", "error", "input_tokens", "output_tokens", "queue_depth",
        "gpu_utilization", "cpu_utilization", "error_type",
    ),
    "output": (
        "length", "empty", "refused", "confidence", "similarity", "thumbs_down", "hallucinated", "corrected", "clicked",
        "converted", "fingerprint", "finish_reason",
    ),
    "data": (
        "retrieval_score", "retrieved_documents", "index_age_s", "feature_age_s", "null_fraction", "schema_valid",
        "input_length", "schema_id",
    ),
    "safety": ("filter_triggered", "policy_violation", "injection_score", "pii_detected", "jailbreak_suspected"),
}  # fmt: skip
"""The sections of a record, and their fields in order."""

TOLD_ONLY = ("error_type", "schema_id")
"""Labels that are left out where a world tells no labels."""


def json_lines(
    columns: Columns, *, subject: str = SUBJECT, seed: int = 0, signals: Collection[str] = ALL_SIGNALS
) -> list[bytes]:
    """The records of some columns, one JSON object each, without a line's end.

    ``seed`` makes request ids of different worlds differ; region, tenant and fingerprint follow from the id where the
    columns tell none. Only ``signals`` are reported.
    """
    count = len(columns.times_ms)
    numbers = np.arange(columns.first_index, columns.first_index + count, dtype=np.uint64)
    mixed = ((numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)) >> np.uint64(16)).tolist()
    labels = _labels(columns, mixed)
    texts: list[Iterable[str]] = [
        (f'"r{seed:x}-{number:x}"' for number in numbers.tolist()),
        _quoted(written_times(columns.times_ms)),
        _texts_of_versions(columns.versions),
        labels["region"],
        labels["tenant"],
        labels["provider_model"],
    ]
    sections = []
    for section, fields in LAYOUT.items():
        there = [name for name in fields if _is_reported(name, columns, signals)]
        texts += [labels[name] if name in labels else _texts(name, columns.values[name]) for name in there]
        sections.append(f'"{section}":{{' + ",".join(f'"{name}":%s' for name in there) + "}")
    template = (
        f'{{"subject":{_text(subject).replace("%", "%%")},"request_id":%s,"timestamp":%s,"versions":%s,'
        '"environment":"production","segment":{"region":%s,"tenant":%s},"provider":"example-ai","provider_model":%s,'
        + ",".join(sections)
        + "}"
    )
    return [(template % row).encode() for row in zip(*texts, strict=True)]


def written_times(times_ms: NDArray[np.int64]) -> list[str]:
    """RFC 3339 in UTC, with milliseconds.

    >>> written_times(np.array([1795489920123]))
    ['2026-11-24T03:12:00.123Z']
    """
    texts = np.datetime_as_string(times_ms.astype("datetime64[ms]"), unit="ms")
    return [f"{text}Z" for text in texts.tolist()]


def _is_reported(name: str, columns: Columns, signals: Collection[str]) -> bool:
    if name in TOLD_ONLY:
        return bool(columns.labels)
    if name in CATEGORIES:
        return all(category in signals for category in CATEGORIES)
    return name in signals and name in columns.values


def _labels(columns: Columns, mixed: Sequence[int]) -> dict[str, Iterable[str]]:
    """The JSON texts of all labels: what is told, and else what follows from the number of the record."""
    defaults: dict[str, Iterable[str]] = {
        "region": [REGIONS[mix % len(REGIONS)] for mix in mixed],
        "tenant": [TENANTS[mix % len(TENANTS)] for mix in mixed],
        "provider_model": [versions["model"] for versions in columns.versions],
        "fingerprint": [f"{mix & 0xFFFFFFFF:08x}" for mix in mixed],
        "finish_reason": ["length" if mix % 37 == 0 else "stop" for mix in mixed],
    }
    found: dict[str, Iterable[str]] = {}
    for name, default in defaults.items():
        told = columns.labels.get(name)
        both = default if told is None else (own or usual for own, usual in zip(told, default, strict=True))
        found[name] = _quoted(both)
    for name in TOLD_ONLY:
        found[name] = _quoted(columns.labels.get(name, repeat(None, len(mixed))))
    return found


def _quoted(labels: Iterable[str | None]) -> list[str]:
    known: dict[str | None, str] = {}
    return [known.get(label) or known.setdefault(label, _text(label)) for label in labels]


def _texts_of_versions(versions: Iterable[dict[str, str]]) -> list[str]:
    # Rows share their dictionaries, which live as long as the columns: an identity names one of them.
    known: dict[int, str] = {}
    return [known.get(id(row)) or known.setdefault(id(row), _text(row)) for row in versions]


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _texts(name: str, column: Floats) -> list[str]:
    """One signal's values as JSON; a number that is absent is null."""
    if not column.size:
        return []
    if name in RATES or name in FURTHER_RATES:
        texts = np.where(column > 0, "true", "false").astype(object)
        texts[np.isnan(column)] = "null"
        return list(texts.tolist())
    decimals = DECIMALS.get(name, RATIO_DECIMALS)
    rounded = np.round(column, decimals)
    if decimals == 0 and not np.isnan(rounded).any():
        return orjson.dumps(rounded.astype(np.int64), option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1].split(",")
    listed = orjson.dumps(np.ascontiguousarray(rounded), option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1].split(",")
    return [text.removesuffix(".0") for text in listed] if decimals == 0 else listed
