"""Messages that are not export requests, or are damaged, become dead letters, whatever they contain."""

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.intake import IntakeSettings, IntakeStep
from pipeline.step import RawMessage
from schemas.topics import DEAD_LETTERS, RECORDS
from tests.pipeline.intake.telemetry.builders import (
    START_NS,
    TRACE,
    Event,
    Log,
    Span,
    json_attributes,
    logs_message,
    read_all,
    spans_message,
)

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 812}


def run(value, form="otlp_spans"):
    settings = IntakeSettings.model_validate({"topics": {"otlp": {"format": form}}})
    return IntakeStep(settings.topics, len).step([RawMessage("otlp", 3, 40, START_NS // 10**6, b"key", value)])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"", "empty"),
        (b"no Protobuf", "not_otlp"),
        (b" {}", "not_otlp"),
        (spans_message(Span(CHAT))[:-1], "not_otlp"),
        (b"{", "not_json"),
        (b'{"resourceSpans": "\xff', "not_utf8"),
        (b'{"resourceLogs": []}', "not_otlp"),
        (b'{"resourceSpans": 7}', "not_otlp"),
        (b'{"resourceSpans": [7]}', "not_otlp"),
        (b'{"resourceSpans": [{"scopeSpans": {}}]}', "not_otlp"),
        (b'{"resourceSpans": [{"scopeSpans": [[]]}]}', "not_otlp"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": ""}]}]}', "not_otlp"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "not_json"),
    ],
)
def test_a_message_that_is_no_request_is_one_dead_letter(value, reason):
    (output,) = run(value)
    letter = json.loads(output.value)
    assert output.topic == DEAD_LETTERS
    assert (letter["reason"], letter["step"], letter["offset"], letter.get("index")) == (reason, "intake", 40, None)


def test_a_message_of_many_spans_is_many_records_in_one_step():
    outputs = run(spans_message(*(Span(CHAT, end_ns=START_NS + number) for number in range(1, 201))))
    assert {output.topic for output in outputs} == {RECORDS}
    assert len({output.value for output in outputs}) == 200
    assert {(output.key, output.partition) for output in outputs} == {(b"shop-chat", 9)}


def test_a_dead_letter_names_the_position_of_its_span():
    spans = (Span(CHAT), Span(CHAT, end_ns=0), Span(CHAT, trace_id="00" * 16), Span({}))
    outputs = run(spans_message(*spans))
    letters = [json.loads(output.value) for output in outputs if output.topic == DEAD_LETTERS]
    assert [(letter["index"], letter["reason"]) for letter in letters] == [(1, "timestamp_missing"), (2, "not_otlp")]
    assert len(outputs) == 3


def test_logs_on_the_topic_of_spans_are_noticed():
    (output,) = run(logs_message(Log({}, "gen_ai.evaluation.result")))
    assert json.loads(output.value)["reason"] == "not_otlp"


def test_too_many_spans_are_one_dead_letter():
    (output,) = run(b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % b",".join([b"{}"] * 16_385))
    assert json.loads(output.value)["reason"] == "too_large"


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize(
    ("form", "kind", "names"),
    [
        ("otlp_spans", ExportTraceServiceRequest, ("resource_spans", "scope_spans", "spans")),
        ("otlp_logs", ExportLogsServiceRequest, ("resource_logs", "scope_logs", "log_records")),
    ],
)
def test_protobuf_with_very_many_resources_scopes_or_spans_is_not_decoded(form, kind, names, level):
    request = kind()
    container = request
    for name in names[:level]:
        container = getattr(container, name).add()
    for _ in range(120_000):
        getattr(container, names[level]).add()
    (output,) = run(request.SerializeToString(), form)
    letter = json.loads(output.value)
    assert (letter["reason"], "too many parts" in letter["detail"]) == ("too_large", True)


def test_a_resource_and_a_scope_per_span_are_not_too_many():
    spans = b"".join(spans_message(Span(CHAT), resource={}) for _ in range(16_384))
    assert len(run(spans)) == 16_384


def test_the_first_byte_tells_json_from_protobuf():
    # The length of the first resource is 0x7b, a brace.
    for size in range(100):
        message = spans_message(Span({"llm.request.type": "chat"}, name="x" * size), resource={"service.name": "a"})
        if message.startswith(b"\n{"):
            break
    assert message.startswith(b"\n{")
    (found,) = read_all(message)
    assert found.record["subject"] == "a"


@pytest.mark.parametrize("number", ["1795489920000000000", 1795489920000000000, 1.79548992e18])
def test_numbers_of_64_bits_are_texts_or_numbers(number):
    span = {"traceId": TRACE, "endTimeUnixNano": number, "attributes": json_attributes(CHAT)}
    span["attributes"][1]["value"] = {"intValue": 812}
    resource = {"attributes": json_attributes({"service.name": "a"})}
    content = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    (found,) = read_all(json.dumps(content).encode())
    assert found.record["timestamp"] == "2026-11-24T03:12:00.000Z"
    assert found.record["infrastructure"]["input_tokens"] == 812


def test_ids_in_base64_are_not_ids():
    message = spans_message(Span(CHAT), encoding="json").replace(TRACE.encode(), b"S/kvNXezTaajzpKdDg5HNg==")
    assert [found.reason for found in read_all(message)] == ["not_otlp"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", 2**62, [[[1]]], {"a": {"b": 1}}])
def test_an_unusual_value_of_an_attribute_does_not_affect_the_others(value):
    attributes = CHAT | {"gen_ai.usage.output_tokens": value, "gen_ai.prompt.version": value}
    (output,) = run(spans_message(Span(attributes)))
    assert output.topic == RECORDS
    assert json.loads(output.value)["infrastructure"]["input_tokens"] == 812


@pytest.mark.parametrize("text", [b"\xff\xfe text", b"text \xe2\x82"])
def test_text_that_is_not_utf_8_does_not_affect_the_others(text):
    bad = CHAT | {"gen_ai.input.messages": "x" * len(text), "gen_ai.prompt.version": "y" * len(text)}
    event = Event("x" * len(text), {"x" * len(text): "x" * len(text)})
    span = Span(bad | {"gen_ai.response.id": "a"}, name="x" * len(text), message="x" * len(text), events=[event])
    message = spans_message(span, Span(CHAT | {"gen_ai.response.id": "b"}))
    message = message.replace(b"x" * len(text), text).replace(b"y" * len(text), text)
    first, second = (found.record for found in read_all(message))
    assert (first["request_id"], second["request_id"]) == ("a", "b")
    assert (first["infrastructure"], first["versions"]) == (second["infrastructure"], second["versions"])


def test_an_answer_that_was_cut_within_a_character_is_not_empty():
    message = spans_message(Span(CHAT | {"gen_ai.completion.0.content": "Hello xyz"}))
    (found,) = read_all(message.replace(b"xyz", b"\xe2\x82\xe2"))
    assert "output" not in found.record


def test_a_deep_value_is_absent():
    value = 1
    for _ in range(40):
        value = [value]
    (found,) = read_all(spans_message(Span(CHAT | {"deep": value})), map=["deep=segment.deep"])
    assert found.record is not None


def account(value, form):
    """Check that a message of any content is read without an error, and that outputs can be written."""
    for output in run(value, form):
        assert output.topic in (RECORDS, DEAD_LETTERS)
        assert output.value is not None


FORMS = st.sampled_from(["otlp_spans", "otlp_logs"])
GOOD = spans_message(
    Span(
        CHAT | {"gen_ai.output.messages": "[]", "list": [1, 2.5, True, {"a": "b"}]},
        events=[Event("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "a", "gen_ai.evaluation.score.value": 1})],
    ),
    Span({"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": "[]"}, span_id="b" * 16),
)
GOOD_LOGS = logs_message(Log({}, "gen_ai.choice", {"message": {"content": "a"}}))


@given(FORMS, st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_accounted_for(form, value):
    account(value, form)


@given(
    FORMS,
    st.sampled_from([GOOD, GOOD_LOGS]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    st.integers(0, 2000),
)
@settings(max_examples=300)
def test_damaged_messages_are_accounted_for(form, good, changes, size):
    value = bytearray(good)
    for place, byte in changes:
        value[place % len(value)] = byte
    account(bytes(value[: size or len(value)]), form)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([TRACE, "NaN", "-1", "1795489920000000000", [], {}]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["key", "value", "stringValue", "intValue", "doubleValue", "arrayValue", "values", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "gen_ai.operation.name",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.id",
        "gen_ai.output.messages",
        "gen_ai.evaluation.name",
        "llm.output_messages.0.message.content",
        "retrieval.documents.0.document.score",
        "evaluations.0.evaluation.score",
        "openinference.span.kind",
        "service.name",
        "error.type",
        "event.name",
    ]
)
ATTRIBUTES = VALUES | st.lists(st.fixed_dictionaries({"key": NAMES | VALUES, "value": VALUES}), max_size=6)
FIELDS = st.sampled_from(["traceId", "spanId", "parentSpanId", "startTimeUnixNano", "endTimeUnixNano", "status"])
ITEM = VALUES | st.builds(
    lambda fields, attributes, events: fields | {"attributes": attributes, "events": events, "traceId": TRACE},
    st.dictionaries(FIELDS | st.sampled_from(["traceState", "eventName", "body", "timeUnixNano"]), VALUES, max_size=5),
    ATTRIBUTES,
    VALUES | st.lists(st.fixed_dictionaries({"name": st.just("gen_ai.evaluation.result"), "attributes": ATTRIBUTES})),
)


@given(FORMS, VALUES | st.lists(ITEM, max_size=2), ATTRIBUTES)
def test_json_of_any_form_is_accounted_for(form, items, attributes):
    names = ("resourceSpans", "scopeSpans", "spans")
    if form == "otlp_logs":
        names = ("resourceLogs", "scopeLogs", "logRecords")
    content = {names[0]: [{"resource": {"attributes": attributes}, names[1]: [{names[2]: items}]}]}
    account(json.dumps(content).encode(), form)


@given(FORMS, VALUES)
def test_json_with_any_resources_is_accounted_for(form, content):
    account(json.dumps({"resourceSpans": content, "resourceLogs": content}).encode(), form)


def test_a_message_of_random_doubles_is_accounted_for():
    for number in range(64):
        double = struct.unpack("<d", bytes([number * 4 % 256] * 8))[0]
        attributes = CHAT | {"gen_ai.response.time_to_first_chunk": double, "gen_ai.evaluation.score.value": double}
        account(spans_message(Span(attributes)), "otlp_spans")
