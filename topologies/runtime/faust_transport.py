"""Faust in whole batches: one event is everything that a fetch brought of one partition, undecoded.

One event at a time costs Faust more than our detectors do; a batch an event costs it nothing. The consumer reads
committed messages only, and assigns equally partitioned topics together (range), so that a step with several
one-partition inputs gets all of them or none.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiokafka
import faust
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport, server_list
from faust.transport.utils import DefaultSchedulingStrategy, TopicIndexMap
from faust.types import TP

BATCHES_BUFFERED_MAX = 8
"""Fetched batches that wait for the agent: what bounds the memory of a worker."""

RECORDS_A_FETCH_MAX = 2_000
"""Records of one fetch, over all partitions."""

FETCH_WAIT_MAX_MS = 250
"""Milliseconds that the broker may hold a fetch with nothing to give."""


class Batch:
    """What a fetch brought of one partition, in the clothes of one Kafka record for Faust."""

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
    """Hands every partition's records over as one :class:`Batch`."""

    @classmethod
    def map_from_records(cls, records: Mapping[TP, list[Any]]) -> TopicIndexMap:
        """Fold each partition's records into one."""
        return super().map_from_records({tp: [Batch(found)] for tp, found in records.items() if found})


class BatchSchema(faust.Schema[Any, Any]):
    """Leaves decoding to the step: the value of an event is the list of records."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        """The decoder that Faust calls for each message."""

        async def decode(message: Any, **_: Any) -> Any:
            return app.create_event(None, message.value, {}, message)

        return decode


class _ReadCommittedThread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Transport) -> aiokafka.AIOKafkaConsumer:
        settings = self.app.conf
        self._assignor = RangePartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            client_id=settings.broker_client_id,
            group_id=settings.id,
            group_instance_id=settings.consumer_group_instance_id,
            bootstrap_servers=server_list(transport.url, transport.default_port),
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
    """Faust's Kafka transport, reading committed messages only."""

    Consumer = _ReadCommittedConsumer
