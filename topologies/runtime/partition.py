"""The owner: one partition of one step for the time of one assignment, its state and what waits to be written."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from aiokafka import TopicPartition

from pipeline.dead_letters import dead_letter
from pipeline.step import Input, Output
from schemas.topics import DEAD_LETTERS
from topologies.runtime.checkpoint import Checkpoints, first_available
from topologies.runtime.wiring import Wiring

logger = logging.getLogger("driftwire")


class Owner:
    """Live state is valid for one assignment: it is restored at its start and dropped at its end.

    ``lock`` is held by whoever touches the step; ``opened`` is set when the state is restored, or never will be.
    """

    def __init__(self, wiring: Wiring, bootstrap: str, group: str, partition: int) -> None:
        self.partition = partition
        self.lock = asyncio.Lock()
        self.opened = asyncio.Event()
        self._closed = False
        self.dirty = False
        self.urgent = False
        self.output_bytes = 0
        self._wiring = wiring
        self._bootstrap = bootstrap
        self._step = wiring.make(partition)
        self._checkpoints = Checkpoints(bootstrap, group, wiring.name, partition)
        self._offsets: dict[str, int] = {}
        self._following: set[str] = set()
        self._outputs: list[Output] = []

    def is_closed(self) -> bool:
        """Whether the partition was let go of."""
        return self._closed

    @property
    def is_open(self) -> bool:
        """Whether the state is restored and the partition still ours."""
        return self.opened.is_set() and not self._closed

    async def open(self, controls: Sequence[Input]) -> None:
        """Fence older owners and restore.

        The step is told all control messages first, because its state may name them; what comes out of those that it
        was told before the checkpoint is known already.
        """
        try:
            async with self.lock:
                parts, self._offsets = await self._checkpoints.open()
                known = self._offsets.get(self._wiring.control_topic or "", -1)
                for message in controls:
                    if message.offset > known:
                        self.control(message)
                    else:
                        self._told(message)
                for line in self._step.restore(parts.items()):
                    logger.warning("%s: partition %d: %s", self._wiring.name, self.partition, line)
        except BaseException:
            self._closed = True
            raise
        finally:
            self.opened.set()

    def next_offset(self, topic: str) -> int:
        """The offset that the next message of an input topic has, or a smaller one than it."""
        return self._offsets.get(topic, -1) + 1

    async def follows(self, topic: str, offset: int) -> bool:
        """Whether a batch that begins at ``offset`` is what comes after the state, with nothing between them.

        Only the first batch of an assignment can be another: one that was fetched for an older assignment.
        """
        expected = self.next_offset(topic)
        if topic not in self._following and offset > expected:
            place = TopicPartition(topic, self.partition)
            beginning, available = await first_available(self._bootstrap, place, expected)
            if available is not None and available < offset:
                return False
            if beginning > expected > 0:
                logger.error(
                    "%s: %s partition %d: retention has taken %d messages that were not read yet (offsets %d to %d); "
                    "evidence starts anew behind them",
                    self._wiring.name, topic, self.partition, beginning - expected, expected, beginning - 1,
                )  # fmt: skip
                self._step.on_gap()
        self._following.add(topic)
        return True

    def unseen(self, topic: str, records: Sequence[Input]) -> Sequence[Input]:
        """The records beyond the state."""
        last = self._offsets.get(topic, -1)
        if records[0].offset > last:
            return records
        return [record for record in records if record.offset > last]

    def use(self, topic: str, records: Sequence[Input]) -> None:
        """Give records of one input topic to the step."""
        self._write(self._step.step(records))
        self._offsets[topic] = records[-1].offset
        self.dirty = True
        self.urgent |= self._wiring.deliver is not None

    def set_aside(self, topic: str, record: Input) -> None:
        """Write a message that the step fails on to the dead letters, and go on behind it."""
        self._write([dead_letter(self._wiring.name, record, "internal_error", "the step failed on this message")])
        self._offsets[topic] = record.offset
        self.dirty = True

    def control(self, message: Input) -> None:
        """Give a control message to the step, once. What is wrong with it is said by partition 0 alone."""
        if message.offset <= self._offsets.get(message.topic, -1):
            return
        outputs = self._told(message)
        self._write([output for output in outputs if output.topic != DEAD_LETTERS or self.partition == 0])
        self._offsets[message.topic] = message.offset
        self.dirty = True

    def _told(self, message: Input) -> list[Output]:
        """What the step says to a control message. One that it fails on would fail for ever: it is set aside."""
        try:
            return self._step.control(message)
        except Exception:
            name = self._wiring.name
            logger.exception("%s: a message of %s at offset %d is set aside", name, message.topic, message.offset)
            return [dead_letter(name, message, "internal_error", "the step failed on this message")]

    def tick(self, wall_ms: int) -> None:
        """Tell the step the wall clock."""
        self._write(self._step.tick(wall_ms))

    async def commit(self) -> None:
        """Deliver what must be delivered, then write outputs, state and offsets in one transaction."""
        if not self.dirty:
            return
        if self._wiring.deliver is not None:
            self._write(await self._wiring.deliver(self._step))
        inputs = {topic: offset for topic, offset in self._offsets.items() if topic in self._wiring.topics}
        await self._checkpoints.commit(self._outputs, self._step.changed(), self._offsets, inputs)
        self._outputs = []
        self.output_bytes = 0
        self.dirty = self.urgent = False

    async def close(self, *, within_s: float) -> None:
        """Write a last checkpoint if that can be done in time, and let go of the partition."""
        try:
            async with asyncio.timeout(within_s):
                await self.opened.wait()
                async with self.lock:
                    if not self._closed:
                        self._closed = True
                        await self.commit()
        finally:
            self.abandon()
            await self._checkpoints.close()

    def abandon(self) -> None:
        """Let go without a checkpoint: what is not committed never happened."""
        self._closed = True
        self.opened.set()

    async def release(self) -> None:
        """Close the connection of an abandoned partition, whatever state it is in."""
        with contextlib.suppress(Exception):
            await self._checkpoints.close()

    def _write(self, outputs: Sequence[Output]) -> None:
        if not outputs:
            return
        self.dirty = True
        self._outputs.extend(outputs)
        for output in outputs:
            self.output_bytes += len(output.value or b"")
            # Ticks have no key. Neither they nor dead letters are findings that somebody waits for.
            self.urgent |= output.key is not None and output.topic != DEAD_LETTERS
