"""Messages that Kafka deletes before a worker reads them, and topics that are deleted and created again."""

import asyncio
import signal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from click.testing import CliRunner

from schemas.topics import RECORDS
from tests.topologies.counting import PARTITIONS, counting_worker, produce, read_outputs, wait_for_outputs
from tests.topologies.worker_under_test import find_trouble
from topologies.broker.broker_topics import create_topics
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.commands.topics import command as topics_command
from topologies.kafka import Cluster

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def delete_records(cluster: Cluster, before: int) -> None:
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    await admin.delete_records({TopicPartition(RECORDS, 0): RecordsToDelete(before_offset=before)})
    await admin.close()


async def create_records_topic_again(cluster: Cluster) -> None:
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    await admin.delete_topics([RECORDS])
    while RECORDS in await admin.list_topics():  # noqa: ASYNC110  the broker can only be polled
        await asyncio.sleep(0.05)
    await admin.close()
    await create_topics(cluster, PARTITIONS, 1)


async def values(broker: EmbeddedBroker) -> list[int]:
    return [content["value"] for content in await read_outputs(broker)]


async def test_records_deleted_while_a_worker_is_assigned_are_logged_once_and_reset_the_evidence(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        await produce(empty_broker, 1_000, partition=0)
        worker.start()
        await wait_for_outputs(empty_broker, worker, 2)
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(0.7)
        await produce(empty_broker, 1_000, partition=0)
        await delete_records(empty_broker.cluster, before=1_500)
        worker.signal(signal.SIGCONT)
        await wait_for_outputs(empty_broker, worker, 3)
        assert worker.stop() == 0
        worker.start()
        await produce(empty_broker, 500, partition=0)
        await wait_for_outputs(empty_broker, worker, 4)
        assert worker.stop() == 0
        line = "retention deleted 500 messages of driftwire.records before they were read (offsets 1000 to 1499)"
        assert worker.output.count(line) == 1
        assert worker.output.count("partition 0: gap") == 1
    assert await values(empty_broker) == [500, 1_000, 1_500, 2_000]


async def test_offsets_without_messages_are_no_loss(empty_broker: EmbeddedBroker, tmp_path: Path) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        worker.wait_for_output("detect: ready")
        async with AIOKafkaProducer(**empty_broker.cluster.client_options(), transactional_id="records") as producer:
            for number in range(10):
                await producer.begin_transaction()
                for _ in range(100):
                    await producer.send(RECORDS, b"x", partition=0)
                await (producer.abort_transaction() if number % 5 == 4 else producer.commit_transaction())
        await produce(empty_broker, 200, partition=0)
        await wait_for_outputs(empty_broker, worker, 2)
        assert worker.stop() == 0
        assert "gap" not in worker.output
        assert find_trouble(worker.output) == []


@pytest.mark.parametrize("is_running", [False, True])
@pytest.mark.parametrize("count", [500, 2_000])
async def test_a_topic_that_is_created_again_is_read_from_its_beginning(
    count: int, is_running: bool, empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        await produce(empty_broker, 1_000, partition=0)
        worker.start()
        await wait_for_outputs(empty_broker, worker, 2)
        if not is_running:
            assert worker.stop() == 0
        await create_records_topic_again(empty_broker.cluster)
        await produce(empty_broker, count, partition=0)
        if not is_running:
            worker.start()
        expected = [500, 1_000, *range(1_500, 1_001 + count, 500)]
        await wait_for_outputs(empty_broker, worker, len(expected))
        assert worker.stop() == 0
        worker.start()
        await produce(empty_broker, 500, partition=0)
        expected.append(expected[-1] + 500)
        await wait_for_outputs(empty_broker, worker, len(expected))
        assert worker.stop() == 0
        line = "partition 0: driftwire.records was deleted and created again; reading starts at the beginning"
        assert worker.output.count(line) == 1
        assert worker.output.count("partition 0: gap") == 1
    assert await values(empty_broker) == expected


async def test_a_running_worker_uses_added_partitions_and_starts_with_new_evidence(
    empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        await produce(empty_broker, 500, partition=0)
        worker.start()
        await wait_for_outputs(empty_broker, worker, 1)
        result = await asyncio.to_thread(
            CliRunner().invoke, topics_command, ["grow", "6", "--bootstrap", empty_broker.bootstrap]
        )
        assert result.stdout == (
            "driftwire.detect-checkpoints: 6 partitions instead of 4\n"
            "driftwire.records: 6 partitions instead of 4\n"
            "baselines are kept, and all tests start with new evidence\n"
            "set kafka.records_partitions = 6 before the next start of a worker\n"
        )
        await produce(empty_broker, 500, partition=5)
        await produce(empty_broker, 500, partition=0)
        outputs = await wait_for_outputs(empty_broker, worker, 3)
        assert sorted((content["partition"], content["value"]) for content in outputs) == [
            (0, 500),
            (0, 1_000),
            (5, 500),
        ]
        assert worker.stop() == 0
        worker.start()
        await produce(empty_broker, 500, partition=5)
        await wait_for_outputs(empty_broker, worker, 4)
        assert worker.stop() == 0
        assert worker.output.count("partition 0: driftwire.records has 6 partitions instead of 4") == 1
        assert worker.output.count(": gap") == PARTITIONS
