"""The exactly-once runtime on real Kafka, with a step whose outputs reveal any lost or repeated record."""

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
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.kafka.client import read_topic, write_message

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

PARTITIONS = 4


def counting_worker(broker: EmbeddedBroker, log: Path) -> WorkerUnderTest:
    return WorkerUnderTest(["-m", "tests.topologies.counting_worker", broker.bootstrap], log)


async def produce(
    broker: EmbeddedBroker, count: int, *, value: bytes = b"x" * 300, partition: int | None = None
) -> None:
    async with AIOKafkaProducer(**broker.cluster.client_options(), linger_ms=20) as producer:
        for number in range(count):
            await producer.send(RECORDS, value, partition=number % PARTITIONS if partition is None else partition)


async def read_outputs(broker: EmbeddedBroker, kind: str = "count") -> list[dict[str, Any]]:
    contents = [json.loads(message.value or b"") async for message in read_topic(broker.cluster, DRIFTS)]
    return [content for content in contents if content["kind"] == kind]


async def wait_for_outputs(
    broker: EmbeddedBroker, worker: WorkerUnderTest, expected: int, timeout_s: float = 60.0
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


@pytest.mark.parametrize("stage", ["after_outputs", "after_state", "after_offsets"])
async def test_a_worker_killed_during_a_checkpoint_writes_all_of_it_or_nothing(
    stage: str, empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await produce(empty_broker, 20_000)
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start(fault=f"{stage}:3")
        assert worker.wait_for_exit(60) == -signal.SIGKILL
        before = await read_outputs(empty_broker)
        worker.start()
        contents = await wait_for_outputs(empty_broker, worker, 40)
        assert len(before) < len(contents)
        assert_exactly_once(contents, 5_000)
        assert worker.stop() == 0


async def test_a_worker_suspended_beyond_its_session_is_fenced(empty_broker: EmbeddedBroker, tmp_path: Path) -> None:
    with (
        counting_worker(empty_broker, tmp_path / "a") as first,
        counting_worker(empty_broker, tmp_path / "b") as second,
    ):
        first.start()
        first.wait_for_output("detect: ready")
        second.start()
        second.wait_for_output("detect: ready")
        await produce(empty_broker, 8_000)
        first.signal(signal.SIGSTOP)
        await produce(empty_broker, 8_000)
        await asyncio.sleep(SESSION_TIMEOUT_S + 2)
        await wait_for_outputs(empty_broker, second, 32)
        first.signal(signal.SIGCONT)
        await produce(empty_broker, 8_000)
        contents = await wait_for_outputs(empty_broker, second, 48)
        assert_exactly_once(contents, 6_000)
        assert first.stop() == 0
        assert second.stop() == 0
        assert_exactly_once(await read_outputs(empty_broker), 6_000)


async def test_only_the_message_on_which_the_step_fails_is_dead_lettered(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await produce(empty_broker, 1_250, partition=2)
    await produce(empty_broker, 1, value=POISON, partition=2)
    await produce(empty_broker, 1_250, partition=2)
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        contents = await wait_for_outputs(empty_broker, worker, 5)
        assert [content["value"] for content in contents] == [500, 1000, 1500, 2000, 2500]
        letters = [
            DeadLetter.from_json(message.value or b"")
            async for message in read_topic(empty_broker.cluster, DEAD_LETTERS)
        ]
        assert [(letter.reason, letter.partition, letter.offset) for letter in letters] == [
            ("internal_error", 2, 1_250)
        ]
        assert worker.stop() == 0


async def test_records_deleted_before_they_were_read_are_logged_and_reset_the_evidence(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        await produce(empty_broker, 1_000, partition=0)
        worker.start()
        await wait_for_outputs(empty_broker, worker, 2)
        assert worker.stop() == 0
        await produce(empty_broker, 1_000, partition=0)
        admin = AIOKafkaAdminClient(**empty_broker.cluster.client_options())
        await admin.start()
        await admin.delete_records({TopicPartition(RECORDS, 0): RecordsToDelete(before_offset=1_500)})
        await admin.close()
        worker.start()
        await wait_for_outputs(empty_broker, worker, 3)
        assert "partition 0: gap" in worker.output
        assert "deleted 500 messages before they were read (offsets 1000 to 1499)" in worker.output
        assert worker.stop() == 0


async def test_a_control_message_reaches_every_partition_once_and_a_bad_one_is_dead_lettered(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await write_message(empty_broker.cluster, BASELINES, b"before", b"before")
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        worker.wait_for_output("detect: ready")
        await write_message(empty_broker.cluster, BASELINES, b"bad", POISON)
        await write_message(empty_broker.cluster, BASELINES, b"after", b"after")
        await produce(empty_broker, 2_000)
        await wait_for_outputs(empty_broker, worker, 4)
        assert worker.stop() == 0
        await write_message(empty_broker.cluster, BASELINES, b"while away", b"while away")
        worker.start()
        await produce(empty_broker, 2_000)
        await wait_for_outputs(empty_broker, worker, 8)
        assert worker.stop() == 0
    counts = Counter(
        (content["partition"], content["value"]) for content in await read_outputs(empty_broker, "control")
    )
    assert counts == {
        (partition, text): 1 for partition in range(PARTITIONS) for text in ("before", "after", "while away")
    }
    letters = [
        DeadLetter.from_json(message.value or b"") async for message in read_topic(empty_broker.cluster, DEAD_LETTERS)
    ]
    assert [(letter.topic, letter.reason) for letter in letters] == [(BASELINES, "internal_error")]
