"""Control reader that reads and follows a topic that every worker needs in full, such as the baselines."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from pipeline.step import InputMessage
from topologies.errors import DriftwireError
from topologies.kafka import Cluster, committed_consumer, read_to_end
from topologies.runtime.checkpoint import describe_refusal

FETCH_WAIT_S = 0.5
"""Maximum seconds of a fetch without new messages."""

RETRY_DELAY_S = 5.0
"""Seconds from an error of Kafka until the topic is read again."""

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
        Callback that receives each message after the reader has caught up, one at a time and in order. After an error
        of Kafka it receives earlier messages again.
    """

    def __init__(self, cluster: Cluster, topic: str, on_message: Callable[[InputMessage], Awaitable[None]]) -> None:
        self._cluster = cluster
        self._partition = TopicPartition(topic, 0)
        self._on_message = on_message
        self._latest: dict[bytes, InputMessage] = {}
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    def start(self) -> None:
        """Start reading in a task."""
        self._task = asyncio.create_task(self._run())

    async def latest_messages(self) -> list[InputMessage]:
        """Return the latest message per key in the order of offsets, after the reader has caught up.

        Raises
        ------
        RuntimeError
            If the reader was not started.
        """
        if self._task is None:
            raise RuntimeError("the control reader is not started: call start first")
        await self._caught_up.wait()
        return sorted(self._latest.values(), key=lambda message: message.offset)

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Read until the reader is stopped. After an error of Kafka, read the topic again from the start."""
        while True:
            try:
                async with committed_consumer(self._cluster) as consumer:
                    async for record in self._follow(consumer):
                        self._store(record)
                        if self._caught_up.is_set():
                            await self._on_message(record)
            except (KafkaError, DriftwireError) as error:
                logger.warning(
                    "%s: %s; reading it again in %g s",
                    self._partition.topic,
                    describe_refusal(error, topic=self._partition.topic, right="Read"),
                    RETRY_DELAY_S,
                )
                await asyncio.sleep(RETRY_DELAY_S)

    async def _follow(self, consumer: AIOKafkaConsumer) -> AsyncIterator[ConsumerRecord]:
        """Yield the messages of the topic indefinitely, and note when the end is reached for the first time."""
        consumer.assign([self._partition])
        next_offset = 0
        async for record in read_to_end(consumer, [self._partition]):
            yield record
            next_offset = record.offset + 1
        # The last fetch may have returned messages beyond the end. These must be reported as new messages.
        consumer.seek(self._partition, next_offset)
        self._caught_up.set()
        while True:
            for records in (await consumer.getmany(timeout_ms=int(FETCH_WAIT_S * 1000))).values():
                for record in records:
                    yield record

    def _store(self, record: InputMessage) -> None:
        key = record.key or b""
        if record.value is None:
            self._latest.pop(key, None)
        else:
            self._latest[key] = record
