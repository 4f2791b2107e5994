"""The runtime of every step: a pure step on Kafka, exactly once.

Each assigned partition has an owner: the step's state, and the transactions that write it. Batches go into the step;
its outputs, its changed state and the input offsets come out in one transaction: soon after a finding, otherwise
every few seconds. Whatever goes wrong in between, the partition is taken up again from its last checkpoint.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import faust
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, ProducerFenced
from faust.types import TP

from pipeline.step import Input
from topologies.runtime.control import ControlReader
from topologies.runtime.faust_transport import BatchSchema
from topologies.runtime.partition import Owner
from topologies.runtime.wiring import Wiring

PACE_S = 0.1
"""Seconds between looks at whether a checkpoint is due: the most that a finding waits for one."""

TICK_S = 1.0
"""Seconds between two tellings of the wall clock."""

OUTPUT_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of outputs that wait for a checkpoint; more force one."""

REOPEN_PAUSE_S = 1.0
"""Seconds before a partition is taken up again after a failure."""

FENCED_PAUSE_S = 20.0
"""Seconds before a partition that another worker took is taken up again if it is still assigned to this one: by then
a worker that slept through its session has been told that nothing is."""

LAST_CHECKPOINT_S = 3.0
"""Seconds that the last checkpoint before a revocation or a stop may take."""

logger = logging.getLogger("driftwire")


class StepRuntime:
    """Drives one step in one worker.

    Parameters
    ----------
    app
        The Faust application; its id is the consumer group.
    bootstrap
        ``HOST:PORT`` of the cluster.
    checkpoint_interval_s
        Seconds between checkpoints when there is no finding. A bigger value writes less and reads more again after
        a crash.
    clock
        The wall clock in seconds, for ticks; None in a replay, whose only clock is the records'.
    """

    def __init__(
        self,
        app: faust.App,
        wiring: Wiring,
        *,
        bootstrap: str,
        checkpoint_interval_s: float,
        clock: Callable[[], float] | None,
    ) -> None:
        self._app = app
        self._wiring = wiring
        self._bootstrap = bootstrap
        self._interval_s = checkpoint_interval_s
        self._clock = clock
        self._owners: dict[int, Owner] = {}
        self._assigned: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._careful_until: dict[tuple[str, int], int] = {}
        self._poisoned: set[tuple[str, int, int]] = set()
        self._control: ControlReader | None = None
        self._said_ready = False

    def attach(self) -> None:
        """Register the agent and the life of partitions with the application."""
        self._app.on_partitions_assigned.connect(self._on_assigned)
        self._app.on_partitions_revoked.connect(self._on_revoked)
        self._app.on_before_shutdown.connect(self._on_shutdown)
        topic = self._app.topic(*self._wiring.topics, schema=BatchSchema(), acks=False)

        async def agent(stream: Any) -> None:
            async for event in stream.noack().events():
                await self._take(event.message.topic, event.message.partition, event.value)

        self._app.agent(topic, name=f"driftwire.{self._wiring.name}")(agent)

    async def _on_assigned(self, _: Any, /, *changes: Any, **__: Any) -> None:
        assigned: set[TP] = changes[0]
        if self._wiring.control_topic is not None and self._control is None:
            self._control = ControlReader(self._bootstrap, self._wiring.control_topic, self._tell)
            self._control.start()
        partitions = {tp.partition for tp in assigned if tp.topic in self._wiring.topics}
        self._assigned = partitions
        for partition in sorted(partitions - self._owners.keys()):
            self._own(partition)
        if not partitions:
            self._say_ready("standby")

    async def _on_revoked(self, _: Any, /, *changes: Any, **__: Any) -> None:
        revoked: set[TP] = changes[0]
        partitions = {tp.partition for tp in revoked if tp.topic in self._wiring.topics}
        self._assigned -= partitions
        await self._let_go(partitions)

    async def _on_shutdown(self, *_: Any, **__: Any) -> None:
        self._assigned = set()
        await self._let_go(set(self._owners))
        if self._control is not None:
            await self._control.stop()

    async def _let_go(self, partitions: set[int]) -> None:
        """Checkpoint what there is, within a limit, and forget it: live state is valid for one assignment."""
        owners = [owner for partition in partitions if (owner := self._owners.pop(partition, None))]
        closing = [owner.close(within_s=LAST_CHECKPOINT_S) for owner in owners]
        for result in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(result, BaseException):
                logger.warning(
                    "%s: the last checkpoint of a partition did not happen (%s); its next owner takes it up from the one before",
                    self._wiring.name, result,
                )  # fmt: skip

    def _own(self, partition: int, *, after_s: float = 0.0, seek: bool = False) -> None:
        owner = Owner(self._wiring, self._bootstrap, self._app.conf.id, partition)
        self._owners[partition] = owner
        self._spawn(self._live(owner, after_s, seek=seek))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, owner: Owner, after_s: float, *, seek: bool) -> None:
        """Open a partition, then pace its ticks and checkpoints until it is closed."""
        await asyncio.sleep(after_s)
        try:
            if not owner.is_closed():
                await self._open(owner, seek=seek)
                await self._pace(owner)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the partition is taken up again or left
            await self._fail(owner, error)

    async def _open(self, owner: Owner, *, seek: bool) -> None:
        await owner.open(await self._control.messages() if self._control else [])
        if owner.is_closed():
            await owner.release()
            return
        if seek:
            for topic in self._wiring.topics:
                await self._seek(topic, owner)
        if all(other.is_open for other in self._owners.values()):
            self._say_ready("ready")

    async def _pace(self, owner: Owner) -> None:
        loop = asyncio.get_running_loop()
        ticked = committed = loop.time()
        while not owner.is_closed():
            await asyncio.sleep(PACE_S)
            async with owner.lock:
                if owner.is_closed():
                    return
                now = loop.time()
                if self._clock is not None and now - ticked >= TICK_S:
                    owner.tick(int(self._clock() * 1000))
                    ticked = now
                if owner.urgent or (owner.dirty and now - committed >= self._interval_s):
                    await owner.commit()
                    committed = loop.time()

    async def _take(self, topic: str, partition: int, records: Sequence[Input]) -> None:
        """Give one batch to its partition's owner. A batch without an owner is read again by the next one."""
        owner = self._owners.get(partition)
        if owner is None:
            return
        await owner.opened.wait()
        async with owner.lock:
            if owner.is_closed():
                return
            try:
                if not await owner.follows(topic, records[0].offset):
                    await self._seek(topic, owner)
                    return
                unseen = owner.unseen(topic, records)
                if unseen:
                    await self._use(owner, topic, unseen)
                if owner.output_bytes > OUTPUT_BYTES_MAX:
                    await owner.commit()
            except Exception as error:  # noqa: BLE001 - as above
                await self._fail(owner, error)

    async def _use(self, owner: Owner, topic: str, records: Sequence[Input]) -> None:
        """Run the step. After a failure of ours, one message at a time, so that the one it fails on can be set aside."""
        place = (topic, owner.partition)
        if records[0].offset > self._careful_until.get(place, -1):
            try:
                owner.use(topic, records)
            except Exception:
                self._careful_until[place] = records[-1].offset
                raise
            return
        for record in records:
            await asyncio.sleep(0)
            if (*place, record.offset) in self._poisoned:
                owner.set_aside(topic, record)
                continue
            try:
                owner.use(topic, [record])
            except Exception:
                self._poisoned.add((*place, record.offset))
                raise

    async def _tell(self, message: Input) -> None:
        """A control message is a barrier: checkpoint, apply, checkpoint."""
        for owner in list(self._owners.values()):
            await owner.opened.wait()
            async with owner.lock:
                if owner.is_closed():
                    continue
                try:
                    await owner.commit()
                    owner.control(message)
                    await owner.commit()
                except Exception as error:  # noqa: BLE001 - as above
                    await self._fail(owner, error)

    async def _fail(self, owner: Owner, error: Exception) -> None:
        name, partition = self._wiring.name, owner.partition
        owner.abandon()
        self._spawn(owner.release())
        if self._owners.get(partition) is not owner:
            return
        if isinstance(error, ProducerFenced):
            del self._owners[partition]
            logger.warning("%s: another worker has taken partition %d over; it is left to that one", name, partition)
            self._spawn(self._own_again(partition))
            return
        if isinstance(error, KafkaError):
            logger.warning(
                "%s: partition %d: %s; it is taken up again from its last checkpoint", name, partition, error
            )
        else:
            logger.error(
                "%s: partition %d failed; it is taken up again from its last checkpoint",
                name,
                partition,
                exc_info=error,
            )
        self._own(partition, after_s=REOPEN_PAUSE_S, seek=True)

    async def _own_again(self, partition: int) -> None:
        """Take a partition up that was taken by a worker which had no right to it any more."""
        await asyncio.sleep(FENCED_PAUSE_S)
        if partition in self._assigned and partition not in self._owners:
            self._own(partition, seek=True)

    async def _seek(self, topic: str, owner: Owner) -> None:
        """Read on behind the state. The consumer lives in a thread of its own, and only there may it be moved."""
        place = TopicPartition(topic, owner.partition)
        with contextlib.suppress(IllegalStateError, TimeoutError):  # the partition is being revoked at this moment
            await self._app.consumer.seek_wait({place: owner.next_offset(topic)})

    def _say_ready(self, word: str) -> None:
        if not self._said_ready:
            self._said_ready = True
            print(f"{self._wiring.name}: {word}", flush=True)  # noqa: T201 - what starts workers waits for this line
