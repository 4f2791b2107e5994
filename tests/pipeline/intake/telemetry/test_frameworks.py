"""Inference spans of Langfuse, LiteLLM and other frameworks become the same record as those of SDKs."""

import pytest

from tests.pipeline.intake.telemetry.builders import ENCODINGS, Event, Span, read_spans


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_generations_of_langfuse_are_read(encoding):
    attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "model-a",
        "langfuse.observation.prompt.name": "support",
        "langfuse.observation.prompt.version": 41,
        "langfuse.observation.usage_details": '{"input": 812, "output": 120, "total": 932}',
        "langfuse.observation.cost_details": '{"total": 0.002}',
    }
    (record,) = read_spans(Span(attributes), encoding=encoding)
    assert record["versions"] == {"model": "model-a", "prompt": 41, "code": "2.1.0"}
    assert record["infrastructure"] == {
        "latency_ms": 1000.0,
        "error": False,
        "input_tokens": 812,
        "output_tokens": 120,
        "cost": 0.002,
    }
    for broken in ("[1]", "{", '{"input": "many", "total": null}'):
        details = {f"langfuse.observation.{name}_details": broken for name in ("usage", "cost")}
        (record,) = read_spans(Span(attributes | details), encoding=encoding)
        assert record["infrastructure"] == {"latency_ms": 1000.0, "error": False}


def test_the_wrapper_of_langfuse_for_openai_is_read():
    attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.level": "ERROR",
        "langfuse.observation.completion_start_time": '"2026-11-24T03:12:00.250000Z"',
        "langfuse.observation.usage_details": '{"completion_tokens": 120, "prompt_tokens": 812, "total_tokens": 932}',
    }
    (record,) = read_spans(Span(attributes))
    assert record["infrastructure"] == {
        "error": True,
        "latency_ms": 1000.0,
        "input_tokens": 812,
        "output_tokens": 120,
        "time_to_first_token_ms": 250.0,
    }
    for unusable in ('"soon"', "7", '"2026-11-25T03:12:00Z"', '"2026-11-24T03:12:00.250000"'):
        (record,) = read_spans(Span(attributes | {"langfuse.observation.completion_start_time": unusable}))
        assert "time_to_first_token_ms" not in record["infrastructure"]


@pytest.mark.parametrize(
    "operation", [{"llm.request.type": "acompletion"}, {"gen_ai.operation.name": "chat.streaming_completions"}]
)
def test_operations_of_frameworks_are_requests(operation):
    (record,) = read_spans(Span(operation | {"gen_ai.system": "openai", "gen_ai.request.model": "model-a"}))
    assert record["versions"]["model"] == "model-a"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_request_that_succeeds_after_a_retry_has_no_error(encoding):
    # LiteLLM writes the error of each attempt to the span of the request, and the status OK if a later one succeeds.
    chat = {"gen_ai.operation.name": "acompletion", "error.type": "RateLimitError"}
    exception = Event("exception", {"exception.type": "RateLimitError"})
    (record,) = read_spans(Span(chat, is_ok=True, events=[exception]), encoding=encoding)
    assert record["infrastructure"] == {"error": False, "latency_ms": 1000.0}
    (record,) = read_spans(Span(chat), encoding=encoding)
    assert record["infrastructure"] == {"error": True, "error_type": "RateLimitError", "latency_ms": 1000.0}
