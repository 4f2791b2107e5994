"""Inference spans of each dialect become the same record."""

import json

import pytest

from schemas.record import Record
from tests.pipeline.intake.telemetry.builders import (
    ENCODINGS,
    RESOURCE,
    SECOND_NS,
    START_NS,
    Event,
    Span,
    read_all,
    read_spans,
    spans_message,
)

GENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "model-a",
    "gen_ai.response.model": "model-a-2026-11-01",
    "gen_ai.response.id": "chatcmpl-123",
    "gen_ai.prompt.name": "support",
    "gen_ai.prompt.version": "v41",
    "gen_ai.usage.input_tokens": 812,
    "gen_ai.usage.output_tokens": 120,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": "Hello there"}], "finish_reason": "stop"}]
    ),
}
GENAI_OLD = {
    "gen_ai.system": "openai",
    "gen_ai.request.model": "model-a",
    "gen_ai.response.model": "model-a-2026-11-01",
    "gen_ai.response.id": "chatcmpl-123",
    "gen_ai.prompt.version": "v41",
    "gen_ai.usage.prompt_tokens": 812,
    "gen_ai.usage.completion_tokens": 120,
    "gen_ai.response.finish_reasons": ["stop"],
}
OPENLLMETRY = {
    "llm.request.type": "chat",
    "gen_ai.system": "openai",
    "gen_ai.request.model": "model-a",
    "gen_ai.response.model": "model-a-2026-11-01",
    "gen_ai.response.id": "chatcmpl-123",
    "traceloop.prompt.key": "support",
    "traceloop.prompt.version": "v41",
    "gen_ai.usage.prompt_tokens": 812,
    "gen_ai.usage.completion_tokens": 120,
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "Hi",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "Hello there",
    "gen_ai.completion.0.finish_reason": "stop",
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.request.model_name": "model-a",
    "llm.response.model_name": "model-a-2026-11-01",
    "llm.model_name": "model-a-2026-11-01",
    "gen_ai.response.id": "chatcmpl-123",
    "llm.prompt_template.version": "v41",
    "llm.token_count.prompt": 812,
    "llm.token_count.completion": 120,
    "llm.finish_reason": "stop",
    "input.value": "Hi",
    "output.value": "Hello there",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "Hello there",
}
VLLM = {
    "gen_ai.response.model": "model-a-2026-11-01",
    "gen_ai.request.id": "cmpl-9",
    "gen_ai.usage.prompt_tokens": 812,
    "gen_ai.usage.completion_tokens": 120,
    "gen_ai.latency.e2e": 0.99,
    "gen_ai.latency.time_to_first_token": 0.25,
}

RECORD = {
    "subject": "shop-chat",
    "timestamp": "2026-11-24T03:12:01.000Z",
    "request_id": "chatcmpl-123",
    "provider": "openai",
    "provider_model": "model-a-2026-11-01",
    "environment": "production",
    "versions": {"model": "model-a", "prompt": "v41", "code": "2.1.0"},
    "infrastructure": {"latency_ms": 1000.0, "error": False, "input_tokens": 812, "output_tokens": 120},
    "output": {"finish_reason": "stop", "refused": False},
}
CONTENT = {"length": 11, "empty": False}


def changed(record, **sections):
    return record | {name: record.get(name, {}) | fields for name, fields in sections.items()}


def without_counts(record):
    """Return a record without the number of tool calls."""
    return record | {"output": {name: value for name, value in record["output"].items() if name != "tool_calls"}}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (GENAI, changed(RECORD, infrastructure={"time_to_first_token_ms": 250.0}, output=CONTENT)),
        (GENAI_OLD, RECORD),
        (OPENLLMETRY, changed(RECORD, output=CONTENT)),
        (OPENINFERENCE, changed(RECORD, output=CONTENT)),
    ],
    ids=["genai", "genai-old", "openllmetry", "openinference"],
)
def test_each_dialect_is_read(attributes, expected, encoding):
    (record,) = read_spans(Span(attributes), encoding=encoding)
    assert without_counts(record) == expected
    assert Record.model_validate(record).request_id == "chatcmpl-123"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_spans_of_vllm_are_read(encoding):
    (record,) = read_spans(Span(VLLM), encoding=encoding)
    assert record["request_id"] == "cmpl-9"
    assert record["versions"] == {"model": "model-a-2026-11-01", "code": "2.1.0"}
    assert record["infrastructure"] == {
        "latency_ms": 1000.0,
        "error": False,
        "input_tokens": 812,
        "output_tokens": 120,
        "time_to_first_token_ms": 250.0,
    }


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"http.request.method": "POST"},
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 5000},
        {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "embedder"},
        {"openinference.span.kind": "AGENT", "llm.token_count.prompt": 5000},
        {"openinference.span.kind": "CHAIN"},
        {"openinference.span.kind": "EMBEDDING"},
        {"traceloop.span.kind": "workflow"},
        {"llm.request.type": "embedding", "gen_ai.system": "openai", "gen_ai.request.model": "embedder"},
        {"langfuse.observation.type": "agent"},
        {"gen_ai.operation.name": "aimage_generation", "gen_ai.system": "openai", "gen_ai.request.model": "painter"},
        {"llm.request.type": "aembedding", "gen_ai.system": "openai", "gen_ai.request.model": "embedder"},
    ],
)
def test_other_spans_are_skipped(attributes):
    (found,) = read_all(spans_message(Span(attributes)))
    assert (found.index, found.record, found.reason, bool(found.skipped)) == (0, None, None, True)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_failed_request_has_its_type(encoding):
    span = Span(GENAI | {"error.type": "rate_limited"}, is_error=True)
    (record,) = read_spans(span, encoding=encoding)
    assert (record["infrastructure"]["error"], record["infrastructure"]["error_type"]) == (True, "rate_limited")
    exception = Event("exception", {"exception.type": "openai.RateLimitError", "exception.message": "secret"})
    (record,) = read_spans(Span(GENAI, is_error=True, events=[exception]), encoding=encoding)
    assert record["infrastructure"]["error_type"] == "openai.RateLimitError"


def test_a_span_that_ends_before_it_begins_has_no_latency():
    (record,) = read_spans(Span(GENAI, start_ns=START_NS + 5 * SECOND_NS))
    assert "latency_ms" not in record["infrastructure"]


def test_all_digits_of_the_end_are_kept():
    (record,) = read_spans(Span(GENAI, end_ns=START_NS + 123_456_789))
    assert record["timestamp"] == "2026-11-24T03:12:00.123456789Z"
    assert Record.model_validate(record).timestamp == 1_795_489_920_123


@pytest.mark.parametrize(
    ("reasons", "refused"),
    [
        (["stop"], False),
        (["length"], False),
        (["content_filter"], True),
        (["content-filter"], True),
        (["refusal"], True),
        (["SAFETY"], True),
        ('["content_filter"]', True),
        ("guardrail_intervened", True),
        (["stop", "content_filter"], True),
        ([], None),
        ([5], None),
    ],
)
def test_a_refusal_is_read_from_the_finish_reasons(reasons, refused):
    (record,) = read_spans(Span(GENAI_OLD | {"gen_ai.response.finish_reasons": reasons}))
    assert record.get("output", {}).get("refused") is refused


def messages(*parts):
    return {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": list(parts)}])}


TEXT = {"type": "text", "content": "Hello there"}
CALL = {"type": "tool_call", "name": "search", "arguments": {"text": "secret"}}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (messages(TEXT), {"length": 11, "empty": False, "tool_calls": 0}),
        (messages(TEXT, TEXT, CALL), {"length": 22, "empty": False, "tool_calls": 1}),
        (messages(CALL, CALL), {"empty": False, "tool_calls": 2}),
        (messages(), {"length": 0, "empty": True, "tool_calls": 0}),
        (messages({"type": "text", "content": " \n"}), {"length": 2, "empty": True, "tool_calls": 0}),
        (messages({"type": "reasoning", "content": "Hm"}), {"length": 0, "empty": True, "tool_calls": 0}),
        (messages({"type": "blob", "modality": "image"}), {"empty": False, "tool_calls": 0}),
        (messages({"type": "text"}), {"tool_calls": 0}),
        (messages({"type": "refusal", "content": "No."}), {"length": 3, "empty": False, "tool_calls": 0, "refused": True}),
        ({"gen_ai.output.messages": '[{"role": "assistant", "par'}, {}),
        ({"gen_ai.output.messages": "[" * 5000}, {}),
        ({"gen_ai.output.messages": 5}, {}),
        ({"gen_ai.output.messages": [{"role": "assistant", "parts": [TEXT]}]}, {"length": 11, "empty": False, "tool_calls": 0}),
        ({"gen_ai.completion.0.role": "assistant"}, {}),
        ({"gen_ai.completion.0.content": ""}, {"length": 0, "empty": True}),
        ({"gen_ai.completion.0.tool_calls.0.name": "f", "gen_ai.completion.0.tool_calls.0.arguments": "{}"},
         {"empty": False, "tool_calls": 1}),
        ({"llm.output_messages.0.message.role": "assistant"}, {"length": 0, "empty": True, "tool_calls": 0}),
        ({"llm.output_messages.0.message.content": "__REDACTED__"}, {"tool_calls": 0}),
        ({"llm.output_messages.0.message.contents.0.message_content.text": "Hello there",
          "llm.output_messages.0.message.contents.0.message_content.type": "text"},
         {"length": 11, "empty": False, "tool_calls": 0}),
        ({"llm.output_messages.0.message.contents.0.message_content.text": "Hm",
          "llm.output_messages.0.message.contents.0.message_content.type": "reasoning",
          "llm.output_messages.0.message.contents.1.message_content.text": "Hello there",
          "llm.output_messages.0.message.contents.1.message_content.type": "text"},
         {"length": 11, "empty": False, "tool_calls": 0}),
        ({"llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
          "llm.output_messages.0.message.tool_calls.1.tool_call.function.name": "g"}, {"empty": False, "tool_calls": 2}),
    ],
)  # fmt: skip
def test_an_answer_is_measured_and_not_copied(attributes, expected):
    (record,) = read_spans(Span({"gen_ai.operation.name": "chat"} | attributes))
    assert record.get("output", {}) == expected


@pytest.mark.parametrize(
    ("trace_state", "probability"),
    [
        ("", None),
        ("ot=th:0", 1.0),
        ("ot=th:8", 0.5),
        ("congo=t61,ot=rv:0123456789abcd;th:c", 0.25),
        ("ot=th:fd70a3d70a3d71", 0.01),
        ("ot=th:", None),
        ("ot=th:g", None),
        ("ot=th:123456789abcdef", None),
        ("vendor=th:8", None),
    ],
)
def test_the_sampling_probability_is_read_from_the_trace_state(trace_state, probability):
    (record,) = read_spans(Span(GENAI, trace_state=trace_state))
    assert record.get("sampling_probability") == (None if probability is None else pytest.approx(probability))


def test_any_attribute_can_be_mapped():
    span = Span(GENAI | {"tenant": "acme", "app.wait": 1.5, "app.price": 0.002, "length": 99, "refused": True})
    settings = {
        "subject": "{service.name}/{gen_ai.prompt.name}",
        "map": [
            "tenant=segment.tenant",
            "app.wait=time_to_first_token_ms:s",
            "app.price=custom.price",
            "host.name=segment.host",
        ],
        "absent": ["input_tokens=812"],
        "constants": {"environment": "staging"},
        "sampled": "tail",
    }
    (record,) = read_spans(span, resource=RESOURCE | {"host.name": "h1", "tenant": "other"}, **settings)
    assert record["subject"] == "shop-chat/support"
    assert record["segment"] == {"tenant": "acme", "host": "h1"}
    assert record["custom"] == {"price": 0.002}
    assert record["infrastructure"]["time_to_first_token_ms"] == 1500.0
    assert record["environment"] == "staging"
    assert record["sampled"] == "tail"
    assert "input_tokens" not in record["infrastructure"]
    # An attribute with the name of a field is not a field.
    assert record["output"]["length"] == 11
    assert record["output"]["refused"] is False


def test_a_span_without_a_subject_is_a_dead_letter():
    (found,) = read_all(spans_message(Span(GENAI), resource={}))
    assert (found.index, found.reason) == (0, "subject_missing")
    assert "{service.name}" in found.detail


def test_an_unusable_value_is_counted_and_not_copied():
    (record,) = read_spans(Span(GENAI | {"gen_ai.usage.input_tokens": "secret", "gen_ai.request.model": "x" * 300}))
    assert record["infrastructure"]["input_tokens"] == ""
    assert record["versions"]["model"] == {}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["First Token Stream Event", "gen_ai.content.completion.chunk"])
def test_the_first_token_is_read_from_events_unless_events_were_dropped(name, encoding):
    chunks = [Event(name, {}, START_NS + number * 10**8) for number in (3, 4, 5)]
    (record,) = read_spans(Span(GENAI_OLD, events=chunks), encoding=encoding)
    assert record["infrastructure"]["time_to_first_token_ms"] == 300.0
    # SDKs keep the latest events of a span, so the first ones are missing.
    (record,) = read_spans(Span(GENAI_OLD, events=chunks, dropped_events=1), encoding=encoding)
    assert "time_to_first_token_ms" not in record["infrastructure"]


def test_a_refusal_without_text_is_not_called_empty():
    attributes = {"openinference.span.kind": "LLM", "llm.finish_reason": "content_filter"}
    (record,) = read_spans(Span(attributes | {"llm.output_messages.0.message.role": "assistant"}))
    assert record["output"] == {"tool_calls": 0, "finish_reason": "content_filter", "refused": True}


@pytest.mark.parametrize(("attribute", "cost"), [("llm.cost.total", 0.002), ("gen_ai.cost.total_cost", 0.003)])
def test_the_cost_is_read(attribute, cost):
    (record,) = read_spans(Span(GENAI | {attribute: cost}))
    assert record["infrastructure"]["cost"] == cost


def inference(span_id, parent_id=""):
    return Span(GENAI | {"gen_ai.response.id": span_id}, span_id=span_id * 16, parent_id=parent_id and parent_id * 16)


def request_ids(*spans):
    return [record["request_id"] for record in read_spans(*spans)]


def test_two_instrumentations_of_one_call_are_one_record():
    http = Span({"http.request.method": "POST"}, span_id="b" * 16, parent_id="a" * 16)
    assert request_ids(inference("a"), inference("b", "a")) == ["a"]
    assert request_ids(inference("c", "b"), http, inference("a")) == ["a"]
    assert request_ids(inference("a"), inference("b", "a"), inference("c", "b")) == ["a"]


def test_a_service_and_its_gateway_each_have_the_request():
    gateway = spans_message(inference("b", "a"), resource={"service.name": "gateway"})
    message = spans_message(inference("a")) + gateway
    assert [found.record["subject"] for found in read_all(message)] == ["shop-chat", "gateway"]
    assert [found.skipped != "" for found in read_all(message, subject="shop")] == [False, True]


def test_a_request_within_a_tool_or_an_agent_is_a_request():
    tool = Span({"gen_ai.operation.name": "execute_tool"}, span_id="b" * 16, parent_id="a" * 16)
    agent = Span({"gen_ai.operation.name": "invoke_agent"}, span_id="a" * 16)
    assert {"a", "c"} <= set(request_ids(inference("a"), tool, inference("c", "b")))
    assert request_ids(agent, inference("b", "a"), inference("c", "a")) == ["b", "c"]


def test_spans_that_name_each_other_as_parents_are_read():
    assert len(read_all(spans_message(inference("a", "b"), inference("b", "a"), inference("c", "c")))) == 3
