"""Observers of a run, which bypass the proxy: the owner of each partition, and every checkpoint as it is written."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from schemas.topics import checkpoints_topic
from topologies.kafka import Cluster, committed_consumer
from topologies.processes import STEPS
from topologies.runtime import Checkpoints

POLL_S = 0.4
RETRY_S = 0.5
REQUEST_TIMEOUT_MS = 5_000
FETCH_MS = 500


class GroupMembership:
    """The members of the consumer groups, read several times per second.

    Attributes
    ----------
    owners
        Input partitions by the name of the worker that owns them.
    joined
        Names of all workers that were members at any time.
    """

    def __init__(self, cluster: Cluster, app_id: str) -> None:
        self.owners: dict[str, set[tuple[str, int]]] = {}
        self.joined: set[str] = set()
        self._cluster = cluster
        self._groups = [f"{app_id}-{step}" for step in STEPS]

    async def watch(self) -> None:
        """Read the groups until cancelled. While the broker is down, no worker owns a partition."""
        while True:
            try:
                async with _admin(self._cluster) as admin:
                    while True:
                        async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                            await self._read(admin)
                        await asyncio.sleep(POLL_S)
            except (KafkaError, OSError, TimeoutError):
                self.owners = {}
                await asyncio.sleep(RETRY_S)

    async def _read(self, admin: AIOKafkaAdminClient) -> None:
        owners: dict[str, set[tuple[str, int]]] = {}
        for group in self._groups:
            # aiokafka decodes only the first group of this answer correctly.
            ((_, _, _, _, _, members, *_),) = (await admin.describe_consumer_groups([group]))[0].groups
            for _, name, _, _, assignment in members:
                self.joined.add(name)
                if assignment:
                    owners.setdefault(name, set()).update(_assigned(assignment))
        self.owners = owners


def _assigned(assignment: bytes) -> Iterator[tuple[str, int]]:
    for topic, partitions in ConsumerProtocolMemberAssignment.decode(assignment).assignment:
        for partition in partitions:
            yield topic, int(partition)


class CheckpointLedger:
    """All committed checkpoints of every partition, read before Kafka compacts them.

    Attributes
    ----------
    problems
        One line per torn checkpoint, per gap or repetition in the sequence, and per offset that decreases.
    torn
        Number of torn checkpoints.
    count
        Number of checkpoints.
    clock_offset_s
        Difference between the timestamp of a checkpoint and the time at which it was read, by step, in seconds. Only the
        newest checkpoint counts.
    """

    def __init__(self, cluster: Cluster, partitions: int) -> None:
        self.problems: list[str] = []
        self.torn = 0
        self.count = 0
        self.clock_offset_s: dict[str, float] = {}
        self._cluster = cluster
        self._sources = {
            TopicPartition(checkpoints_topic(step), partition): step
            for step in STEPS
            for partition in range(partitions if step == "detect" else 1)
        }
        self._readers = {source: Checkpoints.reader() for source in self._sources}
        self._positions = dict.fromkeys(self._sources, 0)
        self._sequences = dict.fromkeys(self._sources, 0)
        self._offsets: dict[TopicPartition, dict[str, int]] = {source: {} for source in self._sources}
        self._part_bytes: dict[TopicPartition, dict[bytes, int]] = {source: {} for source in self._sources}

    async def watch(self) -> None:
        """Read the checkpoints until cancelled."""
        while True:
            try:
                async with self._consumer() as consumer:
                    while True:
                        await self._read(consumer)
            except (KafkaError, OSError):
                await asyncio.sleep(RETRY_S)

    async def read_to_end(self) -> None:
        """Read the checkpoints that exist now."""
        async with self._consumer() as consumer:
            ends = await consumer.end_offsets(list(self._sources))
            while any(self._positions[source] < ends[source] for source in self._sources):
                await self._read(consumer)

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        async with committed_consumer(self._cluster) as consumer:
            consumer.assign(list(self._sources))
            for source, position in self._positions.items():
                consumer.seek(source, position)
            yield consumer

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        fetched = await consumer.getmany(timeout_ms=FETCH_MS)
        for source, records in fetched.items():
            for record in records:
                self.add(source, record)
                self._positions[source] = record.offset + 1
        for source in self._sources:
            # The position also passes transaction markers, which are not returned.
            self._positions[source] = await consumer.position(source)

    def state_bytes(self, step: str) -> int:
        """Return the bytes of a step's newest state across all partitions, as the next worker would restore it."""
        return sum(sum(self._part_bytes[source].values()) for source, of in self._sources.items() if of == step)

    def add(self, source: TopicPartition, record: Any) -> None:
        """Add a message of a checkpoint topic. The messages of a partition come in order."""
        if record.value is None:
            self._part_bytes[source].pop(record.key, None)
        else:
            self._part_bytes[source][record.key] = len(record.key) + len(record.value)
        reader = self._readers[source]
        if not reader.add(record.key, record.value, dict(record.headers)):
            return
        self.count += 1
        self.clock_offset_s[self._sources[source]] = record.timestamp / 1000 - time.time()
        stored = reader.result()
        place = f"{source.topic} partition {source.partition} offset {record.offset}"
        if stored.is_torn:
            self.torn += 1
            self.problems.append(f"{place}: checkpoint {stored.sequence} is torn")
        if stored.sequence != self._sequences[source] + 1:
            self.problems.append(f"{place}: checkpoint {stored.sequence} follows {self._sequences[source]}")
        before, after = self._offsets[source], stored.offsets or {}
        for topic, offset in before.items():
            if after.get(topic, -1) < offset:
                self.problems.append(f"{place}: the offset of {topic} decreases from {offset} to {after.get(topic)}")
        self._sequences[source], self._offsets[source] = stored.sequence, after


@asynccontextmanager
async def _admin(cluster: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**cluster.client_options(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until a condition is true. Return False after the time limit."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True
