"""Settling on a real broker: a step is done when only markers of transactions lie between it and the end."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from load.errors import LoadError
from load.inputs.files import Line
from load.stage.settle import wait_until_settled
from load.traffic.produce import produce
from schemas.topics import ALERTS, DRIFTS, RECORDS
from topologies.broker.embedded_broker import EmbeddedBroker

pytestmark = pytest.mark.kafka

LINES = [Line(number, f"subject-{number}".encode(), b"{}") for number in range(40)]


async def commit(bootstrap: str, group: str, offsets: dict[TopicPartition, int]) -> None:
    """Commit offsets for a group as a step does: in a transaction, without being a member."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{group}-0")
    await producer.start()
    async with producer.transaction():
        await producer.send_offsets_to_transaction(offsets, group)
    await producer.stop()


async def ends(bootstrap: str, name: str) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(name, bootstrap_servers=bootstrap, group_id=None)
    await consumer.start()
    found = await consumer.end_offsets(consumer.assignment())
    await consumer.stop()
    return {partition: end for partition, end in found.items() if end}


async def in_transaction(bootstrap: str, name: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"writer-{name}")
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(name, b"{}", key=b"k")
    await producer.stop()


async def test_empty_topics_are_settled_at_once(empty_broker: EmbeddedBroker) -> None:
    await asyncio.wait_for(wait_until_settled(empty_broker.bootstrap, "quiet", stall_s=2.0), 10)


async def test_a_step_that_has_read_nothing_is_named_when_it_stalls(empty_broker: EmbeddedBroker) -> None:
    await produce(empty_broker.bootstrap, LINES)
    with pytest.raises(LoadError, match="detect has read 0 of 40 offsets"):
        await wait_until_settled(empty_broker.bootstrap, "absent", stall_s=1.0)


async def test_a_step_one_message_behind_is_not_settled(empty_broker: EmbeddedBroker) -> None:
    bootstrap = empty_broker.bootstrap
    await produce(bootstrap, LINES)
    offsets = await ends(bootstrap, RECORDS)
    last = max(offsets)
    await commit(bootstrap, "late-detect", offsets | {last: offsets[last] - 1})
    with pytest.raises(LoadError, match="detect has read"):
        await wait_until_settled(bootstrap, "late", steps=("detect",), stall_s=1.0)


async def test_markers_behind_the_last_message_are_not_waited_for(empty_broker: EmbeddedBroker) -> None:
    bootstrap = empty_broker.bootstrap
    told: list[tuple[str, int, int]] = []
    await produce(bootstrap, LINES)
    await in_transaction(bootstrap, DRIFTS)
    await in_transaction(bootstrap, ALERTS)
    await commit(bootstrap, "done-detect", await ends(bootstrap, RECORDS))
    await commit(bootstrap, "done-correlate", {TopicPartition(DRIFTS, 0): 1})
    await commit(bootstrap, "done-route", {TopicPartition(ALERTS, 0): 1})
    await wait_until_settled(bootstrap, "done", stall_s=3.0, on_progress=lambda *each: told.append(each))
    assert told == [("detect", 40, 40), ("correlate", 1, 2), ("route", 1, 2)]
