"""CloudEvents on Kafka, in binary and in structured mode, through real workers."""

import asyncio
import json
import time
from contextlib import ExitStack

import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import DEAD_LETTERS, DEPLOYMENTS, RECORDS, checkpoints_topic
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.configuration import Configuration, write_configuration
from topologies.kafka import read_topic

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

RECORDS_SENT = 40


def record(number, at_ms):
    return {"subject": "bot", "request_id": f"r-{number}", "timestamp": at_ms + number, "output": {"length": 3}}


def deployment(name, at_ms):
    fields = {"deployment_id": name, "subject": "bot", "kind": "prompt", "from": "v41", "to": "v42"}
    return fields | {"timestamp": at_ms}


def binary(data):
    attributes = {"ce_specversion": "1.0", "ce_id": "e-1", "ce_source": "/gateway", "ce_type": "io.example.record"}
    headers = {"content-type": "application/json"} | attributes
    return json.dumps(data).encode(), [(name, value.encode()) for name, value in headers.items()]


def structured(data, **attributes):
    envelope = {"specversion": "1.0", "id": "e-1", "source": "/gateway", "type": "io.example.record", "data": data}
    return json.dumps(envelope | attributes).encode(), [("content-type", b"application/cloudevents+json")]


async def send(bootstrap, topic, events):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for value, headers in events:
            await producer.send_and_wait(topic, value, partition=0, headers=headers)


async def wait_for(cluster, topic, text, timeout_s=180.0):
    """Return the newest value of each key of a topic, as soon as one of them contains a text."""
    deadline = time.monotonic() + timeout_s
    while True:
        newest = {message.key: message.value or b"" async for message in read_topic(cluster, topic)}
        if any(text in value for value in newest.values()):
            return newest
        assert time.monotonic() < deadline, newest
        await asyncio.sleep(0.2)


def test_records_and_deployments_are_read_in_both_modes(empty_broker, tmp_path):
    bootstrap, at_ms = empty_broker.bootstrap, int(time.time() * 1000)
    kafka = {"bootstrap": bootstrap, "app_id": "events", "checkpoint_interval_s": 0.3}
    write_configuration(Configuration.model_validate({"kafka": kafka}), tmp_path / "driftwire.json")
    with ExitStack() as stack:
        for step in ("detect", "correlate"):
            arguments = ["-m", "topologies.cli", "worker", step, "--config", str(tmp_path / "driftwire.json")]
            worker = stack.enter_context(WorkerUnderTest(arguments, tmp_path / f"{step}.log"))
            worker.start()
            worker.wait_for_output(f"{step}: ")
        events = [(structured if number % 2 else binary)(record(number, at_ms)) for number in range(RECORDS_SENT)]
        malformed = structured(record(1, at_ms), specversion="0.3")
        asyncio.run(send(bootstrap, RECORDS, [*events, malformed]))
        asyncio.run(
            send(bootstrap, DEPLOYMENTS, [binary(deployment("d-1", at_ms)), structured(deployment("d-2", at_ms + 1))])
        )
        cluster = empty_broker.cluster
        asyncio.run(wait_for(cluster, checkpoints_topic("detect"), b'"used":%d' % RECORDS_SENT))
        correlate = asyncio.run(wait_for(cluster, checkpoints_topic("correlate"), b'"d-2"'))
        letters = asyncio.run(wait_for(cluster, DEAD_LETTERS, b"contract"))
    assert b'"d-1"' in b"".join(correlate.values())
    (letter,) = [json.loads(letter) for letter in letters.values()]
    assert (letter["topic"], letter["offset"], letter["reason"]) == (RECORDS, RECORDS_SENT, "contract")
    assert "specversion" in letter["detail"]
