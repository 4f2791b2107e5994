"""The runner of a schedule, which starts each fault at its time while the producer sends the messages."""

import asyncio
import time
from collections.abc import Callable, Sequence

from load.chaos.environment import Environment, Say, running
from load.chaos.faults.broker_faults import (
    BrokerKilled,
    BrokerPaused,
    BrokerStopped,
    DiskFull,
    FolderUnwritable,
    MessagesAdded,
    ProducerClockJump,
    ReceiverSlow,
    TopicRefuses,
    WireFault,
)
from load.chaos.faults.worker_faults import (
    ChaosFault,
    WorkerClockJump,
    WorkerJoinsAndLeaves,
    WorkerKilled,
    WorkerLogFull,
    WorkerSuspended,
)
from load.chaos.schedule import PlannedFault

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
"""The class of each kind of fault in :data:`load.chaos.schedule.WEIGHTS`."""


async def disturb(environment: Environment, planned: Sequence[PlannedFault], say: Say) -> list[ChaosFault]:
    """Run the schedule while the producer sends the messages. Return when both have ended."""
    faults = [FAULTS[fault.kind](fault) for fault in planned]
    started_s = time.monotonic()

    async def run_fault(fault: ChaosFault) -> None:
        await environment.clock.wait_until(fault.planned.at_s)
        say(f"{time.monotonic() - started_s:6.1f} s  {fault.name}")
        await fault.run(environment)

    async with running(environment.clock.run()), asyncio.TaskGroup() as group:
        group.create_task(environment.producer.run())
        for fault in faults:
            group.create_task(run_fault(fault))
    return faults
