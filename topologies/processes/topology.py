"""The whole topology as one thing to start and stop: broker, topics and workers. Used by ``up`` and by the load tools."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from topologies.broker import EmbeddedBroker, create_topics
from topologies.configuration import Configuration, write
from topologies.errors import Failure
from topologies.processes.worker_process import STOP_LIMIT_S, WorkerChild, worker_arguments

STEPS = ("detect", "correlate", "route")

READY_TIMEOUT_S = 60.0
"""Seconds for all workers to have their partitions."""

STOP_WITHOUT_KAFKA_S = 1.0
"""Seconds that workers get to stop when the broker has died."""

CONFIGURATION_NAME = "configuration.json"


class Topology:
    """Broker, topics and workers, as an async context manager: inside it all workers have their partitions.

    Leaving stops the workers first, each after a last checkpoint, and the broker last. Workers that die are started
    again; when one dies too often, or the broker does, :meth:`failed` raises.

    Parameters
    ----------
    configuration
        Of broker and steps. With an embedded broker its port and replication factor are set to what that has.
    data
        The folder for the broker's messages and the workers' configuration.
    bootstrap
        A Kafka that runs already; absent: the embedded one.
    replay
        Whether the only clock is that of the records.
    workers
        The steps to run, one worker each; a step may be named several times.
    say
        Is given each line of the workers and what happens to them; by default nobody is.
    port
        Of the embedded broker; absent: the configuration's. 0 takes a free one.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        data: Path,
        bootstrap: str | None = None,
        replay: bool = False,
        workers: Sequence[str] = STEPS,
        say: Callable[[str], None] | None = None,
        port: int | None = None,
    ) -> None:
        self.workers: list[WorkerChild] = []
        self.broker: EmbeddedBroker | None = None
        self._configuration = configuration
        self._data = data
        self._replay = replay
        self._steps = workers
        self._say = say or (lambda _: None)
        self._tasks: list[asyncio.Task[None]] = []
        if bootstrap is None:
            settings = configuration.broker
            self.broker = EmbeddedBroker(
                data, port=settings.port if port is None else port, heap_mib=settings.heap_mib, announce=self._say
            )
            kafka = configuration.kafka.model_copy(update={"replication_factor": 1})
            self._configuration = configuration.model_copy(update={"kafka": kafka})
        else:
            self._configuration = configuration.at(bootstrap)

    @property
    def configuration(self) -> Configuration:
        """What the workers were given, the broker's address included."""
        return self._configuration

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients; of an embedded broker once it has started."""
        return self._configuration.kafka.bootstrap

    async def start(self) -> None:
        """Start everything, and return when every worker has its partitions.

        Raises
        ------
        Failure
            In one line: what could not be started and why. Nothing is left running.
        """
        try:
            if self.broker is not None:
                await self.broker.start()
                self._configuration = self._configuration.at(self.broker.bootstrap)
            kafka = self._configuration.kafka
            await create_topics(kafka.bootstrap, kafka.records_partitions, kafka.replication_factor)
            self._start_workers()
            await self._wait_until_ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the workers, then the broker; what is not running does no harm."""
        # Without Kafka there is nothing left to finish.
        within_s = STOP_LIMIT_S if self.broker is None or self.broker.running else STOP_WITHOUT_KAFKA_S
        await asyncio.gather(*(worker.stop(within_s) for worker in self.workers))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self.broker is not None:
            await self.broker.stop()

    async def failed(self) -> None:
        """Wait until a worker is given up or the broker dies.

        Raises
        ------
        Failure
            The worker's last words, or the broker's.
        """
        if not self._tasks:
            await asyncio.Event().wait()  # a Kafka of somebody else and no workers: nothing here can fail
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise Failure("a worker ended although nobody stopped it")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _start_workers(self) -> None:
        file = self._write_configuration()
        arguments = worker_arguments(file, replay=self._replay)
        for position, step in enumerate(self._steps):
            before = self._steps[:position].count(step)
            name = f"{step}-{before + 1}" if before else step
            self.workers.append(WorkerChild(name, step, arguments, self._say))
        self._tasks = [asyncio.create_task(worker.run()) for worker in self.workers]
        if self.broker is not None:
            self._tasks.append(asyncio.create_task(self.broker.died()))

    def _write_configuration(self) -> Path:
        file = self._data / CONFIGURATION_NAME
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            write(self._configuration, file)
        except OSError as error:
            raise Failure(f"cannot write to the data folder {self._data}: {error.strerror}") from error
        return file

    async def _wait_until_ready(self) -> None:
        ready = asyncio.gather(*(worker.ready.wait() for worker in self.workers))
        failed = asyncio.create_task(self.failed())
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await asyncio.wait((ready, failed), return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                await failed
        except TimeoutError as error:
            slow = ", ".join(worker.name for worker in self.workers if not worker.ready.is_set())
            raise Failure(f"no partitions for {slow} within {READY_TIMEOUT_S:.0f} s: is Kafka healthy?") from error
        finally:
            for pending in (ready, failed):
                pending.cancel()
                with contextlib.suppress(asyncio.CancelledError, Failure):
                    await pending
