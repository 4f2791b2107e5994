"""Reads and writes of single topics, for commands and tools. Steps need transactions and do not use this module.

Reads return committed messages only and do not join a consumer group, so they have no side effects. Each call opens and
closes its own connection.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.structs import ConsumerRecord

from pipeline.step import RawMessage
from schemas.topics import TOPICS
from topologies.errors import BrokerUnreachable, DriftwireError
from topologies.kafka.cluster import Cluster
from topologies.kafka.committed_log import committed_consumer, read_to_end
from topologies.kafka.health_check import HealthCheck
from topologies.kafka.record_batches import UnreadableBatch
from topologies.kafka.time_ordered import read_in_time_order

PROGRESS_TIMEOUT_S = 30.0
"""Maximum seconds without a new message while a topic is read to its end."""

BATCH_RECORDS = 100
BATCH_S = 0.1
"""Maximum number of records that are read under one time limit, and seconds after which it begins again."""

OFFSETS_PER_MESSAGE = 4
"""Offsets that are read for each of the latest messages of a partition."""

FOLLOW_POLL_MS = 500
"""Maximum milliseconds of a fetch without new messages. An interrupted reader stops within this time."""

HEALTH_CHECK_S = 2.0
"""Seconds between two health checks of a reader without new messages."""

REQUEST_TIMEOUT_MS = 10_000
"""Maximum milliseconds that Kafka may take to answer a request to write a message."""

WRITE_TIMEOUT_S = 25.0
"""Maximum seconds until Kafka confirms a message."""

WRITE_BYTES_MAX = 16 * 1024 * 1024
"""Maximum size of a message in any topic of the contract, in bytes."""

logger = logging.getLogger("driftwire")


class TopicMissing(DriftwireError):
    """The broker answers but does not have the topic."""


class ReadFailed(DriftwireError):
    """The broker answers but does not return the messages."""


class WriteUnconfirmed(DriftwireError):
    """The broker stopped answering after a message was sent. Kafka may or may not have stored the message."""


class WriteRefused(DriftwireError):
    """The broker answers but does not accept the message."""


async def read_topic(
    cluster: Cluster,
    topic: str,
    *,
    latest: int | None = None,
    time_of: Callable[[bytes], int | None] | None = None,
    start_ms: int | None = None,
) -> AsyncGenerator[RawMessage]:
    """Yield all committed messages in a topic at the time of the call, oldest first within a partition.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    topic
        Name of the topic.
    latest
        Yield at most this number of messages: the latest by their timestamps over all partitions.
    time_of, start_ms
        Read the messages in order of time over all partitions, as :func:`read_in_time_order` does.

    Raises
    ------
    BrokerUnreachable
        If no broker answers, or if the broker sends nothing for :data:`PROGRESS_TIMEOUT_S`.
    TopicMissing
        If the topic does not exist.
    ReadFailed
        If the broker answers with an error.
    RightMissing
        If the user has no permission to read the topic.
    """
    async with _assigned_consumer(cluster, topic) as consumer:
        partitions = list(consumer.assignment())
        if latest is not None:
            records = _read_latest(consumer, partitions, latest)
        elif time_of is not None:
            records = read_in_time_order(consumer, partitions, time_of, start_ms=start_ms)
        else:
            records = read_to_end(consumer, partitions)
        try:
            while True:
                # The limit covers every request, not only fetches, because any of them can wait for an answer that
                # never comes.
                async with asyncio.timeout(PROGRESS_TIMEOUT_S):
                    batch = await _next_batch(records)
                if not batch:
                    return
                for message in _messages(batch):
                    yield message
        except TimeoutError as error:
            raise BrokerUnreachable(
                f"Kafka at {cluster} sent no message of {topic} for {PROGRESS_TIMEOUT_S:.0f} s: check that Kafka is running"
            ) from error


async def follow_topic(cluster: Cluster, topic: str, *, from_start: bool = False) -> AsyncGenerator[RawMessage]:
    """Yield the committed messages of a topic indefinitely as they arrive.

    While Kafka does not answer, wait for it. Log when it stops answering, within five seconds, and when it answers again.

    Parameters
    ----------
    cluster, topic
        As for :func:`read_topic`.
    from_start
        Start with the oldest message of the topic instead of the next new message.

    Raises
    ------
    BrokerUnreachable, TopicMissing, RightMissing
        As for :func:`read_topic`, but only at the start.
    """
    async with _assigned_consumer(cluster, topic) as consumer:
        partitions = list(consumer.assignment())
        if from_start:
            await consumer.seek_to_beginning(*partitions)
        else:
            await consumer.seek_to_end(*partitions)
        health_check = HealthCheck(cluster)
        now = asyncio.get_running_loop().time
        checked_at = now()
        while True:
            fetched = await consumer.getmany(timeout_ms=FOLLOW_POLL_MS)
            if now() - checked_at >= HEALTH_CHECK_S or (fetched and health_check.problem):
                await health_check.run(consumer._client, [topic])  # noqa: SLF001  no other way to ask for a topic
                checked_at = now()
            for records in fetched.values():
                for message in _messages(records):
                    yield message


async def write_message(cluster: Cluster, topic: str, key: bytes | None, value: bytes | None) -> None:
    """Write one message and return when all in-sync replicas have the message.

    Parameters
    ----------
    cluster, topic
        As for :func:`read_topic`.
    key, value
        The bytes of the message.

    Raises
    ------
    BrokerUnreachable
        If no broker answers.
    TopicMissing
        If the topic does not exist.
    RightMissing
        If the user has no permission to write to the topic.
    WriteUnconfirmed
        If the broker stops answering after the message was sent.
    WriteRefused
        If the broker does not accept the message, for example because it is too large.
    """
    await _partitions(cluster, topic, "Write")
    producer = AIOKafkaProducer(
        **cluster.client_options(), acks="all", max_request_size=WRITE_BYTES_MAX, request_timeout_ms=REQUEST_TIMEOUT_MS
    )
    try:
        async with cluster.connecting():
            await producer.start()
            await producer.partitions_for(topic)  # after this, a failure means that the message may have arrived
        with cluster.requiring("Write", topic):
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await producer.send_and_wait(topic, value=value, key=key)
    except MessageSizeTooLargeError as error:
        raise WriteRefused(
            f"Kafka at {cluster} did not accept the message for {topic}: "
            f"its {len(key or b'') + len(value or b'')} bytes exceed the limit of the topic"
        ) from error
    except (KafkaError, TimeoutError) as error:
        if isinstance(error, (TimeoutError, KafkaTimeoutError)) or error.retriable:
            raise WriteUnconfirmed(
                f"Kafka at {cluster} did not confirm the message for {topic}: before you repeat the command, check "
                f"that Kafka is running and whether it has the message"
            ) from error
        raise WriteRefused(f"Kafka at {cluster} did not accept the message for {topic}: {error}") from error
    finally:
        await producer.stop()


async def _next_batch(
    records: AsyncGenerator[ConsumerRecord | UnreadableBatch],
) -> list[ConsumerRecord | UnreadableBatch]:
    """Return the next records, as many as arrive in a short time. A time limit per record would cost more than the record."""
    now = asyncio.get_running_loop().time
    batch: list[ConsumerRecord | UnreadableBatch] = []
    until = now() + BATCH_S
    async for record in records:
        batch.append(record)
        if len(batch) >= BATCH_RECORDS or now() >= until:
            break
    return batch


async def _read_latest(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition], count: int
) -> AsyncGenerator[ConsumerRecord | UnreadableBatch]:
    found: list[ConsumerRecord | UnreadableBatch] = []
    for partition in partitions:
        log_end = (await consumer.end_offsets([partition]))[partition]
        log_start = (await consumer.beginning_offsets([partition]))[partition]
        # Markers of transactions use offsets too, so a partition can have fewer messages than offsets.
        start = max(log_start, log_end - OFFSETS_PER_MESSAGE * count)
        latest: deque[ConsumerRecord | UnreadableBatch] = deque(maxlen=count)
        async for record in read_to_end(consumer, [partition], start=start):
            latest.append(record)
        found += latest
    for record in sorted(found, key=lambda record: record.timestamp)[-count:]:
        yield record


@asynccontextmanager
async def _assigned_consumer(cluster: Cluster, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a connected consumer to which all partitions of the topic are assigned."""
    partitions = await _partitions(cluster, topic, "Read")
    consumer = committed_consumer(cluster)
    try:
        async with cluster.connecting():
            await consumer.start()
        consumer.assign(partitions)
        with cluster.requiring("Read", topic):
            yield consumer
    except KafkaConnectionError as error:
        raise await cluster.unreachable() from error
    except KafkaError as error:
        raise ReadFailed(f"Kafka at {cluster} does not return the messages of {topic}: {error}") from error
    finally:
        # While Kafka is unavailable, stop() can raise CancelledError for a fetch that it cancels itself.
        await asyncio.gather(consumer.stop(), return_exceptions=True)


async def _partitions(cluster: Cluster, topic: str, right: str) -> list[TopicPartition]:
    """Return the partitions of a topic. This comes first, because clients wait a long time for a missing topic."""
    found = (await cluster.topic_metadata([topic]))[topic]
    error = for_code(found["error_code"])
    with cluster.requiring(right, topic):
        if error is TopicAuthorizationFailedError:
            raise error
    if error is UnknownTopicOrPartitionError:
        is_own = topic in {row.name for row in TOPICS}
        remedy = "start driftwire on it first with driftwire up" if is_own else "check the name, or create the topic"
        raise TopicMissing(
            f"Kafka at {cluster} has no topic {topic}: {remedy}, or give another address with --bootstrap"
        )
    return [TopicPartition(topic, partition["partition"]) for partition in found["partitions"]]


def _messages(records: Iterable[ConsumerRecord | UnreadableBatch]) -> Iterator[RawMessage]:
    """Yield the messages in records, and log the batches that cannot be read."""
    for record in records:
        if isinstance(record, UnreadableBatch):
            logger.warning("%s", record)
        else:
            yield RawMessage(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)
