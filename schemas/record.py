"""The record: one request that a model served, reported by its serving system. Input of the pipeline."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.message import Message
from schemas.timestamp import Timestamp

SUBJECT_LENGTH_MAX = 200
"""Maximum number of characters in a subject or any other label."""

SAMPLING_PROBABILITY_MIN = 1e-4
"""Smallest valid sampling probability. A request with this probability counts as 10,000 requests."""

SUBJECT_PATTERN = r"^[^\x00-\x1f\x7f]+$"
"""Regular expression of a subject. A subject has no control characters."""

Subject = Annotated[str, Field(min_length=1, max_length=SUBJECT_LENGTH_MAX, pattern=SUBJECT_PATTERN)]
Label = Annotated[str, Field(max_length=SUBJECT_LENGTH_MAX)]
LabelValue = Label | bool | int
Sampled = Literal["tail"]
Amount = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Rate = bool


class Infrastructure(Message):
    """How the request ran."""

    latency_ms: Amount | None = None
    time_to_first_token_ms: Amount | None = None
    error: Rate | None = None
    error_type: Label | None = None
    input_tokens: Amount | None = None
    output_tokens: Amount | None = None
    queue_depth: Amount | None = None
    gpu_utilization: Ratio | None = None
    cpu_utilization: Ratio | None = None


class Output(Message):
    """The output, and how users reacted to it."""

    length: Amount | None = Field(default=None, description="Characters, or items of a recommendation.")
    empty: Rate | None = None
    refused: Rate | None = None
    confidence: Ratio | None = None
    similarity: Annotated[float, Field(ge=-1, le=1)] | None = None
    fingerprint: Label | None = Field(
        default=None, description="Hash of the output. Equal outputs have equal fingerprints."
    )
    hallucinated: Rate | None = None
    thumbs_down: Rate | None = None
    corrected: Rate | None = None
    clicked: Rate | None = None
    converted: Rate | None = None
    finish_reason: Label | None = None


class Data(Message):
    """The input: retrieval, features, schema."""

    retrieval_score: float | None = None
    retrieved_documents: Amount | None = None
    index_age_s: Amount | None = None
    feature_age_s: Amount | None = None
    null_fraction: Ratio | None = None
    schema_valid: Rate | None = None
    schema_id: Label | None = None
    input_length: Amount | None = None
    embedding: Annotated[list[float], Field(max_length=4096)] | None = None


class Safety(Message):
    """Results of filters and policies."""

    filter_triggered: Rate | None = None
    policy_violation: Rate | None = None
    injection_score: Ratio | None = None
    jailbreak_suspected: Rate | None = None
    pii_detected: Rate | None = None
    probe_blocked: Rate | None = Field(
        default=None, description="Whether a known-bad prompt, sent on purpose, was blocked."
    )


class Record(Message):
    """One served request.

    Every signal is optional: send what you have. Send a late outcome (a thumbs-down, a click) as one more record with
    the same ``request_id`` and no ``infrastructure``. Records carry numbers and labels, never prompts or answers.
    """

    version: Literal[1] = 1
    subject: Subject = Field(description="The monitored AI feature in one environment, such as support-bot.")
    request_id: Label | None = None
    timestamp: Timestamp = Field(description="End of the request.")
    versions: dict[Label, LabelValue] = Field(
        default_factory=dict, description="Versions of model, prompt, index, flag:NAME, ..."
    )
    sampled: Sampled | None = Field(
        default=None,
        description="tail: the outcome of a request decided whether its record was kept, for example all errors and "
        "one in ten of the other requests.",
    )
    sampling_probability: Annotated[float, Field(ge=SAMPLING_PROBABILITY_MIN, le=1)] | None = Field(
        default=None,
        description="Probability with which the record of this request was kept. The request counts as 1 / "
        "probability requests in the throughput.",
    )
    environment: Label | None = None
    segment: dict[Label, LabelValue] = Field(
        default_factory=dict, description="Segments of the request: region, tenant, ..."
    )
    provider: Label | None = None
    provider_model: Label | None = None
    infrastructure: Infrastructure | None = None
    output: Output | None = None
    data: Data | None = None
    safety: Safety | None = None
    custom: dict[Label, float | bool] = Field(default_factory=dict, description="Your own signals, by name.")
