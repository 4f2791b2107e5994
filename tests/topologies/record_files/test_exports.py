"""Exports of other tools: recognised by their keys, read without options, and nothing private copied."""

import csv
import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.intake import MappingSettings
from topologies.record_files import open_records
from topologies.record_files.exports import EXPORTS

LANGFUSE: dict[str, Any] = {
    "id": "o-1",
    "trace_id": "t-1",
    "project_id": "p",
    "environment": "production",
    "type": "GENERATION",
    "start_time": "2026-11-24 03:00:00.000000",
    "end_time": "2026-11-24 03:00:01.912000",
    "completion_start_time": "2026-11-24 03:00:00.400000",
    "name": "answer",
    "level": "ERROR",
    "status_message": "secret",
    "input": "secret prompt",
    "output": "secret answer",
    "provided_model_name": "m-1",
    "usage_details": {"input": 40, "output": 11, "total": 51},
    "prompt_version": 3,
    "latency": 1.912,
}
LANGFUSE_API: dict[str, Any] = {
    "id": "o-1",
    "traceId": "t-1",
    "type": "GENERATION",
    "startTime": "2026-11-24T03:00:00.000Z",
    "endTime": "2026-11-24T03:00:01.912Z",
    "completionStartTime": "2026-11-24T03:00:00.400Z",
    "name": "answer",
    "level": "ERROR",
    "environment": "production",
    "model": "m-1",
    "input": "secret prompt",
    "usageDetails": {"input": 40, "output": 11},
    "promptVersion": 3,
}
LANGFUSE_RECORD = {
    "subject": "answer",
    "request_id": "o-1",
    "environment": "production",
    "infrastructure": {
        "latency_ms": 1912,
        "time_to_first_token_ms": 400,
        "error": True,
        "input_tokens": 40,
        "output_tokens": 11,
    },
    "versions": {"model": "m-1", "prompt": "3"},
}
TRACE = {
    "id": "t-1",
    "timestamp": "2026-11-24T03:00:01.912Z",
    "name": "chat",
    "bookmarked": False,
    "public": False,
    "userId": "secret",
    "release": "r-9",
    "level": "DEFAULT",
    "latency": 1.912,
    "usage": {"promptTokens": 40, "completionTokens": 11, "totalTokens": 51},
    "input": "secret",
}
TRACE_RECORD = {
    "subject": "chat",
    "request_id": "t-1",
    "infrastructure": {"latency_ms": 1912, "error": False, "input_tokens": 40, "output_tokens": 11},
    "versions": {"code": "r-9"},
}
PHOENIX = {
    "name": "ChatCompletion",
    "span_kind": "LLM",
    "start_time": "2026-11-24T03:00:00+00:00",
    "end_time": "2026-11-24T03:00:01.912000+00:00",
    "status_code": "OK",
    "status_message": "secret",
    "context.span_id": "s-1",
    "context.trace_id": "t-1",
    "attributes.llm.model_name": "m-1",
    "attributes.llm.token_count.prompt": 40,
    "attributes.llm.token_count.completion": 11,
    "attributes.input.value": "secret",
}
PHOENIX_API = {
    **{name: PHOENIX[name] for name in ("name", "span_kind", "start_time", "end_time", "status_code")},
    "context": {"span_id": "s-1", "trace_id": "t-1"},
    "attributes": {"llm.model_name": "m-1", "llm.token_count.prompt": 40, "llm": {"token_count": {"completion": 11}}},
}
PHOENIX_RECORD = {
    "subject": "ChatCompletion",
    "request_id": "s-1",
    "infrastructure": {"latency_ms": 1912, "error": False, "input_tokens": 40, "output_tokens": 11},
    "versions": {"model": "m-1"},
}
LITELLM = {
    "id": "chatcmpl-1",
    "trace_id": "t-1",
    "call_type": "acompletion",
    "status": "failure",
    "status_fields": {"llm_api_status": "failure", "guardrail_status": "guardrail_intervened"},
    "custom_llm_provider": "azure",
    "prompt_tokens": 40,
    "completion_tokens": 11,
    "startTime": 1795489200.0,
    "endTime": 1795489201.912,
    "model": "m-1",
    "model_group": "chat",
    "messages": [{"role": "user", "content": "secret"}],
    "response": {"model": "m-2026-10", "choices": [{"finish_reason": "stop", "message": {"content": "secret"}}]},
    "error_information": {"error_class": "RateLimitError"},
    "response_cost": 0.01,
    "cache_hit": True,
    "hidden_params": {
        "additional_headers": {"x-litellm-attempted-retries": 1, "x-litellm-attempted-fallbacks": 2, "x": "secret"}
    },
    "metadata": {"requester_metadata": {"prompt_version": "v41", "note": "secret"}},
}
SPEND_LOG = {
    "request_id": "chatcmpl-1",
    "call_type": "acompletion",
    "api_key": "secret",
    "spend": "0.01",
    "prompt_tokens": "40",
    "completion_tokens": "11",
    "startTime": "2026-11-24 03:00:00",
    "endTime": "2026-11-24 03:00:01.912",
    "model": "m-1",
    "model_group": "chat",
    "custom_llm_provider": "azure",
    "status": "failure",
    "cache_hit": "True",
}
LITELLM_RECORD = {
    "subject": "chat",
    "request_id": "chatcmpl-1",
    "provider": "azure",
    "infrastructure": {"latency_ms": 1912, "error": True, "input_tokens": 40, "output_tokens": 11, "cost": 0.01},
    "versions": {"model": "m-1"},
    "segment": {"cache_hit": True},
}
BATCH = {
    "id": "batch_req_1",
    "custom_id": "request-1",
    "response": {
        "status_code": 200,
        "request_id": "x",
        "body": {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1795489201,
            "model": "m-2026-10",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "secret"}, "finish_reason": "length"},
            ],
            "usage": {"prompt_tokens": 40, "completion_tokens": 11, "total_tokens": 51},
        },
    },
    "error": None,
}
BATCH_RECORD = {
    "subject": "m-2026-10",
    "request_id": "request-1",
    "provider_model": "m-2026-10",
    "infrastructure": {"error": False, "input_tokens": 40, "output_tokens": 11},
    "output": {"finish_reason": "length", "length": 6},
}
RESPONSE = {
    "id": "batch_req_1",
    "custom_id": "request-1",
    "response": {
        "status_code": 200,
        "body": {
            "object": "response",
            "created_at": 1795489201,
            "model": "m-2026-10",
            "usage": {"input_tokens": 40, "output_tokens": 11},
        },
    },
    "error": None,
}
RESPONSE_RECORD = {name: BATCH_RECORD[name] for name in ("subject", "request_id", "provider_model", "infrastructure")}

PAYLOAD_RECORD = LITELLM_RECORD | {
    "infrastructure": {**LITELLM_RECORD["infrastructure"], "error_type": "RateLimitError", "retries": 3},  # type: ignore[dict-item]
    "output": {"finish_reason": "stop", "length": 6},
    "safety": {"filter_triggered": True},
    "versions": {"model": "m-1", "prompt": "v41"},
}


def write(folder: Path, suffix: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"export.{suffix}"
    if suffix == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(
                {name: json.dumps(cell) if isinstance(cell, dict) else cell for name, cell in row.items()}
                for row in rows
            )
    else:
        path.write_text(json.dumps(rows, indent=1) if suffix == "json" else "\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("Langfuse observations", LANGFUSE, LANGFUSE_RECORD),
        ("Langfuse observations", LANGFUSE_API, LANGFUSE_RECORD),
        ("Langfuse traces", TRACE, TRACE_RECORD),
        ("Phoenix spans", PHOENIX, PHOENIX_RECORD),
        ("Phoenix spans", PHOENIX_API, PHOENIX_RECORD),
        ("litellm", LITELLM, PAYLOAD_RECORD),
        ("litellm", LITELLM | {"model_group": ""}, PAYLOAD_RECORD | {"subject": "m-1"}),
        ("litellm", SPEND_LOG, LITELLM_RECORD),
        ("OpenAI batch output", BATCH, BATCH_RECORD),
        ("OpenAI batch output", RESPONSE, RESPONSE_RECORD),
    ],
    ids=[
        "langfuse",
        "langfuse-api",
        "trace",
        "phoenix",
        "phoenix-api",
        "litellm",
        "no-group",
        "spend",
        "batch",
        "response",
    ],
)
def test_an_export_is_read_without_options(
    tmp_path: Path, suffix: str, name: str, row: dict[str, Any], expected: dict[str, Any]
) -> None:
    (file,) = open_records([write(tmp_path, suffix, [row])])
    assert file.guess.description.startswith(name)
    (line,) = file
    assert b"secret" not in line.value
    assert "secret" not in str(file.guess)
    record = orjson.loads(line.value)
    assert line.time_ms in (1795489201912, 1795489201000)
    del record["timestamp"]
    assert as_labels(record) == as_labels(expected)


def as_labels(content: dict[str, Any]) -> dict[str, Any]:
    """Return a record with texts for all values, because CSV has no types."""
    return {
        name: as_labels(value) if isinstance(value, dict) else str(value).removesuffix(".0")
        for name, value in content.items()
    }


def test_what_litellm_does_not_know_is_absent(tmp_path: Path) -> None:
    known = LITELLM | {"cache_hit": None}
    failed = known | {
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "response_cost": 0.0,
        "error_information": {"error_class": ""},
    }
    (file,) = open_records([write(tmp_path, "jsonl", [known, failed])])
    first, second = [orjson.loads(line.value) for line in file]
    assert first["infrastructure"].keys() - second["infrastructure"].keys() == {
        "input_tokens",
        "output_tokens",
        "cost",
        "error_type",
    }
    assert first["segment"] == second["segment"] == {"cache_hit": False}


def test_given_options_have_priority(tmp_path: Path) -> None:
    path = write(tmp_path, "jsonl", [LANGFUSE])
    settings = MappingSettings(subject="bot", map=("latency=latency_ms:s", "start_time=timestamp"))
    (file,) = open_records([path], settings)
    (line,) = file
    record = orjson.loads(line.value)
    assert (line.subject, record["infrastructure"]["latency_ms"]) == ("bot", 1912.0)
    assert line.time_ms == 1795489200000
    assert {column.source: column.field for column in file.guess.columns}["latency"] == "infrastructure.latency_ms"


def test_a_failed_request_of_a_batch_has_no_time_and_is_counted(tmp_path: Path) -> None:
    failed = {"id": "1", "custom_id": "2", "response": None, "error": {"code": "batch_expired", "message": "secret"}}
    (file,) = open_records([write(tmp_path, "jsonl", [BATCH, failed])])
    assert [line.value is not None for line in file] == [True, False]
    assert list(file.first_lines.values()) == [2]


def test_records_of_driftwire_are_no_export(tmp_path: Path) -> None:
    record = {"subject": "a", "timestamp": 1795489201000, "output": {"refused": True}}
    (file,) = open_records([write(tmp_path, "jsonl", [record])])
    assert not file.guess.is_mapped


def test_every_rule_names_a_field_of_the_record() -> None:
    for export in EXPORTS:
        MappingSettings(map=tuple(f"x{number}={rule.field}" for number, rule in enumerate(export.rules)))
