"""Broker, topics and workers that start and stop together, for ``up`` and the load tools."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from topologies.broker import EmbeddedBroker, create_topics
from topologies.configuration import Configuration, write_configuration
from topologies.errors import DriftwireError, InputTopicMissing
from topologies.kafka import Cluster
from topologies.private_files import make_private_folder
from topologies.processes.worker_process import STOP_TIMEOUT_S, WorkerProcess

STEPS = ("detect", "correlate", "route")

READY_TIMEOUT_S = 60.0
"""Maximum seconds to wait for all workers to have their partitions."""

STOP_WITHOUT_KAFKA_S = 1.0
"""Maximum seconds to wait for the workers to stop after the broker has stopped."""

CONFIGURATION_NAME = "configuration.json"


class Topology:
    """Async context manager that runs broker, topics and workers.

    On entry, it waits until all workers have their partitions. On exit, it stops the workers after a final checkpoint,
    and then the broker. Workers that die are restarted. If a worker dies too often or the broker stops,
    :meth:`wait_for_failure` raises an error.

    Parameters
    ----------
    configuration
        Settings of the broker and the steps. The embedded broker overrides the address and the replication factor.
    data_folder
        Folder of the broker's messages and the workers' configuration.
    cluster
        An existing Kafka cluster. If None, the embedded broker is started.
    replay
        Whether the time of the records is the only clock.
    steps
        The steps to run, one worker per item. A step may occur more than once. If the configuration names topics for
        intake, one intake worker runs too. If it has a section for HTTP, one http worker runs too.
    on_line
        Callback that receives every line of the workers, and a line when a worker is restarted or killed.
    port
        Port of the embedded broker. 0 selects a free port. The default is the port in the configuration.
    before_workers
        Coroutine function that is called with the cluster after its topics are created and before the workers start.
    ready_timeout_s
        Maximum seconds to wait for all workers to have their partitions.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        data_folder: Path,
        cluster: Cluster | None = None,
        replay: bool = False,
        steps: Sequence[str] = STEPS,
        on_line: Callable[[str], None] | None = None,
        port: int | None = None,
        before_workers: Callable[[Cluster], Awaitable[None]] | None = None,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        self.workers: list[WorkerProcess] = []
        self.broker: EmbeddedBroker | None = None
        self._configuration = configuration
        self._data_folder = data_folder
        self._replay = replay
        self._steps = (*configuration.optional_steps, *steps)
        self._on_line = on_line or (lambda _: None)
        self._before_workers = before_workers
        self._ready_timeout_s = ready_timeout_s
        self._tasks: list[asyncio.Task[None]] = []
        if cluster is None:
            settings = configuration.broker
            self.broker = EmbeddedBroker(
                data_folder,
                port=settings.port if port is None else port,
                heap_mib=settings.heap_mib,
                announce=self._on_line,
            )
            kafka = configuration.kafka.model_copy(update={"replication_factor": 1})
            self._configuration = configuration.model_copy(update={"kafka": kafka})
        else:
            self._configuration = configuration.with_cluster(cluster)

    @property
    def configuration(self) -> Configuration:
        """The configuration of the workers, with the address of the broker."""
        return self._configuration

    @property
    def cluster(self) -> Cluster:
        """The Kafka cluster for clients. Valid once an embedded broker has started."""
        return self._configuration.kafka.cluster

    async def start(self) -> None:
        """Start broker and workers, and return when all workers have their partitions.

        Raises
        ------
        DriftwireError
            If the broker or a worker cannot be started. The message is one line. All other processes are stopped.
        """
        try:
            if self.broker is not None:
                await self.broker.start()
                self._configuration = self._configuration.with_cluster(self.broker.cluster)
            kafka = self._configuration.kafka
            # Each step names its own missing permissions.
            for step in (*dict.fromkeys(self._steps), None):
                needed = () if step is None else self._configuration.optional_topics(step, replay=self._replay)
                inputs = () if step is None else self._configuration.input_topics(step)
                # The worker reports a missing topic of another service, waits for it, and creates its own topics then.
                with contextlib.suppress(InputTopicMissing):
                    await create_topics(
                        kafka.cluster,
                        kafka.records_partitions,
                        kafka.replication_factor,
                        step=step,
                        optional_topics=needed,
                        input_topics=inputs,
                        app_id=kafka.app_id,
                    )
            if self._before_workers is not None:
                await self._before_workers(kafka.cluster)
            self._start_workers()
            await self._wait_until_ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all running workers, then the broker if it is running."""
        # Without Kafka, a final checkpoint is impossible.
        within_s = STOP_TIMEOUT_S if self.broker is None or self.broker.is_running else STOP_WITHOUT_KAFKA_S
        await asyncio.gather(*(worker.stop(within_s) for worker in self.workers))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self.broker is not None:
            await self.broker.stop()

    async def wait_for_failure(self) -> None:
        """Wait until a worker has died too often or the broker stops.

        Raises
        ------
        DriftwireError
            When a worker has died too often or the broker has stopped. The message contains the last lines of the worker, or
            the last line of the broker's log.
        """
        if not self._tasks:
            await asyncio.Event().wait()  # with an existing Kafka and no workers, nothing can fail
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise DriftwireError("a worker exited unexpectedly: see its log lines above")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _start_workers(self) -> None:
        arguments = ["--config", str(self._write_configuration()), *(["--replay"] if self._replay else [])]
        for index, step in enumerate(self._steps):
            earlier = self._steps[:index].count(step)
            name = f"{step}-{earlier + 1}" if earlier else step
            self.workers.append(WorkerProcess(name, step, [*arguments, *self._metrics_option(index)], self._on_line))
        self._tasks = [asyncio.create_task(worker.run()) for worker in self.workers]
        if self.broker is not None:
            self._tasks.append(asyncio.create_task(self.broker.wait_for_failure()))

    def _metrics_option(self, index: int) -> list[str]:
        """Return the option that gives each worker a port of its own for metrics, counted from the configured port."""
        metrics = self._configuration.metrics
        if metrics is None or self._steps[index] == "http":
            return []
        _, port = metrics.address
        earlier = sum(step != "http" for step in self._steps[:index])
        return ["--metrics-port", str(port and port + earlier)]

    def _write_configuration(self) -> Path:
        file = self._data_folder / CONFIGURATION_NAME
        try:
            make_private_folder(self._data_folder)
            write_configuration(self._configuration, file)
        except OSError as error:
            raise DriftwireError(f"cannot write to the data folder {self._data_folder}: {error.strerror}") from error
        return file

    async def _wait_until_ready(self) -> None:
        ready = asyncio.gather(*(worker.ready.wait() for worker in self.workers))
        failure = asyncio.create_task(self.wait_for_failure())
        try:
            async with asyncio.timeout(self._ready_timeout_s):
                await asyncio.wait((ready, failure), return_when=asyncio.FIRST_COMPLETED)
            if failure.done():
                await failure
        except TimeoutError as error:
            slow = next(worker for worker in self.workers if not worker.ready.is_set())
            raise DriftwireError(
                f"worker {slow.name} got no partitions within {self._ready_timeout_s:.0f} s; last lines: {slow.last_lines}"
            ) from error
        finally:
            for pending in (ready, failure):
                pending.cancel()
                with contextlib.suppress(asyncio.CancelledError, DriftwireError):
                    await pending
