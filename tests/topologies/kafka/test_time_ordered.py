"""A topic is read in order of time over its partitions, each message once, with late messages in their place."""

import random

import pytest
from aiokafka import AIOKafkaProducer

from tests.topologies.kafka.test_client import topic as topic  # noqa: PLC0414  a fixture
from topologies.kafka.client import read_topic

pytestmark = pytest.mark.kafka


async def write(broker, topic, messages):
    """Write values to partitions, each partition as one run, so no partition is read alongside another by chance."""
    async with AIOKafkaProducer(**broker.cluster.client_options(), linger_ms=5) as producer:
        for partition, value in sorted(messages, key=lambda message: message[0]):
            await producer.send(topic, value, partition=partition)


async def read(broker, topic, **options):
    return [message.value async for message in read_topic(broker.cluster, topic, time_of=int, **options)]


@pytest.mark.parametrize("padding", [0, 3000])
async def test_messages_of_all_partitions_come_in_order_of_time(broker, topic, padding):
    """With the padding, a partition takes several fetches."""
    world = random.Random(5)
    values = [str(number).encode().rjust(6 + padding, b"0") for number in range(3000)]
    await write(broker, topic, [(world.choice([0, 0, 1]), value) for value in values])
    assert await read(broker, topic) == values


async def test_a_late_message_follows_the_newest_message_before_it(broker, topic):
    await write(broker, topic, [(0, b"10"), (0, b"30"), (0, b"15"), (0, b"40"), (1, b"20"), (1, b"35")])
    assert await read(broker, topic) == [b"10", b"20", b"30", b"15", b"35", b"40"]


async def test_reading_can_start_at_the_time_of_appending(broker, topic):
    await write(broker, topic, [(0, b"1"), (1, b"2")])
    (first, _) = [message async for message in read_topic(broker.cluster, topic)]
    assert await read(broker, topic, start_ms=first.timestamp - 60_000) == [b"1", b"2"]
    assert await read(broker, topic, start_ms=first.timestamp + 600_000) == []
