"""Benchmark of a backlog: many minutes of the highest sustainable rate wait in the topic, and half that rate arrives.

First, the highest rate is measured. Then the backlog is written, and a worker reads it while records arrive. When it has
caught up, another worker continues with the records that arrive, and its memory is compared with that of the first.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from load.bench.measurement import (
    FilledTopic,
    PeerComparison,
    SimulatedFleet,
    filled_topic,
    judged_problems,
    resident_mb,
    running_workers,
    watch_committed,
)
from load.harness import run_against
from load.traffic import OutgoingMessage, produce
from topologies.processes import Topology

ARRIVING_SHARE = 0.5
"""Rate of the arriving records as a share of the highest rate."""

MEMORY_RATIO_MAX = 1.2
"""Maximum memory during the backlog as a multiple of the memory without one."""

LAG_S = 5.0
"""Seconds of arriving records that a worker may be behind when it has caught up, because checkpoints take their time."""

MARGIN_S = 60.0
"""Seconds of event time between the backlog and the first record that arrives."""

RATE_RUN = "rate"
"""Name of the run that measures the highest rate. The later workers continue in its consumer group."""


@dataclass
class ArrivingRecords:
    """Records of a fleet in real time, part by part, until they are stopped.

    Attributes
    ----------
    part
        The services, and the records that they send next.
    partitions
        Partitions of the topic.
    sent
        Number of records that were handed to the producer.
    """

    part: SimulatedFleet
    partitions: int
    sent: int = 0
    is_stopped: bool = False

    def messages(self) -> Iterator[OutgoingMessage]:
        """Yield records until :attr:`is_stopped` is set."""
        while True:
            for message in self.part.messages(self.partitions):
                if self.is_stopped:
                    return
                self.sent += 1
                yield message
            self.part = self.part.next_part()


def backlog_fleet(fleet: SimulatedFleet, minutes: float) -> SimulatedFleet:
    """Return the fleet with earlier records, so that a backlog fits between them and now."""
    return replace(fleet, start_ms=fleet.start_ms - round((60 * minutes + MARGIN_S) * 1000))


async def run_backlog_benchmark(
    fleet: SimulatedFleet, console: Console, *, minutes: float, steady_s: float
) -> dict[str, Any]:
    """Measure the highest rate, make a backlog, let a worker catch up, and return the report.

    Parameters
    ----------
    fleet
        The services. Their records measure the highest rate.
    console
        Console for progress.
    minutes
        Minutes of the highest rate in the backlog.
    steady_s
        Seconds for which the memory without a backlog is measured.

    Raises
    ------
    DriftwireError
        If the broker or a worker fails.
    """
    fleet = backlog_fleet(fleet, minutes)
    comparison = PeerComparison()
    async with filled_topic(fleet, console) as topic:
        await comparison.run_round(topic, RATE_RUN, say=console.print)
        await comparison.finish(topic)
        rate = comparison.records_per_s
        waiting = replace(fleet.next_part(), records=round(rate * 60 * minutes), records_per_second=rate)
        console.print(f"writing a backlog of {waiting.records} records")
        await produce(topic.kafka.cluster, waiting.messages(topic.partitions))
        old = fleet.records + waiting.records
        part = replace(waiting.next_part(), records=round(rate), records_per_second=rate * ARRIVING_SHARE)
        busy_mb, catch_up_s, arrived = await _read_arriving(topic, part, old, 0.0, console)
        later = replace(part, part=part.part + 1_000_000)
        steady_mb, _, arrived_later = await _read_arriving(topic, later, old + arrived, steady_s, console)
        judged_share, problems, counts = await judged_problems(topic)
    total = old + arrived + arrived_later
    accounted = sum(counts[name] for name in ("used", "duplicates", "held", "dead_letters"))
    if counts["records"] != total or accounted != total:
        problems.append(f"{total} records were sent, {counts['records']} were read, and {accounted} are accounted for")
    ratio = busy_mb / steady_mb
    if ratio > MEMORY_RATIO_MAX:
        problems.append(f"{ratio:.2f} times the memory without a backlog; the maximum is {MEMORY_RATIO_MAX}")
    return {
        "memory_ratio": round(ratio, 3),
        "lost": total - counts["records"],
        "catch_up_ratio": round((waiting.records + arrived) / catch_up_s / rate, 3),
        "catch_up_s": round(catch_up_s, 1),
        "backlog": waiting.records,
        "busy_mb": round(busy_mb, 1),
        "steady_mb": round(steady_mb, 1),
        "judged_share": round(judged_share, 5),
        "planted_found": comparison.planted_found,
        "problems": [*comparison.problems, *problems],
        "subjects": fleet.subjects,
        "records": total,
    }


async def _read_arriving(
    topic: FilledTopic, part: SimulatedFleet, old: int, seconds: float, console: Console
) -> tuple[float, float, int]:
    """Run a worker while records arrive, until it has read the old records and all but the last of the new ones.

    Returns
    -------
    float
        Largest resident memory of the worker in MB.
    float
        Seconds until it had caught up.
    int
        Number of records that arrived.
    """
    kafka = topic.kafka.configuration.kafka
    configuration = topic.kafka.configuration.model_copy(
        update={"kafka": kafka.model_copy(update={"app_id": f"{kafka.app_id}-{RATE_RUN}"})}
    )
    arriving = ArrivingRecords(replace(part, start_ms=time.time_ns() // 1_000_000), topic.partitions)
    lag_max = LAG_S * part.records_per_second

    async def watch(topology: Topology) -> tuple[float, float]:
        started_s, largest_mb, catch_up_s = time.monotonic(), 0.0, 0.0
        sending = asyncio.create_task(produce(kafka.cluster, arriving.messages(), speed=1.0))
        try:
            async with aclosing(watch_committed(kafka.cluster, f"{configuration.kafka.app_id}-detect")) as committed:
                async for now_s, total in committed:
                    largest_mb = max(largest_mb, resident_mb(worker.pid for worker in topology.workers))
                    if not catch_up_s and total >= old + arriving.sent - lag_max:
                        catch_up_s = now_s - started_s
                        console.print(f"caught up after {catch_up_s:.0f} s")
                    if catch_up_s and now_s - started_s >= seconds:
                        arriving.is_stopped = True
                    if sending.done():
                        await sending
                        if total >= old + arriving.sent:
                            break
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return largest_mb, catch_up_s

    async with running_workers(configuration, topic.folder) as topology:
        largest_mb, catch_up_s = await run_against(topology, watch(topology))
    return largest_mb, catch_up_s, arriving.sent
