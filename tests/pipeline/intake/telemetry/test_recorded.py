"""Readings of what real SDKs posted and what a real Collector wrote to Kafka, in each dialect and encoding.

The expectations are in the order of the spans or log records. They name no times and no ids of traces, so the files can
be recorded again.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from pipeline.detect.admission import Admission
from pipeline.detect.settings import DetectSettings
from pipeline.intake import IntakeStep, TelemetryMapping, TopicSettings
from pipeline.lenient_json import dump_json
from pipeline.step import RawMessage
from tests.services.texts import MARK, MODEL, REPORTED_MODEL

RECORDED = Path(__file__).with_name("recorded")
DIALECTS = ("genai", "genai_2025", "openinference", "openllmetry", "openllmetry_2024", "vllm")
FILES = sorted(file.name for file in RECORDED.iterdir() if file.suffix in (".pb", ".json"))
BYTES_MAX = 1_000_000

TRACE, MEASURED = "id of the trace", "measured"
TRACE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)

ANSWERED = {"finish_reason": "stop", "refused": False}
REFUSED = {"finish_reason": "content_filter", "refused": True}
CALLED = {"finish_reason": "tool_calls", "refused": False}
TEXT = {"length": 18, "empty": False, "tool_calls": 0}
STREAM = {"length": 19, "empty": False, "tool_calls": 0}
CALLS = {"empty": False, "tool_calls": 2}

PROMPT_7 = {"model": MODEL, "prompt": "7"}
REPORTED_7 = {"model": REPORTED_MODEL, "prompt": "7"}

NO_INFERENCE = "it is not an inference span"
NO_EVENT = "it is not an event of a request"
NO_DETAILS = "its attributes say nothing about the request"


def request(request_id, output, versions=PROMPT_7, *, tokens=(40, 11), first_token=False, **more):
    """Return the record of an inference span without an error."""
    infrastructure = {"error": False, "latency_ms": MEASURED}
    if tokens:
        infrastructure |= {"input_tokens": tokens[0], "output_tokens": tokens[1]}
    if first_token:
        infrastructure["time_to_first_token_ms"] = MEASURED
    known = {
        "subject": "support-bot",
        "environment": "production",
        "provider": "openai",
        "infrastructure": infrastructure,
    }
    found = {"request_id": request_id, "provider_model": REPORTED_MODEL, "versions": versions, "output": output}
    return {name: value for name, value in (known | found | more).items() if value}


def failure(error_type, versions=PROMPT_7):
    """Return the record of an inference span with an error."""
    infrastructure = {"error": True, "error_type": error_type, "latency_ms": MEASURED}
    known = {"subject": "support-bot", "environment": "production", "provider": "openai", "request_id": TRACE}
    return known | {"versions": versions, "infrastructure": infrastructure}


def outcome(request_id=TRACE, **sections):
    """Return a late outcome."""
    return {"subject": "support-bot", "request_id": request_id, **sections}


RETRIEVAL = outcome(data={"retrieved_documents": 2, "retrieval_score": 0.9})
TOOL = outcome(output={"tool_error": False})
EVALUATIONS = [outcome(custom={"Relevance": 0.9}), outcome("chatcmpl-7", custom={"hallucination": 0.2})]
WITHOUT_PROMPT = {"model": MODEL}

OPENINFERENCE = {"provider_model": None}
OLD = {"provider": "OpenAI"}

READINGS = {
    "genai.traces": [
        request("chatcmpl-1", ANSWERED),
        request("chatcmpl-4", REFUSED),
        RETRIEVAL,
        TOOL,
        request("chatcmpl-7", ANSWERED),
        NO_INFERENCE,
        request("chatcmpl-2", STREAM | ANSWERED, WITHOUT_PROMPT, first_token=True),
        failure("openai.RateLimitError", WITHOUT_PROMPT),
        NO_INFERENCE,
        request("chatcmpl-6", CALLS | CALLED, WITHOUT_PROMPT),
    ],
    "genai.logs": [
        *[NO_DETAILS] * 3,
        outcome("chatcmpl-2", output=STREAM),
        NO_DETAILS,
        outcome("chatcmpl-6", output=CALLS),
        *EVALUATIONS,
    ],
    "genai_without_content.traces": [
        request("chatcmpl-1", ANSWERED),
        request("chatcmpl-4", REFUSED),
        "its attributes say nothing about the retrieval",
        TOOL,
        request("chatcmpl-7", ANSWERED),
        NO_INFERENCE,
        request("chatcmpl-2", ANSWERED, WITHOUT_PROMPT, first_token=True),
        failure("openai.RateLimitError", WITHOUT_PROMPT),
        NO_INFERENCE,
        request("chatcmpl-6", CALLED, WITHOUT_PROMPT),
    ],
    "genai_without_content.logs": EVALUATIONS,
    "genai_2025.traces": [
        request("chatcmpl-1", ANSWERED),
        request("chatcmpl-2", None),
        failure("RateLimitError"),
        request("chatcmpl-4", REFUSED),
        request("chatcmpl-5", CALLED),
        NO_INFERENCE,
    ],
    "genai_2025.logs": [
        *[NO_EVENT] * 2,
        outcome(output={"length": 18, "empty": False}),
        *[NO_EVENT] * 2,
        outcome(output={"length": 19, "empty": False}),
        *[NO_EVENT] * 4,
        NO_DETAILS,
        *[NO_EVENT] * 2,
        outcome(output=CALLS),
    ],
    "openinference.traces": [
        request(TRACE, TEXT | ANSWERED, REPORTED_7, **OPENINFERENCE),
        request(TRACE, STREAM | ANSWERED, REPORTED_7, first_token=True, **OPENINFERENCE),
        failure("openai.RateLimitError", {"prompt": "7"}),
        request(TRACE, REFUSED | {"tool_calls": 0}, REPORTED_7, **OPENINFERENCE),
        NO_INFERENCE,
        request(TRACE, CALLS | CALLED, REPORTED_7, **OPENINFERENCE),
        request(TRACE, TEXT | ANSWERED, REPORTED_7, **OPENINFERENCE),
        RETRIEVAL,
        TOOL,
        "its attributes say nothing about the guardrail",
        outcome(custom={"relevance": 0.9}),
        NO_INFERENCE,
    ],
    "openinference_without_content.traces": [
        request(TRACE, ANSWERED, REPORTED_7, **OPENINFERENCE),
        request(TRACE, ANSWERED, REPORTED_7, first_token=True, **OPENINFERENCE),
        failure("openai.RateLimitError", {"prompt": "7"}),
        request(TRACE, REFUSED, REPORTED_7, **OPENINFERENCE),
        NO_INFERENCE,
        request(TRACE, CALLED, REPORTED_7, **OPENINFERENCE),
        request(TRACE, ANSWERED, REPORTED_7, **OPENINFERENCE),
        RETRIEVAL,
        TOOL,
        "its attributes say nothing about the guardrail",
        outcome(custom={"relevance": 0.9}),
        NO_INFERENCE,
    ],
    "openllmetry.traces": [
        request("chatcmpl-1", TEXT | ANSWERED),
        request("chatcmpl-2", STREAM | ANSWERED, first_token=True),
        failure("RateLimitError"),
        request("chatcmpl-4", REFUSED | {"length": 10, "empty": False, "tool_calls": 0}),
        NO_INFERENCE,
        request("chatcmpl-6", CALLS | CALLED | {"finish_reason": "tool_call"}),
        request("chatcmpl-7", TEXT | ANSWERED),
        NO_INFERENCE,
        TOOL,
        *[NO_INFERENCE] * 4,
    ],
    "openllmetry_without_content.traces": [
        request("chatcmpl-1", ANSWERED),
        request("chatcmpl-2", ANSWERED, first_token=True),
        failure("RateLimitError"),
        request("chatcmpl-4", REFUSED),
        NO_INFERENCE,
        request("chatcmpl-6", CALLED | {"finish_reason": "tool_call"}),
        request("chatcmpl-7", ANSWERED),
        NO_INFERENCE,
        TOOL,
        *[NO_INFERENCE] * 4,
    ],
    "openllmetry_2024.traces": [
        request(TRACE, {"length": 18, "empty": False} | ANSWERED, PROMPT_7, **OLD),
        request(TRACE, {"length": 19, "empty": False} | ANSWERED, PROMPT_7, tokens=None, first_token=True, **OLD),
        request(TRACE, {"length": 8, "empty": False} | REFUSED, PROMPT_7, **OLD),
        request(TRACE, CALLS | CALLED, WITHOUT_PROMPT, **OLD),
        request(
            TRACE,
            ANSWERED,
            {"model": "gpt-3.5-turbo-instruct"},
            **OLD | {"provider_model": "gpt-3.5-turbo-instruct"},
        ),
        NO_INFERENCE,
    ],
    "vllm.traces": [
        request(f"chatcmpl-vllm-{number}", None, None, tokens=tokens, first_token=True, **vllm)
        for number, tokens in enumerate([(40, 11), (812, 230)])
        for vllm in [{"subject": "vllm", "provider": None, "provider_model": None}]
    ],
}
"""What becomes of each span or log record of a file: a record, a late outcome, or the reason why it is skipped."""


def read(name, value=None):
    form = "otlp_logs" if "logs" in name else "otlp_spans"
    mapping = TelemetryMapping(TopicSettings(format=form))
    readings = mapping.read(value or (RECORDED / name).read_bytes(), bytes_max=BYTES_MAX)
    return sorted(readings, key=lambda reading: reading.index)


def comparable(reading):
    """Return the skipping reason, or the record without its time and with marks for what is measured."""
    assert reading.reason is None, reading
    if reading.record is None:
        return reading.skipped
    record = {name: value for name, value in reading.record.items() if name != "timestamp"}
    if TRACE_ID.fullmatch(record["request_id"]):
        record["request_id"] = TRACE
    if "infrastructure" in record:
        durations = {name: MEASURED for name in record["infrastructure"] if name.endswith("_ms")}
        assert all(0 < record["infrastructure"][name] < 10_000 for name in durations)
        record["infrastructure"] = record["infrastructure"] | durations
    return record


@pytest.mark.parametrize("name", READINGS)
def test_what_an_sdk_posted_is_read(name):
    assert [comparable(reading) for reading in read(f"{name}.pb")] == READINGS[name]


@pytest.mark.parametrize("name", [name for name in READINGS if name.partition(".")[0] in DIALECTS])
def test_the_json_of_a_collector_is_read_like_the_protobuf_of_the_sdk(name):
    assert read(f"{name}.json") == read(f"{name}.pb")


@pytest.mark.parametrize("signal", ["traces", "logs"])
def test_the_protobuf_of_a_collector_has_all_resources_in_one_message(signal):
    (topic,) = [file for file in FILES if file.startswith("otlp_") and ("logs" in file) == (signal == "logs")]
    names = [f"{dialect}.{signal}" for dialect in DIALECTS if f"{dialect}.{signal}" in READINGS]
    posted = [dump_json(reading.record) for name in names for reading in read(f"{name}.pb") if reading.record]
    assert Counter(dump_json(reading.record) for reading in read(topic) if reading.record) == Counter(posted)


@pytest.mark.parametrize("name", FILES)
def test_no_text_of_a_file_reaches_a_record_or_a_dead_letter(name):
    value = (RECORDED / name).read_bytes()
    assert (MARK.encode() in value) != name.startswith("vllm")
    form = "otlp_logs" if "logs" in name else "otlp_spans"
    for settings in ({}, {"subject": "{no.such.attribute}"}):
        step = IntakeStep({form: TopicSettings(format=form, **settings)}, lambda _key: 0)
        outputs = step.step([RawMessage(form, 0, 0, 0, None, part) for part in (value, value[:-3])])
        assert outputs
        for output in outputs:
            assert MARK.encode() not in (output.key or b"") + output.value


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".pb")])
def test_detect_uses_every_field_of_every_record(name):
    records = [reading.record for reading in read(name) if reading.record]
    messages = [
        RawMessage("driftwire.records", 0, number, 0, None, dump_json(record)) for number, record in enumerate(records)
    ]
    admitted = Admission(DetectSettings(), replay=True).admit(messages)
    assert admitted.dead_letters == []
