import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from topologies.broker.embedded_broker import EmbeddedBroker
from topologies.kafka.client import BrokerUnreachable, TopicMissing, WriteRefused, follow, read_all, write

NOBODY = "127.0.0.1:1"


@pytest_asyncio.fixture
async def topic(broker: EmbeddedBroker) -> AsyncIterator[str]:
    """A topic of three partitions that nobody else writes to."""
    name = f"test-{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 3, 1)])
    while name not in await admin.list_topics():  # noqa: ASYNC110 - only the broker knows
        await asyncio.sleep(0.05)
    yield name
    await admin.delete_topics([name])
    await admin.close()


async def transaction(bootstrap: str, topic: str, value: bytes, *, commit: bool) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"test-{uuid4().hex}")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, value, partition=0)
    await (producer.commit_transaction() if commit else producer.abort_transaction())
    await producer.stop()


@pytest.mark.kafka
async def test_what_was_written_is_read_from_every_partition(broker, topic):
    for number in range(9):
        await write(broker.bootstrap, topic, f"key-{number}".encode(), f"value-{number}".encode())
    read = [message async for message in read_all(broker.bootstrap, topic)]
    assert sorted(message.value for message in read) == [f"value-{number}".encode() for number in range(9)]
    assert len({message.partition for message in read}) > 1


@pytest.mark.kafka
async def test_an_empty_topic_is_read_to_its_end(broker, topic):
    assert [message async for message in read_all(broker.bootstrap, topic)] == []


@pytest.mark.kafka
async def test_only_committed_messages_are_read_and_a_marker_at_the_end_does_not_stop_the_reader(broker, topic):
    await transaction(broker.bootstrap, topic, b"kept", commit=True)
    await transaction(broker.bootstrap, topic, b"taken back", commit=False)
    assert [message.value async for message in read_all(broker.bootstrap, topic)] == [b"kept"]


@pytest.mark.kafka
async def test_a_follower_gets_what_is_there_and_what_comes(broker, topic):
    await write(broker.bootstrap, topic, None, b"before")
    seen = []
    async with aclosing(follow(broker.bootstrap, topic, from_start=True)) as messages:
        async for message in messages:
            seen.append(message.value)
            if len(seen) == 1:
                await write(broker.bootstrap, topic, None, b"after")
            else:
                break
    assert seen == [b"before", b"after"]


@pytest.mark.kafka
async def test_a_follower_from_now_on_does_not_get_what_is_there(broker, topic):
    await write(broker.bootstrap, topic, b"same", b"before")
    messages = follow(broker.bootstrap, topic)
    waiting = asyncio.ensure_future(anext(messages))
    value = 0
    while not waiting.done():
        await write(broker.bootstrap, topic, b"same", f"after-{value}".encode())
        value += 1
    assert (await waiting).value.startswith(b"after-")
    await messages.aclose()


@pytest.mark.kafka
async def test_a_topic_that_is_not_there_is_named(broker):
    with pytest.raises(TopicMissing, match=r"has no topic driftwire\.nothing"):
        await write(broker.bootstrap, "driftwire.nothing", None, b"")
    with pytest.raises(TopicMissing, match=r"has no topic driftwire\.nothing"):
        [message async for message in read_all(broker.bootstrap, "driftwire.nothing")]


@pytest.mark.kafka
async def test_a_message_that_is_too_large_is_refused(broker, topic):
    with pytest.raises(WriteRefused, match=r"did not take the message"):
        await write(broker.bootstrap, topic, None, bytes(18_000_000))


async def test_a_broker_that_is_not_there_is_named_and_nothing_is_logged(caplog):
    for attempt in (
        write(NOBODY, "topic", None, b""),
        anext(read_all(NOBODY, "topic")),
        anext(follow(NOBODY, "topic")),
    ):
        with pytest.raises(BrokerUnreachable, match=r"no Kafka answers at 127\.0\.0\.1:1: start one"):
            await attempt
    assert caplog.records == []
