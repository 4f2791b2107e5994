"""Failures of the simulated service: a table of their effects on signals, and failures scheduled from that table.

Each failure is named after a failure mode in the signal catalogue. To add a failure, add a row to the table.
``driftwire-load generate --failure`` then accepts the name, and the tests check the effects on the listed signals.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FailureEffect:
    """Effect of a failure on one signal.

    ``probability`` is the new probability of a rate. ``factor`` multiplies a value. ``offset`` is added to a value.
    ``growth`` is added per second since the failure began, for example to the age of data after its source has stopped.
    """

    signal: str
    how: Literal["probability", "factor", "offset", "growth"]
    amount: float


@dataclass(frozen=True, slots=True)
class FailureSpec:
    """Row of the table. ``mode`` is the expected failure mode of the incident."""

    name: str
    mode: str
    effects: tuple[FailureEffect, ...]


FAILURES: dict[str, FailureSpec] = {
    row.name: row
    for row in (
        FailureSpec("refusal_spike", "refusal_spike", (FailureEffect("refused", "probability", 0.09),)),
        FailureSpec("empty_output", "empty_output", (FailureEffect("empty", "probability", 0.6),)),
        FailureSpec("outage", "outage", (FailureEffect("error", "probability", 0.2),)),
        FailureSpec(
            "latency_degradation",
            "latency_degradation",
            (
                FailureEffect("latency_ms", "factor", 3.0),
                FailureEffect("time_to_first_token_ms", "factor", 3.0),
                FailureEffect("queue_depth", "factor", 2.0),
            ),
        ),
        FailureSpec("confidence_drift", "confidence_drift", (FailureEffect("confidence", "offset", -0.15),)),
        FailureSpec("semantic_drift", "semantic_drift", (FailureEffect("similarity", "offset", -0.15),)),
        FailureSpec("negative_feedback", "negative_feedback", (FailureEffect("thumbs_down", "probability", 0.1),)),
        FailureSpec(
            "verbosity_drift",
            "verbosity_drift",
            (FailureEffect("length", "factor", 2.5), FailureEffect("output_tokens", "factor", 2.5)),
        ),
        FailureSpec(
            "stale_index",
            "stale_index",
            (
                FailureEffect("index_age_s", "offset", 21_600.0),
                FailureEffect("index_age_s", "growth", 1.0),
                FailureEffect("retrieval_score", "offset", -0.15),
            ),
        ),
        FailureSpec("stale_features", "stale_features", (FailureEffect("feature_age_s", "growth", 1.0),)),
        FailureSpec("null_values", "null_values", (FailureEffect("null_fraction", "offset", 0.1),)),
        FailureSpec("schema_change", "schema_change", (FailureEffect("schema_valid", "probability", 0.8),)),
        FailureSpec(
            "filter_over_blocking", "filter_over_blocking", (FailureEffect("filter_triggered", "probability", 0.05),)
        ),
        FailureSpec(
            "policy_violations", "policy_violations", (FailureEffect("policy_violation", "probability", 0.02),)
        ),
        FailureSpec(
            "prompt_injection_wave", "prompt_injection_wave", (FailureEffect("injection_score", "offset", 0.3),)
        ),
        FailureSpec("pii_exposure", "pii_exposure", (FailureEffect("pii_detected", "probability", 0.02),)),
        FailureSpec(
            "input_shift",
            "input_shift",
            (FailureEffect("input_tokens", "factor", 2.5), FailureEffect("input_length", "factor", 2.5)),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class SimulatedFailure:
    """A failure from the table that lasts from ``at_ms`` to ``until_ms`` (Unix milliseconds; None means no end).

    ``size`` scales the effects of the table: 1 keeps the listed effects, and 0.5 halves them. The effects grow for
    ``ramp_s`` seconds until they reach this size.

    Raises
    ------
    ValueError
        If the name is not in the table, or if a number is out of range.
    """

    name: str
    at_ms: int
    size: float = 1.0
    ramp_s: float = 0.0
    until_ms: int | None = None

    def __post_init__(self) -> None:
        if self.name not in FAILURES:
            raise ValueError(f"unknown failure {self.name!r}: use one of {', '.join(sorted(FAILURES))}")
        if self.size <= 0 or self.ramp_s < 0:
            raise ValueError(f"failure {self.name}: size must be above 0, and ramp_s must not be below 0")
        if self.until_ms is not None and self.until_ms <= self.at_ms:
            raise ValueError(f"failure {self.name}: the end must be after the start")

    @property
    def effects(self) -> tuple[FailureEffect, ...]:
        """Effects of the failure at size 1."""
        return FAILURES[self.name].effects

    def strength(self, times_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the strength at each time: 0 before and after the failure, ``size`` at full strength.

        >>> failure = SimulatedFailure("outage", at_ms=10_000, size=2.0, ramp_s=10.0)
        >>> failure.strength(np.array([0, 15_000, 60_000])).tolist()
        [0.0, 1.0, 2.0]
        """
        since_ms = (times_ms - self.at_ms).astype(np.float64)
        ramp = np.clip(since_ms / (self.ramp_s * 1000), 0.0, 1.0) if self.ramp_s else np.ones(len(since_ms))
        inside = since_ms >= 0
        if self.until_ms is not None:
            inside &= times_ms < self.until_ms
        return np.where(inside, ramp * self.size, 0.0)
