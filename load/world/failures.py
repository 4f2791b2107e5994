"""The ways in which the simulated service can fail, as a table: what each failure does to which signal.

A failure is named after a failure mode of the signal catalogue. Adding one is one row here: it is then known to
``driftwire-load generate --failure``, and the tests check that it moves the signals that it says.
"""

from dataclasses import dataclass
from typing import Literal

How = Literal["probability", "factor", "offset", "growth"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a failure does to one signal.

    ``probability`` is the new probability of a rate; ``factor`` multiplies a value; ``offset`` is added to it;
    ``growth`` is added for each second since the failure began (an age whose source has stopped).
    """

    signal: str
    how: How
    amount: float


@dataclass(frozen=True, slots=True)
class Failure:
    """One row: ``mode`` is the failure mode that an incident about it should name."""

    name: str
    mode: str
    effects: tuple[Effect, ...]


FAILURES: dict[str, Failure] = {
    row.name: row
    for row in (
        Failure("refusal_spike", "refusal_spike", (Effect("refused", "probability", 0.09),)),
        Failure("empty_output", "empty_output", (Effect("empty", "probability", 0.6),)),
        Failure("outage", "outage", (Effect("error", "probability", 0.2),)),
        Failure(
            "latency_degradation",
            "latency_degradation",
            (
                Effect("latency_ms", "factor", 3.0),
                Effect("time_to_first_token_ms", "factor", 3.0),
                Effect("queue_depth", "factor", 2.0),
            ),
        ),
        Failure("confidence_drift", "confidence_drift", (Effect("confidence", "offset", -0.15),)),
        Failure("semantic_drift", "semantic_drift", (Effect("similarity", "offset", -0.15),)),
        Failure("negative_feedback", "negative_feedback", (Effect("thumbs_down", "probability", 0.1),)),
        Failure(
            "verbosity_drift",
            "verbosity_drift",
            (Effect("length", "factor", 2.5), Effect("output_tokens", "factor", 2.5)),
        ),
        Failure(
            "stale_index",
            "stale_index",
            (
                Effect("index_age_s", "offset", 21_600.0),
                Effect("index_age_s", "growth", 1.0),
                Effect("retrieval_score", "offset", -0.15),
            ),
        ),
        Failure("stale_features", "stale_features", (Effect("feature_age_s", "growth", 1.0),)),
        Failure("null_values", "null_values", (Effect("null_fraction", "offset", 0.1),)),
        Failure("schema_change", "schema_change", (Effect("schema_valid", "probability", 0.8),)),
        Failure("filter_over_blocking", "filter_over_blocking", (Effect("filter_triggered", "probability", 0.05),)),
        Failure("policy_violations", "policy_violations", (Effect("policy_violation", "probability", 0.02),)),
        Failure("prompt_injection_wave", "prompt_injection_wave", (Effect("injection_score", "offset", 0.3),)),
        Failure("pii_exposure", "pii_exposure", (Effect("pii_detected", "probability", 0.02),)),
        Failure(
            "input_shift",
            "input_shift",
            (Effect("input_tokens", "factor", 2.5), Effect("input_length", "factor", 2.5)),
        ),
    )
}


def failure(name: str) -> Failure:
    """The row of one failure.

    Raises
    ------
    ValueError
        If there is none of that name; the message names those there are.
    """
    found = FAILURES.get(name)
    if found is None:
        raise ValueError(f"there is no failure {name!r}: use one of {', '.join(sorted(FAILURES))}")
    return found
