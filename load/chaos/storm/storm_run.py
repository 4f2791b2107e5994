"""A storm: many incidents in a short time, three receivers, one of which fails, and a worker that is killed.

The notifications that reached the receivers are counted from the logs of the receivers.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from load.chaos.comparison import read_contents
from load.chaos.receiver import Receipt, WebhookServer
from load.chaos.storm.storm_incidents import PlannedRevision, plan_storm
from load.harness import run_against, temporary_topology
from pipeline.route import ReceiverSettings, RouteSettings
from pipeline.route.delivery import BATCH_MAX
from schemas.topics import ALERTS, DEAD_LETTERS, NOTIFICATIONS
from topologies.configuration import Configuration
from topologies.kafka import Cluster, write_message
from topologies.processes import Topology

RECEIVERS = ("pager", "chat", "tickets")
FAILING = "tickets"

MESSAGES_PER_MINUTE = 100
"""Limit of the receiver chat."""

GROUPED_RECEIVERS = ("chat", "tickets")
"""Receivers that get the incidents of a subject in one message. The pager gets each incident by itself."""

GROUPED = {
    "name": "groups",
    "receivers": GROUPED_RECEIVERS,
    "group_by": ["subject"],
    "group_wait_s": 2,
    "group_interval_s": 10,
}
"""Route of the receivers that get one message per subject."""

PATIENCE_S = 120.0
"""Maximum seconds after the storm until all notifications are sent."""

MINUTE_S = 60.0


@dataclass(slots=True)
class StormReport:
    """Result of a storm. :meth:`problems` is empty if every incident was announced to every receiver, once.

    ``sent`` counts notifications, one per incident. ``over_before_message`` counts the incidents that were over before
    the first message of their group.
    """

    seed: int
    incidents: int
    revisions: int = 0
    kills: int = 0
    sent: int = 0
    suppressed: int = 0
    owed: int = 0
    dead_lettered: int = 0
    unannounced: int = 0
    outdated: int = 0
    over_before_message: int = 0
    duplicates: int = 0
    duplicates_with_new_key: int = 0
    suppressed_by_reason: dict[str, int] = field(default_factory=dict)
    sent_by_receiver: dict[str, int] = field(default_factory=dict)
    messages_by_receiver: dict[str, int] = field(default_factory=dict)
    largest_minute_of_chat: int = 0
    seconds_to_nothing_owed: float | None = None

    def problems(self) -> list[str]:
        """Return one line per broken guarantee."""
        found = {
            "incidents were not announced to a receiver": self.unannounced,
            "incidents have a newer state than the state that a receiver got": self.outdated,
            "notifications are still pending": self.owed,
            "alerts were dead-lettered": self.dead_lettered,
            "notifications were sent twice with different keys": self.duplicates_with_new_key,
        }
        problems = [f"{count} {what}" for what, count in found.items() if count]
        # A kill can lose the count of one batch that was sent but not recorded.
        limit = MESSAGES_PER_MINUTE + self.kills * BATCH_MAX
        if self.largest_minute_of_chat > limit:
            problems.append(f"chat got {self.largest_minute_of_chat} messages in a minute, of at most {limit}")
        return problems

    def to_json(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return asdict(self) | {"problems": self.problems()}


async def run_storm(seed: int, *, incidents: int, duration_s: float, kills: int) -> StormReport:
    """Run a storm through a route worker on a private Kafka.

    Parameters
    ----------
    seed
        Seed of the incidents and of the times at which the worker is killed.
    incidents
        Number of incidents.
    duration_s
        Seconds in which they open.
    kills
        Number of times that the worker is killed with SIGKILL. It is restarted each time.

    Raises
    ------
    DriftwireError
        If the topology cannot be started.
    """
    plan = plan_storm(seed, incidents, duration_s)
    report = StormReport(seed, incidents, revisions=len(plan), kills=kills)
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(WebhookServer()) for name in RECEIVERS}
        servers[FAILING].refusals_left = 1_000_000
        configuration = Configuration(route=_route(servers))
        topology = await stack.enter_async_context(temporary_topology(configuration, workers=("route",), replay=False))
        await run_against(topology, _storm(topology, plan, servers[FAILING], random.Random(f"kills:{seed}"), kills))
        started_s = time.monotonic()
        expected = {(planned.incident_id, name) for planned in plan for name in RECEIVERS}
        while True:
            owed = expected - await _find_decided(topology.cluster, plan)
            if not owed or _elapsed_s(started_s) > PATIENCE_S:
                break
            await asyncio.sleep(0.5)
        report.owed = len(owed)
        report.seconds_to_nothing_owed = None if owed else _elapsed_s(started_s)
        over = await _count_outputs(report, topology.cluster)
    _count_receipts(report, {name: server.receipts for name, server in servers.items()}, plan, over)
    report.messages_by_receiver = {name: len(server.messages_at_s) for name, server in servers.items()}
    report.largest_minute_of_chat = _largest_minute(servers["chat"].messages_at_s)
    return report


def _elapsed_s(started_s: float) -> float:
    return round(time.monotonic() - started_s, 1)


def _route(servers: dict[str, WebhookServer]) -> RouteSettings:
    limits = {"chat": MESSAGES_PER_MINUTE}
    receivers = tuple(
        ReceiverSettings.model_validate(
            {
                "name": name,
                "webhook": {"url": server.url},
                "retry_interval_max_s": 5,
                "messages_per_minute": limits.get(name),
            }
        )
        for name, server in servers.items()
    )
    routes = [{"name": "pages", "receivers": ["pager"], "continue": True}, GROUPED]
    return RouteSettings.model_validate({"receivers": receivers, "default_receivers": RECEIVERS, "routes": routes})


async def _storm(
    topology: Topology, plan: Sequence[PlannedRevision], failing: WebhookServer, generator: random.Random, kills: int
) -> None:
    """Publish the revisions at their times while killing the worker. Let the failing receiver recover at the end."""
    started_s, end_s = time.monotonic(), plan[-1].at_s
    # A restarted worker needs some seconds before it can be killed again.
    times_s = [(index + generator.uniform(0.2, 0.8)) * end_s / kills for index in range(kills)]

    async def kill() -> None:
        for at_s in times_s:
            await asyncio.sleep(max(0.0, started_s + at_s - time.monotonic()))
            if (pid := topology.workers[0].pid) is not None:
                os.kill(pid, signal.SIGKILL)

    killing = asyncio.create_task(kill())
    for planned in plan:
        await asyncio.sleep(max(0.0, started_s + planned.at_s - time.monotonic()))
        revision = planned.build(time.time_ns() // 1_000_000)
        await write_message(topology.cluster, ALERTS, planned.incident_id.encode(), revision.to_json())
    await killing
    failing.refusals_left = 0


async def _find_decided(cluster: Cluster, plan: Sequence[PlannedRevision]) -> set[tuple[str, str]]:
    """Return the incidents and receivers with a final decision on the newest revision."""
    newest = {planned.incident_id: planned.revision for planned in plan}
    return {
        (row["incident_id"], row["receiver"])
        for row in await read_contents(cluster, NOTIFICATIONS)
        if row["revision"] == newest[row["incident_id"]] and row["reason_code"] != "superseded"
    }


async def _count_outputs(report: StormReport, cluster: Cluster) -> set[tuple[str, str]]:
    """Count the suppressed notifications and the dead letters.

    Return the incidents and receivers whose incident was over before the first message of its group.
    """
    rows = await read_contents(cluster, NOTIFICATIONS)
    reasons = Counter(row["reason_code"] for row in rows if row["outcome"] == "suppressed")
    report.suppressed, report.suppressed_by_reason = reasons.total(), dict(sorted(reasons.items()))
    report.dead_lettered = len(await read_contents(cluster, DEAD_LETTERS))
    return {
        (row["incident_id"], row["receiver"])
        for row in rows
        if row["reason_code"] == "closed_before_notified" and row["receiver"] in GROUPED_RECEIVERS
    }


def _count_receipts(
    report: StormReport,
    receipts: dict[str, list[Receipt]],
    plan: Sequence[PlannedRevision],
    over: Collection[tuple[str, str]],
) -> None:
    """Count the notifications in the logs of the receivers."""
    report.sent_by_receiver = {name: len(log) for name, log in receipts.items()}
    report.sent = sum(report.sent_by_receiver.values())
    last = {planned.incident_id: planned for planned in plan}
    for receiver, log in receipts.items():
        told = {receipt.incident_id: receipt for receipt in sorted(log, key=lambda receipt: receipt.revision)}
        missing = last.keys() - told.keys()
        excused = {name for name in missing if (name, receiver) in over and last[name].status == "resolved"}
        report.over_before_message += len(excused)
        report.unannounced += len(missing - excused)
        report.outdated += sum(
            (receipt.severity, receipt.status) != (last[name].severity, last[name].status)
            for name, receipt in told.items()
        )
        keys = Counter(receipt.notification_id for receipt in log)
        report.duplicates += sum(count - 1 for count in keys.values())
        states = Counter(
            (incident_id, revision)
            for incident_id, revision, _ in {
                (receipt.incident_id, receipt.revision, receipt.notification_id) for receipt in log
            }
        )
        report.duplicates_with_new_key += sum(count - 1 for count in states.values())


def _largest_minute(times_s: Sequence[float]) -> int:
    """Return the largest number of messages in a minute, from the times of the messages in seconds."""
    return max(
        (len([at_s for at_s in times_s if start_s <= at_s < start_s + MINUTE_S]) for start_s in times_s), default=0
    )
