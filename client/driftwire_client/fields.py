"""The fields of the messages, as keyword arguments. Units are part of the names, as in driftwire's own contract."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Required, TypedDict

Timestamp = datetime | float | str
"""A time with an offset from UTC, RFC 3339, or a Unix time in seconds, milliseconds, microseconds or nanoseconds."""


class LabelFields(TypedDict, total=False):
    """Labels of the request. A subject is one AI feature in one environment, such as support-bot.

    ``sampled`` is tail if the outcome of a request decided whether it is recorded. ``sampling_probability`` is the
    probability with which it is recorded.
    """

    subject: str | None
    timestamp: Timestamp | None
    environment: str | None
    provider: str | None
    provider_model: str | None
    sampled: Literal["tail"] | None
    sampling_probability: float | None
    versions: Mapping[str, str | int | bool] | None
    segment: Mapping[str, str | int | bool] | None
    custom: Mapping[str, float | bool] | None


class InfrastructureFields(TypedDict, total=False):
    """How the request ran. Utilizations are from 0 to 1. The cost is in the same currency in all records of a subject."""

    latency_ms: float | None
    time_to_first_token_ms: float | None
    error: bool | None
    error_type: str | None
    input_tokens: float | None
    output_tokens: float | None
    queue_depth: float | None
    gpu_utilization: float | None
    cpu_utilization: float | None
    cost: float | None
    retries: float | None


class OutputFields(TypedDict, total=False):
    """The output, and how users reacted to it. The length is in characters, or items of a recommendation."""

    length: float | None
    empty: bool | None
    refused: bool | None
    confidence: float | None
    similarity: float | None
    fingerprint: str | None
    hallucinated: bool | None
    thumbs_down: bool | None
    corrected: bool | None
    clicked: bool | None
    converted: bool | None
    finish_reason: str | None
    tool_error: bool | None
    tool_calls: float | None
    steps: float | None


class DataFields(TypedDict, total=False):
    """The input: retrieval, features, schema. An embedding has at most 4,096 numbers. Fractions are from 0 to 1."""

    retrieval_score: float | None
    retrieved_documents: float | None
    index_age_s: float | None
    feature_age_s: float | None
    null_fraction: float | None
    schema_valid: bool | None
    schema_id: str | None
    input_length: float | None
    context_fraction: float | None
    embedding: Sequence[float] | None


class SafetyFields(TypedDict, total=False):
    """Results of filters and policies."""

    filter_triggered: bool | None
    filter_skipped: bool | None
    policy_violation: bool | None
    injection_score: float | None
    jailbreak_suspected: bool | None
    pii_detected: bool | None
    probe_blocked: bool | None


class OutcomeFields(LabelFields, OutputFields, DataFields, SafetyFields, total=False):
    """Fields of a late outcome. It says nothing about how the request ran."""


class RecordFields(OutcomeFields, InfrastructureFields, total=False):
    """Fields of a record. All are optional: send what you have."""

    request_id: str | int | None


class DeploymentFields(TypedDict, total=False):
    """Fields of a deployment.

    ``kind`` is model, prompt, index, flag, dependency, config, data, code, provider_status or other. ``rollback_of`` is
    the id of the deployment that this one reverts, ``expect_shift`` has the signals that it changes on purpose.
    """

    kind: Required[str]
    deployment_id: str | int | None
    timestamp: Timestamp | None
    subject: str | Sequence[str] | None
    environment: str | None
    provider: str | None
    name: str | None
    from_version: str | int | None
    to_version: str | int | None
    rollback_of: str | int | None
    expect_shift: Sequence[str] | None
    summary: str | None
    author: str | None


SECTIONS: Mapping[str, str] = {
    name: section
    for section, fields in {
        "infrastructure": InfrastructureFields,
        "output": OutputFields,
        "data": DataFields,
        "safety": SafetyFields,
    }.items()
    for name in fields.__annotations__
}
"""Section of the record in which a field is sent. Other fields are sent outside the sections."""
