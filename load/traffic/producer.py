"""Producer that sends many messages to Kafka quickly, or at the pace of their event time.

aiokafka's ``send`` creates a task per message. Building and sending full batches here is several times faster.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from load.errors import LoadError
from load.harness import check_topics
from load.traffic.outgoing_message import OutgoingMessage
from schemas.topics import RECORDS
from schemas.topics import topic as find_topic
from topologies.kafka import Cluster

BATCH_BYTES = 512 * 1024
"""Maximum size, in bytes, of a batch for one partition. A larger message is sent in a separate batch."""

BATCHES_IN_FLIGHT_MAX = 32
"""Maximum number of unconfirmed batches. The producer waits when it reaches this limit."""

PACE_STEP_S = 0.05
"""Minimum pause, in seconds, when messages are sent at the pace of event time. Messages with shorter gaps are sent
together."""


@dataclass(slots=True)
class ProduceResult:
    """Messages and bytes sent, messages that are not records, elapsed seconds, and partitions written."""

    messages: int = 0
    bytes: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    partitions: set[int] = field(default_factory=set)


def partition_for_key(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's clients choose for a key.

    >>> partition_for_key(b"support-bot", 4)
    1
    """
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


async def produce(
    cluster: Cluster,
    messages: Iterable[OutgoingMessage],
    *,
    topic: str = RECORDS,
    speed: float = 0.0,
    on_progress: Callable[[int], None] | None = None,
) -> ProduceResult:
    """Send messages in order.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    messages
        Messages to send. The producer consumes them only as fast as the cluster accepts them.
    topic
        Topic to send to.
    speed
        Seconds of event time per second; 0 means as fast as possible.
    on_progress
        Callback that receives the number of messages sent, after each batch.

    Raises
    ------
    LoadError
        If the cluster has no such topic, stops answering or refuses a batch.
    BrokerUnreachable, RightMissing
        If the cluster cannot be reached, or if the user may not write to the topic.
    """
    await check_topics(cluster, [topic], right="Write")
    producer = AIOKafkaProducer(
        **cluster.client_options(),
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        max_request_size=find_topic(topic).message_bytes_max + BATCH_BYTES,
        linger_ms=0,
    )
    started_s = time.monotonic()
    try:
        with cluster.requiring("Write", topic):
            async with cluster.connecting():
                await producer.start()
            batches = _BatchSender(producer, topic, len(await producer.partitions_for(topic)), on_progress)
            await (batches.send_paced(messages, speed) if speed else batches.send(messages))
            await batches.finish()
    except (KafkaError, OSError) as error:
        raise LoadError(
            f"Kafka at {cluster} did not accept all messages for {topic}: {error}: check that Kafka is still running"
        ) from error
    finally:
        await producer.stop()
    batches.result.seconds = time.monotonic() - started_s
    return batches.result


class _BatchSender:
    """Sender with one open batch per partition and a limited number of batches in flight."""

    def __init__(
        self, producer: AIOKafkaProducer, topic: str, partitions: int, on_progress: Callable[[int], None] | None
    ) -> None:
        self.result = ProduceResult()
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._on_progress = on_progress
        self._partition_by_key: dict[bytes, int] = {}
        self._open: dict[int, BatchBuilder] = {}
        self._in_flight: list[asyncio.Future[object]] = []
        self._last_keyless_partition = 0

    async def send(self, messages: Iterable[OutgoingMessage]) -> None:
        for message in messages:
            await self._add(message)

    async def send_paced(self, messages: Iterable[OutgoingMessage], speed: float) -> None:
        loop = asyncio.get_running_loop()
        started_s, first_ms = loop.time(), None
        for message in messages:
            first_ms = message.time_ms if first_ms is None else first_ms
            wait_s = started_s + (message.time_ms - first_ms) / 1000 / speed - loop.time()
            if wait_s > PACE_STEP_S:
                await self._send_open_batches()
                await asyncio.sleep(wait_s)
            await self._add(message)

    async def finish(self) -> None:
        await self._send_open_batches()
        await self._wait_for_batches(0)

    async def _add(self, message: OutgoingMessage) -> None:
        partition = self._partition(message.key)
        builder = self._open.get(partition)
        if builder is None:
            builder = self._open[partition] = self._producer.create_batch()
        if builder.append(key=message.key, value=message.value, timestamp=None) is None:
            await self._send_batch(partition)
            builder = self._open[partition] = self._producer.create_batch()
            builder.append(key=message.key, value=message.value, timestamp=None)
        self.result.messages += 1
        self.result.bytes += len(message.value)
        self.result.unreadable += not message.readable

    def _partition(self, key: bytes | None) -> int:
        if key is None:
            self._last_keyless_partition = (self._last_keyless_partition + 1) % self._partitions
            return self._last_keyless_partition
        partition = self._partition_by_key.get(key)
        if partition is None:
            partition = self._partition_by_key[key] = partition_for_key(key, self._partitions)
        return partition

    async def _send_open_batches(self) -> None:
        for partition in list(self._open):
            await self._send_batch(partition)

    async def _send_batch(self, partition: int) -> None:
        builder = self._open.pop(partition)
        self._in_flight.append(await self._producer.send_batch(builder, self._topic, partition=partition))
        self.result.partitions.add(partition)
        await self._wait_for_batches(BATCHES_IN_FLIGHT_MAX)
        if self._on_progress is not None:
            self._on_progress(self.result.messages)

    async def _wait_for_batches(self, in_flight: int) -> None:
        while len(self._in_flight) > in_flight:
            await self._in_flight.pop(0)
