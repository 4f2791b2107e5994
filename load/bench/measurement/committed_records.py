"""Progress of the detect workers of a live run."""

import asyncio
import time
from collections.abc import AsyncGenerator

from aiokafka.admin import AIOKafkaAdminClient

from load.errors import LoadError
from load.harness import committed_offsets
from schemas.topics import RECORDS
from topologies.kafka import Cluster

SAMPLE_S = 0.1
"""Seconds between two samples."""

STALL_S = 300.0
"""Maximum seconds without a checkpoint of new records."""


async def watch_committed(cluster: Cluster, group: str) -> AsyncGenerator[tuple[float, int]]:
    """Yield the seconds of a monotonic clock and the committed records of a group, about ten times a second.

    Raises
    ------
    LoadError
        If the group commits nothing for :data:`STALL_S`.
    """
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    newest, progressed_s = -1, time.monotonic()
    try:
        while True:
            offsets = await committed_offsets(admin, group)
            total = sum(offset for partition, offset in offsets.items() if partition.topic == RECORDS)
            now_s = time.monotonic()
            if total > newest:
                newest, progressed_s = total, now_s
            elif now_s - progressed_s > STALL_S:
                raise LoadError(f"detect has read {newest} records, and nothing more for {STALL_S:.0f} s")
            yield now_s, total
            await asyncio.sleep(SAMPLE_S)
    finally:
        await admin.close()
