"""Waiting for lag on a real broker: a step is done when only transaction markers remain before the end."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from load.errors import LoadError
from load.harness.lag import wait_for_lag
from load.traffic.outgoing_message import OutgoingMessage
from load.traffic.producer import produce
from schemas.topics import ALERTS, DRIFTS, RECORDS
from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.kafka import Cluster

pytestmark = pytest.mark.kafka

MESSAGES = [OutgoingMessage(number, f"subject-{number}".encode(), b"{}") for number in range(40)]


async def commit(cluster: Cluster, group: str, offsets: dict[TopicPartition, int]) -> None:
    """Commit offsets for a group as a step does: in a transaction, without being a member."""
    producer = AIOKafkaProducer(**cluster.client_options(), transactional_id=f"{group}-0")
    await producer.start()
    async with producer.transaction():
        await producer.send_offsets_to_transaction(offsets, group)
    await producer.stop()


async def read_ends(cluster: Cluster, topic: str) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(topic, **cluster.client_options(), group_id=None)
    await consumer.start()
    ends = await consumer.end_offsets(consumer.assignment())
    await consumer.stop()
    return {partition: end for partition, end in ends.items() if end}


async def write_in_transaction(cluster: Cluster, topic: str) -> None:
    producer = AIOKafkaProducer(**cluster.client_options(), transactional_id=f"writer-{topic}")
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"{}", key=b"k")
    await producer.stop()


async def test_empty_topics_have_no_lag(empty_broker: EmbeddedBroker) -> None:
    await asyncio.wait_for(wait_for_lag(empty_broker.cluster, "quiet", stall_s=2.0), 10)


async def test_a_step_that_has_read_nothing_is_named_when_it_stalls(empty_broker: EmbeddedBroker) -> None:
    await produce(empty_broker.cluster, MESSAGES)
    with pytest.raises(LoadError, match="detect has read 0 of 40 offsets"):
        await wait_for_lag(empty_broker.cluster, "absent", stall_s=1.0)


async def test_a_step_one_message_behind_has_lag(empty_broker: EmbeddedBroker) -> None:
    cluster = empty_broker.cluster
    await produce(cluster, MESSAGES)
    offsets = await read_ends(cluster, RECORDS)
    last = max(offsets)
    await commit(cluster, "late-detect", offsets | {last: offsets[last] - 1})
    with pytest.raises(LoadError, match="detect has read"):
        await wait_for_lag(cluster, "late", steps=("detect",), stall_s=1.0)


async def test_transaction_markers_after_the_last_message_are_not_lag(empty_broker: EmbeddedBroker) -> None:
    cluster = empty_broker.cluster
    progress: list[tuple[str, int, int]] = []
    await produce(cluster, MESSAGES)
    await write_in_transaction(cluster, DRIFTS)
    await write_in_transaction(cluster, ALERTS)
    await commit(cluster, "done-detect", await read_ends(cluster, RECORDS))
    await commit(cluster, "done-correlate", {TopicPartition(DRIFTS, 0): 1})
    await commit(cluster, "done-route", {TopicPartition(ALERTS, 0): 1})
    await wait_for_lag(cluster, "done", stall_s=3.0, on_progress=lambda *lag: progress.append(lag))
    assert progress == [("detect", 40, 40), ("correlate", 1, 2), ("route", 1, 2)]
