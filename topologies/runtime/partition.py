"""Partition worker: one partition of one step during one assignment, including state and pending outputs.

It collects the content of a checkpoint: all outputs since the last checkpoint, the changed parts of the state, and the
last used offset per topic. ``checkpoint.py`` writes the checkpoint. Next: ``runtime.py``, which schedules checkpoints.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence

from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from pipeline.step import InputMessage, Measurement, OutputMessage
from schemas.topics import DEAD_LETTERS
from topologies.kafka import Cluster, UnreadableBatch
from topologies.metrics import PartitionState, WorkerMetrics
from topologies.runtime.checkpoint import CheckpointFailed, Checkpoints, CheckpointTopicReplaced, MessagesRefused
from topologies.runtime.control import ControlMessage
from topologies.runtime.garbage_collection import collection_paused
from topologies.runtime.inputs import KNOWN_TOPICS_KEY, KnownTopics, find_available_offset, find_start
from topologies.runtime.partition_metrics import PartitionMetrics
from topologies.runtime.pending_outputs import PendingOutputs, internal_error, unreadable_batch
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
    failure
        Failure of the last checkpoint, until :meth:`recover` succeeds. Until then the worker uses no messages.
    metrics
        What the partition reports to the metrics of the worker.
    retry_at
        Time of the event loop in seconds at which :meth:`recover` is due.
    last_state_bytes
        Bytes of the state in the last checkpoint.
    """

    def __init__(
        self, spec: TopologySpec, cluster: Cluster, group: str, partition: int, metrics: WorkerMetrics
    ) -> None:
        self.partition = partition
        self.lock = asyncio.Lock()
        self.opened = asyncio.Event()
        self.is_dirty = False
        self.failure: Exception | None = None
        self.retry_at = 0.0
        self.last_state_bytes = 0
        self._spec = spec
        self._cluster = cluster
        self._step = spec.make_step(partition)
        self._checkpoints = Checkpoints(cluster, group, spec.name, partition)
        self._offsets: dict[str, int] = {}
        self._continued_topics, self._new_topics = set[str](), set[str]()
        self._group = group
        self._known_topics = KnownTopics(cluster, (*spec.topics, *([spec.control_topic] if spec.control_topic else [])))
        self._outputs = PendingOutputs()
        self._changed_parts: dict[bytes, bytes | None] = {}
        self._closed = False
        self.metrics = PartitionMetrics(metrics, spec.name, partition)

    @property
    def is_urgent(self) -> bool:
        """True if an output should be written before the checkpoint interval ends."""
        return self._outputs.is_urgent

    @property
    def pending_output_bytes(self) -> int:
        """Bytes of the outputs that wait for a checkpoint."""
        return self._outputs.size_bytes

    def is_closed(self) -> bool:
        """Return True if the partition was closed or abandoned."""
        return self._closed

    def is_open(self) -> bool:
        """Return True if the worker can use messages: its state is restored, and no checkpoint has failed."""
        return self.opened.is_set() and not self._closed and self.failure is None

    async def open(self, controls: Sequence[ControlMessage]) -> None:
        """Fence an older owner and restore the state.

        The step first gets the control messages that the checkpoint covers, because its state may refer to them. It
        gets all others after its state.
        """
        try:
            async with self.lock:
                stored = await self._checkpoints.open()
                self._offsets, parts = await find_start(stored, self._cluster, self._group, self.partition, self._warn)
                self._known_topics.load(parts.pop(KNOWN_TOPICS_KEY, b"[]"))
                is_evidence_old = await self._compare_topics()
                covered = [message for message in controls if self.covers_control(message)]
                for message in covered:  # an earlier checkpoint contains their outputs
                    self._apply_control(message, is_covered=True)
                for line in self._step.restore(parts.items()):
                    self._warn(line)
                self.metrics.start(self._step, self.used_offsets())
                for message in controls[len(covered) :]:
                    self.control(message)
                    # A new worker may have to check thousands of baselines. Its heartbeats must not wait for that.
                    await asyncio.sleep(0)
                if stored.is_torn or is_evidence_old:
                    self._add_outputs(self._step.on_gap())
        except BaseException:
            self._closed = True
            raise
        finally:
            self.opened.set()

    def _warn(self, line: str) -> None:
        logger.warning("%s: partition %d: %s", self._spec.name, self.partition, line)

    def next_offset(self, topic: str) -> int:
        """Return the smallest offset that the next message of an input topic can have."""
        return self._offsets.get(topic, -1) + 1

    async def continues_at(self, topic: str, offset: int) -> bool:
        """Return True if no message exists between the state and a batch that begins at ``offset``.

        Only the first batch of an assignment can fail this check, because the consumer may have fetched it for an older
        assignment.
        """
        expected = self.next_offset(topic)
        if topic not in self._continued_topics and offset > expected:
            source = TopicPartition(topic, self.partition)
            available = await find_available_offset(self._cluster, source, expected)
            if available is None or available < offset:
                return False
        self._continued_topics.add(topic)
        return True

    async def reset(self, topic: str, log_start: int, log_end: int) -> set[str]:
        """Process a reset of the consumer to the start of the log. Return the topics to read from another offset.

        If messages are lost, log the loss and reset the step's evidence.
        """
        is_lost = await self._compare_topics()
        expected = self.next_offset(topic)
        if expected > log_end:
            self._report_loss(
                f"{topic} ends at offset {log_end}, but the state is at offset {expected}, so Kafka has lost messages; "
                f"reading starts at the beginning of the topic{self._spec.gap_effect}"
            )
            is_lost = True
        elif log_start > expected > 0:
            self._report_loss(
                f"retention deleted {log_start - expected} messages of {topic} before they were read (offsets {expected} "
                f"to {log_start - 1}){self._spec.gap_effect}"
            )
            is_lost = True
        if is_lost:
            self._add_outputs(self._step.on_gap())
        if log_start < expected <= log_end:
            return self.take_new_topics() | {topic}
        self.metrics.order.forget(topic)
        self._offsets[topic] = log_start - 1
        self.is_dirty = True
        return self.take_new_topics() - {topic}

    def _report_loss(self, line: str) -> None:
        self._warn(line)
        self.metrics.count_violation("offset_gap")

    def take_new_topics(self) -> set[str]:
        """Return the topics that were created again and are not yet being read from their beginning."""
        new_topics, self._new_topics = self._new_topics, set()
        return new_topics

    async def _compare_topics(self) -> bool:
        """Compare the topics with those of the state. Return True if the evidence must be reset.

        Offsets of a topic that was deleted and created again are dropped.
        """
        changes = await self._known_topics.update()
        for line in changes.describe():
            self._warn(line + self._spec.gap_effect)
        for topic in changes.created_again:
            self._offsets.pop(topic, None)
            self.metrics.order.forget(topic)
        self._new_topics |= changes.created_again
        if changes.is_changed:
            self._changed_parts[KNOWN_TOPICS_KEY] = self._known_topics.dump()
            self.is_dirty = True
        return bool(changes.created_again or changes.grown)

    def used_offsets(self) -> dict[str, int]:
        """Return the last offset that the step received, by input topic."""
        return {topic: offset for topic, offset in self._offsets.items() if topic in self._spec.topics}

    def new_records(self, topic: str, records: Sequence[InputMessage]) -> Sequence[InputMessage]:
        """Return the records that the state does not contain yet."""
        last = self._offsets.get(topic, -1)
        if records[0].offset > last:
            return records
        return [record for record in records if record.offset > last]

    def step(self, topic: str, records: Sequence[InputMessage]) -> None:
        """Give records of an input topic to the step."""
        self._use(topic, records[0].offset, records[-1].offset, len(records))
        with collection_paused():
            self._add_outputs(self._step.step(records))
        self.is_dirty = True

    def skip(self, topic: str, record: InputMessage) -> None:
        """Dead-letter a message on which the step fails, and continue after this message."""
        self._add_outputs([internal_error(self._spec.name, record)])
        self._use(topic, record.offset, record.offset, 1)
        self.is_dirty = True

    def skip_unreadable(self, batch: UnreadableBatch) -> None:
        """Dead-letter an unreadable batch of an input topic, and continue after it."""
        if batch.last_offset < self.next_offset(batch.topic):
            return
        logger.error("%s: %s", self._spec.name, batch)
        self._add_outputs([unreadable_batch(self._spec.name, batch)])
        self._use(batch.topic, max(batch.offset, self.next_offset(batch.topic)), batch.last_offset, 1)
        self.is_dirty = True

    @property
    def state(self) -> PartitionState:
        """What the worker does, for its metrics."""
        return "suspended" if self.failure is not None else "ready" if self.is_open() else "restoring"

    def measure(self) -> Sequence[Measurement]:
        """Return the measurements of the step, or nothing while its state is not restored."""
        return self.metrics.measure(self._step) if self.is_open() else ()

    def _use(self, topic: str, first: int, last: int, count: int) -> None:
        self.metrics.count_used(topic, first, last, count)
        self._offsets[topic] = last

    def covers_control(self, message: ControlMessage) -> bool:
        """Return True if the state contains a control message."""
        return message.offset <= self._offsets.get(message.topic, -1)

    def control(self, message: ControlMessage) -> None:
        """Give a control message to the step, once. Only partition 0 writes its dead letters."""
        if self.covers_control(message):
            return
        outputs = self._apply_control(message)
        self._add_outputs([output for output in outputs if output.topic != DEAD_LETTERS or self.partition == 0])
        self._offsets[message.topic] = message.offset
        self.is_dirty = True

    def tick(self, wall_ms: int) -> None:
        """Give the wall-clock time to the step."""
        self._add_outputs(self._step.tick(wall_ms))

    def check_deliveries(self) -> None:
        """Make a checkpoint urgent if notifications can be sent, or if their outcomes can be recorded."""
        if self._spec.has_deliveries(self._step):
            self.is_dirty = self._outputs.is_urgent = True

    def collect_changes(self) -> None:
        """Collect the changed parts of the state. An error means that the step cannot write its state."""
        self._changed_parts.update(self._step.changed())

    async def commit(self) -> None:
        """Start deliveries, then write outputs, state and offsets in one transaction.

        Raises
        ------
        CheckpointFailed, ProducerFenced
            If the checkpoint was not written. Its content is kept for :meth:`recover`.
        """
        if not self.is_dirty:
            return
        self._add_outputs(await self._spec.deliver(self._step))
        self.collect_changes()
        await self._write()

    async def recover(self) -> None:
        """Write the content of the failed checkpoint again, with a new producer.

        Raises
        ------
        CheckpointFailed, ProducerFenced
            As :meth:`commit`.
        """
        try:
            if await self._checkpoints.reopen():
                self._clear_pending()
        except CheckpointTopicReplaced as replaced:
            self._warn(str(replaced))
            self._mark_all()
        if self.is_dirty:
            self.collect_changes()
            await self._write()
        self.failure = None
        self._continued_topics.clear()

    async def _write(self) -> None:
        inputs = self.used_offsets()
        started_at = time.monotonic()
        try:
            await self._checkpoints.commit(self._outputs.messages, self._changed_parts, self._offsets, inputs)
        except CheckpointTopicReplaced as replaced:
            self._warn(str(replaced))
            self._clear_pending()
            self._mark_all()
            self.collect_changes()
            await self._write()
            return
        except (CheckpointFailed, ProducerFenced):
            self.metrics.count_aborted()
            raise
        self.metrics.time_checkpoint(time.monotonic() - started_at)
        self._clear_pending()

    def _clear_pending(self) -> None:
        """Count the content of a checkpoint that is committed, and drop it."""
        self.last_state_bytes = sum(len(part or b"") for part in self._changed_parts.values())
        self.metrics.count_committed(self._outputs.messages, self.last_state_bytes, self.used_offsets())
        self._outputs = PendingOutputs()
        self._changed_parts = {}
        self.is_dirty = False

    def _mark_all(self) -> None:
        self.is_dirty = True
        self._step.mark_all()
        self._changed_parts[KNOWN_TOPICS_KEY] = self._known_topics.dump()

    def fail(self, failure: Exception) -> bool:
        """Keep the content of a failed checkpoint for :meth:`recover`. Return True if it need not wait.

        Refused outputs are replaced by dead letters, and refused dead letters by shorter ones. Any other failure waits
        until Kafka accepts the checkpoint.
        """
        self.failure, self.retry_at = failure, 0.0
        if not isinstance(failure, MessagesRefused):
            return False
        replaced = list(self._outputs.replace_refused(self._spec.name, failure))
        for _ in filter(None, replaced):
            self._warn(f"{failure}; it is dead-lettered")
        return bool(replaced) or not failure.indices

    async def close(self, *, within_s: float) -> None:
        """Write a final checkpoint within the time limit, and close the partition.

        Raises
        ------
        TimeoutError
            If the checkpoint takes longer than ``within_s``.
        """
        try:
            async with asyncio.timeout(within_s):
                await self.opened.wait()
                async with self.lock:
                    if not self._closed and self.failure is None:
                        self.measure()
                        self._closed = True
                        await self._spec.finish_deliveries(self._step)
                        self.check_deliveries()
                        await self.commit()
        finally:
            self.abandon()
            await self._checkpoints.close()

    def abandon(self) -> None:
        """Close the partition without a checkpoint. Uncommitted outputs and changes are discarded."""
        self._closed = True
        self.opened.set()

    async def disconnect(self) -> None:
        """End the deliveries and close the connection of an abandoned partition, and ignore errors."""
        with contextlib.suppress(Exception):
            await self._spec.finish_deliveries(self._step)
            await self._checkpoints.close()

    def _apply_control(self, message: ControlMessage, *, is_covered: bool = False) -> list[OutputMessage]:
        """Give a control message to the step. If the step fails, dead-letter the message, because it would fail again."""
        if isinstance(message, UnreadableBatch):
            return [unreadable_batch(self._spec.name, message)]
        try:
            return self._step.control(message, is_covered=is_covered)
        except Exception:
            text = "%s: the step failed on the message of %s at offset %d; the message is dead-lettered"
            logger.exception(text, self._spec.name, message.topic, message.offset)
            return [internal_error(self._spec.name, message)]

    def _add_outputs(self, outputs: Sequence[OutputMessage]) -> None:
        if outputs:
            self.is_dirty = True
            self._outputs.add(outputs)
