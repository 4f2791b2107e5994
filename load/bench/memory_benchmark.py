"""Benchmark of the memory of a detect worker: ready streams, ten minutes of traffic, and subjects that come and go.

Memory is the resident memory above that of a worker without any subject. Beside it, the objects of one stream are counted
by themselves.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from load.bench.footprint import LEARNING_S, READY_RECORDS, measure_stream_bytes
from load.bench.measurement import (
    FilledTopic,
    SimulatedFleet,
    filled_topic,
    judged_problems,
    resident_mb,
    running_workers,
    watch_committed,
)
from load.harness import run_against
from load.traffic import OutgoingMessage, produce
from topologies.configuration import Configuration
from topologies.processes import Topology

SETTLE_S = 5.0
"""Seconds after the last record until the memory of the ready streams is read."""

QUARTERS = 4

VISIT_RECORDS = 10
"""Records of each subject that comes and goes."""

VISITORS = 100
"""Number of subjects that are there at the same time."""

EVICTABLE_DAYS = 7.0
"""Days of event time without a record after which a stream without a baseline can be evicted."""

VISITING_STREAMS = 2000
"""Number of streams of all partitions that the subjects of :data:`EVICTABLE_DAYS` need: half of the permitted streams."""

DAY_S = 86_400.0


@dataclass(frozen=True)
class Visitors:
    """Subjects that come and go: each sends a few records, and never returns.

    Parameters
    ----------
    fleet
        A fleet of one service, whose records are given to the visitors.
    """

    fleet: SimulatedFleet

    def messages(self, partitions: int) -> Iterator[OutgoingMessage]:
        """Yield the records in order of event time."""
        prefix = len(f'{{"subject":"{self.fleet.names[0]}"')
        for number, message in enumerate(self.fleet.messages(partitions)):
            group, place = divmod(number, VISITORS * VISIT_RECORDS)
            name = f"visitor-{group * VISITORS + place % VISITORS:07d}"
            value = f'{{"subject":"{name}"'.encode() + message.value[prefix:]
            yield OutgoingMessage(message.time_ms, name.encode(), value)


def quiet_fleet(seed: int, subjects: int, end_ms: int) -> SimulatedFleet:
    """Return a fleet whose services send a record per second for a minute, which ends at ``end_ms``."""
    failing = max(1, subjects // 50)
    start_ms = end_ms - READY_RECORDS * 1000
    return SimulatedFleet(seed, subjects, float(subjects), READY_RECORDS * subjects, start_ms, failing=failing)


async def run_memory_benchmark(
    seed: int,
    end_ms: int,
    console: Console,
    *,
    sizes: Sequence[int] = (1000, 5000),
    minutes: float = 10.0,
    visitors: int = 100_000,
    learning_s: float = LEARNING_S,
) -> dict[str, Any]:
    """Measure the memory of ready streams, and whether it grows, and return the report.

    Parameters
    ----------
    seed
        Seed of the records.
    end_ms
        Time of the last record in Unix ms.
    console
        Console for progress.
    sizes
        Numbers of ready streams.
    minutes
        Minutes of traffic with the first number of streams, each of which gets a record per second.
    visitors
        Number of subjects that come and go.
    learning_s
        Seconds of event time after which the memory of a learning stream is read.

    Raises
    ------
    DriftwireError
        If the broker or a worker fails.
    """
    console.print("Objects of one stream: ready, after a day of learning, and put away")
    figures: dict[str, Any] = dict(await asyncio.to_thread(measure_stream_bytes, seed, end_ms, learning_s=learning_s))
    problems: list[str] = []
    shares: list[float] = []
    for size in sizes:
        fleet = quiet_fleet(seed, size, end_ms)
        async with filled_topic(fleet, console, with_empty_worker=True) as topic:
            live_s = 60 * minutes if size == sizes[0] else 0.0
            async with running_workers(topic.kafka.configuration, topic.folder) as topology:
                ready_mb, live_mb = await run_against(topology, _measure(topic, topology, live_s, console))
            share, found, _ = await judged_problems(topic)
        shares.append(share)
        problems += [f"{size} subjects: {problem}" for problem in found]
        figures[f"memory_mb_{size}"] = round(ready_mb - topic.empty_mb, 1)
        figures[f"kb_per_stream_{size}"] = round((ready_mb - topic.empty_mb) * 1000 / size, 1)
        if live_mb:
            figures["growth_live"] = growth(live_mb)
            figures["live_minutes"] = minutes
        console.print(f"{size} subjects: {ready_mb - topic.empty_mb:.0f} MB above an empty worker")
    return (
        figures
        | await _measure_visitors(seed, end_ms, visitors, console)
        | {"judged_share": round(min(shares), 5), "problems": problems, "sizes": list(sizes), "visitors": visitors}
    )


def growth(samples: Sequence[float]) -> float:
    """Return the largest sample of the last quarter as a multiple of that of the second quarter.

    >>> growth([90, 100, 120, 104])
    1.04
    """
    length = len(samples) / QUARTERS
    second, last = (samples[round(quarter * length) : round((quarter + 1) * length)] for quarter in (1, 3))
    return round(max(last) / max(second), 3)


async def _measure(
    topic: FilledTopic, topology: Topology, live_s: float, console: Console
) -> tuple[float, list[float]]:
    """Return the memory of the ready streams in MB, and samples of the memory during traffic."""
    await _read_to(topology, topic.fleet.records)
    await asyncio.sleep(SETTLE_S)
    ready_mb = _resident(topology)
    if not live_s:
        return ready_mb, []
    rate = topic.fleet.records_per_second
    live = replace(topic.fleet.next_part(), start_ms=time.time_ns() // 1_000_000, records=round(rate * live_s))
    console.print(f"{live_s / 60:g} minutes of traffic with {rate:g} records/s")
    sending = asyncio.create_task(produce(topic.kafka.cluster, live.messages(topic.partitions), speed=1.0))
    samples = []
    while not sending.done():
        samples.append(_resident(topology))
        await asyncio.sleep(0.5)
    await sending
    await _read_to(topology, topic.fleet.records + live.records)
    return ready_mb, samples


async def _measure_visitors(seed: int, end_ms: int, visitors: int, console: Console) -> dict[str, Any]:
    """Replay records of subjects that come and go, and return how the memory grew."""
    records = visitors * VISIT_RECORDS
    subjects_max = 2 * VISITING_STREAMS // Configuration().kafka.records_partitions
    template = SimulatedFleet(seed, 1, 1.0, records, end_ms, failing=0, subjects_max=subjects_max)
    span_s = max(EVICTABLE_DAYS * visitors / VISITING_STREAMS, 1.0) * DAY_S
    fleet = replace(template, records_per_second=records / span_s, start_ms=end_ms - round(span_s * 1000))
    async with filled_topic(fleet, console, with_baselines=False, with_records=False, with_empty_worker=True) as topic:
        console.print(f"{visitors} subjects that come and go in {span_s / DAY_S:.0f} days")
        await produce(topic.kafka.cluster, Visitors(fleet).messages(topic.partitions))
        async with running_workers(topic.kafka.configuration, topic.folder, replay=True) as topology:
            samples = await run_against(topology, _read_to(topology, records))
    by_records: list[float] = []
    for total, memory_mb in samples:
        by_records += [memory_mb] * (round(100 * total / records) - len(by_records))
    return {
        "growth_visitors": growth(by_records),
        "memory_mb_visitors": round(max(by_records) - topic.empty_mb, 1),
    }


async def _read_to(topology: Topology, records: int) -> list[tuple[int, float]]:
    """Wait until a number of records is committed. Return samples of the committed records and the memory in MB."""
    kafka = topology.configuration.kafka
    samples: list[tuple[int, float]] = []
    async with aclosing(watch_committed(kafka.cluster, f"{kafka.app_id}-detect")) as committed:
        async for _, total in committed:
            samples.append((total, _resident(topology)))
            if total >= records:
                return samples
    return samples


def _resident(topology: Topology) -> float:
    return resident_mb(worker.pid for worker in topology.workers)
