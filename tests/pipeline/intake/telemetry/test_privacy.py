"""No text of a prompt, an answer, a tool or a document leaves intake: not in a record, a dead letter or a preview."""

import json

import pytest

from pipeline.intake import IntakeSettings, IntakeStep, preview_messages
from pipeline.intake.telemetry import DERIVED_SOURCES, KIND_RULES, SYNONYMS
from pipeline.step import RawMessage
from schemas.record_fields import find_record_field
from tests.pipeline.intake.telemetry.builders import ENCODINGS, RESOURCE, Event, Log, Span, logs_message, spans_message

TEXT = "MARKED words, of a person"
LONG = "MARKED " * 40
"""Text that is too long for a label."""

MESSAGES = [
    {"role": "assistant", "parts": [{"type": "text", "content": TEXT}, {"type": "tool_call", "arguments": TEXT}]}
]
CONTENT = {
    "langfuse.observation.usage_details": json.dumps({"input": TEXT, "output": TEXT}),
    "langfuse.observation.cost_details": json.dumps({"total": TEXT}),
    "langfuse.observation.level": TEXT,
    "langfuse.observation.completion_start_time": TEXT,
    "langfuse.observation.input": TEXT,
    "langfuse.observation.output": TEXT,
    "gen_ai.input.messages": json.dumps(MESSAGES),
    "gen_ai.output.messages": json.dumps(MESSAGES),
    "gen_ai.system_instructions": TEXT,
    "gen_ai.tool.definitions": TEXT,
    "gen_ai.tool.call.arguments": TEXT,
    "gen_ai.tool.call.result": TEXT,
    "gen_ai.retrieval.query.text": TEXT,
    "gen_ai.retrieval.documents": json.dumps([{"id": TEXT, "score": 0.5, "content": TEXT}]),
    "gen_ai.evaluation.name": TEXT,
    "gen_ai.evaluation.explanation": TEXT,
    "gen_ai.evaluation.score.label": TEXT,
    "gen_ai.evaluation.score.value": TEXT,
    "gen_ai.prompt.0.content": TEXT,
    "gen_ai.completion.0.content": TEXT,
    "gen_ai.completion.0.tool_calls.0.arguments": TEXT,
    "gen_ai.guardrail.verdict.type": TEXT,
    "gen_ai.guardrail.verdict.reason": TEXT,
    "guardrail_status": TEXT,
    "llm.input_messages.0.message.content": TEXT,
    "llm.output_messages.0.message.content": TEXT,
    "llm.output_messages.0.message.contents.0.message_content.text": TEXT,
    "llm.output_messages.0.message.contents.0.message_content.type": TEXT,
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": TEXT,
    "llm.prompt_template.template": TEXT,
    "input.value": TEXT,
    "output.value": TEXT,
    "retrieval.documents.0.document.content": TEXT,
    "retrieval.documents.0.document.score": TEXT,
    "evaluations.0.evaluation.name": TEXT,
    "evaluations.0.evaluation.score": TEXT,
    "evaluations.0.evaluation.explanation": TEXT,
    "traceloop.entity.input": TEXT,
    "traceloop.entity.output": TEXT,
    "exception.message": TEXT,
    "exception.stacktrace": TEXT,
    "length": TEXT,
    "refused": TEXT,
    "provider": TEXT,
    "finish_reason": TEXT,
    "segment": {"question": TEXT},
    "custom": {"answer": TEXT},
    "a list": [TEXT],
}
COPIED = {
    row.attribute: TEXT if getattr(find_record_field(row.field), "kind", "") == "number" else LONG for row in SYNONYMS
}
"""Text in place of everything that is copied: for a number any text, and for a label a long text."""

KINDS = [
    {"gen_ai.operation.name": "chat"},
    {"gen_ai.operation.name": "retrieval"},
    {"gen_ai.operation.name": "run_guardrail"},
    {"gen_ai.operation.name": "execute_tool"},
    {"openinference.span.kind": "EVALUATOR"},
    {"gen_ai.operation.name": TEXT, "openinference.span.kind": TEXT},
    {},
]


def outputs(value, form):
    settings = IntakeSettings.model_validate(
        {"topics": {"otlp": {"format": form, "map": ["input.value=custom.input"]}}}
    )
    message = RawMessage("otlp", 0, 0, 0, TEXT.encode(), value)
    found = IntakeStep(settings.topics, len).step([message])
    yield from (b"%b%b" % (output.key, output.value) for output in found)
    preview = preview_messages([message], settings.mapping("otlp", ""))
    for shown in preview.objects:
        record = shown.mapped if not shown.problem else None
        yield repr((shown.values, shown.unusable, shown.problem, shown.skipped, record)).encode()
    yield repr(preview.left_out).encode()


def assert_no_text(value, form):
    found = list(outputs(value, form))
    assert found
    assert [output for output in found if b"MARKED" in output] == []


def test_every_attribute_that_is_read_is_tried():
    derived = {source.attribute for source in DERIVED_SOURCES}
    assert {name for name in derived if not name.endswith(".")} <= CONTENT.keys() | {"gen_ai.guardrail.action.type"}
    assert all(any(name.startswith(prefix) for name in CONTENT) for prefix in derived if prefix.endswith("."))
    assert {rule.kind for rule in KIND_RULES} >= {"inference", "retrieval", "guardrail", "tool", "evaluation"}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("resource", [RESOURCE | {"host.name": TEXT}, {}, {"service.name": LONG}])
def test_no_text_of_a_span_leaves_intake(kind, resource, encoding):
    event = Event("gen_ai.evaluation.result", CONTENT)
    exception = Event("exception", CONTENT | {"exception.type": LONG})
    other = Event(TEXT, CONTENT)
    span = Span(
        COPIED | CONTENT | kind,
        is_error=True,
        message=TEXT,
        name=TEXT,
        trace_state=f"vendor={TEXT}",
        events=[event, exception, other],
    )
    assert_no_text(spans_message(span, encoding=encoding, resource=resource), "otlp_spans")
    assert_no_text(spans_message(span, encoding=encoding, resource=resource)[:-3], "otlp_spans")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["gen_ai.choice", "gen_ai.evaluation.result", TEXT, ""])
def test_no_text_of_a_log_record_leaves_intake(name, encoding):
    body = {"message": {"role": TEXT, "content": TEXT, "tool_calls": [TEXT]}, "finish_reason": TEXT}
    for log in (Log(COPIED | CONTENT, name, body), Log(CONTENT, name, TEXT)):
        assert_no_text(logs_message(log, encoding=encoding), "otlp_logs")
