"""Timed run of real detect workers over a prefilled topic: rate, processor time, memory and drifts."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from load.bench.measurement.fleet import SHORT_RECORDS
from load.bench.measurement.processes import WrittenBytes, processor_s, resident_mb
from load.bench.measurement.running_workers import running_workers
from load.errors import LoadError
from load.harness import committed_offsets, run_against
from pipeline.detect.offline import read_drifts
from schemas.drift import Drift
from schemas.topics import DEAD_LETTERS, DRIFTS, RECORDS, checkpoints_topic
from topologies.broker import create_topics
from topologies.configuration import Configuration
from topologies.kafka import Cluster, read_topic
from topologies.processes import Topology

SAMPLE_S = 0.1
"""Seconds between two reads of the committed offsets."""

WARM_UP_SHARE = 0.25
"""Share of the records before timing starts. During this time, the worker imports modules, joins its group and fetches
records."""

WIND_DOWN_SHARE = 0.9
"""Share of the records after which timing stops. A worker that has no more records to read delays its last
checkpoint."""

SHORT_INTERVAL_S = 0.1
"""Seconds between the checkpoints of a short run with few subjects."""

SHORT_INTERVAL_SUBJECTS = 100
"""Number of subjects above which these seconds grow in proportion. The records of more subjects take longer, and their
checkpoints are larger, so frequent checkpoints would be most of the work."""

PROGRESS_S = 10.0
"""Seconds between two lines about the progress of a run."""

TIME_LIMIT_S = 900.0
"""Maximum seconds of a run."""

Sample = tuple[float, int, float, float, int]
"""Seconds, committed records, seconds of processor time, resident MB, and bytes written to the checkpoints."""


@dataclass(frozen=True, slots=True)
class TimedRun:
    """Result of a run: its drifts, and its cost between a checkpoint after the warm-up and one before the end.

    Attributes
    ----------
    records_timed, seconds
        Records and wall-clock seconds between the two checkpoints.
    processor_s
        Processor time of all workers between the two checkpoints.
    resident_mb
        Resident memory of all workers at the second checkpoint.
    checkpoint_bytes
        Bytes that the broker stored for checkpoints between the two checkpoints.
    drifts, dead_letters
        Drifts, and number of dead letters, of the whole run.
    """

    records_timed: int
    seconds: float
    processor_s: float
    resident_mb: float
    checkpoint_bytes: int
    drifts: tuple[Drift, ...]
    dead_letters: int

    @property
    def records_per_s(self) -> float:
        return self.records_timed / self.seconds

    @property
    def processor_us(self) -> float:
        """Microseconds of processor time per record."""
        return self.processor_s * 1e6 / self.records_timed

    def __str__(self) -> str:
        return (
            f"{self.records_per_s:,.0f} records/s, {self.processor_us:.1f} us of processor time each "
            f"({self.records_timed:,} in {self.seconds:.1f} s), {self.resident_mb:.0f} MB resident"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the figures of the run."""
        return {
            "records_per_s": round(self.records_per_s),
            "records_timed": self.records_timed,
            "seconds": round(self.seconds, 3),
            "processor_us": round(self.processor_us, 2),
            "resident_mb": round(self.resident_mb, 1),
            "checkpoint_bytes": self.checkpoint_bytes,
            "drifts": len(self.drifts),
        }


async def run_timed(
    kafka: Topology,
    folder: Path,
    *,
    records: int,
    name: str,
    say: Callable[[str], None],
    subjects: int = 1,
    workers: int = 1,
    interval_factor: float = 1.0,
    checkout: Path | None = None,
) -> TimedRun:
    """Time detect workers that read the full topic and have no checkpoint.

    Parameters
    ----------
    kafka
        Topology with the broker and the filled topic.
    folder
        Folder for the configuration of the workers.
    records
        Records in the topic.
    name
        Name of the run. Each run has consumer groups of its own.
    say
        Receives a line of progress now and then.
    subjects
        Subjects of the records.
    workers
        Number of detect workers.
    interval_factor
        Factor of the seconds between checkpoints.
    checkout
        Folder with the sources of another version, which is timed instead.

    Raises
    ------
    LoadError
        If the run takes longer than :data:`TIME_LIMIT_S`, or if the topic has too few records to time the run.
    """
    configuration = run_configuration(
        kafka.configuration, name, records=records, subjects=subjects, interval_factor=interval_factor
    )
    await _delete_outputs(configuration)
    cluster, group = configuration.kafka.cluster, f"{configuration.kafka.app_id}-detect"
    async with running_workers(configuration, folder, steps=("detect",) * workers, checkout=checkout) as topology:
        samples = await run_against(topology, _sample(kafka, topology, cluster, group, records, say))
    first, last = (
        min(samples, key=lambda sample: abs(sample[1] - records * share)) for share in (WARM_UP_SHARE, WIND_DOWN_SHARE)
    )
    if last[1] <= first[1]:
        raise LoadError(f"all {records} records were read before timing could start: use more records")
    return TimedRun(
        records_timed=last[1] - first[1],
        seconds=last[0] - first[0],
        processor_s=last[2] - first[2],
        resident_mb=last[3],
        checkpoint_bytes=last[4] - first[4],
        drifts=tuple(await _read_drifts(cluster)),
        dead_letters=await _count_messages(cluster, DEAD_LETTERS),
    )


def run_configuration(
    configuration: Configuration, name: str, *, records: int, subjects: int = 1, interval_factor: float = 1.0
) -> Configuration:
    """Return the configuration of a run: consumer groups of its own, and enough checkpoints in a short run."""
    interval_s = configuration.kafka.checkpoint_interval_s
    if records < SHORT_RECORDS:
        interval_s = min(interval_s, SHORT_INTERVAL_S * max(1.0, subjects / SHORT_INTERVAL_SUBJECTS))
    changes = {
        "app_id": f"{configuration.kafka.app_id}-{name}",
        "checkpoint_interval_s": interval_s * interval_factor,
    }
    return configuration.model_copy(update={"kafka": configuration.kafka.model_copy(update=changes)})


async def _sample(
    kafka: Topology, topology: Topology, cluster: Cluster, group: str, records: int, say: Callable[[str], None]
) -> list[Sample]:
    """Return a sample at each checkpoint, until all records are committed."""
    pids = [worker.pid for worker in topology.workers]
    written = None if kafka.broker is None else WrittenBytes(kafka.broker.data_folder, checkpoints_topic("detect"))
    samples: list[Sample] = []
    newest, said_s = 0, time.perf_counter()
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            while newest < records:
                offsets = await committed_offsets(admin, group)
                total = sum(offset for partition, offset in offsets.items() if partition.topic == RECORDS)
                if total > newest:
                    size = 0 if written is None else written.read()
                    samples.append((time.perf_counter(), total, processor_s(pids), resident_mb(pids), size))
                    newest = total
                if time.perf_counter() - said_s >= PROGRESS_S:
                    said_s = time.perf_counter()
                    say(f"detect has read {newest:,} of {records:,} records")
                await asyncio.sleep(SAMPLE_S)
    except TimeoutError as error:
        raise LoadError(f"detect read only {newest} of {records} records in {TIME_LIMIT_S:.0f} s") from error
    finally:
        await admin.close()
    return samples


async def _delete_outputs(configuration: Configuration) -> None:
    """Delete the output and the checkpoints of earlier runs, which a worker would otherwise restore."""
    kafka = configuration.kafka
    admin = AIOKafkaAdminClient(**kafka.cluster.client_options())
    await admin.start()
    try:
        await admin.delete_topics([DRIFTS, DEAD_LETTERS, checkpoints_topic("detect")])
    finally:
        await admin.close()
    await create_topics(kafka.cluster, kafka.records_partitions, kafka.replication_factor)


async def _read_drifts(cluster: Cluster) -> list[Drift]:
    async with aclosing(read_topic(cluster, DRIFTS)) as messages:
        return read_drifts([message async for message in messages])


async def _count_messages(cluster: Cluster, topic: str) -> int:
    async with aclosing(read_topic(cluster, topic)) as messages:
        return len([None async for _ in messages])
