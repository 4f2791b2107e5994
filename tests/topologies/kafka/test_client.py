import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.kafka import Cluster
from topologies.kafka.client import (
    BrokerUnreachable,
    TopicMissing,
    WriteRefused,
    follow_topic,
    read_topic,
    write_message,
)

NO_BROKER = Cluster("127.0.0.1:1")


@pytest_asyncio.fixture
async def topic(broker: EmbeddedBroker) -> AsyncIterator[str]:
    """A topic of three partitions for one test."""
    name = f"test-{uuid4().hex}"
    admin = AIOKafkaAdminClient(**broker.cluster.client_options())
    await admin.start()
    await admin.create_topics([NewTopic(name, 3, 1)])
    while name not in await admin.list_topics():  # noqa: ASYNC110  the broker can only be polled
        await asyncio.sleep(0.05)
    yield name
    await admin.delete_topics([name])
    await admin.close()


async def write_transaction(cluster: Cluster, topic: str, value: bytes, *, commit: bool) -> None:
    producer = AIOKafkaProducer(**cluster.client_options(), transactional_id=f"test-{uuid4().hex}")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, value, partition=0)
    await (producer.commit_transaction() if commit else producer.abort_transaction())
    await producer.stop()


@pytest.mark.kafka
async def test_messages_are_read_from_every_partition(broker, topic):
    for number in range(9):
        await write_message(broker.cluster, topic, f"key-{number}".encode(), f"value-{number}".encode())
    messages = [message async for message in read_topic(broker.cluster, topic)]
    assert sorted(message.value for message in messages) == [f"value-{number}".encode() for number in range(9)]
    assert len({message.partition for message in messages}) > 1


@pytest.mark.kafka
async def test_an_empty_topic_is_read_to_its_end(broker, topic):
    assert [message async for message in read_topic(broker.cluster, topic)] == []


@pytest.mark.kafka
async def test_only_committed_messages_are_read_even_with_a_transaction_marker_at_the_end(broker, topic):
    await write_transaction(broker.cluster, topic, b"committed", commit=True)
    await write_transaction(broker.cluster, topic, b"aborted", commit=False)
    assert [message.value async for message in read_topic(broker.cluster, topic)] == [b"committed"]


@pytest.mark.kafka
async def test_following_from_the_start_yields_old_and_new_messages(broker, topic):
    await write_message(broker.cluster, topic, None, b"before")
    values = []
    async with aclosing(follow_topic(broker.cluster, topic, from_start=True)) as messages:
        async for message in messages:
            values.append(message.value)
            if len(values) == 1:
                await write_message(broker.cluster, topic, None, b"after")
            else:
                break
    assert values == [b"before", b"after"]


@pytest.mark.kafka
async def test_following_from_now_on_yields_new_messages_only(broker, topic):
    await write_message(broker.cluster, topic, b"same", b"before")
    messages = follow_topic(broker.cluster, topic)
    first_message = asyncio.ensure_future(anext(messages))
    count = 0
    while not first_message.done():
        await write_message(broker.cluster, topic, b"same", f"after-{count}".encode())
        count += 1
    assert (await first_message).value.startswith(b"after-")
    await messages.aclose()


@pytest.mark.kafka
async def test_a_missing_topic_is_named(broker):
    with pytest.raises(TopicMissing, match=r"has no topic driftwire\.nothing"):
        await write_message(broker.cluster, "driftwire.nothing", None, b"")
    with pytest.raises(TopicMissing, match=r"has no topic driftwire\.nothing"):
        [message async for message in read_topic(broker.cluster, "driftwire.nothing")]


@pytest.mark.kafka
async def test_a_message_that_is_too_large_is_refused(broker, topic):
    with pytest.raises(WriteRefused, match=r"did not accept the message"):
        await write_message(broker.cluster, topic, None, bytes(18_000_000))


async def test_a_missing_broker_is_named():
    for attempt in (
        write_message(NO_BROKER, "topic", None, b""),
        anext(read_topic(NO_BROKER, "topic")),
        anext(follow_topic(NO_BROKER, "topic")),
    ):
        with pytest.raises(BrokerUnreachable, match=r"no Kafka broker answers at 127\.0\.0\.1:1: start a broker"):
            await attempt
