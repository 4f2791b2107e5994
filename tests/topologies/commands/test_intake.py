"""``driftwire intake check`` against a real Kafka."""

import asyncio
import json
import time

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from click.testing import CliRunner

from tests.pipeline.intake.telemetry.builders import Span, spans_message
from topologies.cli import command

pytestmark = pytest.mark.kafka

AT = "2026-11-24T03:12:00.123Z"
MAPPING = ("--map", "took=latency_ms:s", "--map", "at=timestamp", "--subject", "{app}")


def check(broker, *arguments):
    return CliRunner().invoke(command, ["intake", "check", "--bootstrap", broker.bootstrap, *arguments])


async def send(bootstrap, topic, *contents):
    await send_values(bootstrap, topic, *(json.dumps(content).encode() for content in contents))


async def send_values(bootstrap, topic, *values):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 3, 1)])
    await admin.close()
    now_ms = int(time.time() * 1000)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for number, value in enumerate(values):
            # Messages of the same millisecond in different partitions have no order.
            await producer.send_and_wait(topic, value, partition=number % 3, timestamp_ms=now_ms + number)


def message(number, **changes):
    return {"app": "shop", "at": AT, "took": 0.5, "n": number, "prompt": f"secret {number}"} | changes


def test_the_latest_messages_are_shown_as_they_would_be_read(broker):
    asyncio.run(send(broker.bootstrap, "check.good", *(message(number) for number in range(50))))
    result = check(broker, "--topic", "check.good", *MAPPING, "--map", "n=request_id", "--count", "5")
    assert result.exit_code == 0, result.output
    assert result.output.count("record of shop at " + AT) == 5
    assert "took  infrastructure.latency_ms = 500.0" in result.output
    assert [f"request_id = {number}" in result.output for number in (44, 45, 49)] == [False, True, True]
    assert "prompt  text of 9 characters" in result.output
    assert "check.good: 5 messages with 5 objects; 5 become records" in result.output
    assert "secret" not in result.output


def test_problems_say_what_to_do(broker):
    broken = (message(0, at=None), message(1, took="secret text"), 5, message(3, at="2026-11-24 03:12:00"))
    asyncio.run(send(broker.bootstrap, "check.broken", *broken))
    result = check(broker, "--topic", "check.broken", *MAPPING)
    assert result.exit_code == 1
    assert "no record: the record has no time: map a source to timestamp" in result.output
    assert "infrastructure.latency_ms cannot be used (wrong_type): text of 11 characters" in result.output
    assert "set time_zone" in result.output
    assert "3 would become dead letters" in result.output
    assert "secret" not in result.output


def test_the_mapping_of_the_configuration_is_used_without_options(broker, tmp_path):
    asyncio.run(send(broker.bootstrap, "check.configured", message(0)))
    file = tmp_path / "driftwire.toml"
    file.write_text(
        '[intake.topics."check.configured"]\nmap = ["took=latency_ms:min", "at=timestamp"]\nsubject = "x"\n'
    )
    result = check(broker, "--topic", "check.configured", "--config", str(file))
    assert result.exit_code == 0, result.output
    assert "infrastructure.latency_ms = 30000.0" in result.output
    assert "record of x at" in result.output


def test_spans_are_shown_as_they_would_be_read(broker):
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 812,
        "gen_ai.input.messages": "secret",
        "app.tenant": "acme",
    }
    value = spans_message(Span(chat), Span({"http.request.method": "POST"}), Span(chat, trace_id="00" * 16))
    asyncio.run(send_values(broker.bootstrap, "check.spans", value))
    arguments = ("--topic", "check.spans", "--format", "otlp_spans", "--map", "app.tenant=segment.tenant")
    result = check(broker, *arguments)
    assert result.exit_code == 1
    assert "partition 0, offset 0, element 0: record of shop-chat at 2026-11-24T03:12:01.000Z" in result.output
    assert "gen_ai.usage.input_tokens    infrastructure.input_tokens = 812" in result.output
    assert "app.tenant                   segment.tenant = acme" in result.output
    assert "gen_ai.input.messages  text of 6 characters" in result.output
    assert "element 2: no record: span 2 has no valid trace id" in result.output
    assert "check.spans: 1 messages with 3 objects; 1 become records" in result.output
    assert "1 are not read: they describe no request" in result.output
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--topic", "driftwire.records"), "belongs to driftwire"),
        (("--topic", "check.none", "--map", "took=latency"), 'map "took=latency"'),
        (("--topic", "check.none", "--map", "took"), "SOURCE=FIELD"),
    ],
)
def test_wrong_options_are_named(broker, arguments, part):
    result = check(broker, *arguments)
    assert result.exit_code == 2
    assert part in result.output


def test_a_missing_topic_is_named(broker):
    result = check(broker, "--topic", "check.nowhere")
    assert result.exit_code != 0
    assert "no topic check.nowhere" in (result.output + str(result.exception))
