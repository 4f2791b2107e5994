"""Whether a topology runs live or as a replay: only a live one puts the wall clock into its ticks."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.tick import Tick
from schemas.topics import DRIFTS

LOOK_BACK = 500
"""Offsets at the end of the drifts among which the newest tick is looked for."""

LOOK_MS = 1000


async def is_live(bootstrap: str) -> bool:
    """Whether the newest tick on the drifts carries the wall clock; a topology that has never ticked is a replay's."""
    partition = TopicPartition(DRIFTS, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, isolation_level="read_committed")
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        start = max((await consumer.beginning_offsets([partition]))[partition], end - LOOK_BACK)
        consumer.seek(partition, start)
        newest: Tick | None = None
        while await consumer.position(partition) < end:
            fetched = await consumer.getmany(partition, timeout_ms=LOOK_MS)
            if not fetched:
                break
            for records in fetched.values():
                for record in records:
                    if record.value is not None and b'"type":"tick"' in record.value:
                        newest = Tick.from_json(record.value)
        return newest is not None and newest.wall is not None
    finally:
        await consumer.stop()
