"""Consumer of committed messages, and a reader that stops at the end of the partitions.

The checkpoints, the control reader and the commands use these two functions.
"""

import math
from collections.abc import AsyncGenerator, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from topologies.kafka.cluster import Cluster
from topologies.kafka.record_batches import UnreadableBatch

POLL_MS = 200
"""Maximum milliseconds of a fetch without messages."""


def committed_consumer(cluster: Cluster) -> AIOKafkaConsumer:
    """Return a consumer of committed messages that has no group and starts at the oldest message."""
    return AIOKafkaConsumer(
        **cluster.client_options(),
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )


async def read_to_end(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    *,
    start: int | None = None,
    idle_timeout_s: float = math.inf,
) -> AsyncGenerator[ConsumerRecord | UnreadableBatch]:
    """Yield the messages in partitions at the time of the call, oldest first within a partition.

    An unreadable batch is yielded in place of its messages. Afterwards, the position of the consumer can be beyond the
    last yielded message, because a fetch may also return newer messages.

    Parameters
    ----------
    consumer
        A started consumer to which the partitions are assigned.
    partitions
        The partitions to read.
    start
        First offset to read; None for the beginning.
    idle_timeout_s
        Maximum seconds without a new message.

    Raises
    ------
    TimeoutError
        If no message arrives for ``idle_timeout_s``.
    """
    if start is None:
        await consumer.seek_to_beginning(*partitions)
    else:
        for partition in partitions:
            consumer.seek(partition, start)
    ends = await consumer.end_offsets(partitions)
    idle_s = 0.0
    # Compare positions, not offsets of messages: the last entry of a partition may be a transaction marker or a message
    # that compaction removed.
    while behind := [partition for partition in partitions if await consumer.position(partition) < ends[partition]]:
        fetched = await consumer.getmany(*behind, timeout_ms=POLL_MS)
        idle_s = 0.0 if fetched else idle_s + POLL_MS / 1000
        if idle_s >= idle_timeout_s:
            raise TimeoutError
        for partition, records in fetched.items():
            for record in records:
                if record.offset < ends[partition]:
                    yield record
