"""Check whether a topology runs live or as a replay. Only the ticks of a live topology contain the wall-clock time."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.tick import Tick
from schemas.topics import DRIFTS
from topologies.kafka import Cluster

TAIL_OFFSETS = 500
"""Number of offsets at the end of the drifts topic that are searched for the newest tick."""

FETCH_MS = 1000
"""Milliseconds to wait for messages."""


async def is_live(cluster: Cluster) -> bool:
    """Return whether the newest tick contains the wall-clock time. Without a tick, the topology counts as a replay."""
    partition = TopicPartition(DRIFTS, 0)
    consumer = AIOKafkaConsumer(**cluster.client_options(), group_id=None, isolation_level="read_committed")
    try:
        async with cluster.connecting():
            await consumer.start()
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        start = max((await consumer.beginning_offsets([partition]))[partition], end - TAIL_OFFSETS)
        consumer.seek(partition, start)
        newest: Tick | None = None
        while await consumer.position(partition) < end:
            fetched = await consumer.getmany(partition, timeout_ms=FETCH_MS)
            if not fetched:
                break
            for records in fetched.values():
                for record in records:
                    if record.value is not None and b'"type":"tick"' in record.value:
                        newest = Tick.from_json(record.value)
        return newest is not None and newest.wall is not None
    finally:
        await asyncio.gather(consumer.stop(), return_exceptions=True)  # it can raise CancelledError by itself
