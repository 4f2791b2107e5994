"""Retrievals, guardrails, tools and evaluations become late outcomes of their requests."""

import json

import pytest

from schemas.record import Record
from tests.pipeline.intake.telemetry.builders import (
    ENCODINGS,
    RESOURCE,
    SECOND_NS,
    START_NS,
    TRACE,
    Event,
    Log,
    Span,
    logs_message,
    read_all,
    read_logs,
    read_spans,
    spans_message,
)

OUTCOME = {"subject": "shop-chat", "request_id": TRACE, "timestamp": "2026-11-24T03:12:01.000Z"}
DOCUMENTS = [{"id": "a", "score": 0.4}, {"id": "b", "score": 0.9}, {"id": "c"}]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        (
            {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": json.dumps(DOCUMENTS)},
            {"data": {"retrieved_documents": 3, "retrieval_score": 0.9}},
        ),
        (
            {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": "[]"},
            {"data": {"retrieved_documents": 0}},
        ),
        (
            {
                "openinference.span.kind": "RETRIEVER",
                "input.value": "What is new?",
                "retrieval.documents.0.document.content": "Something",
                "retrieval.documents.0.document.score": 0.7,
                "retrieval.documents.1.document.content": "Another thing",
                "retrieval.documents.1.document.score": 0.8,
            },
            {"data": {"retrieved_documents": 2, "retrieval_score": 0.8}},
        ),
        (
            {"gen_ai.operation.name": "run_guardrail", "gen_ai.guardrail.verdict.type": "deny"},
            {"safety": {"filter_triggered": True}},
        ),
        (
            {
                "gen_ai.operation.name": "run_guardrail",
                "gen_ai.guardrail.verdict.type": "deny",
                "gen_ai.guardrail.action.type": "allow",
            },
            {"safety": {"filter_triggered": False}},
        ),
        (
            {"openinference.span.kind": "GUARDRAIL", "guardrail_status": "guardrail_intervened"},
            {"safety": {"filter_triggered": True}},
        ),
        (
            {"openinference.span.kind": "GUARDRAIL", "guardrail_status": "success"},
            {"safety": {"filter_triggered": False}},
        ),
        ({"openinference.span.kind": "TOOL", "tool.name": "search"}, {"output": {"tool_error": False}}),
        ({"gen_ai.operation.name": "execute_tool", "error.type": "timeout"}, {"output": {"tool_error": True}}),
        ({"traceloop.span.kind": "tool"}, {"output": {"tool_error": False}}),
        (
            {
                "openinference.span.kind": "EVALUATOR",
                "evaluations.0.evaluation.name": "hallucination",
                "evaluations.0.evaluation.label": "hallucinated",
                "evaluations.1.evaluation.name": "relevance",
                "evaluations.1.evaluation.score": 0.25,
                "evaluations.2.evaluation.explanation": "Because it says so",
            },
            {"output": {"hallucinated": True}, "custom": {"relevance": 0.25}},
        ),
    ],
)
def test_a_span_becomes_a_late_outcome(attributes, fields, encoding):
    (record,) = read_spans(Span(attributes), encoding=encoding)
    assert record == OUTCOME | fields
    assert Record.model_validate(record).infrastructure is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference.span.kind": "RETRIEVER", "input.value": "What is new?"},
        {"openinference.span.kind": "GUARDRAIL", "output.value": "blocked"},
        {"openinference.span.kind": "GUARDRAIL", "guardrail_status": "guardrail_failed_to_respond"},
        {"openinference.span.kind": "EVALUATOR"},
        {"openinference.span.kind": "EVALUATOR", "evaluations.0.evaluation.name": "A text of a person, with a comma",
         "evaluations.0.evaluation.score": 1.0},
    ],
)  # fmt: skip
def test_a_span_that_says_nothing_is_skipped(attributes):
    (found,) = read_all(spans_message(Span(attributes)))
    assert (found.record, found.reason, bool(found.skipped)) == (None, None, True)


def evaluation(name="Relevance", value=4.0, label="relevant", **attributes):
    return {
        "gen_ai.evaluation.name": name,
        "gen_ai.evaluation.score.value": value,
        "gen_ai.evaluation.score.label": label,
        "gen_ai.evaluation.explanation": "Because it says so",
    } | attributes


CHAT = {"gen_ai.operation.name": "chat", "gen_ai.response.id": "chatcmpl-123", "gen_ai.prompt.version": "v41"}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_evaluation_of_a_span_has_the_id_of_its_request(encoding):
    event = Event("gen_ai.evaluation.result", evaluation(), START_NS + 9 * SECOND_NS)
    request, outcome = read_spans(Span(CHAT, events=[event]), encoding=encoding)
    assert request["request_id"] == "chatcmpl-123"
    assert outcome == {
        "subject": "shop-chat",
        "request_id": "chatcmpl-123",
        "timestamp": "2026-11-24T03:12:09.000Z",
        "custom": {"Relevance": 4.0},
    }


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        (evaluation(), {"custom": {"Relevance": 4.0}}),
        (evaluation(value=2), {"custom": {"Relevance": 2}}),
        (evaluation("hallucination", 1.0, "hallucinated"), {"output": {"hallucinated": True}}),
        (evaluation("hallucination", 1.0, "factual"), {"output": {"hallucinated": False}}),
        (
            {"gen_ai.evaluation.name": "Grounded", "gen_ai.evaluation.score.label": "pass"},
            {"custom": {"Grounded": True}},
        ),
    ],
)
def test_an_evaluation_in_the_logs_is_a_late_outcome(attributes, fields, encoding):
    (outcome,) = read_logs(Log(attributes, "gen_ai.evaluation.result"), encoding=encoding)
    assert outcome == OUTCOME | {"timestamp": "2026-11-24T03:12:00.000Z"} | fields
    log = Log(attributes | {"event.name": "gen_ai.evaluation.result", "gen_ai.response.id": "chatcmpl-123"})
    (outcome,) = read_logs(log, encoding=encoding)
    assert outcome["request_id"] == "chatcmpl-123"


def test_the_content_of_an_answer_in_the_logs_is_measured():
    messages = [{"role": "assistant", "parts": [{"type": "refusal", "content": "No."}]}]
    details = Log(CHAT | {"gen_ai.output.messages": messages}, "gen_ai.client.inference.operation.details")
    choice = Log({}, "gen_ai.choice", {"index": 0, "message": {"content": "Hello"}})
    hidden = Log({}, "gen_ai.choice", {"index": 0, "message": {"role": "assistant"}})
    other = Log({}, "", "A line of a log")
    found = read_all(logs_message(details, choice, hidden, other), format="otlp_logs")
    assert [element.record and element.record["output"] for element in found] == [
        {"length": 3, "empty": False, "tool_calls": 0, "refused": True},
        {"length": 5, "empty": False},
        None,
        None,
    ]
    assert [element.record and element.record["request_id"] for element in found[:2]] == ["chatcmpl-123", TRACE]
    assert all(element.skipped for element in found[2:])


def test_an_outcome_takes_the_id_and_the_subject_of_the_only_request_of_its_trace():
    tool = Span({"gen_ai.operation.name": "execute_tool"}, span_id="b" * 16)
    settings = {"subject": "{gen_ai.agent.name}"}
    chat = Span(CHAT | {"gen_ai.agent.name": "helper"})
    _, outcome = read_spans(chat, tool, **settings)
    assert (outcome["subject"], outcome["request_id"]) == ("helper", "chatcmpl-123")
    assert "versions" not in outcome
    # With two requests, the trace is known and the request is not.
    second = Span(chat.attributes | {"gen_ai.response.id": "chatcmpl-124"}, span_id="c" * 16)
    assert [record["request_id"] for record in read_spans(chat, second, tool)] == [
        "chatcmpl-123",
        "chatcmpl-124",
        TRACE,
    ]
    # Without a request in the message, the subject is missing: there is no late outcome, and no dead letter.
    (found,) = read_all(spans_message(tool), **settings)
    assert (found.record, found.reason) == (None, None)
    assert "no late outcome" in found.skipped


def test_an_outcome_never_counts_as_a_request():
    tool = Span({"gen_ai.operation.name": "execute_tool", "took": 3.0})
    (record,) = read_spans(tool, map=["took=latency_ms", "service.version=versions.code"], sampled="tail")
    assert record == OUTCOME | {"output": {"tool_error": False}, "versions": {"code": "2.1.0"}}


def test_evaluations_of_one_span_are_limited():
    event = Event("gen_ai.evaluation.result", evaluation())
    assert len(read_all(spans_message(Span(CHAT, events=[event] * 1000)))) == 65


def test_an_evaluation_that_is_an_attribute_of_a_request_is_part_of_its_record():
    attributes = {"evaluations.0.evaluation.name": "relevance", "evaluations.0.evaluation.score": 0.5}
    (record,) = read_spans(Span(CHAT | attributes), resource=RESOURCE)
    assert record["custom"] == {"relevance": 0.5}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("trace_id", ["", "00" * 16])
def test_an_evaluation_without_any_id_does_not_count_as_a_request(trace_id, encoding):
    evaluation = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.5, "job": "e-7"}
    log = Log(evaluation, "gen_ai.evaluation.result", trace_id=trace_id)
    (found,) = read_all(logs_message(log, encoding=encoding), format="otlp_logs")
    assert found.record is None
    assert "request_id" in found.skipped
    (record,) = read_logs(log, encoding=encoding, map=["job=request_id"])
    assert (record["request_id"], record["custom"]) == ("e-7", {"relevance": 0.5})


def test_a_response_id_that_is_too_long_for_a_label_is_not_used():
    spans = (
        Span({"gen_ai.operation.name": name, "gen_ai.response.id": "x" * 201}) for name in ("chat", "execute_tool")
    )
    assert [record["request_id"] for record in read_spans(*spans)] == [TRACE, TRACE]


def test_a_refusal_without_text_in_the_logs_is_not_called_empty():
    messages = json.dumps([{"role": "assistant", "parts": [], "finish_reason": "content_filter"}])
    details = {"gen_ai.output.messages": messages, "gen_ai.response.finish_reasons": ["content_filter"]}
    (record,) = read_logs(Log(details, "gen_ai.client.inference.operation.details"))
    assert record["output"] == {"tool_calls": 0}
    choice = {"finish_reason": "content_filter", "message": {"content": ""}}
    assert read_logs(Log({}, "gen_ai.choice", choice)) == []
