"""The kinds of faults: each starts, stops, and proves that it struck."""

import asyncio
import contextlib
import random
import signal
from collections.abc import Callable
from typing import ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from load.chaos.environment import Environment, count_in_logs, run_system_command
from load.chaos.observers import wait_until
from load.chaos.schedule import PlannedFault
from load.chaos.workers import FULL_DEVICE, ChaosWorker
from load.wire import TRANSIENT_ERRORS, ApiKey, Fault, FaultKind
from schemas.topics import ALERTS, DRIFTS, checkpoints_topic, topic
from topologies.broker import topic_settings
from topologies.errors import BrokerError
from topologies.processes import STEPS

PATIENCE_S = 25.0
"""Maximum seconds that a fault lasts longer than planned because it has not struck."""

POLL_S = 0.2
CLOCK_TOLERANCE_S = 60.0
DISK_FULL_TIMEOUT_S = 15.0
BROKER_API_KEYS = (
    ApiKey.PRODUCE,
    ApiKey.FETCH,
    ApiKey.INIT_PRODUCER_ID,
    ApiKey.ADD_OFFSETS_TO_TXN,
    ApiKey.ADD_PARTITIONS_TO_TXN,
    ApiKey.TXN_OFFSET_COMMIT,
    ApiKey.END_TXN,
)


class ChaosFault:
    """One fault of a run.

    Attributes
    ----------
    name
        The kind, with the choices of the seed.
    struck
        Number of times that the fault has proved to have had its effect.
    """

    locks_broker: ClassVar = False
    """Whether no other fault of the broker may run at the same time."""

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
        """Count a strike, if there was one. This is called several times per second, and once after the end."""

    async def stop(self, environment: Environment) -> None:
        """End the fault, and repair what it broke."""

    async def run(self, environment: Environment) -> None:
        """Run the fault from its start to its end."""
        lock = environment.broker_lock if self.locks_broker else contextlib.nullcontext()
        async with lock:
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
    """Fault of the worker that owns a partition of a step."""

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
        """Begin the fault of the worker that was found."""

    async def restore(self, worker: ChaosWorker) -> None:
        """End the fault of the worker."""


class WorkerKilled(_WorkerFault):
    """``kill -9`` of a worker. It strikes if the worker owned a partition."""

    async def disturb(self, worker: ChaosWorker, environment: Environment) -> None:
        del environment
        self.struck += await worker.kill()

    async def restore(self, worker: ChaosWorker) -> None:
        worker.start()


class WorkerSuspended(_WorkerFault):
    """SIGSTOP of a worker beyond its session. It strikes if the worker lost the partitions that it owned."""

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
    """A worker whose log is on a full disk. It strikes if the worker owns a partition meanwhile."""

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
    """Wall clock of a worker jumps and returns. It strikes if a checkpoint or a line of the log has the wrong time.

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
    """A third worker joins its group and leaves again. It strikes if the group had the worker as a member."""

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


class BrokerKilled(ChaosFault):
    """``kill -9`` of the broker. It strikes if the broker was running."""

    locks_broker = True

    async def start(self, environment: Environment) -> None:
        self.struck += await environment.kill_broker()

    async def stop(self, environment: Environment) -> None:
        await environment.restart_broker()


class BrokerStopped(BrokerKilled):
    """The broker is stopped in order and started later. It strikes if the broker was running."""

    async def start(self, environment: Environment) -> None:
        self.struck += environment.broker.pid is not None
        await environment.broker.stop()


class BrokerPaused(ChaosFault):
    """SIGSTOP of the broker. It strikes if the broker was running."""

    locks_broker = True

    async def start(self, environment: Environment) -> None:
        self.struck += environment.broker.pid is not None
        environment.signal_broker(signal.SIGSTOP)

    async def stop(self, environment: Environment) -> None:
        environment.signal_broker(signal.SIGCONT)


class DiskFull(ChaosFault):
    """The disk of the broker is full. It strikes if the broker stops or reports the full disk."""

    locks_broker = True

    async def start(self, environment: Environment) -> None:
        assert environment.disk is not None  # noqa: S101  the kind is unavailable otherwise
        self._filler = environment.disk / "temporary" / "filler"
        with self._filler.open("wb") as filler, contextlib.suppress(OSError):
            block = bytes(1024 * 1024)
            while True:
                filler.write(block)
                filler.flush()
        self.struck += await wait_until(lambda: self._has_noticed(environment), DISK_FULL_TIMEOUT_S)

    @staticmethod
    def _has_noticed(environment: Environment) -> bool:
        log = environment.broker.log_path.read_text(errors="replace")
        return not environment.broker.is_running or "No space left on device" in log

    async def stop(self, environment: Environment) -> None:
        # A broker that has failed to write does not use its folder again.
        await environment.kill_broker()
        self._filler.unlink(missing_ok=True)
        await environment.restart_broker()


class FolderUnwritable(ChaosFault):
    """The broker is killed, and its folder is read-only at the restart. It strikes if the broker refuses to start."""

    locks_broker = True

    async def start(self, environment: Environment) -> None:
        await environment.kill_broker()
        run_system_command("mount", "-o", "remount,ro", str(environment.disk))
        try:
            await environment.broker.start()
        except (BrokerError, OSError):
            self.struck += 1

    async def stop(self, environment: Environment) -> None:
        run_system_command("mount", "-o", "remount,rw", str(environment.disk))
        await environment.restart_broker()


class TopicRefuses(ChaosFault):
    """A topic accepts no messages because it lacks in-sync replicas. It strikes if a worker reports the refusal."""

    locks_broker = True

    def choose(self, generator: random.Random) -> None:
        self._topic = generator.choice((DRIFTS, ALERTS, checkpoints_topic("detect"), checkpoints_topic("correlate")))
        self.name += f" {self._topic}"
        self._reported = 0

    async def start(self, environment: Environment) -> None:
        self._reported = self._count_reports(environment)
        await self._configure(environment, {"min.insync.replicas": "2"})

    def observe(self, environment: Environment) -> None:
        if not self.struck:
            self.struck += self._count_reports(environment) > self._reported

    async def stop(self, environment: Environment) -> None:
        await self._configure(environment, {})

    @staticmethod
    def _count_reports(environment: Environment) -> int:
        return count_in_logs(list(environment.fleet.workers.values()), "too few in-sync replicas")

    async def _configure(self, environment: Environment, settings: dict[str, str]) -> None:
        # The request replaces all settings of the topic.
        settings = topic_settings(topic(self._topic)) | settings
        admin = AIOKafkaAdminClient(**environment.broker.cluster.client_options())
        try:
            await admin.start()
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self._topic, settings)])
        finally:
            await admin.close()


class WireFault(ChaosFault):
    """One request on the wire is lost, delayed, repeated, refused or cut. It strikes as the proxy counts it."""

    def choose(self, generator: random.Random) -> None:
        self._api_key = generator.choice(BROKER_API_KEYS)
        self._kind = generator.choice(sorted(FaultKind))
        self._seconds = generator.uniform(0.2, 3.0)
        self._error_draw = generator.random()
        self.name += f" {self._api_key.name.lower()} {self._kind}"
        self._is_active = False
        self._fault: Fault | None = None

    async def start(self, environment: Environment) -> None:
        codes = TRANSIENT_ERRORS[self._api_key]
        self._is_active = True
        self._fault = Fault(
            self._api_key,
            self._kind,
            self._seconds,
            codes[int(self._error_draw * len(codes))],
            matches=lambda _: self._is_active,
        )
        environment.proxy.inject(self._fault)

    def observe(self, environment: Environment) -> None:
        if not self.struck:
            self.struck += any(strike.fault is self._fault for strike in environment.proxy.strikes)

    async def stop(self, environment: Environment) -> None:
        del environment
        self._is_active = False


class MessagesAdded(ChaosFault):
    """Messages of the workload that are poison or duplicates. The outcome of the run shows how many of them struck."""


class ProducerClockJump(ChaosFault):
    """The clock of the producer jumps and returns. It strikes if a record was sent with a wrong time."""

    def choose(self, generator: random.Random) -> None:
        self._offset_s = generator.choice((-86_400, -3_600, 600, 86_400))
        self.name += f" {self._offset_s:+d} s"
        self._before = 0

    async def start(self, environment: Environment) -> None:
        self._before = environment.producer.sent_with_wrong_clock
        environment.producer.clock_offset_ms = self._offset_s * 1000

    def observe(self, environment: Environment) -> None:
        if not self.struck:
            self.struck += environment.producer.sent_with_wrong_clock > self._before

    async def stop(self, environment: Environment) -> None:
        environment.producer.clock_offset_ms = 0


class ReceiverSlow(ChaosFault):
    """The receiver answers late or not at all. It strikes if a notification was delayed or refused."""

    patience_s = 90.0  # notifications are rare

    def choose(self, generator: random.Random) -> None:
        self._delay_s = generator.uniform(1.0, 4.0)
        self._refuses = generator.random() < 0.5
        self.name += " refuses" if self._refuses else f" answers after {self._delay_s:.1f} s"
        self._before = 0

    async def start(self, environment: Environment) -> None:
        self._before = environment.receiver.disturbed
        environment.receiver.delay_s, environment.receiver.refuses = self._delay_s, self._refuses

    def observe(self, environment: Environment) -> None:
        if not self.struck:
            self.struck += environment.receiver.disturbed > self._before

    async def stop(self, environment: Environment) -> None:
        environment.receiver.delay_s, environment.receiver.refuses = 0.0, False


FAULTS: dict[str, Callable[[PlannedFault], ChaosFault]] = {
    "worker_killed": WorkerKilled,
    "worker_suspended": WorkerSuspended,
    "worker_joins_and_leaves": WorkerJoinsAndLeaves,
    "worker_log_full": WorkerLogFull,
    "worker_clock_jump": WorkerClockJump,
    "broker_killed": BrokerKilled,
    "broker_stopped": BrokerStopped,
    "broker_paused": BrokerPaused,
    "disk_full": DiskFull,
    "folder_unwritable": FolderUnwritable,
    "topic_refuses": TopicRefuses,
    "wire": WireFault,
    "poison": MessagesAdded,
    "duplicates": MessagesAdded,
    "producer_clock_jump": ProducerClockJump,
    "receiver_slow": ReceiverSlow,
}
"""Class of each kind of :data:`load.chaos.schedule.WEIGHTS`."""
