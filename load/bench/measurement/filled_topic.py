"""Embedded Kafka with a filled topic: the baselines of a fleet and its records."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from load.bench.measurement.fleet import SimulatedFleet
from load.bench.measurement.processes import resident_mb
from load.bench.measurement.running_workers import running_workers
from load.harness import progress_bar, temporary_topology
from load.traffic import produce
from schemas.baseline import Baseline
from schemas.topics import BASELINES
from topologies.processes import Topology

SETTLE_S = 1.0
"""Seconds until the memory of an empty worker is read."""


@dataclass(frozen=True, slots=True)
class FilledTopic:
    """A running Kafka with the baselines and records of a fleet.

    Attributes
    ----------
    kafka
        The broker, without workers.
    folder
        Folder for the configuration of workers.
    fleet
        The fleet.
    baseline_bytes, record_bytes
        Mean size of its baselines and of its records in bytes.
    empty_mb
        Resident memory in MB of a worker before there was any record or baseline. It is 0 if it was not measured.
    """

    kafka: Topology
    folder: Path
    fleet: SimulatedFleet
    baseline_bytes: float
    record_bytes: float
    empty_mb: float

    @property
    def partitions(self) -> int:
        return self.kafka.configuration.kafka.records_partitions


@asynccontextmanager
async def filled_topic(
    fleet: SimulatedFleet,
    console: Console,
    *,
    typical: Baseline | None = None,
    with_baselines: bool = True,
    with_records: bool = True,
    with_empty_worker: bool = False,
) -> AsyncIterator[FilledTopic]:
    """Run an embedded Kafka and write the baselines and the records of a fleet to it.

    Parameters
    ----------
    fleet
        The fleet.
    console
        Console for progress.
    typical
        Baseline of a typical service. If None, it is learned.
    with_baselines, with_records
        Whether to write the baselines and the records.
    with_empty_worker
        Whether to measure the memory of a worker first.

    Raises
    ------
    DriftwireError
        If the broker fails.
    """
    if with_baselines and typical is None:
        console.print(f"learning a baseline for {fleet.subjects} subjects")
        typical = fleet.learn()
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(temporary_topology(fleet.configuration, workers=(), console=console))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftwire-bench-")))
        empty_mb = await _measure_empty_worker(kafka, folder) if with_empty_worker else 0.0
        partitions = kafka.configuration.kafka.records_partitions
        baseline_bytes = record_bytes = 0.0
        if with_baselines and typical is not None:
            baselines = await produce(kafka.cluster, fleet.baselines(typical), topic=BASELINES)
            baseline_bytes = baselines.bytes / baselines.messages
        if with_records:
            console.print(f"filling a topic with {fleet.records} records of {fleet.subjects} subjects")
            with progress_bar(console) as progress:
                task = progress.add_task("filling the topic", total=fleet.records)
                produced = await produce(
                    kafka.cluster,
                    fleet.messages(partitions),
                    on_progress=lambda sent: progress.update(task, completed=sent),
                )
            record_bytes = produced.bytes / max(produced.messages, 1)
        yield FilledTopic(kafka, folder, fleet, baseline_bytes, record_bytes, empty_mb)


async def _measure_empty_worker(kafka: Topology, folder: Path) -> float:
    async with running_workers(kafka.configuration, folder) as topology:
        await asyncio.sleep(SETTLE_S)
        return resident_mb(worker.pid for worker in topology.workers)
