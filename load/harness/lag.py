"""Consumer lag of the steps: wait until each step has read all its messages.

The committed offset of a step cannot be compared directly with the end of a topic: the steps write transaction markers
after their messages, and no offset is committed for a marker. The offsets between the committed offset and the end are
therefore fetched, and only messages count as lag.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from load.errors import LoadError
from schemas.topics import ALERTS, COMMANDS, DEPLOYMENTS, DRIFTS, RECORDS
from topologies.kafka import Cluster

INPUT_TOPICS: dict[str, tuple[str, ...]] = {
    "detect": (RECORDS,),
    "correlate": (DRIFTS, DEPLOYMENTS, COMMANDS),
    "route": (ALERTS, COMMANDS),
}
"""Input topics of each step, in pipeline order. The output of a step is complete once its lag is zero."""

POLL_S = 0.15
"""Seconds between two reads of the committed offsets."""

FETCH_MS = 300
"""Milliseconds to wait for a message between a committed offset and the end of a partition."""

MARKERS_MAX = 1000
"""Maximum number of offsets that are checked for markers. A longer gap is not fetched and counts as lag."""

STALL_S = 60.0
"""Seconds after which the wait fails if a step makes no progress."""

OnLag = Callable[[str, int, int], None]


async def wait_for_lag(
    cluster: Cluster,
    app_id: str,
    *,
    steps: Sequence[str] = tuple(INPUT_TOPICS),
    stall_s: float = STALL_S,
    on_progress: OnLag | None = None,
) -> None:
    """Wait for each step in turn until it has no lag on its input topics.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    app_id
        ``app_id`` of the configuration. The group of a step is ``app_id-step``.
    steps
        Steps to wait for, in pipeline order.
    stall_s
        Maximum seconds that a step may take without making progress.
    on_progress
        Callback that receives the step, the number of offsets read, and the number of offsets on all its input topics.

    Raises
    ------
    LoadError
        If a step makes no progress for ``stall_s``, or if the cluster does not answer.
    """
    admin = AIOKafkaAdminClient(**cluster.client_options())
    reader = AIOKafkaConsumer(
        **cluster.client_options(), group_id=None, isolation_level="read_committed", enable_auto_commit=False
    )
    try:
        async with cluster.connecting():
            await admin.start()
            await reader.start()
        for step in steps:
            with cluster.requiring("Read"):
                await _wait_for_step(admin, reader, step, f"{app_id}-{step}", stall_s=stall_s, on_progress=on_progress)
    except (KafkaError, OSError) as error:
        raise LoadError(f"Kafka at {cluster}: {error}: check that Kafka is still running") from error
    finally:
        await asyncio.gather(reader.stop(), return_exceptions=True)  # it can raise CancelledError by itself
        await admin.close()


async def committed_offsets(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    """Read the committed offsets of a group by partition.

    Partitions without a committed offset are omitted. The result is empty until the cluster has elected the group
    coordinator.
    """
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    except KafkaError as error:
        if not error.retriable:
            raise
        return {}
    return {partition: entry.offset for partition, entry in offsets.items() if entry.offset >= 0}


async def _wait_for_step(
    admin: AIOKafkaAdminClient,
    reader: AIOKafkaConsumer,
    step: str,
    group: str,
    *,
    stall_s: float,
    on_progress: OnLag | None,
) -> None:
    partitions = [
        TopicPartition(entry["topic"], partition["partition"])
        for entry in await admin.describe_topics(list(INPUT_TOPICS[step]))
        for partition in entry["partitions"]
    ]
    reader.assign(partitions)
    reader.pause(*partitions)
    ends = {partition: end for partition, end in (await reader.end_offsets(partitions)).items() if end}
    newest, progressed_s = -1, time.monotonic()
    while True:
        committed = await committed_offsets(admin, group)
        read = sum(min(committed.get(partition, 0), end) for partition, end in ends.items())
        if on_progress is not None:
            on_progress(step, read, sum(ends.values()))
        if read > newest:
            newest, progressed_s = read, time.monotonic()
        gaps = [(partition, committed.get(partition, 0), end) for partition, end in ends.items()]
        if not [gap for gap in gaps if gap[1] < gap[2] and await _has_messages(reader, *gap)]:
            return
        if time.monotonic() - progressed_s > stall_s:
            raise LoadError(
                f"{step} has read {newest} of {sum(ends.values())} offsets and made no progress for {stall_s:.0f} s: "
                f"check that its worker is running and that its group is {group}"
            )
        await asyncio.sleep(POLL_S)


async def _has_messages(reader: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int) -> bool:
    """Return whether ``[start, end)`` contains a message, and not only transaction markers."""
    if end - start > MARKERS_MAX:
        return True
    reader.seek(partition, start)
    reader.resume(partition)
    try:
        while (position := await reader.position(partition)) < end:
            fetched = await reader.getmany(partition, timeout_ms=FETCH_MS)
            if any(record.offset < end for records in fetched.values() for record in records):
                return True
            if await reader.position(partition) == position:
                # The end is after an open transaction, and its messages have not been read.
                return True
    finally:
        reader.pause(partition)
    return False
