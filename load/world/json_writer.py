"""Writer of JSON records from the columns of the simulated service, at about a hundred thousand records per second.

For speed, every column becomes a list of JSON strings. A template of the reported fields is filled with one string from
each list.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import repeat

import numpy as np

from load.json_texts import format_times, number_texts, quote_labels, rate_texts, to_json, version_texts
from load.world.noise import Floats
from load.world.record_columns import RecordColumns
from load.world.world import RATES, SIGNALS

SUBJECT = "support-bot"
REGIONS = ("ap-southeast-2", "eu-central-1", "us-east-1")
TENANTS = ("acme", "globex", "initech", "umbrella", "hooli")

OPTIONAL_RATES = ("hallucinated", "corrected", "clicked", "converted", "jailbreak_suspected")
"""Rates that are reported only if the columns contain them."""

CATEGORIES = ("fingerprint", "finish_reason")
AGENT_VALUES = ("cost", "retries", "tool_calls", "steps", "context_fraction")
AGENT_SIGNALS = (*AGENT_VALUES, "tool_error")
"""Signals of agents and budgets. They are reported only if the columns contain them."""

ALL_SIGNALS = (*SIGNALS, *OPTIONAL_RATES, *AGENT_SIGNALS, *CATEGORIES)

DECIMALS: dict[str, int] = {
    "latency_ms": 1,
    "time_to_first_token_ms": 1,
    "input_tokens": 0,
    "output_tokens": 0,
    "length": 0,
    "input_length": 0,
    "queue_depth": 0,
    "retrieved_documents": 0,
    "index_age_s": 1,
    "feature_age_s": 1,
    "cost": 6,
    "retries": 0,
    "tool_calls": 0,
    "steps": 0,
}
"""Number of decimal places that a serving system would report, by signal."""

RATIO_DECIMALS = 4
"""Number of decimal places of all other signals."""

SECTION_FIELDS: dict[str, tuple[str, ...]] = {
    "infrastructure": (
        "latency_ms",
        "time_to_first_token_ms",
        "error",
        "input_tokens",
        "output_tokens",
        "queue_depth",
        "gpu_utilization",
        "cpu_utilization",
        "error_type",
        "cost",
        "retries",
    ),
    "output": (
        "length",
        "empty",
        "refused",
        "confidence",
        "similarity",
        "thumbs_down",
        "hallucinated",
        "corrected",
        "clicked",
        "converted",
        "fingerprint",
        "finish_reason",
        "tool_error",
        "tool_calls",
        "steps",
    ),
    "data": (
        "retrieval_score",
        "retrieved_documents",
        "index_age_s",
        "feature_age_s",
        "null_fraction",
        "schema_valid",
        "input_length",
        "schema_id",
        "context_fraction",
    ),
    "safety": ("filter_triggered", "policy_violation", "injection_score", "pii_detected", "jailbreak_suspected"),
}
"""Sections of a record and their fields, in order."""

OPTIONAL_LABELS = ("error_type", "schema_id")
"""Labels without a default. They are reported only if the columns contain labels."""


def json_lines(
    columns: RecordColumns, *, subject: str = SUBJECT, seed: int = 0, signals: Collection[str] = ALL_SIGNALS
) -> list[bytes]:
    """Convert records to JSON objects, one per line, without line breaks.

    Parameters
    ----------
    columns
        Records to write. Missing labels are derived from the request id.
    subject
        Subject of the records.
    seed
        Seed of the simulated service. Services with different seeds have different request ids.
    signals
        Signals to report.
    """
    count = len(columns.times_ms)
    numbers = np.arange(columns.first_index, columns.first_index + count, dtype=np.uint64)
    hashes = ((numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)) >> np.uint64(16)).tolist()
    labels = _label_texts(columns, hashes)
    texts: list[Iterable[str]] = [
        (f'"r{seed:x}-{number:x}"' for number in numbers.tolist()),
        quote_labels(format_times(columns.times_ms)),
        version_texts(columns.versions),
        labels["region"],
        labels["tenant"],
        labels["provider_model"],
    ]
    sections = []
    for section, fields in SECTION_FIELDS.items():
        reported = [name for name in fields if _is_reported(name, columns, signals)]
        texts += [labels[name] if name in labels else _value_texts(name, columns.values[name]) for name in reported]
        sections.append(f'"{section}":{{' + ",".join(f'"{name}":%s' for name in reported) + "}")
    template = (
        f'{{"subject":{to_json(subject).replace("%", "%%")},"request_id":%s,"timestamp":%s,"versions":%s,'
        '"environment":"production","segment":{"region":%s,"tenant":%s},"provider":"example-ai","provider_model":%s,'
        + ",".join(sections)
        + "}"
    )
    return [(template % row).encode() for row in zip(*texts, strict=True)]


def _is_reported(name: str, columns: RecordColumns, signals: Collection[str]) -> bool:
    if name in OPTIONAL_LABELS:
        return bool(columns.labels)
    if name in CATEGORIES:
        return all(category in signals for category in CATEGORIES)
    return name in signals and name in columns.values


def _label_texts(columns: RecordColumns, hashes: Sequence[int]) -> dict[str, Iterable[str]]:
    """Return the JSON strings of all labels. Missing labels get defaults derived from the record's hash."""
    defaults: dict[str, Iterable[str]] = {
        "region": [REGIONS[value % len(REGIONS)] for value in hashes],
        "tenant": [TENANTS[value % len(TENANTS)] for value in hashes],
        "provider_model": [versions["model"] for versions in columns.versions],
        "fingerprint": [f"{value & 0xFFFFFFFF:08x}" for value in hashes],
        "finish_reason": ["length" if value % 37 == 0 else "stop" for value in hashes],
    }
    texts: dict[str, Iterable[str]] = {}
    for name, default in defaults.items():
        given = columns.labels.get(name)
        labels = default if given is None else (label or usual for label, usual in zip(given, default, strict=True))
        texts[name] = quote_labels(labels)
    for name in OPTIONAL_LABELS:
        texts[name] = quote_labels(columns.labels.get(name, repeat(None, len(hashes))))
    return texts


def _value_texts(name: str, column: Floats) -> list[str]:
    """Return the values of a signal as JSON. NaN becomes null."""
    if not column.size:
        return []
    if name in RATES or name in OPTIONAL_RATES or name == "tool_error":
        return rate_texts(column)
    decimals = DECIMALS.get(name, RATIO_DECIMALS)
    rounded = np.round(column, decimals)
    if decimals == 0 and not np.isnan(rounded).any():
        return number_texts(rounded.astype(np.int64))
    numbers = number_texts(rounded)
    return [text.removesuffix(".0") for text in numbers] if decimals == 0 else numbers
