"""Producing: many records to Kafka quickly, or at the pace of their own event time.

aiokafka's ``send`` costs a task a record; whole batches, built here and handed over, are several times as fast.
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
from load.inputs import Line
from schemas.topics import RECORDS, topic

BATCH_BYTES = 512 * 1024
"""Bytes of a batch, for one partition; a larger single message makes a batch of its own size."""

BATCHES_IN_FLIGHT_MAX = 32
"""Batches not yet confirmed; beyond it the producer waits."""

PACE_STEP_S = 0.05
"""Seconds between two sends when the pace is the records' own."""


@dataclass(slots=True)
class Produced:
    """What was sent: messages and bytes, how many of them were no record, and the seconds that it took."""

    messages: int = 0
    bytes: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    partitions: set[int] = field(default_factory=set)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's own clients choose for a key.

    >>> partition_of(b"support-bot", 4)
    1
    """
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


async def produce(
    bootstrap: str,
    lines: Iterable[Line],
    *,
    name: str = RECORDS,
    speed: float = 0.0,
    on_progress: Callable[[int], None] | None = None,
) -> Produced:
    """Send messages in order.

    Parameters
    ----------
    bootstrap
        ``HOST:PORT`` of the cluster.
    lines
        What to send; drawn from only as fast as the cluster takes it.
    name
        The topic, which must exist.
    speed
        Seconds of event time a second; 0 is as fast as possible.
    on_progress
        Told the number of messages sent, batch by batch.

    Raises
    ------
    LoadError
        If the cluster cannot be reached or refuses.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        max_request_size=topic(name).message_bytes_max + BATCH_BYTES,
        linger_ms=0,
    )
    started = time.monotonic()
    try:
        await producer.start()
        sending = _Sending(producer, name, len(await producer.partitions_for(name)), on_progress)
        await (sending.paced(lines, speed) if speed else sending.at_once(lines))
        await sending.finish()
    except (KafkaError, OSError) as error:
        raise LoadError(f"Kafka at {bootstrap}: {error}: is it running, and are its topics there?") from error
    finally:
        await producer.stop()
    sending.produced.seconds = time.monotonic() - started
    return sending.produced


class _Sending:
    """Batches under way, one a partition."""

    def __init__(
        self, producer: AIOKafkaProducer, name: str, partitions: int, on_progress: Callable[[int], None] | None
    ) -> None:
        self.produced = Produced()
        self._producer = producer
        self._name = name
        self._partitions = partitions
        self._on_progress = on_progress
        self._by_key: dict[bytes, int] = {}
        self._open: dict[int, BatchBuilder] = {}
        self._in_flight: list[asyncio.Future[object]] = []
        self._next_without_key = 0

    async def at_once(self, lines: Iterable[Line]) -> None:
        for line in lines:
            await self._add(line)

    async def paced(self, lines: Iterable[Line], speed: float) -> None:
        loop = asyncio.get_running_loop()
        started, first_ms = loop.time(), None
        for line in lines:
            first_ms = line.time_ms if first_ms is None else first_ms
            wait_s = started + (line.time_ms - first_ms) / 1000 / speed - loop.time()
            if wait_s > PACE_STEP_S:
                await self._send_open()
                await asyncio.sleep(wait_s)
            await self._add(line)

    async def finish(self) -> None:
        await self._send_open()
        await self._confirm(0)

    async def _add(self, line: Line) -> None:
        partition = self._partition(line.key)
        builder = self._open.get(partition)
        if builder is None:
            builder = self._open[partition] = self._producer.create_batch()
        if builder.append(key=line.key, value=line.value, timestamp=None) is None:
            await self._send(partition)
            builder = self._open[partition] = self._producer.create_batch()
            builder.append(key=line.key, value=line.value, timestamp=None)
        self.produced.messages += 1
        self.produced.bytes += len(line.value)
        self.produced.unreadable += not line.readable

    def _partition(self, key: bytes | None) -> int:
        if key is None:
            self._next_without_key = (self._next_without_key + 1) % self._partitions
            return self._next_without_key
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = partition_of(key, self._partitions)
        return found

    async def _send_open(self) -> None:
        for partition in list(self._open):
            await self._send(partition)

    async def _send(self, partition: int) -> None:
        builder = self._open.pop(partition)
        self._in_flight.append(await self._producer.send_batch(builder, self._name, partition=partition))
        self.produced.partitions.add(partition)
        await self._confirm(BATCHES_IN_FLIGHT_MAX)
        if self._on_progress is not None:
            self._on_progress(self.produced.messages)

    async def _confirm(self, leave: int) -> None:
        while len(self._in_flight) > leave:
            await self._in_flight.pop(0)
