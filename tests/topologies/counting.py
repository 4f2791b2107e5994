"""Helpers for tests of the runtime with the counting worker: produce records, and check that each output occurs once."""

import asyncio
import hashlib
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.topics import DRIFTS, RECORDS
from tests.topologies.counting_worker import OUTPUT_EVERY
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.kafka.client import read_topic

PARTITIONS = 4


def counting_worker(broker: EmbeddedBroker, log: Path) -> WorkerUnderTest:
    return WorkerUnderTest(["-m", "tests.topologies.counting_worker", broker.cluster.bootstrap], log)


async def produce(
    broker: EmbeddedBroker, count: int, *, value: bytes = b"x" * 300, partition: int | None = None
) -> None:
    async with AIOKafkaProducer(**broker.cluster.client_options(), linger_ms=20) as producer:
        for number in range(count):
            await producer.send(RECORDS, value, partition=number % PARTITIONS if partition is None else partition)


async def read_outputs(broker: EmbeddedBroker, kind: str = "count") -> list[dict[str, Any]]:
    contents = [
        json.loads(message.value or b"")
        async for message in read_topic(broker.cluster, DRIFTS)
        if message.key != b"big"
    ]
    return [content for content in contents if content["kind"] == kind]


async def wait_for_outputs(
    broker: EmbeddedBroker, worker: WorkerUnderTest, expected: int, timeout_s: float = 180.0
) -> list[dict[str, Any]]:
    """Wait until there are ``expected`` outputs."""
    deadline = time.monotonic() + timeout_s
    while len(contents := await read_outputs(broker)) < expected:
        assert time.monotonic() < deadline, f"{len(contents)} outputs of {expected}: {worker.output[-3000:]}"
        await asyncio.sleep(0.3)
    return contents


def assert_exactly_once(contents: list[dict[str, Any]], records_per_partition: int) -> None:
    """Assert that every output occurs once, with the hash of all offsets up to it in order."""
    counts = Counter((content["partition"], content["value"]) for content in contents)
    assert set(counts.values()) == {1}
    assert len(contents) == PARTITIONS * (records_per_partition // OUTPUT_EVERY)
    expected_hash = ""
    hash_by_count = {}
    for offset in range(records_per_partition):
        expected_hash = hashlib.sha256(f"{expected_hash}{offset}".encode()).hexdigest()
        hash_by_count[offset + 1] = expected_hash
    assert all(content["hash"] == hash_by_count[content["value"]] for content in contents)
    assert {content["first"] for content in contents} == {0}
