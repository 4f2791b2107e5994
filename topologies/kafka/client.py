"""Plain reads and writes of single topics, for commands and tools. No step runs on it: they need transactions.

Reads see committed messages only and join no consumer group, so that looking changes nothing. Each call opens its own
connection and closes it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord

from pipeline.step import RawMessage
from topologies.errors import Failure

CONNECT_TIMEOUT_S = 10.0
"""Seconds that a broker may take to answer the first question."""

PROGRESS_TIMEOUT_S = 30.0
"""Seconds without a single new message after which reading to the end is given up."""

POLL_MS = 500
"""Milliseconds that one look for new messages waits; an interrupted reader leaves within it."""

WRITE_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of the largest message that any topic of the contract takes."""


class BrokerUnreachable(Failure):
    """Nothing that speaks Kafka answers at the address, or it stopped answering."""


class TopicMissing(Failure):
    """The broker answers, and has no such topic."""


class WriteRefused(Failure):
    """The broker answers, and does not take the message."""


async def read_all(bootstrap: str, topic: str) -> AsyncGenerator[RawMessage]:
    """All committed messages that a topic holds at the time of the call, oldest first within a partition.

    Parameters
    ----------
    bootstrap
        ``HOST:PORT`` of a broker, or several with commas.
    topic
        Its name.

    Raises
    ------
    BrokerUnreachable, TopicMissing
        As their names say.
    """
    async with _consumer(bootstrap, topic) as consumer:
        partitions = list(consumer.assignment())
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        # Positions, not offsets of messages, decide the end: the last thing in a partition may be a transaction's
        # marker or a message that compaction took away.
        behind = {partition for partition in partitions if await consumer.position(partition) < ends[partition]}
        idle_s = 0.0
        while behind:
            fetched = await consumer.getmany(*behind, timeout_ms=POLL_MS)
            idle_s = 0.0 if fetched else idle_s + POLL_MS / 1000
            if idle_s >= PROGRESS_TIMEOUT_S:
                raise BrokerUnreachable(
                    f"Kafka at {bootstrap} sent nothing of {topic} for {PROGRESS_TIMEOUT_S:.0f} s: is it still up?"
                )
            for partition, records in fetched.items():
                for record in records:
                    if record.offset < ends[partition]:
                        yield _message(record)
            behind = {partition for partition in behind if await consumer.position(partition) < ends[partition]}


async def follow(bootstrap: str, topic: str, *, from_start: bool = False) -> AsyncGenerator[RawMessage]:
    """Committed messages of a topic as they come, until the caller stops; outages of the broker are waited out.

    Parameters
    ----------
    bootstrap, topic
        As for :func:`read_all`.
    from_start
        Begin with the oldest message that the topic holds rather than with the next one written.

    Raises
    ------
    BrokerUnreachable, TopicMissing
        When it begins.
    """
    async with _consumer(bootstrap, topic) as consumer:
        partitions = list(consumer.assignment())
        if from_start:
            await consumer.seek_to_beginning(*partitions)
        else:
            await consumer.seek_to_end(*partitions)
        while True:
            fetched = await consumer.getmany(timeout_ms=POLL_MS)
            for records in fetched.values():
                for record in records:
                    yield _message(record)


async def write(bootstrap: str, topic: str, key: bytes | None, value: bytes | None) -> None:
    """Write one message and return when all in-sync replicas have it.

    Parameters
    ----------
    bootstrap, topic
        As for :func:`read_all`.
    key, value
        The message's bytes.

    Raises
    ------
    BrokerUnreachable, TopicMissing, WriteRefused
        As their names say.
    """
    await _partitions(bootstrap, topic)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=WRITE_BYTES_MAX)
    try:
        async with _connecting(bootstrap):
            await producer.start()
        await producer.send_and_wait(topic, value=value, key=key)
    except KafkaConnectionError as error:
        raise _unreachable(bootstrap) from error
    except MessageSizeTooLargeError as error:
        raise WriteRefused(
            f"Kafka at {bootstrap} did not take the message for {topic}: "
            f"its {len(key or b'') + len(value or b'')} bytes are more than the topic takes"
        ) from error
    except KafkaError as error:
        raise WriteRefused(f"Kafka at {bootstrap} did not take the message for {topic}: {error}") from error
    finally:
        await producer.stop()


@asynccontextmanager
async def _consumer(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A connected consumer that is assigned every partition of the topic."""
    partitions = await _partitions(bootstrap, topic)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        async with _connecting(bootstrap):
            await consumer.start()
        consumer.assign(partitions)
        yield consumer
    except KafkaConnectionError as error:
        raise _unreachable(bootstrap) from error
    finally:
        await consumer.stop()


async def _partitions(bootstrap: str, topic: str) -> list[TopicPartition]:
    """The partitions of a topic. Asked first, since consumers and producers wait long for a topic that is not there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(CONNECT_TIMEOUT_S * 1000))
    try:
        async with _connecting(bootstrap):
            await admin.start()
            known = {found["topic"]: found["partitions"] for found in await admin.describe_topics()}
    finally:
        await admin.close()
    if topic not in known:
        raise TopicMissing(
            f"Kafka at {bootstrap} has no topic {topic}: start driftwire on it first (driftwire up), or name another broker"
        )
    return [TopicPartition(topic, partition["partition"]) for partition in known[topic]]


@asynccontextmanager
async def _connecting(bootstrap: str) -> AsyncIterator[None]:
    # What aiokafka logs of a connection that fails is said better by the error that follows.
    logger = logging.getLogger("aiokafka")
    before, logger.disabled = logger.disabled, True
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            yield
    except (TimeoutError, OSError, KafkaError) as error:
        raise _unreachable(bootstrap) from error
    finally:
        logger.disabled = before


def _unreachable(bootstrap: str) -> BrokerUnreachable:
    return BrokerUnreachable(
        f"no Kafka answers at {bootstrap}: start one (driftwire up), or name another (--bootstrap)"
    )


def _message(record: ConsumerRecord) -> RawMessage:
    return RawMessage(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)
