"""Runtime that runs a pure step on Kafka, exactly once.

Each assigned partition has a partition worker with the state of the step. The step processes batches of messages. Its
outputs, its changed state and the input offsets are written in one transaction: soon after a finding, otherwise every
few seconds. If Kafka refuses a checkpoint, the worker keeps its content and writes it again later, and the partition is
paused. After an error in the step, the partition is restored from its last checkpoint.

To understand how checkpoints are written and read, read these files in this order:

1. ``pipeline/step.py``: a step returns its changed parts (``changed``) and restores them (``restore``).
2. ``pipeline/state.py``: the keys of the parts, which parts changed, and which are discarded.
3. ``pipeline/codec.py``: the encoding of a part.
4. ``checkpoint/checkpoint.py``: the transaction that writes parts, outputs, offsets and the entry.
5. ``partition.py``: the content of a checkpoint.
6. This file: the times of checkpoints, and the recovery after a failure.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import faust
from aiokafka.errors import KafkaError, ProducerFenced

from pipeline.state import NewerState
from pipeline.step import InputMessage, Measurement
from topologies.errors import DriftwireError
from topologies.kafka import Cluster, UnreadableBatch
from topologies.metrics import WorkerMetrics
from topologies.runtime.checkpoint import CheckpointFailed
from topologies.runtime.checkpoint_schedule import CheckpointSchedule
from topologies.runtime.control import ControlMessage, ControlReader
from topologies.runtime.faust_transport import BatchSchema, OffsetReset
from topologies.runtime.faust_worker import stop_failed_worker
from topologies.runtime.inputs import InputControl
from topologies.runtime.partition import PartitionWorker
from topologies.runtime.topology_spec import TopologySpec

CHECK_INTERVAL_S = 0.1
"""Seconds between checks for a due checkpoint. This is the maximum delay of a finding."""

TICK_INTERVAL_S = 1.0
"""Seconds between ticks of the wall clock."""

PENDING_OUTPUT_BYTES_MAX = 4 * 1024 * 1024
"""Maximum bytes of the outputs that wait for a checkpoint. Beyond this limit, a checkpoint is written at once."""

RETRY_DELAY_S = 1.0
"""Seconds from the first failure of a partition until the next attempt. Each further failure doubles the delay."""

RETRY_DELAY_MAX_S = 15.0
"""Maximum seconds between two attempts."""

FENCED_RESTORE_DELAY_S = 20.0
"""Seconds until a fenced partition that is still assigned is restored. A suspended worker then has its new assignment."""

REVOCATION_TIMEOUT_S = 10.0
"""Maximum seconds for the final checkpoint before a revocation. It is below the limit of a rebalance."""

STOP_TIMEOUT_S = 3.0
"""Maximum seconds for the last checkpoint before the worker stops, because a service manager may kill a slow worker."""

logger = logging.getLogger("driftwire")


class StepRuntime:
    """Runtime of one step in one worker process.

    Parameters
    ----------
    app
        The Faust application. Its id is the consumer group.
    spec
        The topology of the step.
    cluster
        The Kafka cluster.
    checkpoint_interval_s
        Seconds between checkpoints while there is no finding. Under load, the interval is longer
        (``checkpoint_schedule.py``).
    clock
        The wall clock in Unix seconds, for ticks. None in a replay, because the time of the records is the only clock.

    Attributes
    ----------
    metrics
        The metrics of the worker.
    """

    def __init__(
        self,
        app: faust.App,
        spec: TopologySpec,
        *,
        cluster: Cluster,
        checkpoint_interval_s: float,
        clock: Callable[[], float] | None,
    ) -> None:
        self._app = app
        self._spec = spec
        self._cluster = cluster
        self._checkpoint_interval_s = checkpoint_interval_s
        self._clock = clock
        self._partition_workers: dict[int, PartitionWorker] = {}
        self.metrics = WorkerMetrics(spec.name, clock)
        self.metrics.on_read(self._measure)
        self._inputs = InputControl(app, spec.topics)
        self._is_assigned = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure_counts: dict[int, int] = {}  # consecutive failures by partition
        self._failed_until: dict[tuple[str, int], int] = {}
        """Last offset of a batch on which the step failed, by topic and partition."""
        self._failed_messages: set[tuple[str, int, int]] = set()
        """Topic, partition and offset of single messages on which the step failed, until later messages are used."""
        self._control_reader: ControlReader | None = None
        self._is_ready_printed = False

    def attach(self) -> None:
        """Register the agent and the assignment callbacks with the application."""
        self._app.on_partitions_assigned.connect(self._on_assigned)
        self._app.on_partitions_revoked.connect(self._on_revoked)
        self._app.on_before_shutdown.connect(self._on_shutdown)
        topic = self._app.topic(*self._spec.topics, schema=BatchSchema(), acks=False)

        async def agent(stream: Any) -> None:
            async for event in stream.noack().events():
                await self._on_batch(event.message.topic, event.message.partition, event.value)

        self._app.agent(topic, name=f"driftwire.{self._spec.name}")(agent)

    async def _on_assigned(self, _: Any, /, *changes: Any, **__: Any) -> None:
        partitions = self._inputs.assign(changes[0])
        self._is_assigned = True
        if self._spec.control_topic is not None and self._control_reader is None:
            self._control_reader = ControlReader(self._cluster, self._spec.control_topic, self._on_control)
            self._control_reader.start()
        for partition in sorted(partitions - self._partition_workers.keys()):
            self._start_partition(partition)
        if not partitions:
            self._print_ready("standby")

    async def _on_revoked(self, _: Any, /, *changes: Any, **__: Any) -> None:
        await self._close_partitions(self._inputs.revoke(changes[0]), REVOCATION_TIMEOUT_S)

    async def _on_shutdown(self, *_: Any, **__: Any) -> None:
        self._inputs.assign(())
        await self._close_partitions(set(self._partition_workers), STOP_TIMEOUT_S)
        if self._control_reader is not None:
            await self._control_reader.stop()

    async def _close_partitions(self, partitions: set[int], within_s: float) -> None:
        """Write a final checkpoint of each partition within a time limit, and drop the state."""
        workers = [worker for partition in partitions if (worker := self._partition_workers.pop(partition, None))]
        closing = [worker.close(within_s=within_s) for worker in workers]
        results = await asyncio.gather(*closing, return_exceptions=True)
        for worker, result in zip(workers, results, strict=True):
            if isinstance(result, BaseException):
                self._warn_last_checkpoint(worker, result)

    def _warn_last_checkpoint(self, worker: PartitionWorker, error: BaseException) -> None:
        reason = "it took too long" if isinstance(error, TimeoutError) else (error.args or (type(error).__name__,))[0]
        text = "%s: partition %d: the last checkpoint failed: %s; the next owner restores the previous checkpoint"
        logger.warning(text, self._spec.name, worker.partition, reason)

    def _start_partition(self, partition: int, *, delay_s: float = 0.0) -> None:
        worker = PartitionWorker(self._spec, self._cluster, self._app.conf.id, partition, self.metrics)
        self._partition_workers[partition] = worker
        self._start_task(self._run_partition(worker, delay_s))

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_partition(self, worker: PartitionWorker, delay_s: float) -> None:
        """Open a partition, then send ticks and write checkpoints until the partition is closed."""
        await asyncio.sleep(delay_s)
        try:
            if not worker.is_closed():
                await self._open_partition(worker)
                await self._run_timers(worker)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - after any error the partition is restored or released
            self._on_failure(worker, error)

    async def _open_partition(self, worker: PartitionWorker) -> None:
        reader = self._control_reader
        await worker.open(await reader.latest_messages() if reader else [])
        if worker.is_closed():
            await worker.disconnect()
            return
        await self._inputs.seek(worker.partition, worker.take_new_topics(), worker.next_offset)
        await self._inputs.resume(worker.partition, worker.next_offset)
        if all(other.is_open() for other in self._partition_workers.values()):
            self._print_ready("ready")
        await self._apply_controls(worker)  # those that arrived meanwhile

    async def _run_timers(self, worker: PartitionWorker) -> None:
        loop = asyncio.get_running_loop()
        schedule = CheckpointSchedule(self._checkpoint_interval_s, now_s=loop.time())
        last_tick = loop.time() - TICK_INTERVAL_S  # the restored state gets the time before anything is sent
        while not worker.is_closed():
            await asyncio.sleep(CHECK_INTERVAL_S)
            if worker.failure is not None:
                await self._recover(worker)
                continue
            async with worker.lock:
                if not worker.is_open():
                    continue
                now = loop.time()
                if self._clock is not None and now - last_tick >= TICK_INTERVAL_S:
                    worker.tick(int(self._clock() * 1000))
                    last_tick = now
                worker.check_deliveries()
                partitions = len(self._partition_workers)
                if worker.is_dirty and schedule.is_due(now, is_urgent=worker.is_urgent, partitions=partitions):
                    await self._commit(worker)
                    schedule.record(now, loop.time(), state_bytes=worker.last_state_bytes)

    async def _commit(self, worker: PartitionWorker) -> None:
        """Write a checkpoint. If Kafka refuses it, the worker keeps its content, and the partition is paused."""
        try:
            await worker.commit()
            self._failure_counts.pop(worker.partition, None)
        except CheckpointFailed as failure:
            self._suspend(worker, failure)

    def _suspend(self, worker: PartitionWorker, failure: CheckpointFailed) -> None:
        """Keep the content of a failed checkpoint, and use no messages until it is written."""
        if worker.fail(failure):
            return
        self._inputs.pause(worker.partition)
        delay_s = self._next_delay_s(worker.partition)
        worker.retry_at = asyncio.get_running_loop().time() + delay_s
        text = "%s: partition %d: no checkpoint: %s; nothing is lost, next attempt in %g s"
        logger.warning(text, self._spec.name, worker.partition, failure, delay_s)

    async def _recover(self, worker: PartitionWorker) -> None:
        """Retry a failed checkpoint once its delay has passed."""
        if asyncio.get_running_loop().time() < worker.retry_at:
            return
        async with worker.lock:
            if worker.is_closed():
                return
            try:
                await worker.recover()
            except CheckpointFailed as failure:
                self._suspend(worker, failure)
                return
        if self._failure_counts.pop(worker.partition, None):
            logger.info(
                "%s: partition %d: the checkpoint is written; processing continues", self._spec.name, worker.partition
            )
        await self._apply_controls(worker)
        await self._inputs.resume(worker.partition, worker.next_offset)

    def _next_delay_s(self, partition: int) -> float:
        failures = self._failure_counts[partition] = self._failure_counts.get(partition, 0) + 1
        return float(min(RETRY_DELAY_S * 2 ** (failures - 1), RETRY_DELAY_MAX_S))

    async def _on_batch(self, topic: str, partition: int, records: Sequence[Any]) -> None:
        """Give a batch to its partition's worker, or drop it and read it again later if the worker cannot use it now."""
        worker = self._partition_workers.get(partition)
        if worker is None:
            return
        if not worker.is_open():
            self._inputs.pause(partition)
            return
        async with worker.lock:
            if not worker.is_open():  # a checkpoint has failed while the batch waited
                self._inputs.pause(partition)
                return
            try:
                await self._process(worker, topic, records)
                if worker.pending_output_bytes > PENDING_OUTPUT_BYTES_MAX:
                    await self._commit(worker)
            except CheckpointFailed as failure:
                self._suspend(worker, failure)
            except Exception as error:  # noqa: BLE001 - as above
                self._on_failure(worker, error)

    async def _process(self, worker: PartitionWorker, topic: str, records: Any) -> None:
        first = records[0]
        if isinstance(first, OffsetReset):
            topics = await worker.reset(topic, first.log_start, first.log_end)
            await self._inputs.seek(worker.partition, topics, worker.next_offset)
            return
        if not await worker.continues_at(topic, first.offset):
            await self._inputs.seek(worker.partition, {topic}, worker.next_offset)
            return
        worker.metrics.count_fetched(topic, records.begins_at, records.size_bytes)
        if isinstance(first, UnreadableBatch):
            worker.skip_unreadable(first)
        elif new_records := worker.new_records(topic, records):
            await self._run_step(worker, topic, new_records)

    async def _run_step(self, worker: PartitionWorker, topic: str, records: Sequence[InputMessage]) -> None:
        """Run the step. After an internal error, retry message by message and dead-letter the failing message."""
        source = (topic, worker.partition)
        if records[0].offset > self._failed_until.get(source, -1):
            worker.step(topic, records)
            self._failed_messages = {failed for failed in self._failed_messages if failed[:2] != source}
            return
        for record in records:
            await asyncio.sleep(0)
            if (*source, record.offset) in self._failed_messages:
                worker.skip(topic, record)
                continue
            try:
                worker.step(topic, [record])
                worker.collect_changes()
            except Exception:
                self._failed_messages.add((*source, record.offset))
                raise

    async def _on_control(self, _: ControlMessage) -> None:
        """Give new control messages to every partition that can use them. Others get them when they continue."""
        for worker in list(self._partition_workers.values()):
            if worker.is_open():
                await self._apply_controls(worker)

    async def _apply_controls(self, worker: PartitionWorker) -> None:
        """Give a partition the control messages that it has not used, and write a checkpoint before and after each."""
        if self._control_reader is None:
            return
        for message in await self._control_reader.latest_messages():
            async with worker.lock:
                if not worker.is_open() or worker.covers_control(message):
                    continue
                try:
                    await self._commit(worker)
                    if worker.is_open():
                        worker.control(message)
                        await self._commit(worker)
                except Exception as error:  # noqa: BLE001 - as above
                    self._on_failure(worker, error)

    def _on_failure(self, worker: PartitionWorker, error: Exception) -> None:
        """Discard the state in memory after an error, and restore the partition from its last checkpoint."""
        name, partition = self._spec.name, worker.partition
        worker.abandon()
        self._start_task(worker.disconnect())
        if self._partition_workers.get(partition) is not worker:  # the partition was revoked meanwhile
            self._warn_last_checkpoint(worker, error)
            return
        self._inputs.pause(partition)
        if isinstance(error, ProducerFenced):
            del self._partition_workers[partition]
            text = "%s: partition %d: %s; it is released, and restored in %g s if it is still assigned to this worker"
            logger.warning(text, name, partition, error.args[0], FENCED_RESTORE_DELAY_S)
            self._start_task(self._restore_if_assigned(partition))
            return
        if isinstance(error, NewerState):
            logger.error("%s: partition %d: %s", name, partition, error)
            # A waiting worker would keep the partition from a worker of the newer version.
            stop_failed_worker()
            return
        is_kafka = isinstance(error, (KafkaError, CheckpointFailed, DriftwireError))
        if not is_kafka:
            # Process the messages since the last checkpoint one by one, to find the message on which the step fails.
            self._failed_until.update({(topic, partition): last for topic, last in worker.used_offsets().items()})
        delay_s = self._next_delay_s(partition)
        logger.log(
            logging.WARNING if is_kafka else logging.ERROR,
            "%s: partition %d: %s; it is restored from its last checkpoint in %g s",
            name,
            partition,
            error if is_kafka else "the step failed",
            delay_s,
            exc_info=None if is_kafka else error,
        )
        self._start_partition(partition, delay_s=delay_s)

    async def _restore_if_assigned(self, partition: int) -> None:
        """Restore a partition that is still assigned to this worker after another worker fenced it."""
        await asyncio.sleep(FENCED_RESTORE_DELAY_S)
        if self._inputs.find(partition) and partition not in self._partition_workers:
            self._start_partition(partition)

    def find_obstacle(self) -> str | None:
        """Return why this worker is not ready, or None if all of its partitions are. A standby is ready."""
        if not self._is_assigned:
            return "Kafka has not assigned partitions to this worker yet"
        waiting = sorted(number for number, worker in self._partition_workers.items() if not worker.is_open())
        numbers = ", ".join(str(number) for number in waiting)
        return f"partitions that are being restored, or wait for a checkpoint: {numbers}" if waiting else None

    def _measure(self) -> Iterator[Measurement]:
        for partition, worker in self._partition_workers.items():
            yield Measurement("driftwire_partitions", 1, (worker.state,))
            yield from worker.measure()
            if worker.is_open():
                yield from self._inputs.measure_lag(partition, worker.next_offset)

    def _print_ready(self, state: str) -> None:
        """Print once the line for which the parent process waits."""
        if not self._is_ready_printed:
            self._is_ready_printed = True
            print(f"{self._spec.name}: {state}", flush=True)  # noqa: T201
