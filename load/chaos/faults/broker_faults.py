"""Faults of the broker, of requests on the wire, of the producer and of the receiver."""

import contextlib
import random
import signal

from load.chaos.environment import Environment, run_system_command
from load.chaos.faults.worker_faults import ChaosFault
from load.chaos.observers import wait_until
from load.wire import TRANSIENT_ERRORS, ApiKey, Fault, FaultKind, FaultPlan, WireRequest
from schemas.topics import DRIFTS, checkpoints_topic
from topologies.errors import BrokerError

DISK_FULL_TIMEOUT_S = 15.0

TOPIC_AUTHORIZATION_FAILED = 29
"""Kafka's error code for a missing permission on a topic."""

REFUSALS = 4
"""Number of requests that a receiver refuses. Higher values delay notifications for longer."""

BROKER_API_KEYS = (
    ApiKey.PRODUCE,
    ApiKey.FETCH,
    ApiKey.INIT_PRODUCER_ID,
    ApiKey.ADD_OFFSETS_TO_TXN,
    ApiKey.ADD_PARTITIONS_TO_TXN,
    ApiKey.TXN_OFFSET_COMMIT,
    ApiKey.END_TXN,
)


class BrokerKilled(ChaosFault):
    """``kill -9`` of the broker. It took effect if the broker was running."""

    locks_broker = stops_broker = True

    async def start(self, environment: Environment) -> None:
        self.struck += await environment.kill_broker()

    async def stop(self, environment: Environment) -> None:
        await environment.restart_broker()


class BrokerStopped(BrokerKilled):
    """The broker is shut down and restarted later. It took effect if the broker was running."""

    async def start(self, environment: Environment) -> None:
        self.struck += environment.broker.pid is not None
        await environment.broker.stop()


class BrokerPaused(ChaosFault):
    """SIGSTOP of the broker. It took effect if the broker was running."""

    locks_broker = stops_broker = True

    async def start(self, environment: Environment) -> None:
        self.struck += environment.broker.pid is not None
        environment.signal_broker(signal.SIGSTOP)

    async def stop(self, environment: Environment) -> None:
        environment.signal_broker(signal.SIGCONT)


class DiskFull(ChaosFault):
    """The broker's disk is full. It took effect if the broker stops or reports the full disk."""

    locks_broker = stops_broker = True

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
        # After a failed write, a broker does not use its folder again.
        await environment.kill_broker()
        self._filler.unlink(missing_ok=True)
        await environment.restart_broker()


class FolderUnwritable(ChaosFault):
    """The broker is killed and restarts with a read-only folder. It took effect if the broker refuses to start."""

    locks_broker = stops_broker = True

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


class _TopicRefusals(FaultPlan):
    """Plan that refuses every write to a topic, as a broker does if the permission is missing."""

    def __init__(self, name: str) -> None:
        super().__init__(0, {})
        self.fault = Fault(ApiKey.PRODUCE, FaultKind.ERROR, error_code=TOPIC_AUTHORIZATION_FAILED)
        self._name = name

    def next_fault(self, request: WireRequest) -> Fault | None:
        return self.fault if request.api_key == ApiKey.PRODUCE and request.mentions(self._name) else None


class TopicRefuses(ChaosFault):
    """Write permission on a topic is missing for a while. It took effect if the proxy counted a refused write."""

    locks_broker = True

    def choose(self, generator: random.Random) -> None:
        topic = generator.choice((DRIFTS, checkpoints_topic("detect"), checkpoints_topic("correlate")))
        self._plan = _TopicRefusals(topic)
        self.name += f" {topic}"

    async def start(self, environment: Environment) -> None:
        environment.proxy.plan = self._plan

    def observe(self, environment: Environment) -> None:
        if not self.struck:
            self.struck += any(strike.fault is self._plan.fault for strike in environment.proxy.strikes)

    async def stop(self, environment: Environment) -> None:
        environment.proxy.plan = None


class WireFault(ChaosFault):
    """One request on the wire is lost, delayed, repeated, refused or cut. It took effect if the proxy counted it."""

    patience_s = 60.0  # a producer requests its id only when it starts

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
    """Poison or duplicate messages in the workload. The outcome of the run shows how many of them took effect."""


class ProducerClockJump(ChaosFault):
    """The producer's clock jumps and returns. It took effect if a record was sent with a wrong time."""

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
    """The receiver answers late or not at all. It took effect if a notification was delayed or refused."""

    patience_s = 240.0  # notifications are rare

    def choose(self, generator: random.Random) -> None:
        self._delay_s = generator.uniform(1.0, 4.0)
        self._refuses = generator.random() < 0.5
        self.name += " refuses" if self._refuses else f" answers after {self._delay_s:.1f} s"
        self._before = 0

    async def start(self, environment: Environment) -> None:
        self._before = environment.receiver.disturbed
        if self._refuses:
            environment.receiver.refusals_left = REFUSALS
        else:
            environment.receiver.delay_s = self._delay_s

    def observe(self, environment: Environment) -> None:
        if not self.struck:
            self.struck += environment.receiver.disturbed > self._before

    async def stop(self, environment: Environment) -> None:
        environment.receiver.delay_s, environment.receiver.refusals_left = 0.0, 0
