"""The runtime of exact steps, on real Kafka, with a step whose every output would betray a lost or doubled record."""

import asyncio
import hashlib
import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from schemas.dead_letter import DeadLetter
from schemas.topics import BASELINES, DEAD_LETTERS, DRIFTS, RECORDS
from tests.topologies.counting_worker import OUTPUT_EVERY, POISON, SESSION_TIMEOUT_S
from tests.topologies.workers import Worker
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.kafka.client import read_all, write

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

PARTITIONS = 4


def counting_worker(broker: EmbeddedBroker, log: Path) -> Worker:
    return Worker(["-m", "tests.topologies.counting_worker", broker.bootstrap], log)


async def produce(
    broker: EmbeddedBroker, count: int, *, value: bytes = b"x" * 300, partition: int | None = None
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=20) as producer:
        for number in range(count):
            await producer.send(RECORDS, value, partition=number % PARTITIONS if partition is None else partition)


async def outputs(broker: EmbeddedBroker, what: str = "count") -> list[dict[str, Any]]:
    found = [json.loads(message.value or b"") async for message in read_all(broker.bootstrap, DRIFTS)]
    return [content for content in found if content["what"] == what]


async def settle(
    broker: EmbeddedBroker, worker: Worker, expected: int, timeout_s: float = 60.0
) -> list[dict[str, Any]]:
    """Wait until so many outputs are there."""
    deadline = time.monotonic() + timeout_s
    while len(found := await outputs(broker)) < expected:
        assert time.monotonic() < deadline, f"{len(found)} outputs of {expected}: {worker.said[-3000:]}"
        await asyncio.sleep(0.3)
    return found


def assert_exact(found: list[dict[str, Any]], records_a_partition: int) -> None:
    """Every output once, each with the hash of all offsets up to it, in order."""
    places = Counter((content["partition"], content["value"]) for content in found)
    assert set(places.values()) == {1}
    assert len(found) == PARTITIONS * (records_a_partition // OUTPUT_EVERY)
    expected = ""
    by_count = {}
    for offset in range(records_a_partition):
        expected = hashlib.sha256(f"{expected}{offset}".encode()).hexdigest()
        by_count[offset + 1] = expected
    assert all(content["hash"] == by_count[content["value"]] for content in found)


@pytest.mark.parametrize("stage", ["after_outputs", "after_state", "after_offsets"])
async def test_a_worker_killed_inside_a_checkpoint_leaves_neither_half(
    stage: str, empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await produce(empty_broker, 20_000)
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start(fault=f"{stage}:3")
        assert worker.wait_until_it_ends(60) == -signal.SIGKILL
        before = await outputs(empty_broker)
        worker.start()
        found = await settle(empty_broker, worker, 40)
        assert len(before) < len(found)
        assert_exact(found, 5_000)
        assert worker.stop() == 0


async def test_a_paused_worker_that_wakes_up_as_a_zombie_writes_nothing(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with (
        counting_worker(empty_broker, tmp_path / "a") as first,
        counting_worker(empty_broker, tmp_path / "b") as second,
    ):
        first.start()
        first.wait_until_it_says("detect: ready")
        second.start()
        second.wait_until_it_says("detect: ready")
        await produce(empty_broker, 8_000)
        first.signal(signal.SIGSTOP)
        await produce(empty_broker, 8_000)
        await asyncio.sleep(SESSION_TIMEOUT_S + 2)
        await settle(empty_broker, second, 32)
        first.signal(signal.SIGCONT)
        await produce(empty_broker, 8_000)
        found = await settle(empty_broker, second, 48)
        assert_exact(found, 6_000)
        assert first.stop() == 0
        assert second.stop() == 0
        assert_exact(await outputs(empty_broker), 6_000)


async def test_a_message_that_the_step_fails_on_is_set_aside_alone(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await produce(empty_broker, 1_250, partition=2)
    await produce(empty_broker, 1, value=POISON, partition=2)
    await produce(empty_broker, 1_250, partition=2)
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        found = await settle(empty_broker, worker, 5)
        assert [content["value"] for content in found] == [500, 1000, 1500, 2000, 2500]
        letters = [
            DeadLetter.from_json(message.value or b"")
            async for message in read_all(empty_broker.bootstrap, DEAD_LETTERS)
        ]
        assert [(letter.reason, letter.partition, letter.offset) for letter in letters] == [
            ("internal_error", 2, 1_250)
        ]
        assert worker.stop() == 0


async def test_what_retention_took_before_it_was_read_is_said_and_restarts_the_walks(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        await produce(empty_broker, 1_000, partition=0)
        worker.start()
        await settle(empty_broker, worker, 2)
        assert worker.stop() == 0
        await produce(empty_broker, 1_000, partition=0)
        admin = AIOKafkaAdminClient(bootstrap_servers=empty_broker.bootstrap)
        await admin.start()
        await admin.delete_records({TopicPartition(RECORDS, 0): RecordsToDelete(before_offset=1_500)})
        await admin.close()
        worker.start()
        await settle(empty_broker, worker, 3)
        assert "walks of partition 0 restarted" in worker.said
        assert "retention has taken 500 messages that were not read yet (offsets 1000 to 1499)" in worker.said
        assert worker.stop() == 0


async def test_a_control_message_reaches_every_partition_once_even_over_a_restart_and_a_bad_one_stops_nobody(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await write(empty_broker.bootstrap, BASELINES, b"before", b"before")
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        worker.wait_until_it_says("detect: ready")
        await write(empty_broker.bootstrap, BASELINES, b"bad", POISON)
        await write(empty_broker.bootstrap, BASELINES, b"after", b"after")
        await produce(empty_broker, 2_000)
        await settle(empty_broker, worker, 4)
        assert worker.stop() == 0
        await write(empty_broker.bootstrap, BASELINES, b"while away", b"while away")
        worker.start()
        await produce(empty_broker, 2_000)
        await settle(empty_broker, worker, 8)
        assert worker.stop() == 0
    told = Counter((content["partition"], content["value"]) for content in await outputs(empty_broker, "control"))
    assert told == {
        (partition, text): 1 for partition in range(PARTITIONS) for text in ("before", "after", "while away")
    }
    letters = [
        DeadLetter.from_json(message.value or b"") async for message in read_all(empty_broker.bootstrap, DEAD_LETTERS)
    ]
    assert [(letter.topic, letter.reason) for letter in letters] == [(BASELINES, "internal_error")]
