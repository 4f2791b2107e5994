"""A worker refuses state that a newer version wrote: it stops, logs this, and leaves the state unchanged."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.codec import FORMAT, encode
from schemas.topics import RECORDS, checkpoints_topic
from tests.pipeline.detect.streams import START_MS, as_json
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.kafka.client import read_topic

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

TOPIC = checkpoints_topic("detect")


def detect_worker(broker, log):
    return WorkerUnderTest(["-m", "topologies.cli", "worker", "detect", "--bootstrap", broker.bootstrap], log)


async def read_state(broker):
    return [(message.partition, message.key, message.value) async for message in read_topic(broker.cluster, TOPIC)]


async def test_a_worker_leaves_the_state_of_a_newer_version_and_stops(empty_broker, tmp_path):
    newer = encode({}, kind="partition").replace(b'"format":%d' % FORMAT, b'"format":%d' % (FORMAT + 1))
    async with AIOKafkaProducer(**empty_broker.cluster.client_options()) as producer:
        await producer.send_and_wait(TOPIC, newer, b"partition/", partition=0)
        await producer.send_and_wait(RECORDS, as_json({"subject": "bot", "timestamp": START_MS}), partition=0)
    with detect_worker(empty_broker, tmp_path / "worker.log") as worker:
        worker.start()
        status = await asyncio.to_thread(worker.wait_for_exit, 60)
        lines = [line for line in worker.output.splitlines() if "newer version" in line]
    assert status == 1
    assert lines
    assert f"it has format {FORMAT + 1}, but this version reads formats 1 to {FORMAT}" in lines[0]
    assert "Traceback" not in worker.output
    assert [entry for entry in await read_state(empty_broker) if entry[0] == 0] == [(0, b"partition/", newer)]
