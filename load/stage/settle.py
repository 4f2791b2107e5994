"""Settling: waiting until the steps have taken up everything that was sent, one after the other along the path.

Committed offsets say how far a step has read. They cannot simply be compared with the end of a topic: what steps
write is followed by the markers of their transactions, which nobody reads and no offset is committed for. So what
lies between the two is looked at: only messages count.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from load.errors import LoadError
from schemas.topics import ALERTS, COMMANDS, DEPLOYMENTS, DRIFTS, RECORDS

INPUTS: dict[str, tuple[str, ...]] = {
    "detect": (RECORDS,),
    "correlate": (DRIFTS, DEPLOYMENTS, COMMANDS),
    "route": (ALERTS, COMMANDS),
}
"""What each step reads, in the order of the path: what one writes is complete once it has settled."""

POLL_S = 0.15
LOOK_MS = 300
"""Milliseconds to look for a message between a committed offset and the end."""

MARKERS_MAX = 1000
"""Offsets: a longer gap is not looked into, the step is simply behind."""

STALL_S = 60.0
"""Seconds without any progress of a step after which waiting is given up."""

Progress = Callable[[str, int, int], None]


async def wait_until_settled(
    bootstrap: str,
    app_id: str,
    *,
    steps: Sequence[str] = tuple(INPUTS),
    stall_s: float = STALL_S,
    on_progress: Progress | None = None,
) -> None:
    """Return when each step has read all that its inputs hold when its turn comes.

    Parameters
    ----------
    bootstrap
        ``HOST:PORT`` of the cluster.
    app_id
        Of the configuration; the group of a step is ``app_id-step``.
    steps
        Which steps to wait for, in the order of the path.
    stall_s
        Seconds without progress that a step may take; more is more patient.
    on_progress
        Told the step, the offsets that it has read and those there are, over its inputs together.

    Raises
    ------
    LoadError
        If a step makes no progress for ``stall_s``, or the cluster does not answer.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, isolation_level="read_committed", enable_auto_commit=False
    )
    try:
        await admin.start()
        await reader.start()
        for step in steps:
            await _settle(admin, reader, step, f"{app_id}-{step}", stall_s=stall_s, on_progress=on_progress)
    except (KafkaError, OSError) as error:
        raise LoadError(f"Kafka at {bootstrap}: {error}: is it still running?") from error
    finally:
        await reader.stop()
        await admin.close()


async def read_offsets(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    """The offsets that a group has committed, by partition; partitions that it has not are absent.

    So they are all while the cluster has not yet found out who keeps the group's offsets.
    """
    try:
        found = await admin.list_consumer_group_offsets(group)
    except KafkaError as error:
        if not error.retriable:
            raise
        return {}
    return {partition: entry.offset for partition, entry in found.items() if entry.offset >= 0}


async def _settle(
    admin: AIOKafkaAdminClient,
    reader: AIOKafkaConsumer,
    step: str,
    group: str,
    *,
    stall_s: float,
    on_progress: Progress | None,
) -> None:
    partitions = [
        TopicPartition(entry["topic"], partition["partition"])
        for entry in await admin.describe_topics(list(INPUTS[step]))
        for partition in entry["partitions"]
    ]
    reader.assign(partitions)
    reader.pause(*partitions)
    ends = {partition: end for partition, end in (await reader.end_offsets(partitions)).items() if end}
    newest, progressed = -1, time.monotonic()
    while True:
        committed = await read_offsets(admin, group)
        behind = [partition for partition in ends if committed.get(partition, 0) < ends[partition]]
        read = sum(min(committed.get(partition, 0), end) for partition, end in ends.items())
        if on_progress is not None:
            on_progress(step, read, sum(ends.values()))
        if read > newest:
            newest, progressed = read, time.monotonic()
        if not [each for each in behind if await _holds_messages(reader, each, committed.get(each, 0), ends[each])]:
            return
        if time.monotonic() - progressed > stall_s:
            raise LoadError(
                f"{step} has read {newest} of {sum(ends.values())} offsets and no more for {stall_s:.0f} s: "
                f"is its worker running, and is its group {group}?"
            )
        await asyncio.sleep(POLL_S)


async def _holds_messages(reader: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int) -> bool:
    """Whether any message, not only markers of transactions, lies in ``[start, end)``."""
    if end - start > MARKERS_MAX:
        return True
    reader.seek(partition, start)
    reader.resume(partition)
    try:
        while (position := await reader.position(partition)) < end:
            fetched = await reader.getmany(partition, timeout_ms=LOOK_MS)
            if any(record.offset < end for records in fetched.values() for record in records):
                return True
            if await reader.position(partition) == position:
                # The end lies behind a transaction that is still open: whatever it holds, nobody has read it.
                return True
    finally:
        reader.pause(partition)
    return False
