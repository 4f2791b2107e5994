"""The control reader: a topic that every worker reads whole, such as the baselines, and follows as it grows."""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.step import Input

FETCH_WAIT_S = 0.5
"""Seconds between looks at whether the reader shall stop."""


class ControlReader:
    """Keeps the newest message by key of a compacted one-partition topic, and tells of each new one.

    Parameters
    ----------
    bootstrap
        ``HOST:PORT`` of the cluster.
    topic
        The topic; it has one partition.
    tell
        Called with each message that arrives after ``start``, one at a time, in order.
    """

    def __init__(self, bootstrap: str, topic: str, tell: Callable[[Input], Awaitable[None]]) -> None:
        self._bootstrap = bootstrap
        self._partition = TopicPartition(topic, 0)
        self._tell = tell
        self._newest: dict[bytes, Input] = {}
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._run())

    async def messages(self) -> list[Input]:
        """All that the topic held when the reader caught up, and what came since: the newest by key, in order."""
        if self._task is None:
            raise RuntimeError("start the control reader before asking it for messages")
        waiting = asyncio.create_task(self._caught_up.wait())
        await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            self._task.result()
        return sorted(self._newest.values(), key=lambda message: message.offset)

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        async with AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
        ) as consumer:
            consumer.assign([self._partition])
            await consumer.seek_to_beginning(self._partition)
            end = (await consumer.end_offsets([self._partition]))[self._partition]
            while await consumer.position(self._partition) < end:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        self._keep(record)
            self._caught_up.set()
            while True:
                for records in (await consumer.getmany(timeout_ms=int(FETCH_WAIT_S * 1000))).values():
                    for record in records:
                        self._keep(record)
                        await self._tell(record)

    def _keep(self, record: Input) -> None:
        key = record.key or b""
        if record.value is None:
            self._newest.pop(key, None)
        else:
            self._newest[key] = record
