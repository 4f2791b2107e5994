"""Faults of workers, and the base class of all faults, which start, stop, and prove that they took effect."""

import asyncio
import contextlib
import random
import signal
from typing import ClassVar

from load.chaos.environment import Environment
from load.chaos.schedule import PlannedFault
from load.chaos.workers import FULL_DEVICE, ChaosWorker
from topologies.processes import STEPS

PATIENCE_S = 25.0
"""Maximum seconds by which a fault is prolonged because it has not taken effect."""

RECOVERY_S = 60.0
"""Maximum seconds from the end of a broker outage until a worker of each step owns a partition again."""

POLL_S = 0.2
CLOCK_TOLERANCE_S = 60.0


class ChaosFault:
    """One fault of a run.

    Attributes
    ----------
    name
        The kind, with the choices drawn from the seed.
    struck
        Number of times that the fault is known to have taken effect.
    """

    locks_broker: ClassVar = False
    """Whether other faults of the broker must wait until this fault has ended."""

    stops_broker: ClassVar = False
    """Whether the broker is unresponsive during the fault."""

    patience_s: ClassVar = PATIENCE_S

    def __init__(self, planned: PlannedFault) -> None:
        self.planned = planned
        self.name = planned.kind
        self.struck = 0
        self.choose(planned.random())

    def choose(self, generator: random.Random) -> None:
        """Make the choices of the fault."""

    async def start(self, environment: Environment) -> None:
        """Begin the fault."""

    def observe(self, environment: Environment) -> None:
        """Count the fault if it took effect. This method is called several times per second, and once after the end."""

    async def stop(self, environment: Environment) -> None:
        """End the fault, and repair what it broke."""

    async def run(self, environment: Environment) -> None:
        """Run the fault from its start to its end."""
        lock = environment.broker_lock if self.locks_broker else contextlib.nullcontext()
        async with lock:
            if not self.stops_broker:
                await self._run(environment)
                return
            with environment.clock.outage():
                await self._run(environment)
                if environment.clock.stops_in_outages:
                    await environment.wait_for_owners(RECOVERY_S)

    async def _run(self, environment: Environment) -> None:
        clock = asyncio.get_running_loop().time
        try:
            await self.start(environment)
            ends_s = clock() + self.planned.lasts_s
            while clock() < ends_s or (not self.struck and clock() < ends_s + self.patience_s):
                self.observe(environment)
                await asyncio.sleep(POLL_S)
        finally:
            await self.stop(environment)
        self.observe(environment)


class _WorkerFault(ChaosFault):
    """Fault of a worker that owns a partition of a step."""

    worker: ChaosWorker | None = None

    def choose(self, generator: random.Random) -> None:
        # Most of the state is in detect.
        self.step = generator.choice(("detect", "detect", *STEPS))
        self.name += f" {self.step}"

    async def start(self, environment: Environment) -> None:
        self.worker = await environment.claim_owner(self.step)
        if self.worker is not None:
            await self.disturb(self.worker, environment)

    async def stop(self, environment: Environment) -> None:
        del environment
        if self.worker is not None:
            await self.restore(self.worker)
            self.worker.is_busy = False

    async def disturb(self, worker: ChaosWorker, environment: Environment) -> None:
        """Begin the fault of the claimed worker."""

    async def restore(self, worker: ChaosWorker) -> None:
        """End the fault of the worker."""


class WorkerKilled(_WorkerFault):
    """``kill -9`` of a worker. It took effect if the worker owned a partition."""

    async def disturb(self, worker: ChaosWorker, environment: Environment) -> None:
        del environment
        self.struck += await worker.kill()

    async def restore(self, worker: ChaosWorker) -> None:
        worker.start()


class WorkerSuspended(_WorkerFault):
    """SIGSTOP of a worker for longer than its session timeout. It took effect if the worker lost its partitions."""

    async def disturb(self, worker: ChaosWorker, environment: Environment) -> None:
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(environment.configuration.kafka.session_timeout_s)

    def observe(self, environment: Environment) -> None:
        owners = environment.membership.owners
        if not self.struck and self.worker is not None and owners and not owners.get(self.worker.name):
            self.struck += 1

    async def restore(self, worker: ChaosWorker) -> None:
        worker.signal(signal.SIGCONT)


class WorkerLogFull(_WorkerFault):
    """A worker whose log is on a full disk. It took effect if the worker owns a partition during that time."""

    async def disturb(self, worker: ChaosWorker, environment: Environment) -> None:
        del environment
        await worker.stop()
        worker.start(FULL_DEVICE)

    def observe(self, environment: Environment) -> None:
        # The group lists the stopped process as the owner for a moment.
        if self.struck or self.worker is None:
            return
        owns = bool(environment.membership.owners.get(self.worker.name))
        self._was_absent |= not owns
        self.struck += self._was_absent and owns and self.worker.is_running

    _was_absent = False

    async def restore(self, worker: ChaosWorker) -> None:
        await worker.kill()
        worker.start()


class WorkerClockJump(_WorkerFault):
    """A worker's wall clock jumps and returns. It took effect if a checkpoint or log line has the wrong time.

    Kafka refuses timestamps that are more than an hour ahead.
    """

    def choose(self, generator: random.Random) -> None:
        super().choose(generator)
        self._offset_s = generator.choice((-86_400, -3_600, -600, 600, 3_000, 7_200))
        self.name += f" {self._offset_s:+d} s"

    async def disturb(self, worker: ChaosWorker, environment: Environment) -> None:
        del environment
        worker.set_clock(self._offset_s)

    def observe(self, environment: Environment) -> None:
        if self.struck or self.worker is None:
            return
        offsets_s = (environment.ledger.clock_offset_s.get(self.step, 0.0), self.worker.log_clock_offset_s())
        self.struck += any(abs(offset_s - self._offset_s) < CLOCK_TOLERANCE_S for offset_s in offsets_s)

    async def restore(self, worker: ChaosWorker) -> None:
        worker.set_clock(0)


class WorkerJoinsAndLeaves(ChaosFault):
    """A third worker joins its group and leaves again. It took effect if the worker was a member of the group."""

    def choose(self, generator: random.Random) -> None:
        self._step = generator.choice(("detect", "detect", *STEPS))
        self._leaves_by = generator.choice((signal.SIGTERM, signal.SIGKILL))
        self.name += f" {self._step} {self._leaves_by.name}"
        self._worker: ChaosWorker | None = None

    async def start(self, environment: Environment) -> None:
        self._worker = environment.fleet.add(self._step)

    def observe(self, environment: Environment) -> None:
        if self._worker is not None and not self.struck:
            self.struck += self._worker.name in environment.membership.joined

    async def stop(self, environment: Environment) -> None:
        del environment
        if self._worker is not None:
            await (self._worker.stop() if self._leaves_by is signal.SIGTERM else self._worker.kill())
