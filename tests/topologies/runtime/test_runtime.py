"""The exactly-once runtime on real Kafka, with a step whose outputs reveal any lost or repeated record."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from schemas.topics import BASELINES, RECORDS
from tests.detect_state import dead_letters
from tests.topologies.counting import (
    PARTITIONS,
    assert_exactly_once,
    counting_worker,
    produce,
    read_outputs,
    wait_for_outputs,
)
from tests.topologies.counting_worker import POISON, UNWRITABLE
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.kafka.client import write_message

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.mark.parametrize("stage", ["after_outputs", "after_state", "after_offsets"])
async def test_a_worker_killed_during_a_checkpoint_writes_all_of_it_or_nothing(
    stage: str, empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await produce(empty_broker, 20_000)
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start(fault=f"{stage}:3:SIGKILL")
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
        first.start(fault="after_outputs:1:SIGSTOP")
        first.wait_for_output("detect: ready")
        second.start()
        second.wait_for_output("detect: ready")
        await produce(empty_broker, 16_000)
        await wait_for_outputs(empty_broker, second, 32)  # some of them are those of the suspended worker
        first.signal(signal.SIGCONT)
        await produce(empty_broker, 8_000)
        contents = await wait_for_outputs(empty_broker, second, 48)
        assert_exactly_once(contents, 6_000)
        first.wait_for_output("another producer with the transactional id counting-detect-")
        assert first.stop() == 0
        assert second.stop() == 0
        assert_exactly_once(await read_outputs(empty_broker), 6_000)


@pytest.mark.parametrize("value", [POISON, UNWRITABLE], ids=["step", "state"])
async def test_only_the_message_on_which_the_step_fails_is_dead_lettered(
    value: bytes, empty_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await produce(empty_broker, 1_250, partition=2)
    await produce(empty_broker, 1, value=value, partition=2)
    await produce(empty_broker, 1_250, partition=2)
    with counting_worker(empty_broker, tmp_path / "log") as worker:
        worker.start()
        contents = await wait_for_outputs(empty_broker, worker, 5)
        assert [content["value"] for content in contents] == [500, 1000, 1500, 2000, 2500]
        letters = await dead_letters(empty_broker.cluster)
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
        assert "deleted 500 messages of driftwire.records before they were read (offsets 1000 to 1499)" in worker.output
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
    letters = await dead_letters(empty_broker.cluster)
    assert [(letter.topic, letter.reason) for letter in letters] == [(BASELINES, "internal_error")]
