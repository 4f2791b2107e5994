"""The signal catalogue: all signals with their field in a record, bad direction, failure mode and role.

To add a signal, add one row here, one field to ``schemas/record.py`` and one line to ``docs/signals.md``.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from schemas.baseline import SignalKind
from schemas.drift import Layer
from schemas.record import AMOUNT_MAX

Direction = Literal["up", "down", "both"]
"""The bad direction. A change in the other direction is an improvement."""

Role = Literal["pages", "tickets", "cause", "off"]
"""Highest tier of a signal's drifts. A cause (workload) never alerts. It only supports a diagnosis. A signal that is off is
not monitored, which only the configuration decides."""

DERIVED = "derived"
"""The section of signals that are computed rather than sent."""


class SmallestEffect(NamedTuple):
    """The smallest change of a signal that matters.

    ``kind`` is the key in the configuration: ``smallest_change`` (in the unit of the signal), ``smallest_relative_change`` or
    ``smallest_odds_ratio``.
    """

    kind: str
    size: float


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal. A record contains it in ``section`` and ``field``. Valid values are between ``low`` and ``high``.

    ``smallest`` is the smallest change that matters, or None if nobody has configured one.
    """

    name: str
    section: str
    field: str
    layer: Layer
    kind: SignalKind
    direction: Direction
    unit: str
    failure_mode: str
    role: Role
    low: float = 0.0
    high: float = AMOUNT_MAX
    smallest: SmallestEffect | None = None


def _row(
    name: str,
    layer: Layer,
    kind: SignalKind,
    direction: Direction,
    unit: str,
    failure_mode: str,
    role: Role,
    low: float = 0.0,
    high: float | None = None,
) -> Signal:
    if high is None:
        high = 1.0 if kind in ("rate", "ratio") else AMOUNT_MAX
    return Signal(name, layer, name, layer, kind, direction, unit, failure_mode, role, low, high)


def _derived_row(
    name: str, layer: Layer, kind: SignalKind, direction: Direction, unit: str, failure_mode: str, role: Role
) -> Signal:
    """Return a signal that is computed from records. See ``pipeline/detect/blocks/derived.py``."""
    low, high = (-1.0 if name == "embedding_similarity" else 0.0), 1.0 if kind != "amount" else AMOUNT_MAX
    return Signal(name, DERIVED, name, layer, kind, direction, unit, failure_mode, role, low, high)


SIGNALS: tuple[Signal, ...] = (
    # name, layer, kind, bad direction, unit, failure mode, role
    _row("latency_ms", "infrastructure", "amount", "up", "ms", "latency_degradation", "pages"),
    _row("time_to_first_token_ms", "infrastructure", "amount", "up", "ms", "latency_degradation", "pages"),
    _row("error", "infrastructure", "rate", "up", "", "outage", "pages"),
    _row("input_tokens", "infrastructure", "amount", "both", "tokens", "input_shift", "cause"),
    _row("output_tokens", "infrastructure", "amount", "both", "tokens", "verbosity_drift", "cause"),
    _row("queue_depth", "infrastructure", "amount", "up", "requests", "latency_degradation", "pages"),
    _row("gpu_utilization", "infrastructure", "ratio", "up", "", "latency_degradation", "tickets"),
    _row("cpu_utilization", "infrastructure", "ratio", "up", "", "latency_degradation", "tickets"),
    _row("cost", "infrastructure", "amount", "up", "currency", "cost_increase", "pages"),
    _row("retries", "infrastructure", "amount", "up", "retries", "retry_storm", "tickets"),
    _row("length", "output", "amount", "both", "characters", "verbosity_drift", "pages"),
    _row("empty", "output", "rate", "up", "", "empty_output", "pages"),
    _row("refused", "output", "rate", "up", "", "refusal_spike", "pages"),
    _row("confidence", "output", "ratio", "down", "", "confidence_drift", "pages"),
    _row("similarity", "output", "ratio", "down", "", "semantic_drift", "pages", low=-1.0),
    _row("hallucinated", "output", "rate", "up", "", "hallucination_spike", "pages"),
    _row("thumbs_down", "output", "rate", "up", "", "negative_feedback", "pages"),
    _row("corrected", "output", "rate", "up", "", "negative_feedback", "pages"),
    _row("clicked", "output", "rate", "down", "", "engagement_drop", "pages"),
    _row("converted", "output", "rate", "down", "", "engagement_drop", "pages"),
    _row("tool_error", "output", "rate", "up", "", "tool_failures", "pages"),
    _row("tool_calls", "output", "amount", "both", "calls", "agent_loop", "pages"),
    _row("steps", "output", "amount", "up", "steps", "agent_loop", "pages"),
    _row("retrieval_score", "data", "amount", "down", "", "retrieval_quality", "pages", low=-AMOUNT_MAX),
    _row("retrieved_documents", "data", "amount", "down", "documents", "retrieval_quality", "pages"),
    _row("index_age_s", "data", "age", "up", "s", "stale_index", "pages"),
    _row("feature_age_s", "data", "age", "up", "s", "stale_features", "pages"),
    _row("null_fraction", "data", "ratio", "up", "", "null_values", "pages"),
    _row("schema_valid", "data", "rate", "down", "", "schema_change", "pages"),
    _row("input_length", "data", "amount", "both", "characters", "input_shift", "cause"),
    _row("context_fraction", "data", "ratio", "up", "", "context_window_misuse", "tickets"),
    _row("filter_triggered", "safety", "rate", "both", "", "filter_over_blocking", "pages"),
    _row("filter_skipped", "safety", "rate", "up", "", "filter_disabled", "pages"),
    _row("policy_violation", "safety", "rate", "up", "", "policy_violations", "pages"),
    _row("injection_score", "safety", "ratio", "up", "", "prompt_injection_wave", "pages"),
    _row("jailbreak_suspected", "safety", "rate", "up", "", "jailbreak_wave", "pages"),
    _row("pii_detected", "safety", "rate", "up", "", "pii_exposure", "pages"),
    _row("probe_blocked", "safety", "rate", "down", "", "filter_disabled", "pages"),
    # computed from a record and the records before it
    _derived_row("repeated", "output", "rate", "up", "", "identical_output", "pages"),
    _derived_row("finish_reason_usual", "output", "rate", "down", "", "context_window_misuse", "tickets"),
    _derived_row("finish_reason_new", "output", "rate", "up", "", "context_window_misuse", "tickets"),
    _derived_row("error_type_usual", "infrastructure", "rate", "down", "", "outage", "cause"),
    _derived_row("error_type_new", "infrastructure", "rate", "up", "", "outage", "cause"),
    _derived_row("embedding_similarity", "data", "ratio", "down", "", "embedding_drift", "pages"),
    _derived_row("retried", "infrastructure", "rate", "up", "", "retry_storm", "tickets"),
    _derived_row("throughput_ratio", "derived", "amount", "down", "", "throughput_loss", "tickets"),
    _derived_row("spend_ratio", "infrastructure", "amount", "up", "", "cost_increase", "pages"),
)

SIGNAL_INDEX = {signal.name: index for index, signal in enumerate(SIGNALS)}
"""Index of each signal in the catalogue, which is also its column in ``Records.values``."""

CATEGORIES: tuple[Signal, ...] = (
    Signal("error_type", "infrastructure", "error_type", "infrastructure", "category", "both", "", "outage", "cause"),
    Signal("finish_reason", "output", "finish_reason", "output", "category", "both", "", "verbosity_drift", "cause"),
    Signal("fingerprint", "output", "fingerprint", "output", "category", "up", "", "identical_output", "cause"),
    Signal("schema_id", "data", "schema_id", "data", "category", "both", "", "schema_change", "cause"),
    Signal("provider_model", "", "provider_model", "derived", "category", "both", "", "undeclared_change", "cause"),
)

CATEGORY_PATHS = {row.name: f"{row.section}.{row.field}" if row.section else row.name for row in CATEGORIES}
"""The field of each category, as in error reports."""

EVENTS: tuple[Signal, ...] = (
    Signal("silence", DERIVED, "silence", "derived", "rate", "up", "", "silence", "pages"),
    Signal(
        "request_rate", DERIVED, "request_rate", "derived", "amount", "down", "requests/s", "throughput_loss", "tickets"
    ),
    Signal("versions", DERIVED, "versions", "derived", "category", "both", "", "undeclared_change", "cause"),
    Signal("unusable_field", DERIVED, "unusable_field", "data", "rate", "up", "", "unusable_records", "tickets"),
    Signal("duplicates", DERIVED, "duplicates", "data", "rate", "up", "", "unusable_records", "tickets"),
    Signal("dead_letters", DERIVED, "dead_letters", "data", "rate", "up", "", "unusable_records", "pages"),
)
"""Signals that are not columns of a block: silences, losses of requests, the first appearance of a version, and losses in
admission."""

PROBE_SIGNALS = frozenset({"probe_blocked"})
"""Signals of deliberate probes. Probes are rare, so a page does not require a minimum number of records."""


def custom_signal(name: str, kind: SignalKind) -> Signal:
    """Return a user-defined signal of the section ``custom``. Both directions are treated as bad and raise tickets."""
    low, high = (0.0, 1.0) if kind == "rate" else (-AMOUNT_MAX, AMOUNT_MAX)
    return Signal(f"custom.{name}", "custom", name, "custom", kind, "both", "", "custom_signal", "tickets", low, high)


def is_valid_value(signal: Signal, value: float) -> bool:
    """Return whether a number is finite and within the bounds of a signal."""
    return math.isfinite(value) and signal.low <= value <= signal.high
