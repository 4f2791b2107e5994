"""Positions in input topics: where a worker starts, and the first available message after an offset."""

from collections.abc import Callable

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from topologies.kafka import Cluster, committed_consumer
from topologies.runtime.checkpoint import CheckpointFailed, StoredCheckpoint, describe_refusal


async def find_start(
    stored: StoredCheckpoint, cluster: Cluster, group: str, partition: int, warn: Callable[[str], None]
) -> tuple[dict[str, int], dict[bytes, bytes]]:
    """Return the last used offsets by topic, and the parts of the state, with which a worker starts.

    Without a readable entry of a checkpoint, these are the offsets of the consumer group, because the same transaction
    wrote them. If the group has no offsets either, the worker starts at the beginning of the topics, without the parts.

    Raises
    ------
    CheckpointFailed
        If Kafka does not answer.
    """
    for line in stored.problems:
        warn(line)
    if stored.offsets is not None:
        return stored.offsets, stored.parts
    offsets = await read_group_offsets(cluster, group, partition)
    if offsets:
        warn("there is no readable checkpoint; reading continues at the offsets of the consumer group")
        return offsets, stored.parts
    if stored.parts:
        warn(
            f"the {len(stored.parts)} parts of the state are discarded, because the offsets of the consumer group "
            "are missing too; reading starts at the beginning of the topic"
        )
    return {}, {}


async def find_available_offset(cluster: Cluster, partition: TopicPartition, offset: int) -> int | None:
    """Return the offset of the first committed message at or after an offset, or None if there is no such message yet.

    Transaction markers and compaction leave offsets without a message.

    Raises
    ------
    CheckpointFailed
        If Kafka does not answer.
    """
    try:
        async with committed_consumer(cluster) as consumer:
            consumer.assign([partition])
            log_start = (await consumer.beginning_offsets([partition]))[partition]
            log_end = (await consumer.end_offsets([partition]))[partition]
            position = max(offset, log_start)
            consumer.seek(partition, position)
            while position < log_end:
                for records in (await consumer.getmany(timeout_ms=200, max_records=1)).values():
                    return int(records[0].offset)
                position = await consumer.position(partition)
    except (KafkaError, TimeoutError) as error:
        raise CheckpointFailed(describe_refusal(error, cluster, topic=partition.topic, right="Read")) from error
    return None


async def read_group_offsets(cluster: Cluster, group: str, partition: int) -> dict[str, int]:
    """Return the last offset that a consumer group has used, by topic.

    Raises
    ------
    CheckpointFailed
        If Kafka does not answer.
    """
    admin = AIOKafkaAdminClient(**cluster.client_options())
    try:
        await admin.start()
        committed = await admin.list_consumer_group_offsets(group)
    except (KafkaError, TimeoutError) as error:
        raise CheckpointFailed(describe_refusal(error, cluster, group=group)) from error
    finally:
        await admin.close()
    return {source.topic: entry.offset - 1 for source, entry in committed.items() if source.partition == partition}
