"""Records in the topic that detect has not read yet."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition

from schemas.topics import RECORDS
from topologies.kafka import Cluster, UnreadableBatch, committed_consumer

POLL_MS = 200
"""Maximum milliseconds of a fetch without messages."""


@dataclass(frozen=True, slots=True)
class WaitingRecords:
    """Messages of one partition of the records that detect has not read.

    Attributes
    ----------
    partition
        The partition.
    messages
        Number of offsets from the first of these messages to the end. Markers of transactions count too.
    since_ms
        Time in Unix milliseconds at which Kafka appended the first of these messages. None if it cannot be read.
    """

    partition: int
    messages: int
    since_ms: int | None


async def find_waiting_records(cluster: Cluster, next_offsets: Mapping[int, int]) -> list[WaitingRecords]:
    """Return the partitions with committed messages that detect has not read.

    Parameters
    ----------
    next_offsets
        Offset of the next message that detect reads, for every partition.

    Raises
    ------
    BrokerUnreachable, RightMissing
        If no broker answers, or if the user has no permission to read the topic.
    """
    consumer = committed_consumer(cluster)
    waiting: dict[TopicPartition, WaitingRecords] = {}
    try:
        async with cluster.connecting():
            await consumer.start()
        partitions = {TopicPartition(RECORDS, partition): offset for partition, offset in next_offsets.items()}
        consumer.assign(list(partitions))
        with cluster.requiring("Read", RECORDS):
            async with cluster.connecting():
                starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
                for source, offset in partitions.items():
                    # A larger offset than the end belongs to a topic that was deleted and created again.
                    consumer.seek(source, starts[source] if offset > ends[source] else max(offset, starts[source]))
                # The last entries of a partition can be markers of transactions, which are not messages.
                while behind := [
                    source
                    for source in partitions
                    if source not in waiting and await consumer.position(source) < ends[source]
                ]:
                    for source, records in (await consumer.getmany(*behind, timeout_ms=POLL_MS)).items():
                        first = records[0]
                        is_unreadable = isinstance(first, UnreadableBatch)
                        offset = first.last_offset if is_unreadable else first.offset
                        since_ms = None if is_unreadable else first.timestamp
                        if offset < ends[source]:
                            waiting[source] = WaitingRecords(source.partition, ends[source] - offset, since_ms)
    finally:
        await consumer.stop()
    return sorted(waiting.values(), key=lambda records: records.partition)
