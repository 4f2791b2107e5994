"""Partition worker: one partition of one step during one assignment, including state and pending outputs.

It collects the content of a checkpoint: all outputs since the last checkpoint, the changed parts of the state, and the
last used offset per topic. ``checkpoint.py`` writes the checkpoint. Next: ``runtime.py``, which schedules checkpoints.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from aiokafka import TopicPartition

from pipeline.dead_letters import dead_letter
from pipeline.step import InputMessage, OutputMessage
from schemas.topics import DEAD_LETTERS
from topologies.kafka import Cluster
from topologies.runtime.checkpoint import Checkpoints, find_available_offset
from topologies.runtime.topology_spec import TopologySpec

logger = logging.getLogger("driftwire")


class PartitionWorker:
    """Worker that runs a step on one partition. The state exists from the start to the end of the assignment.

    Attributes
    ----------
    partition
        The partition.
    lock
        Lock that a caller must hold while it uses the step.
    opened
        Event that is set when the state is restored or the worker is closed.
    is_dirty
        True if outputs or changes of the state wait for a checkpoint.
    is_urgent
        True if an output should be written before the checkpoint interval ends.
    pending_output_bytes
        Bytes of the outputs that wait for a checkpoint.
    """

    def __init__(self, spec: TopologySpec, cluster: Cluster, group: str, partition: int) -> None:
        self.partition = partition
        self.lock = asyncio.Lock()
        self.opened = asyncio.Event()
        self.is_dirty = False
        self.is_urgent = False
        self.pending_output_bytes = 0
        self._spec = spec
        self._cluster = cluster
        self._step = spec.make_step(partition)
        self._checkpoints = Checkpoints(cluster, group, spec.name, partition)
        self._offsets: dict[str, int] = {}
        self._continued_topics: set[str] = set()
        self._outputs: list[OutputMessage] = []
        self._closed = False

    def is_closed(self) -> bool:
        """Return True if the partition was closed or abandoned."""
        return self._closed

    def is_open(self) -> bool:
        """Return True if the state is restored and the partition is not closed."""
        return self.opened.is_set() and not self._closed

    async def open(self, controls: Sequence[InputMessage]) -> None:
        """Fence an older owner and restore the state.

        The step first gets all control messages, because its state may refer to them. If the checkpoint already covers a
        control message, the outputs of this message are dropped, because an earlier checkpoint contains them.
        """
        try:
            async with self.lock:
                parts, self._offsets = await self._checkpoints.open()
                covered = self._offsets.get(self._spec.control_topic or "", -1)
                for message in controls:
                    if message.offset > covered:
                        self.control(message)
                    else:
                        self._apply_control(message)
                for line in self._step.restore(parts.items()):
                    logger.warning("%s: partition %d: %s", self._spec.name, self.partition, line)
        except BaseException:
            self._closed = True
            raise
        finally:
            self.opened.set()

    def next_offset(self, topic: str) -> int:
        """Return the smallest offset that the next message of an input topic can have."""
        return self._offsets.get(topic, -1) + 1

    async def continues_at(self, topic: str, offset: int) -> bool:
        """Return True if no message exists between the state and a batch that begins at ``offset``.

        Only the first batch of an assignment can fail this check, because the consumer may have fetched it for an older
        assignment. If retention deleted messages in between, log their number and let the step reset its evidence.
        """
        expected = self.next_offset(topic)
        if topic not in self._continued_topics and offset > expected:
            source = TopicPartition(topic, self.partition)
            log_start, available = await find_available_offset(self._cluster, source, expected)
            if available is not None and available < offset:
                return False
            if log_start > expected > 0:
                logger.error(
                    "%s: %s partition %d: retention deleted %d messages before they were read (offsets %d to %d); "
                    "evidence is reset after the gap",
                    self._spec.name,
                    topic,
                    self.partition,
                    log_start - expected,
                    expected,
                    log_start - 1,
                )
                self._step.on_gap()
        self._continued_topics.add(topic)
        return True

    def new_records(self, topic: str, records: Sequence[InputMessage]) -> Sequence[InputMessage]:
        """Return the records that the state does not contain yet."""
        last = self._offsets.get(topic, -1)
        if records[0].offset > last:
            return records
        return [record for record in records if record.offset > last]

    def step(self, topic: str, records: Sequence[InputMessage]) -> None:
        """Give records of an input topic to the step."""
        self._add_outputs(self._step.step(records))
        self._offsets[topic] = records[-1].offset
        self.is_dirty = True
        self.is_urgent |= self._spec.deliver is not None

    def skip(self, topic: str, record: InputMessage) -> None:
        """Dead-letter a message on which the step fails, and continue after this message."""
        self._add_outputs([self._internal_error(record)])
        self._offsets[topic] = record.offset
        self.is_dirty = True

    def control(self, message: InputMessage) -> None:
        """Give a control message to the step, once. Only partition 0 writes its dead letters."""
        if message.offset <= self._offsets.get(message.topic, -1):
            return
        outputs = self._apply_control(message)
        self._add_outputs([output for output in outputs if output.topic != DEAD_LETTERS or self.partition == 0])
        self._offsets[message.topic] = message.offset
        self.is_dirty = True

    def tick(self, wall_ms: int) -> None:
        """Give the wall-clock time to the step."""
        self._add_outputs(self._step.tick(wall_ms))

    async def commit(self) -> None:
        """Deliver pending notifications, then write outputs, state and offsets in one transaction."""
        if not self.is_dirty:
            return
        if self._spec.deliver is not None:
            self._add_outputs(await self._spec.deliver(self._step))
        inputs = {topic: offset for topic, offset in self._offsets.items() if topic in self._spec.topics}
        await self._checkpoints.commit(self._outputs, self._step.changed(), self._offsets, inputs)
        self._outputs = []
        self.pending_output_bytes = 0
        self.is_dirty = self.is_urgent = False

    async def close(self, *, within_s: float) -> None:
        """Write a last checkpoint within the time limit, and close the partition.

        Raises
        ------
        TimeoutError
            If the checkpoint takes longer than ``within_s``.
        """
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
        """Close the partition without a checkpoint. Uncommitted outputs and changes are discarded."""
        self._closed = True
        self.opened.set()

    async def disconnect(self) -> None:
        """Close the connection of an abandoned partition, and ignore errors."""
        with contextlib.suppress(Exception):
            await self._checkpoints.close()

    def _apply_control(self, message: InputMessage) -> list[OutputMessage]:
        """Give a control message to the step. If the step fails, dead-letter the message, because it would fail again."""
        try:
            return self._step.control(message)
        except Exception:
            logger.exception(
                "%s: the step failed on the message of %s at offset %d; the message is dead-lettered",
                self._spec.name,
                message.topic,
                message.offset,
            )
            return [self._internal_error(message)]

    def _internal_error(self, message: InputMessage) -> OutputMessage:
        return dead_letter(self._spec.name, message, "internal_error", "the step failed on this message")

    def _add_outputs(self, outputs: Sequence[OutputMessage]) -> None:
        if not outputs:
            return
        self.is_dirty = True
        self._outputs.extend(outputs)
        for output in outputs:
            self.pending_output_bytes += len(output.value or b"")
            # Ticks, which have no key, and dead letters are not urgent.
            self.is_urgent |= output.key is not None and output.topic != DEAD_LETTERS
