"""Faust transport with one event per batch. A batch contains the undecoded messages of one partition in one fetch.

One event per message would cost more time in Faust than in the detectors. The consumer reads committed messages only.
It assigns partitions with the same number together, so one worker has all inputs of a partition.

A worker survives errors at its start and during a fetch. An unreadable batch arrives as an :class:`UnreadableBatch`. If
the consumer's offset is outside the log, an :class:`OffsetReset` precedes the next messages to report the loss in
order.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiokafka
import faust
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.transport.utils import DefaultSchedulingStrategy, TopicIndexMap
from faust.types import TP
from mode import Service

from topologies.errors import DriftwireError
from topologies.kafka import Cluster, HealthCheck, UnreadableBatch
from topologies.runtime.checkpoint import describe_refusal
from topologies.runtime.faust_worker import stop_failed_worker

BATCHES_BUFFERED_MAX = 8
"""Maximum fetched batches that wait for the agent. This limits the memory of a worker."""

RECORDS_PER_FETCH_MAX = 2_000
"""Maximum records of one fetch over all partitions."""

CHECK_INTERVAL_S = 2.0
"""Seconds between two checks of whether Kafka answers and accepts the consumer group."""

FETCH_BYTES_MIN = 256 * 1024
"""Bytes that the broker collects before it answers a fetch. Higher values give larger batches, which cost less per
record.
"""

FETCH_WAIT_MAX_MS = 100
"""Maximum milliseconds for which the broker collects bytes for a fetch. Higher values delay findings."""

RETRY_S = 1.0
"""Seconds from a failed fetch or a failed start until the next attempt."""

RESET_TIMEOUT_S = 5.0
"""Maximum seconds to find the start and end of a log. Meanwhile the worker fetches nothing else."""

REPEATED_WARNING_S = 30.0
"""Minimum seconds between two equal warnings about fetches."""

logger = logging.getLogger("driftwire")


@dataclass(frozen=True, slots=True)
class OffsetReset:
    """The consumer had no offset or an offset outside the log. It continues at the start of the log.

    Attributes
    ----------
    topic, partition
        The partition.
    log_start, log_end
        The first offset of the log, and the offset after its last committed message.
    """

    topic: str
    partition: int
    log_start: int
    log_end: int
    timestamp: int = 0
    timestamp_type: int = 0

    @property
    def offset(self) -> int:
        """Offset before the next message."""
        return self.log_start - 1


class FetchedBatch:
    """Records of one partition in one fetch, presented to Faust as a single Kafka record.

    The value is a list of messages, or a list with one :class:`UnreadableBatch` or :class:`OffsetReset`.
    """

    __slots__ = ("offset", "partition", "timestamp", "timestamp_type", "topic", "value")

    headers = ()
    key = None
    checksum = None
    serialized_key_size = 0
    serialized_value_size = 0

    def __init__(self, records: list[Any]) -> None:
        last = records[-1]
        self.topic = last.topic
        self.partition = last.partition
        self.offset = last.last_offset if isinstance(last, UnreadableBatch) else last.offset
        self.timestamp = last.timestamp
        self.timestamp_type = last.timestamp_type
        self.value = records


class BatchScheduler(DefaultSchedulingStrategy):
    """Scheduler that combines the records of a partition into one :class:`FetchedBatch`."""

    @classmethod
    def map_from_records(cls, records: Mapping[TP, list[Any]]) -> TopicIndexMap:
        """Return one batch per partition."""
        return super().map_from_records({tp: [FetchedBatch(fetched)] for tp, fetched in records.items() if fetched})


class BatchSchema(faust.Schema[Any, Any]):
    """Schema without decoding, because the step decodes. The value of an event is the list of records."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        """Return the decoder that Faust calls per message."""

        async def decode(message: Any, **_: Any) -> Any:
            return app.create_event(None, message.value, {}, message)

        return decode


class CoPartitionedAssignor(RangePartitionAssignor):
    """Range assignment of partition numbers instead of the partitions of each topic.

    It differs from range assignment only for topics with different numbers of partitions. A number that a topic does not
    have is ignored.
    """

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return the partitions of each member. All members have subscribed to the same topics, or will do so soon."""
        topics = {topic for metadata in members.values() for topic in metadata.subscription}
        partitions = {topic: cluster.partitions_for_topic(topic) or set() for topic in topics}
        numbers = sorted(set().union(*partitions.values()))
        assignment = {}
        for index, member in enumerate(sorted(members)):
            share, extra = divmod(len(numbers), len(members))
            start = share * index + min(index, extra)
            own = set(numbers[start : start + share + (index < extra)])
            subscribed = set(members[member].subscription)
            assigned = [
                (topic, sorted(own & found)) for topic, found in sorted(partitions.items()) if topic in subscribed
            ]
            assignment[member] = ConsumerProtocolMemberAssignment(cls.version, assigned, b"")
        return assignment


class _ReadCommittedThread(AIOKafkaConsumerThread):
    _warning = ""
    _warned_at = 0.0

    async def on_start(self) -> None:
        """Connect to Kafka. While it does not answer, log why and try again, because an exception would end the worker."""
        while not self.should_stop:
            try:
                await super().on_start()
            except DriftwireError as error:  # for example a password file that cannot be read
                problem = error
            except (KafkaError, OSError):
                problem = await self._transport.cluster.unreachable()
            else:
                return
            self._warn(str(problem))
            consumer, self._consumer = self._consumer, None
            if consumer is not None:
                await consumer.stop()
            await self.sleep(RETRY_S)

    def _create_worker_consumer(self, transport: Transport) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002  its signature
        settings = self.app.conf
        self._assignor = CoPartitionedAssignor
        return aiokafka.AIOKafkaConsumer(
            client_id=settings.broker_client_id,
            group_id=settings.id,
            group_instance_id=settings.consumer_group_instance_id,
            **self._transport.cluster.client_options(),
            partition_assignment_strategy=[CoPartitionedAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_poll_records=settings.broker_max_poll_records,
            max_poll_interval_ms=int(settings.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=settings.consumer_max_fetch_size,
            fetch_min_bytes=FETCH_BYTES_MIN,
            fetch_max_wait_ms=FETCH_WAIT_MAX_MS,
            request_timeout_ms=int(settings.broker_request_timeout * 1000),
            session_timeout_ms=int(settings.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(settings.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(settings.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=settings.consumer_metadata_max_age_ms,
        )

    async def _fetch_records(
        self, consumer: aiokafka.AIOKafkaConsumer, active_partitions: set[TP], *arguments: Any, **options: Any
    ) -> Mapping[TP, list[Any]]:
        """Fetch messages. After an error, log it, wait and return nothing. An exception would stop the worker."""
        try:
            try:
                fetched: Mapping[TP, list[Any]] = await super()._fetch_records(
                    consumer, active_partitions, *arguments, **options
                )
            except OffsetOutOfRangeError as error:
                (partition,) = error.args[0]
                return await self._reset(consumer, partition)
            except NoOffsetForPartitionError as error:
                return await self._reset(consumer, error.args[0])
        except (KafkaError, TimeoutError) as error:
            self._warn(f"cannot fetch messages: {self._describe(error)}")
            await asyncio.sleep(RETRY_S)
            return {}
        return fetched

    @Service.timer(CHECK_INTERVAL_S)
    async def _check(self) -> None:
        """Log whether Kafka answers, and any error of the consumer group.

        aiokafka rejoins once its error is read, but Faust never reads it.
        """
        if self._consumer is None:
            return
        client = self._consumer._client  # noqa: SLF001  no other way to ask for a topic
        await self._transport.health_check.run(client, self._consumer.subscription())
        coordinator = self._consumer._coordinator  # noqa: SLF001  its check is part of getmany, which Faust bypasses
        try:
            coordinator.check_errors()
        except KafkaError as error:
            self._warn(self._describe(error))
            # Only if this task has ended, aiokafka does not rejoin. It ends at a stop too, which is no failure.
            if coordinator._coordination_task.done() and not self.should_stop:  # noqa: SLF001
                stop_failed_worker()

    def partition_state(self, source: TP) -> Any:
        """Return what aiokafka knows of an assigned partition, or None."""
        subscription = None if self._consumer is None else self._consumer._subscription.subscription  # noqa: SLF001
        return None if subscription is None else subscription.assignment.state_value(source)

    def _describe(self, error: BaseException) -> str:
        return describe_refusal(error, self._transport.cluster, right="Read", group=self.app.conf.id)

    @property
    def _transport(self) -> "ReadCommittedTransport":
        return cast(ReadCommittedTransport, self.transport)

    def _warn(self, text: str) -> None:
        now = time.monotonic()
        if text != self._warning or now - self._warned_at >= REPEATED_WARNING_S:
            self._warning, self._warned_at = text, now
            logger.warning("%s: %s; trying again every %g s", self.app.conf.id, text, RETRY_S)

    async def _reset(self, consumer: aiokafka.AIOKafkaConsumer, partition: TP) -> Mapping[TP, list[Any]]:
        """Continue at the start of the log, and return the reset in place of messages."""
        async with asyncio.timeout(RESET_TIMEOUT_S):
            log_start = (await consumer.beginning_offsets([partition]))[partition]
            log_end = (await consumer.end_offsets([partition]))[partition]
        try:
            consumer.seek(partition, log_start)
        except IllegalStateError:  # the partition was revoked
            return {}
        # Faust drops messages below the highest offset that it has seen. After this reset they can be new.
        self.consumer._read_offset[partition] = None  # noqa: SLF001
        return {partition: [OffsetReset(partition.topic, partition.partition, log_start, log_end)]}


class _ReadCommittedConsumer(Consumer):
    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)

    def partition_state(self, source: TP) -> Any:
        """Return what aiokafka knows of an assigned partition, such as the end of its log, or None."""
        return cast(_ReadCommittedThread, self._thread).partition_state(source)


class ReadCommittedTransport(Transport):
    """Kafka transport of Faust that reads committed messages only.

    Parameters
    ----------
    app
        The Faust application.
    cluster
        The Kafka cluster. Faust's own settings of the connection are ignored.
    """

    Consumer = _ReadCommittedConsumer

    def __init__(self, app: faust.App, cluster: Cluster) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.cluster = cluster
        self.health_check = HealthCheck(cluster)
