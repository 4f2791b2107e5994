"""The callback with the real litellm, against a local server of the OpenAI protocol: each call of a model is one record."""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from pipeline.intake import MappingSettings
from schemas.topics import RECORDS
from tests.openai_server import Answer, OpenAIServer
from topologies.broker import EmbeddedBroker
from topologies.kafka import read_topic
from topologies.record_files import open_records

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
SERVICES = Path(sys.prefix) / "services/bin/python"

ENVIRONMENT = "litellm-test"

MARK = "marked"
"""All texts, keys and error messages of the service begin with this word."""

ONLY_IN_CALLBACK = {
    "environment",
    "provider_model",
    "infrastructure.time_to_first_token_ms",
    "output.tool_calls",
    "output.empty",
    "output.refused",
    "data.context_fraction",
    "safety.filter_skipped",
    "versions.prompt",
}
"""Fields that an export cannot have, or that a rule for a single key cannot compute."""


class Run(NamedTuple):
    printed: dict[str, Any]
    payloads: Path
    log: str


def choose(body: dict[str, Any]) -> Answer:
    match body["model"]:
        case "limited":
            return Answer("marked error", status=429)
        case "invalid":
            return Answer("marked error", status=400)
        case "broken":
            return Answer("marked error", status=500)
        case "tools":
            return Answer(None, tool_calls=2)
        case "filtered":
            return Answer("", finish_reason="content_filter")
        case "refusing":
            return Answer(None, refusal="marked refusal")
        case "silent":
            return Answer("")
    return Answer("marked answer", model=f"{body['model']}-2026-10", first_token_s=0.1, end_s=0.2)


def read_configuration() -> dict[str, Any]:
    """Return the configuration of the proxy in the documentation."""
    section = (ROOT / "docs/connect.md").read_text().partition("## From litellm\n")[2].partition("\n## ")[0]
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    configuration: dict[str, Any] = yaml.safe_load(text)
    return configuration


@pytest.fixture(scope="module")
def run(broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Run:
    configuration = read_configuration()
    callback = configuration["litellm_settings"]["callbacks"]
    payloads = tmp_path_factory.mktemp("litellm") / "payloads.ndjson"
    flaky = iter([Answer("marked error", status=500)])
    with OpenAIServer(lambda body: next(flaky, Answer()) if body["model"] == "flaky" else choose(body)) as server:
        done = subprocess.run(
            [SERVICES, "-m", "tests.client.litellm_program", callback, server.url, payloads],
            cwd=ROOT,
            env=os.environ
            | dict.fromkeys(configuration["environment_variables"], "")
            | {
                "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "client"))),
                "DRIFTWIRE_BOOTSTRAP": broker.bootstrap,
                "DRIFTWIRE_ENVIRONMENT": ENVIRONMENT,
                "DRIFTWIRE_SUBJECT": "litellm-{metadata.feature}",
            },
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    return Run(json.loads(done.stdout), payloads, done.stderr)


async def read_records(broker: EmbeddedBroker) -> dict[str, list[dict[str, Any]]]:
    records = defaultdict(list)
    async for message in read_topic(broker.cluster, RECORDS):
        value = (message.value or b"").decode(errors="replace")
        if ENVIRONMENT in value:
            assert MARK not in value
            record = json.loads(value)
            records[record["subject"].removeprefix("litellm-")].append(record)
    return records


async def test_each_call_is_one_record(broker: EmbeddedBroker, run: Run) -> None:
    records = await read_records(broker)
    assert {feature: len(calls) for feature, calls in records.items() if len(calls) > 1} == {
        "flaky": 2,
        "broken": 3,
        "limited": 2,
        "sync-limited": 2,
    }
    written = len(run.payloads.read_text().splitlines())
    assert run.printed["called"] == run.printed["sent"] == written == sum(map(len, records.values()))


async def test_an_answer_is_numbers_and_labels(broker: EmbeddedBroker, run: Run) -> None:
    (record,) = (await read_records(broker))["answer"]
    assert 300 <= record["infrastructure"].pop("latency_ms") < 10_000
    assert record.pop("request_id").startswith("chatcmpl-")
    del record["timestamp"]
    assert record == {
        "subject": "litellm-answer",
        "environment": ENVIRONMENT,
        "provider": "openai",
        "provider_model": "gpt-4o-mini-2026-10",
        "infrastructure": {
            "error": False,
            "input_tokens": 40,
            "output_tokens": 11,
            "cost": pytest.approx(40 * 0.15e-6 + 11 * 0.6e-6),
            "retries": 0,
        },
        "output": {"finish_reason": "stop", "tool_calls": 0, "length": 13, "empty": False, "refused": False},
        "data": {"context_fraction": 40 / 128_000},
        "versions": {"model": "openai/gpt-4o-mini", "prompt": "v41"},
        "segment": {"cache_hit": False},
    }


async def test_streams_have_the_time_to_the_first_token(broker: EmbeddedBroker, run: Run) -> None:
    records = await read_records(broker)
    for feature in ("stream", "sync-stream"):
        (record,) = records[feature]
        assert 100 <= record["infrastructure"]["time_to_first_token_ms"] < record["infrastructure"]["latency_ms"]
        assert record["output"]["length"] == len("marked answer ")
    assert "time_to_first_token_ms" not in records["answer"][0]["infrastructure"]


async def test_failures_have_their_kind_and_nothing_that_nobody_knows(broker: EmbeddedBroker, run: Run) -> None:
    records = await read_records(broker)
    for feature, error_type, retries in (
        ("limited", "RateLimitError", [0, 1]),
        ("sync-limited", "RateLimitError", [0, 1]),
        ("invalid", "BadRequestError", [0]),
    ):
        calls = [record["infrastructure"] for record in records[feature]]
        assert [call.pop("retries") for call in calls] == retries
        assert all(call.pop("latency_ms") > 0 for call in calls)
        assert calls == [{"error": True, "error_type": error_type}] * len(retries)
        assert "output" not in records[feature][0]


async def test_retries_and_fallbacks_are_counted(broker: EmbeddedBroker, run: Run) -> None:
    records = await read_records(broker)
    calls = {
        feature: [
            (record["versions"]["model"], record["infrastructure"]["error"], record["infrastructure"]["retries"])
            for record in records[feature]
        ]
        for feature in ("flaky", "broken")
    }
    assert calls["flaky"] == [("openai/flaky", True, 0), ("openai/flaky", False, 1)]
    assert calls["broken"] == [
        ("openai/broken", True, 0),
        ("openai/broken", True, 1),
        ("openai/gpt-4o", False, 1),
    ]


async def test_outputs_are_classified(broker: EmbeddedBroker, run: Run) -> None:
    records = await read_records(broker)
    outputs = {
        feature: records[feature][0]["output"] for feature in ("tools", "filtered", "refusing", "silent", "redacted")
    }
    assert outputs == {
        "tools": {"finish_reason": "tool_calls", "tool_calls": 2, "empty": False, "refused": False},
        "filtered": {"finish_reason": "content_filter", "tool_calls": 0, "empty": True, "refused": True},
        "refusing": {"finish_reason": "stop", "tool_calls": 0, "empty": True, "refused": True},
        "silent": {"finish_reason": "stop", "tool_calls": 0, "empty": True, "refused": False},
        "redacted": {"finish_reason": "stop", "tool_calls": 0},
    }
    (embedding,) = records["embed"]
    assert "output" not in embedding
    assert embedding["infrastructure"]["input_tokens"] == 40


async def test_a_guardrail_that_did_not_check_is_a_filter_that_was_skipped(broker: EmbeddedBroker, run: Run) -> None:
    records = await read_records(broker)
    assert {
        feature: records[feature][0].get("safety")
        for feature in ("answer", "guard-passed", "guard-blocked", "guard-down", "guard-idle")
    } == {
        "answer": None,
        "guard-passed": {"filter_triggered": False, "filter_skipped": False},
        "guard-blocked": {"filter_triggered": True, "filter_skipped": False},
        "guard-down": {"filter_skipped": True},
        "guard-idle": {"filter_triggered": False, "filter_skipped": True},
    }


async def test_a_request_without_the_keys_of_the_rule_has_its_model_as_the_subject(
    broker: EmbeddedBroker, run: Run
) -> None:
    (record,) = (await read_records(broker))["gpt-4o-mini"]
    assert record["versions"] == {"model": "gpt-4o-mini"}
    assert "retries" not in record["infrastructure"]


async def test_an_export_of_the_same_payloads_is_read_alike(broker: EmbeddedBroker, run: Run) -> None:
    sent = {
        record["request_id"]: flatten(record) for records in (await read_records(broker)).values() for record in records
    }
    (file,) = open_records([run.payloads], MappingSettings(subject="any"))
    assert file.guess.description.startswith("litellm")
    read = [flatten(json.loads(line.value or b"")) for line in file]
    assert len(read) == len(sent)
    for record in read:
        called = sent[record["request_id"]]
        for field in ("timestamp", "infrastructure.latency_ms"):
            assert abs(record.pop(field) - called.pop(field)) <= 1
        record.pop("subject")
        called.pop("subject")
        retries = called.pop("infrastructure.retries", 0)
        assert record.pop("infrastructure.retries", retries) == retries
        assert {name: str(value) for name, value in record.items()} == {
            name: str(value) for name, value in called.items() if name not in ONLY_IN_CALLBACK
        }


def flatten(record: dict[str, Any]) -> dict[str, Any]:
    sections = {name: value for name, value in record.items() if isinstance(value, dict)}
    fields = {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}
    return fields | {name: value for name, value in record.items() if name not in sections}


def test_neither_litellm_nor_the_callback_connects_to_another_host(run: Run) -> None:
    assert set(run.printed["hosts"]) <= {"127.0.0.1", "localhost"}


def test_a_call_that_cannot_be_read_is_logged_once_and_raises_nothing(run: Run) -> None:
    assert run.log.count("a call of litellm could not be read (KeyError); others are not logged") == 1
    assert "left out" not in run.log
