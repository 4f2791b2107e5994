"""One timed run of the real detect worker over a filled topic, and what it reported and judged."""

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from load.errors import LoadError
from load.stage import read_offsets, unless_it_fails
from pipeline.detect.offline import read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.topics import BASELINES, DEAD_LETTERS, DRIFTS, RECORDS, checkpoints_topic
from topologies.broker import create_topics
from topologies.configuration import Configuration
from topologies.kafka import read_all
from topologies.processes import Topology
from topologies.runtime import read_to_end

SAMPLE_S = 0.1
"""Seconds between two looks at the committed offsets."""

WARM_UP_SHARE = 0.25
"""The share of the records that is read before the clock starts: imports, joining the group, first fetches."""

WIND_DOWN_SHARE = 0.9
"""The share after which the clock stops: the last checkpoint of a worker that has nothing left to read comes late."""

TIME_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Timed:
    """What one run showed: its rate between two checkpoints, after the warm-up and before the end, and its findings."""

    records_per_s: float
    records_timed: int
    seconds: float
    drifts: tuple[Drift, ...]
    dead_letters: int


async def run_timed(configuration: Configuration, *, folder: Path, records: int, name: str) -> Timed:
    """Let a fresh detect worker read the whole topic.

    Parameters
    ----------
    configuration
        With the address of the cluster; the run gets an ``app_id`` of its own, so that it starts from nothing.
    folder
        For the worker's configuration.
    records
        In the topic.
    name
        Of the run.
    """
    kafka = configuration.kafka.model_copy(update={"app_id": f"bench-{name}"})
    configuration = configuration.model_copy(update={"kafka": kafka})
    await _forget_earlier_runs(configuration)
    sampling = asyncio.create_task(_sample(kafka.bootstrap, f"{kafka.app_id}-detect", records))
    topology = Topology(configuration, data=folder, bootstrap=kafka.bootstrap, workers=("detect",))
    try:
        async with topology:
            samples = await unless_it_fails(topology, sampling)
    finally:
        sampling.cancel()
    started_s, before = next(sample for sample in samples if sample[1] >= records * WARM_UP_SHARE)
    ended_s, after = [sample for sample in samples if sample[1] <= records * WIND_DOWN_SHARE][-1]
    if after <= before:
        raise LoadError(f"all {records} records were read before the clock could start: take more --records")
    return Timed(
        (after - before) / (ended_s - started_s),
        after - before,
        ended_s - started_s,
        tuple(await _drifts(kafka.bootstrap)),
        await _count(kafka.bootstrap, DEAD_LETTERS),
    )


async def judged_share(bootstrap: str, settings: DetectSettings, baseline: Baseline, partitions: int) -> float:
    """The share of signal values that a ready baseline judged, of the partition where it is least.

    It comes from the checkpoints that the worker left. The steps are restored from them, as a worker does that takes a
    partition over, and asked.
    """
    shares = []
    for partition in range(partitions):
        step = DetectStep(partition, settings, replay=False)
        step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.to_json()))
        parts = await read_to_end(bootstrap, TopicPartition(checkpoints_topic("detect"), partition))
        problems = list(step.restore((key, value) for key, value in parts.items() if not key.startswith(b"\x00")))
        if problems:
            raise LoadError(f"the checkpoint of partition {partition} cannot be taken up: {problems[0]}")
        shares.append(step.judged_share())
    return min(shares)


async def _sample(bootstrap: str, group: str, records: int) -> list[tuple[float, int]]:
    """When each further commit was seen, as (seconds, records committed), until all are."""
    samples: list[tuple[float, int]] = [(time.perf_counter(), 0)]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            while samples[-1][1] < records:
                offsets = await read_offsets(admin, group)
                total = sum(offset for partition, offset in offsets.items() if partition.topic == RECORDS)
                if total > samples[-1][1]:
                    samples.append((time.perf_counter(), total))
                await asyncio.sleep(SAMPLE_S)
    except TimeoutError as error:
        raise LoadError(
            f"detect read {samples[-1][1]} of {records} records in {TIME_LIMIT_S:.0f} s and was given up"
        ) from error
    finally:
        await admin.close()
    return samples


async def _forget_earlier_runs(configuration: Configuration) -> None:
    """Empty what detect writes: a worker takes up the checkpoints that it finds, whoever wrote them."""
    kafka = configuration.kafka
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([DRIFTS, DEAD_LETTERS, checkpoints_topic("detect")])
    finally:
        await admin.close()
    await create_topics(kafka.bootstrap, kafka.records_partitions, kafka.replication_factor)


async def _drifts(bootstrap: str) -> list[Drift]:
    async with aclosing(read_all(bootstrap, DRIFTS)) as messages:
        return read_drifts([message async for message in messages])


async def _count(bootstrap: str, name: str) -> int:
    async with aclosing(read_all(bootstrap, name)) as messages:
        return len([None async for _ in messages])
