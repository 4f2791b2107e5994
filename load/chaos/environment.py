"""Environment on which faults act: broker, proxy, workers, receiver, producer, and the observers that verify faults."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from load.chaos.comparison import find_owed_incidents
from load.chaos.observers import CheckpointLedger, GroupMembership, wait_until
from load.chaos.receiver import WebhookServer
from load.chaos.schedule_clock import ScheduleClock
from load.chaos.workers import FULL_DEVICE, ChaosWorker, Fleet
from load.chaos.workload import PARTITIONS, Workload
from load.chaos.workload_producer import WorkloadProducer
from load.errors import LoadError
from load.harness import wait_for_lag
from load.wire import WireProxy
from pipeline.route import ReceiverSettings
from schemas.topics import DEPLOYMENTS
from topologies.baselines import publish_baseline
from topologies.broker import EmbeddedBroker, create_topics
from topologies.configuration import Configuration, write_configuration
from topologies.errors import BrokerError
from topologies.kafka import Cluster, write_message
from topologies.processes import STEPS

DISK_MIB = 512
"""Size of the broker's file system in a run of the chaos suite, in MiB, if one can be mounted."""

LAG_LIMIT_S = 60.0
"""Maximum seconds from the end of the faults until no step has lag."""

LAG_PATIENCE_S = 180.0
"""Seconds after which a run gives up and reports the step that still has lag."""

OWNER_TIMEOUT_S = 40.0
"""Maximum seconds to wait for a worker of a step that owns a partition and that no other fault disturbs."""

READY_TIMEOUT_S = 180.0
BROKER_STARTS_MAX = 3
WORKERS_PER_STEP = 2
PREVIOUS_FORMAT = "worker of the previous state format"

Say = Callable[[str], None]
"""Callback that receives one line per step of a run."""


@dataclass
class Environment:
    """Everything that runs during the disturbed run.

    Attributes
    ----------
    broker_lock
        Lock that broker faults hold.
    disk
        Folder of the broker on its own file system, or None if none can be mounted.
    """

    configuration: Configuration
    folder: Path
    disk: Path | None
    broker: EmbeddedBroker
    proxy: WireProxy
    receiver: WebhookServer
    fleet: Fleet
    membership: GroupMembership
    ledger: CheckpointLedger
    producer: WorkloadProducer
    clock: ScheduleClock
    broker_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def owners_of(self, step: str) -> list[ChaosWorker]:
        """Return the workers of a step that own a partition."""
        return [worker for worker in self.fleet.of_step(step) if self.membership.owners.get(worker.name)]

    async def wait_for_owners(self, timeout_s: float) -> bool:
        """Wait until a worker of each step owns a partition. Return False after the time limit."""
        return await wait_until(lambda: all(self.owners_of(step) for step in STEPS), timeout_s)

    async def claim_owner(self, step: str) -> ChaosWorker | None:
        """Return a worker of a step that owns a partition, and mark it as busy. Return None if none is found in time."""
        found: list[ChaosWorker] = []

        def search() -> bool:
            found[:] = [worker for worker in self.owners_of(step) if worker.is_running and not worker.is_busy]
            return bool(found)

        if not await wait_until(search, OWNER_TIMEOUT_S):
            return None
        found[0].is_busy = True
        return found[0]

    async def stop_workers(self) -> list[str]:
        """Stop all workers. Return the names of the workers that did not stop in time."""
        for worker in self.fleet.workers.values():
            worker.is_busy = True
        return await self.fleet.stop()

    def signal_broker(self, number: signal.Signals) -> None:
        """Send a signal to the broker, if it is running."""
        if (pid := self.broker.pid) is not None:
            os.kill(pid, number)

    async def kill_broker(self) -> bool:
        """Kill the broker. Return False if it was not running."""
        was_running = self.broker.pid is not None
        self.signal_broker(signal.SIGKILL)
        await self.broker.stop()
        return was_running

    async def restart_broker(self) -> None:
        """Start the broker again.

        Raises
        ------
        BrokerError
            If it does not start.
        """
        for attempt in range(BROKER_STARTS_MAX):
            try:
                await self.broker.start()
            except BrokerError:
                if attempt == BROKER_STARTS_MAX - 1:
                    raise
                await asyncio.sleep(1)
            else:
                return


async def wait_until_settled(environment: Environment) -> tuple[list[str], float | None]:
    """Wait until no step has lag and the receiver has been notified of all incidents.

    Returns
    -------
    tuple
        A line per step that is stuck or has not notified the receiver, and the seconds until no step had lag, or None
        after :data:`LAG_PATIENCE_S`.
    """
    started_s, step = time.monotonic(), STEPS[0]

    def note_step(name: str, _: int, __: int) -> None:
        nonlocal step
        step = name

    try:
        async with asyncio.timeout(LAG_PATIENCE_S):
            await wait_for_lag(
                environment.broker.cluster,
                environment.configuration.kafka.app_id,
                stall_s=LAG_PATIENCE_S,
                on_progress=note_step,
            )
    except (TimeoutError, LoadError):
        return [f"{step} still has lag after {LAG_PATIENCE_S:.0f} s"], None
    seconds = round(time.monotonic() - started_s, 1)
    problems = [f"the lag was 0 only after {seconds:.0f} s"] if seconds > LAG_LIMIT_S else []
    while owed := await find_owed_incidents(environment.broker.cluster):
        if time.monotonic() - started_s > seconds + LAG_LIMIT_S:
            problems.append(f"route has not notified the receiver of {len(owed)} incidents after {LAG_LIMIT_S:.0f} s")
            break
        await asyncio.sleep(1)
    return problems, seconds


async def write_deployments(cluster: Cluster, workload: Workload) -> None:
    """Write the deployments of a workload."""
    for deployment in workload.deployments:
        await write_message(cluster, DEPLOYMENTS, b"production", deployment.to_json())


def find_unavailable() -> dict[str, str]:
    """Return the kinds of faults that are not possible on this machine, each with the reason."""
    unavailable = {PREVIOUS_FORMAT: "this installation contains no worker of the previous format"}
    if not FULL_DEVICE.exists():
        unavailable["worker_log_full"] = f"there is no {FULL_DEVICE}"
    if not _can_mount():
        unavailable["disk_full"] = unavailable["folder_unwritable"] = "no file system can be mounted without root"
    return unavailable


@asynccontextmanager
async def disturbed_environment(
    configuration: Configuration,
    workload: Workload,
    folder: Path,
    *,
    clock: ScheduleClock,
    run_s: float,
    disk_mib: int | None,
) -> AsyncIterator[Environment]:
    """Run the topology that is disturbed: two workers per step behind a proxy, and a receiver.

    Parameters
    ----------
    configuration, workload
        Settings and messages of the run.
    folder
        Folder of the data and logs.
    clock
        Clock of the schedule.
    run_s
        Seconds of this clock over which the producer sends the messages.
    disk_mib
        Size of the broker's own file system, in MiB. If None, none can be mounted.

    Raises
    ------
    DriftwireError
        If broker or workers cannot be started.
    """
    async with AsyncExitStack() as stack:
        disk = await stack.enter_async_context(_mounted(folder / "disk", disk_mib)) if disk_mib else None
        broker = await stack.enter_async_context(EmbeddedBroker(disk or folder / "broker"))
        await create_topics(broker.cluster, PARTITIONS, 1)
        for baseline in workload.baselines:
            await publish_baseline(broker.cluster, baseline)
        await write_deployments(broker.cluster, workload)
        proxy = await stack.enter_async_context(WireProxy(broker.bootstrap))
        receiver = await stack.enter_async_context(WebhookServer())
        receivers = (ReceiverSettings.model_validate({"name": "chaos", "webhook": {"url": receiver.url}}),)
        route = configuration.route.model_copy(update={"receivers": receivers, "default_receivers": ("chaos",)})
        configuration = configuration.model_copy(update={"route": route}).with_cluster(Cluster(proxy.bootstrap))
        file = folder / "configuration.json"
        write_configuration(configuration, file)
        fleet = Fleet(file, folder)
        membership = GroupMembership(broker.cluster, configuration.kafka.app_id)
        ledger = CheckpointLedger(broker.cluster, PARTITIONS)
        producer = WorkloadProducer(configuration.kafka.cluster, workload.messages, run_s, clock)
        environment = Environment(
            configuration, folder, disk, broker, proxy, receiver, fleet, membership, ledger, producer, clock
        )
        stack.push_async_callback(fleet.kill)
        for step in STEPS:
            for number in range(1, WORKERS_PER_STEP + 1):
                fleet.add(step, number)
        async with running(membership.watch(), ledger.watch(), fleet.supervise()):
            if not await environment.wait_for_owners(READY_TIMEOUT_S):
                raise LoadError(
                    f"the workers have no partitions after {READY_TIMEOUT_S:.0f} s; their logs are in {folder}"
                )
            yield environment


@asynccontextmanager
async def running(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run coroutines while the block runs."""
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


@asynccontextmanager
async def _mounted(path: Path, size_mib: int) -> AsyncIterator[Path]:
    run_system_command("mount", "-t", "tmpfs", "-o", f"size={size_mib}m,x-mount.mkdir", "tmpfs", str(path))
    try:
        yield path
    finally:
        run_system_command("umount", "--lazy", str(path))


def _can_mount() -> bool:
    if sys.platform != "linux" or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory(prefix="driftwire-") as folder, suppress(LoadError):
        run_system_command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
        run_system_command("umount", "--lazy", folder)
        return True
    return False


def run_system_command(*command: str) -> None:
    """Run a command of the operating system.

    Raises
    ------
    LoadError
        If it fails.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"{' '.join(command)}: {done.stderr.strip()}")
