"""The record: one request that a model served, reported by its serving system. Input of the pipeline."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.message import Integer, Message, Version
from schemas.timestamp import Timestamp
from schemas.unit import SIGNAL_UNIT, Unit

SUBJECT_LENGTH_MAX = 200
"""Maximum number of characters in a subject or any other label."""

SAMPLING_PROBABILITY_MIN = 1e-4
"""Smallest valid sampling probability. A request with this probability counts as 10,000 requests."""

SUBJECT_PATTERN = r"^[^\x00-\x1f\x7f]+$"
"""Regular expression of a subject. A subject has no control characters."""

ELEMENTS_MAX = 16_384
"""Maximum number of records per message. A longer array becomes a dead letter, so it cannot flood a partition."""

AMOUNT_MAX = 1e15
"""Largest valid amount, in any unit. A larger number makes the field bad."""

Subject = Annotated[str, Field(min_length=1, max_length=SUBJECT_LENGTH_MAX, pattern=SUBJECT_PATTERN)]
Label = Annotated[str, Field(max_length=SUBJECT_LENGTH_MAX)]
LabelValue = Label | bool | Integer
Sampled = Literal["tail"]
Amount = Annotated[float, Field(ge=0, le=AMOUNT_MAX)]
Milliseconds = Annotated[Amount, Unit("ms")]
Seconds = Annotated[Amount, Unit("s")]
Tokens = Annotated[Amount, Unit("{tokens}")]
Characters = Annotated[Amount, Unit("{characters}")]
Number = Annotated[float, Unit("1")]
SignalValue = Annotated[float, Unit(SIGNAL_UNIT)]
_SIGNED = Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX)
Ratio = Annotated[Number, Field(ge=0, le=1)]
Rate = bool


class Infrastructure(Message):
    """How the request ran."""

    latency_ms: Milliseconds | None = Field(
        default=None, description="Time from the start of the request to the end of the answer."
    )
    time_to_first_token_ms: Milliseconds | None = Field(
        default=None, description="Time from the start of the request to the first token of the answer."
    )
    error: Rate | None = Field(default=None, description="Whether the request failed.")
    error_type: Label | None = Field(default=None, description="Kind of error, such as timeout or rate_limited.")
    input_tokens: Tokens | None = Field(default=None, description="Number of tokens that the model read.")
    output_tokens: Tokens | None = Field(default=None, description="Number of tokens that the model wrote.")
    queue_depth: Annotated[Amount, Unit("{requests}")] | None = Field(
        default=None, description="Number of requests that were waiting when this request arrived."
    )
    gpu_utilization: Ratio | None = Field(default=None, description="Utilization of the GPU during the request.")
    cpu_utilization: Ratio | None = Field(default=None, description="Utilization of the CPU during the request.")
    cost: Annotated[Amount, Unit("{currency}")] | None = Field(
        default=None, description="Price of the request, in a currency that is the same in all records of a subject."
    )
    retries: Annotated[Amount, Unit("{retries}")] | None = Field(
        default=None, description="Number of retries of calls to the model, by the service or a gateway."
    )


class Output(Message):
    """The output, and how users reacted to it."""

    length: Characters | None = Field(
        default=None, description="Length of the output in characters, or the number of items of a recommendation."
    )
    empty: Rate | None = Field(default=None, description="Whether the output was empty.")
    refused: Rate | None = Field(default=None, description="Whether the model refused to answer.")
    confidence: Ratio | None = Field(default=None, description="Confidence of the model in its output, from 0 to 1.")
    similarity: Annotated[Number, Field(ge=-1, le=1)] | None = Field(
        default=None, description="Similarity of the output to a reference, such as a cosine, from -1 to 1."
    )
    fingerprint: Label | None = Field(default=None, description="Hash of the output. Equal outputs have equal hashes.")
    hallucinated: Rate | None = Field(
        default=None, description="Whether an evaluation found unsupported claims in the output."
    )
    thumbs_down: Rate | None = Field(default=None, description="Whether the user rated the output as bad.")
    corrected: Rate | None = Field(default=None, description="Whether the user corrected or rewrote the output.")
    clicked: Rate | None = Field(default=None, description="Whether the user clicked on the output.")
    converted: Rate | None = Field(
        default=None, description="Whether the user took the intended action, such as a purchase."
    )
    finish_reason: Label | None = Field(
        default=None, description="Reason why the output ended, such as stop, length or content_filter."
    )
    tool_error: Rate | None = Field(default=None, description="Whether a tool call of the request failed.")
    tool_calls: Annotated[Amount, Unit("{calls}")] | None = Field(
        default=None, description="Number of tool calls that the model made."
    )
    steps: Annotated[Amount, Unit("{steps}")] | None = Field(
        default=None, description="Number of model calls that an agent made to answer the request."
    )


class Data(Message):
    """The input: retrieval, features, schema."""

    retrieval_score: Annotated[Number, _SIGNED] | None = Field(
        default=None, description="Score of the retrieved documents, on any scale where higher is better."
    )
    retrieved_documents: Annotated[Amount, Unit("{documents}")] | None = Field(
        default=None, description="Number of documents that were retrieved."
    )
    index_age_s: Seconds | None = Field(default=None, description="Time since the retrieval index was last updated.")
    feature_age_s: Seconds | None = Field(
        default=None, description="Time since the features of the request were computed."
    )
    null_fraction: Ratio | None = Field(default=None, description="Share of the input fields that have no value.")
    schema_valid: Rate | None = Field(default=None, description="Whether the input fits its schema.")
    schema_id: Label | None = Field(default=None, description="Name or version of the schema of the input.")
    input_length: Characters | None = Field(default=None, description="Length of the input.")
    context_fraction: Ratio | None = Field(
        default=None, description="Share of the context window of the model that the request used."
    )
    embedding: Annotated[list[Number], Field(max_length=4096)] | None = Field(
        default=None, description="Embedding of the input or output, with the same length in every record."
    )


class Safety(Message):
    """Results of filters and policies."""

    filter_triggered: Rate | None = Field(default=None, description="Whether a safety filter blocked the request.")
    filter_skipped: Rate | None = Field(
        default=None, description="Whether the request was served without the check of its safety filter."
    )
    policy_violation: Rate | None = Field(default=None, description="Whether the output violated a policy.")
    injection_score: Ratio | None = Field(
        default=None, description="Score of a prompt-injection detector, from 0 to 1."
    )
    jailbreak_suspected: Rate | None = Field(
        default=None, description="Whether the request was probably an attempt to bypass the rules of the model."
    )
    pii_detected: Rate | None = Field(default=None, description="Whether the output contained personal data.")
    probe_blocked: Rate | None = Field(
        default=None, description="Whether a known-bad prompt, sent on purpose, was blocked."
    )


class Record(Message):
    """One served request.

    Every signal is optional: send what you have. Send a late outcome (a thumbs-down, a click) as one more record with
    the same ``request_id`` and no ``infrastructure``. Records carry numbers and labels, never prompts or answers.
    """

    version: Version = 1
    subject: Subject = Field(description="The monitored AI feature in one environment, such as support-bot.")
    request_id: Label | None = Field(
        default=None, description="Id of the request. It identifies late outcomes and duplicates."
    )
    timestamp: Timestamp = Field(description="End of the request.")
    versions: dict[Label, LabelValue] = Field(
        default_factory=dict, description="Versions of model, prompt, index, flag:NAME and others, by kind."
    )
    environment: Label | None = Field(
        default=None, description="Environment that served the request, such as production."
    )
    sampled: Sampled | None = Field(
        default=None,
        description="Set to tail if the outcome of a request decides whether its record is kept, for example all errors "
        "and one in ten of the other requests.",
    )
    sampling_probability: Annotated[Number, Field(ge=SAMPLING_PROBABILITY_MIN, le=1)] | None = Field(
        default=None,
        description="Probability with which the record of this request was kept. The request counts as 1 / "
        "probability requests in the throughput.",
    )
    segment: dict[Label, LabelValue] = Field(
        default_factory=dict, description="Segments of the request by dimension, such as region and tenant."
    )
    provider: Label | None = Field(default=None, description="Provider of the model.")
    provider_model: Label | None = Field(
        default=None, description="Model, with its exact version, that the provider reports."
    )
    infrastructure: Infrastructure | None = Field(default=None, description="How the request ran.")
    output: Output | None = Field(default=None, description="The output, and how users reacted to it.")
    data: Data | None = Field(default=None, description="The input: retrieval, features and schema.")
    safety: Safety | None = Field(default=None, description="Results of filters and policies.")
    custom: dict[Label, Annotated[SignalValue, _SIGNED] | bool] = Field(
        default_factory=dict, description="Your own signals by name, in units of your choice."
    )
