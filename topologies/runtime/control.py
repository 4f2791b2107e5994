"""Control reader that reads and follows a topic that every worker needs in full, such as the baselines."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import cramjam
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.step import InputMessage
from topologies.errors import DriftwireError
from topologies.kafka import Cluster, UnreadableBatch, committed_consumer, read_to_end
from topologies.runtime.checkpoint import describe_refusal

FETCH_WAIT_S = 0.5
"""Maximum seconds of a fetch without new messages."""

RETRY_DELAY_S = 5.0
"""Seconds from a Kafka error until the topic is read again."""

ControlMessage = InputMessage | UnreadableBatch


class StoredMessage:
    """A control message whose value is compressed, because a fleet has hundreds of megabytes of baselines."""

    __slots__ = ("_packed", "key", "offset", "partition", "timestamp", "topic")

    def __init__(self, message: InputMessage, value: bytes) -> None:
        self.topic, self.partition, self.offset = message.topic, message.partition, message.offset
        self.timestamp, self.key = message.timestamp, message.key
        self._packed = bytes(cramjam.zstd.compress(value, 1))

    @property
    def value(self) -> bytes:
        """The value."""
        return bytes(cramjam.zstd.decompress(self._packed))


logger = logging.getLogger("driftwire")


class ControlReader:
    """Reader of a compacted topic with one partition. It stores the latest message per key and reports new messages.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    topic
        The topic, which has one partition.
    on_message
        Callback that receives each message after the reader has caught up, one at a time and in order.
    """

    def __init__(self, cluster: Cluster, topic: str, on_message: Callable[[ControlMessage], Awaitable[None]]) -> None:
        self._cluster = cluster
        self._partition = TopicPartition(topic, 0)
        self._on_message = on_message
        self._latest: dict[bytes, StoredMessage] = {}
        self._unreadable: list[UnreadableBatch] = []
        self._next_offset = 0
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    def start(self) -> None:
        """Start reading in a task."""
        self._task = asyncio.create_task(self._run())

    async def latest_messages(self) -> list[ControlMessage]:
        """Return the latest message per key in the order of offsets, after the reader has caught up.

        The result includes unreadable batches.

        Raises
        ------
        RuntimeError
            If the reader was not started.
        """
        if self._task is None:
            raise RuntimeError("the control reader has not been started: call start first")
        await self._caught_up.wait()
        return sorted([*self._latest.values(), *self._unreadable], key=lambda message: message.offset)

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Read until the reader is stopped. After a Kafka error, read the topic again from the start."""
        while True:
            try:
                async with committed_consumer(self._cluster) as consumer:
                    consumer.assign([self._partition])
                    await self._follow(consumer)
            except (KafkaError, DriftwireError) as error:
                logger.warning(
                    "%s: %s; reading it again in %g s",
                    self._partition.topic,
                    describe_refusal(error, self._cluster, topic=self._partition.topic, right="Read"),
                    RETRY_DELAY_S,
                )
                await asyncio.sleep(RETRY_DELAY_S)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        async for message in read_to_end(consumer, [self._partition]):
            await self._take(message)
        # The last fetch may have returned messages beyond the end. These must be reported as new messages.
        consumer.seek(self._partition, self._next_offset)
        self._caught_up.set()
        while True:
            for messages in (await consumer.getmany(timeout_ms=int(FETCH_WAIT_S * 1000))).values():
                for message in messages:
                    await self._take(message)

    async def _take(self, message: ControlMessage) -> None:
        """Store a message, and report it if it is new."""
        if message.offset < self._next_offset:
            return
        if isinstance(message, UnreadableBatch):
            logger.error("%s", message)
            self._unreadable.append(message)
            self._next_offset = message.last_offset + 1
        else:
            self._store(message)
            self._next_offset = message.offset + 1
        if self._caught_up.is_set():
            await self._on_message(message)

    def _store(self, message: InputMessage) -> None:
        key = message.key or b""
        if message.value is None:
            self._latest.pop(key, None)
        else:
            self._latest[key] = StoredMessage(message, message.value)
