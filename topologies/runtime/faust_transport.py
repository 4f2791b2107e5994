"""Faust transport with one event per batch. A batch contains the undecoded messages of one partition in one fetch.

One event per message would cost more time in Faust than in the detectors. The consumer reads committed messages only.
It assigns topics with the same number of partitions together (range assignment), so that a step with several
one-partition inputs gets all inputs or none.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import aiokafka
import faust
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.transport.utils import DefaultSchedulingStrategy, TopicIndexMap
from faust.types import TP
from mode import Service

from topologies.errors import RightMissing
from topologies.kafka import Cluster

BATCHES_BUFFERED_MAX = 8
"""Maximum fetched batches that wait for the agent. This limits the memory of a worker."""

RECORDS_PER_FETCH_MAX = 2_000
"""Maximum records of one fetch over all partitions."""

RIGHT_RETRY_S = 5.0
"""Seconds from a refusal of a topic or the group until the next attempt."""

FETCH_WAIT_MAX_MS = 250
"""Maximum milliseconds until the broker answers a fetch without messages."""


logger = logging.getLogger("driftwire")


class FetchedBatch:
    """Records of one partition in one fetch, presented to Faust as a single Kafka record."""

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
        self.offset = last.offset
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


class _ReadCommittedThread(AIOKafkaConsumerThread):
    """Thread of the consumer. A missing right is logged and tried again, because an exception would end the worker."""

    async def _fetch_records(
        self, consumer: aiokafka.AIOKafkaConsumer, active_partitions: set[TP], *arguments: Any, **options: Any
    ) -> Mapping[TP, list[Any]]:
        try:
            with self._cluster.requiring("Read"):
                fetched: Mapping[TP, list[Any]] = await super()._fetch_records(
                    consumer, active_partitions, *arguments, **options
                )
        except RightMissing as error:
            self._log_missing_right(error)
            await asyncio.sleep(RIGHT_RETRY_S)
            return {}
        return fetched

    @Service.timer(RIGHT_RETRY_S)
    async def _check_group(self) -> None:
        """Log a refusal of the consumer group. aiokafka joins again when this error has been read, which Faust never does."""
        if self._consumer is None:
            return
        try:
            with self._cluster.requiring("Read"):
                self._consumer._coordinator.check_errors()  # noqa: SLF001  part of getmany, which Faust bypasses
        except RightMissing as error:
            self._log_missing_right(error)

    def _log_missing_right(self, error: RightMissing) -> None:
        logger.warning("%s: %s; trying again every %g s", self.app.conf.id, error, RIGHT_RETRY_S)

    @property
    def _cluster(self) -> Cluster:
        return cast(ReadCommittedTransport, self.transport).cluster

    def _create_worker_consumer(self, _: Transport) -> aiokafka.AIOKafkaConsumer:
        settings = self.app.conf
        self._assignor = RangePartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            client_id=settings.broker_client_id,
            group_id=settings.id,
            group_instance_id=settings.consumer_group_instance_id,
            **self._cluster.client_options(),
            partition_assignment_strategy=[RangePartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=settings.broker_max_poll_records,
            max_poll_interval_ms=int(settings.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=settings.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_WAIT_MAX_MS,
            request_timeout_ms=int(settings.broker_request_timeout * 1000),
            session_timeout_ms=int(settings.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(settings.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(settings.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=settings.consumer_metadata_max_age_ms,
        )


class _ReadCommittedConsumer(Consumer):
    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)


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
