"""The order sentinel with batches from a real Kafka: transaction markers are no gap, and a skipped message is one."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from topologies.runtime.inputs import OrderSentinel

TOPIC = "ordered"
SOURCE = TopicPartition(TOPIC, 0)
TRANSACTIONS, MESSAGES = 3, 2


@pytest.fixture
async def consumer(broker):
    """A consumer that returns one message at a time, of a topic with three transactions of two messages."""
    options = broker.cluster.client_options()
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(**options, transactional_id=TOPIC) as producer:
        for _ in range(TRANSACTIONS):
            async with producer.transaction():
                for _ in range(MESSAGES):
                    await producer.send_and_wait(TOPIC, b"value", partition=0)
    async with AIOKafkaConsumer(**options, isolation_level="read_committed", auto_offset_reset="earliest") as reader:
        reader.assign([SOURCE])
        yield reader


async def read(consumer, sentinel):
    """Give the next messages to the sentinel, and return their offsets."""
    async with asyncio.timeout(30):
        fetched = (await consumer.getmany(timeout_ms=10_000, max_records=1))[SOURCE]
    sentinel.check_start(TOPIC, fetched.begins_at)
    sentinel.use(TOPIC, fetched[0].offset, fetched[-1].offset, len(fetched))
    assert fetched.size_bytes > 0 or fetched[0].offset % (MESSAGES + 1)
    return [message.offset for message in fetched]


@pytest.mark.kafka
async def test_it_tells_skipped_and_repeated_messages_from_transaction_markers(consumer):
    violations = []
    sentinel = OrderSentinel(lambda kind, text: violations.append((kind, text)))
    sentinel.start({TOPIC: -1})
    read_offsets = [await read(consumer, sentinel) for _ in range(TRANSACTIONS * MESSAGES)]
    assert read_offsets == [[0], [1], [3], [4], [6], [7]]
    assert violations == []
    consumer.seek(SOURCE, 4)
    assert await read(consumer, sentinel) == [4]
    assert await read(consumer, sentinel) == [6]
    consumer.seek(SOURCE, 7)
    assert await read(consumer, sentinel) == [7]
    assert [kind for kind, _ in violations] == ["repeated_offset"]
    consumer.seek(SOURCE, 3)
    await read(consumer, sentinel)
    consumer.seek(SOURCE, 6)
    await read(consumer, sentinel)
    assert [kind for kind, _ in violations] == ["repeated_offset", "repeated_offset", "offset_gap"]
    assert violations[-1][1] == (
        "ordered: reading continues at offset 6, but the messages from offset 4 have not been used"
    )


def test_it_reports_messages_that_are_used_twice_in_one_batch_and_a_commit_that_goes_back():
    violations = []
    sentinel = OrderSentinel(lambda kind, _: violations.append(kind))
    sentinel.use(TOPIC, 10, 12, 3)
    sentinel.use(TOPIC, 13, 15, 4)
    sentinel.commit({TOPIC: 15})
    sentinel.commit({TOPIC: 14})
    sentinel.forget(TOPIC)
    sentinel.use(TOPIC, 0, 1, 2)
    sentinel.commit({TOPIC: 1})
    assert violations == ["repeated_offset", "commit_went_back"]
