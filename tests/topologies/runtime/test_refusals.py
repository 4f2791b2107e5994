"""Kafka's refusals are reported and do not lose data: messages, topics, and unreadable or unwritable checkpoints."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidTimestampError

from load.wire import ApiKey, Fault, FaultKind, WireProxy, WireRequest
from pipeline.codec import FORMAT
from pipeline.step import RawMessage
from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD_LETTERS, DRIFTS, RECORDS, checkpoints_topic
from tests.detect_state import dead_letters
from tests.topologies.counting import (
    PARTITIONS,
    assert_exactly_once,
    counting_worker,
    produce,
    read_outputs,
    wait_for_outputs,
)
from tests.topologies.counting_worker import GROW, KEYLESS, POISON, CountingStep
from tests.topologies.worker_under_test import WorkerUnderTest
from topologies.broker import create_topics
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.kafka.client import read_topic
from topologies.metrics import WorkerMetrics
from topologies.runtime.checkpoint import read_checkpoint
from topologies.runtime.checkpoint.stored_checkpoint import SEQUENCE_HEADER
from topologies.runtime.inputs.known_topics import KNOWN_TOPICS_KEY
from topologies.runtime.partition import PartitionWorker
from topologies.runtime.topology_spec import TopologySpec
from topologies.step_state import ENTRY_KEY

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

CHECKPOINTS = checkpoints_topic("detect")


@asynccontextmanager
async def admin_client(broker: EmbeddedBroker) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**broker.cluster.client_options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def configure_topic(broker: EmbeddedBroker, topic: str, **settings: str) -> None:
    async with admin_client(broker) as admin:
        configs = {name.replace("_", "."): value for name, value in settings.items()}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])


async def delete_topic(broker: EmbeddedBroker, topic: str) -> None:
    async with admin_client(broker) as admin:
        await admin.delete_topics([topic])


async def wait_for_dead_letters(broker: EmbeddedBroker, worker: WorkerUnderTest, expected: int) -> list[DeadLetter]:
    deadline = time.monotonic() + 60
    while len(letters := await dead_letters(broker.cluster)) < expected:
        assert time.monotonic() < deadline, worker.output[-3000:]
        await asyncio.sleep(0.3)
    return letters


async def test_an_output_that_is_too_large_is_dead_lettered_and_every_other_output_arrives(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        await produce(empty_broker, 2_000)
        await produce(empty_broker, 1, value=GROW + b"1500000", partition=1)
        await produce(empty_broker, 499, partition=1)
        await produce(empty_broker, 2_000)
        worker.start()
        contents = await wait_for_outputs(empty_broker, worker, 9)
        assert sorted(content["value"] for content in contents if content["partition"] == 1) == [500, 1_000, 1_500]
        (letter,) = await wait_for_dead_letters(empty_broker, worker, 1)
        assert (letter.reason, letter.topic, letter.offset) == ("output_refused", DRIFTS, -1)
        assert len(letter.value_base64 or "") == 2_000_000
        assert "Kafka refused a message of 1500003 bytes for topic driftwire.drifts" in worker.output
        await produce(empty_broker, 2_000)
        await wait_for_outputs(empty_broker, worker, 13)
        assert worker.stop() == 0


async def test_outputs_of_a_refused_batch_are_told_apart(empty_broker: EmbeddedBroker, tmp_path: Path) -> None:
    await configure_topic(empty_broker, DRIFTS, max_message_bytes="2000")
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        await produce(empty_broker, 498, partition=0)
        await produce(empty_broker, 1, value=GROW + b"5000", partition=0)
        await produce(empty_broker, 1, value=GROW + b"1000", partition=0)
        await produce(empty_broker, 6_000, partition=0)
        worker.start()
        contents = await wait_for_outputs(empty_broker, worker, 13)
        assert [content["value"] for content in contents] == list(range(500, 6_501, 500))
        (letter,) = await wait_for_dead_letters(empty_broker, worker, 1)
        assert letter.reason == "output_refused"
        small = [message async for message in read_topic(empty_broker.cluster, DRIFTS) if message.key == b"big"]
        assert [len(message.value or b"") for message in small] == [1_000]
        assert worker.stop() == 0


async def test_an_output_that_is_an_invalid_record_is_dead_lettered_and_every_other_output_arrives(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await configure_topic(empty_broker, DRIFTS, cleanup_policy="compact")
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        await produce(empty_broker, 1_000, partition=1)
        await produce(empty_broker, 1, value=KEYLESS, partition=1)
        await produce(empty_broker, 999, partition=1)
        worker.start()
        contents = await wait_for_outputs(empty_broker, worker, 4)
        assert [content["value"] for content in contents] == [500, 1_000, 1_500, 2_000]
        (letter,) = await wait_for_dead_letters(empty_broker, worker, 1)
        assert (letter.reason, letter.topic, letter.offset) == ("output_refused", DRIFTS, -1)
        assert worker.stop() == 0


async def test_records_that_arrive_while_an_output_is_refused_are_used_without_later_records(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await configure_topic(empty_broker, DRIFTS, max_message_bytes="2000")
    async with WireProxy(empty_broker.bootstrap) as proxy:
        proxy.inject(
            Fault(ApiKey.PRODUCE, FaultKind.DELAY, seconds=3, matches=lambda request: request.mentions(DRIFTS))
        )
        arguments = ["-m", "tests.topologies.counting_worker", proxy.bootstrap]
        with WorkerUnderTest(arguments, tmp_path / "log") as worker:
            worker.start()
            await asyncio.to_thread(worker.wait_for_output, "detect: ready")
            await produce(empty_broker, 1, value=GROW + b"5000", partition=0)
            await asyncio.sleep(1)  # the refusal is still on its way
            await produce(empty_broker, 499, partition=0)
            (content,) = await wait_for_outputs(empty_broker, worker, 1)
            assert content["value"] == 500
            assert await asyncio.to_thread(worker.stop) == 0


async def test_a_dead_letter_that_is_too_large_is_shortened(empty_broker: EmbeddedBroker, tmp_path: Path) -> None:
    await configure_topic(empty_broker, DEAD_LETTERS, max_message_bytes="10000")
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        await produce(empty_broker, 1, value=POISON + b"x" * 100_000, partition=2)
        await produce(empty_broker, 500, partition=2)
        worker.start()
        (letter,) = await wait_for_dead_letters(empty_broker, worker, 1)
        assert (letter.reason, letter.offset, letter.value_bytes) == ("internal_error", 0, 100_006)
        await wait_for_outputs(empty_broker, worker, 1)
        assert worker.stop() == 0


async def test_messages_refused_because_of_the_clock_wait_until_the_clock_is_right(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    async with WireProxy(empty_broker.bootstrap) as proxy:
        for _ in range(3):
            proxy.inject(
                Fault(
                    ApiKey.PRODUCE,
                    FaultKind.ERROR,
                    error_code=InvalidTimestampError.errno,
                    matches=lambda request: request.mentions(DRIFTS),
                )
            )
        arguments = ["-m", "tests.topologies.counting_worker", proxy.bootstrap]
        with WorkerUnderTest(arguments, tmp_path / "log") as worker:
            worker.start()
            await produce(empty_broker, 4_000)
            assert_exactly_once(await wait_for_outputs(empty_broker, worker, 8), 1_000)
            assert await dead_letters(empty_broker.cluster) == []
            assert proxy.counts == {"produce.error": 3}
            assert (
                "refuses the timestamps of messages for topic driftwire.drifts: set the clock of this machine"
                in worker.output
            )
            assert await asyncio.to_thread(worker.stop) == 0


async def test_a_missing_topic_pauses_the_partitions_and_loses_nothing(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        worker.wait_for_output("detect: ready")
        await delete_topic(empty_broker, DRIFTS)
        await produce(empty_broker, 4_000)
        await asyncio.to_thread(worker.wait_for_output, "topic driftwire.drifts")
        await create_topics(empty_broker.cluster, PARTITIONS, 1)
        contents = await wait_for_outputs(empty_broker, worker, 8)
        assert_exactly_once(contents, 1_000)
        assert worker.stop() == 0


async def test_a_state_that_is_too_large_for_its_topic_pauses_the_partitions_and_loses_nothing(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await configure_topic(empty_broker, CHECKPOINTS, cleanup_policy="compact", max_message_bytes="100")
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        await produce(empty_broker, 4_000)
        remedy = "set max.message.bytes of topic driftwire.detect-checkpoints to at least 1 MiB"
        await asyncio.to_thread(worker.wait_for_output, f"{remedy}; nothing is lost, next attempt in 4 s")
        assert await read_outputs(empty_broker) == []
        await configure_topic(empty_broker, CHECKPOINTS, cleanup_policy="compact")
        assert_exactly_once(await wait_for_outputs(empty_broker, worker, 8), 1_000)
        worker.kill()
        worker.start()
        await produce(empty_broker, 4_000)
        assert_exactly_once(await wait_for_outputs(empty_broker, worker, 16), 2_000)
        assert worker.stop() == 0


async def test_a_topic_that_takes_no_transaction_marker_pauses_the_partitions_and_loses_nothing(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    async with WireProxy(empty_broker.bootstrap) as proxy:
        arguments = ["-m", "tests.topologies.counting_worker", proxy.bootstrap]
        with WorkerUnderTest(arguments, tmp_path / "log") as worker:
            worker.start()
            await produce(empty_broker, 4_000)
            await wait_for_outputs(empty_broker, worker, 8)
            is_ending = asyncio.Event()

            def note_end(_: WireRequest) -> bool:
                is_ending.set()
                return True

            proxy.inject(Fault(ApiKey.END_TXN, FaultKind.DELAY, seconds=4, matches=note_end))
            await produce(empty_broker, 500, partition=0)
            await is_ending.wait()
            await configure_topic(empty_broker, DRIFTS, max_message_bytes="50")  # smaller than a marker
            await produce(empty_broker, 500, partition=0)
            await asyncio.to_thread(worker.wait_for_output, "Kafka did not complete the transaction within 15 s")
            await configure_topic(empty_broker, DRIFTS)
            await empty_broker.stop()
            await empty_broker.start()  # only a restart makes Kafka write the marker again
            contents = await wait_for_outputs(empty_broker, worker, 10)
            assert [content["value"] for content in contents if content["partition"] == 0] == [500, 1_000, 1_500, 2_000]
            assert proxy.counts == {"end_txn.delay": 1}
            assert await asyncio.to_thread(worker.stop) == 0


async def test_the_whole_state_is_written_to_a_checkpoint_topic_that_was_created_again(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        await produce(empty_broker, 4_000)
        await wait_for_outputs(empty_broker, worker, 8)
        await delete_topic(empty_broker, CHECKPOINTS)
        await create_topics(empty_broker.cluster, PARTITIONS, 1)
        await produce(empty_broker, 4_000)
        await wait_for_outputs(empty_broker, worker, 16)
        await asyncio.to_thread(worker.wait_for_output, "was deleted and created again")
        worker.kill()
        worker.start()
        await produce(empty_broker, 4_000)
        assert_exactly_once(await wait_for_outputs(empty_broker, worker, 24), 3_000)
        assert worker.stop() == 0


async def test_the_last_checkpoint_before_a_stop_contains_the_whole_state_if_its_topic_is_new(
    empty_broker: EmbeddedBroker,
) -> None:
    spec = TopologySpec(name="detect", topics=(RECORDS,), make_step=CountingStep)
    worker = PartitionWorker(spec, empty_broker.cluster, "counting-detect", 0, WorkerMetrics(spec.name, None))
    await worker.open([])
    worker.step(RECORDS, [RawMessage(RECORDS, 0, 0, 0, b"", b"x")])
    await worker.commit()
    await delete_topic(empty_broker, CHECKPOINTS)
    await create_topics(empty_broker.cluster, PARTITIONS, 1)
    worker.step(RECORDS, [RawMessage(RECORDS, 0, 1, 0, b"", b"x")])
    await worker.close(within_s=30)
    stored = await read_checkpoint(empty_broker.cluster, "detect", 0)
    assert stored.offsets == {RECORDS: 1}
    assert json.loads(stored.parts[b"count"])[0] == 2
    assert stored.parts.keys() == {KNOWN_TOPICS_KEY, b"count", b"first"}


@pytest.mark.parametrize("entry", [b"not JSON", b"[1, 2]", None], ids=["not-json", "list", "tombstone"])
async def test_without_a_readable_entry_reading_continues_at_the_offsets_of_the_group(
    entry: bytes | None, empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        await produce(empty_broker, 4_000)
        await wait_for_outputs(empty_broker, worker, 8)
        assert worker.stop() == 0
        await write_checkpoint_message(empty_broker, ENTRY_KEY, entry)
        worker.start()
        await produce(empty_broker, 4_000)
        assert_exactly_once(await wait_for_outputs(empty_broker, worker, 16), 2_000)
        assert "partition 0: the entry with the offsets of the checkpoint" in worker.output
        assert "partition 0: there is no readable checkpoint; reading continues at the offsets" in worker.output
        assert worker.stop() == 0


async def test_without_a_readable_entry_and_offsets_of_the_group_reading_starts_at_the_beginning(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await write_checkpoint_message(empty_broker, b"count", json.dumps([7, ""]).encode(), sequence=1)
    await write_checkpoint_message(empty_broker, ENTRY_KEY, b"not JSON", sequence=1)
    await produce(empty_broker, 4_000)
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        assert_exactly_once(await wait_for_outputs(empty_broker, worker, 8), 1_000)
        assert worker.output.count("reading starts at the beginning of the topic") == 1
        assert worker.stop() == 0


async def test_a_checkpoint_of_a_newer_format_is_left_alone_and_stops_the_worker(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    entry = json.dumps({"format": FORMAT + 1, "future": True}).encode()
    await write_checkpoint_message(empty_broker, ENTRY_KEY, entry)
    await produce(empty_broker, 4_000)
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        await asyncio.to_thread(worker.wait_for_exit, 60)
        assert (
            f"partition 0: a newer version of driftwire wrote this state: it has format {FORMAT + 1}" in worker.output
        )
        assert "Traceback" not in worker.output
    stored = [message async for message in read_topic(empty_broker.cluster, CHECKPOINTS) if message.partition == 0]
    assert [message.value for message in stored] == [entry]


async def test_a_torn_checkpoint_is_told_and_resets_the_evidence(empty_broker: EmbeddedBroker, tmp_path: Path) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        await produce(empty_broker, 4_000)
        await wait_for_outputs(empty_broker, worker, 8)
        assert worker.stop() == 0
        await write_checkpoint_message(empty_broker, b"count", json.dumps([7, ""]).encode(), sequence=1_000)
        worker.start()
        await asyncio.to_thread(worker.wait_for_output, "partition 0: checkpoint 1000 is torn")
        await asyncio.to_thread(worker.wait_for_output, "partition 0: gap")
        assert "partition 1: gap" not in worker.output
        assert worker.stop() == 0


async def write_checkpoint_message(
    broker: EmbeddedBroker, key: bytes, value: bytes | None, *, sequence: int = 0
) -> None:
    """Write a message to partition 0 of the checkpoint topic that no worker would write."""
    headers = [(SEQUENCE_HEADER, str(sequence).encode())] if sequence else []
    async with AIOKafkaProducer(**broker.cluster.client_options()) as producer:
        await producer.send_and_wait(CHECKPOINTS, key=key, value=value, partition=0, headers=headers)
