"""Timed run of the real detect worker over a prefilled topic: rate, drifts and share of monitored signal values."""

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from load.errors import LoadError
from load.harness import committed_offsets, run_against
from pipeline.detect.offline import read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.topics import BASELINES, DEAD_LETTERS, DRIFTS, RECORDS, checkpoints_topic
from topologies.broker import create_topics
from topologies.configuration import Configuration
from topologies.kafka import Cluster, read_topic
from topologies.processes import Topology
from topologies.runtime import read_checkpoint

SAMPLE_S = 0.1
"""Seconds between two reads of the committed offsets."""

WARM_UP_SHARE = 0.25
"""Share of the records before timing starts. During this time, the worker imports modules, joins its group and fetches
records."""

WIND_DOWN_SHARE = 0.9
"""Share of the records after which timing stops. A worker that has no more records to read delays its last
checkpoint."""

TIME_LIMIT_S = 300.0
"""Maximum seconds of a run."""


@dataclass(frozen=True, slots=True)
class TimedRun:
    """Result of a run: its drifts, and the rate between a checkpoint after the warm-up and one before the end."""

    records_per_s: float
    records_timed: int
    seconds: float
    drifts: tuple[Drift, ...]
    dead_letters: int


async def run_timed(configuration: Configuration, *, folder: Path, records: int, name: str) -> TimedRun:
    """Time a detect worker that reads the full topic and has no checkpoint.

    Parameters
    ----------
    configuration
        Configuration with the address of the cluster. The run uses a separate ``app_id``.
    folder
        Folder for the configuration of the worker.
    records
        Records in the topic.
    name
        Name of the run.

    Raises
    ------
    LoadError
        If the run takes longer than :data:`TIME_LIMIT_S`, or if the topic has too few records to time the run.
    """
    kafka = configuration.kafka.model_copy(update={"app_id": f"{configuration.kafka.app_id}-{name}"})
    configuration = configuration.model_copy(update={"kafka": kafka})
    await _delete_outputs(configuration)
    sampling = asyncio.create_task(_sample(kafka.cluster, f"{kafka.app_id}-detect", records))
    topology = Topology(configuration, data_folder=folder, cluster=kafka.cluster, steps=("detect",))
    try:
        async with topology:
            samples = await run_against(topology, sampling)
    finally:
        sampling.cancel()
    start_s, first = next(sample for sample in samples if sample[1] >= records * WARM_UP_SHARE)
    end_s, last = [sample for sample in samples if sample[1] <= records * WIND_DOWN_SHARE][-1]
    if last <= first:
        raise LoadError(f"all {records} records were read before timing could start: increase --records")
    return TimedRun(
        (last - first) / (end_s - start_s),
        last - first,
        end_s - start_s,
        tuple(await _read_drifts(kafka.cluster)),
        await _count_messages(kafka.cluster, DEAD_LETTERS),
    )


async def read_monitored_share(
    cluster: Cluster, settings: DetectSettings, baseline: Baseline, partitions: int
) -> float:
    """Return the lowest share, over all partitions, of signal values that were monitored against a ready baseline.

    The share is read from steps that are restored from the worker's checkpoints, as after a partition reassignment.

    Raises
    ------
    LoadError
        If a checkpoint cannot be restored.
    """
    shares = []
    for partition in range(partitions):
        step = DetectStep(partition, settings, replay=False)
        step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.to_json()))
        parts = (await read_checkpoint(cluster, "detect", partition)).parts
        problems = list(step.restore((key, value) for key, value in parts.items() if not key.startswith(b"\x00")))
        if problems:
            raise LoadError(f"the checkpoint of partition {partition} cannot be restored: {problems[0]}")
        shares.append(step.judged_share())
    return min(shares)


async def _sample(cluster: Cluster, group: str, records: int) -> list[tuple[float, int]]:
    """Return samples of the number of committed records, as (seconds, records), until all records are committed."""
    samples: list[tuple[float, int]] = [(time.perf_counter(), 0)]
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            while samples[-1][1] < records:
                offsets = await committed_offsets(admin, group)
                total = sum(offset for partition, offset in offsets.items() if partition.topic == RECORDS)
                if total > samples[-1][1]:
                    samples.append((time.perf_counter(), total))
                await asyncio.sleep(SAMPLE_S)
    except TimeoutError as error:
        raise LoadError(f"detect read only {samples[-1][1]} of {records} records in {TIME_LIMIT_S:.0f} s") from error
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
