"""Killed and suspended detect and correlate workers find the same as undisturbed workers, exactly once.

The same records and deployments, in the same partitions, go through two topologies with separate brokers. The first is
undisturbed. In the second the detect workers die during checkpoints and at random moments, and are suspended beyond
their session, while correlate is killed every few seconds. The seed determines the faults; ``make faults`` runs twenty.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from load.chaos.comparison import IGNORED_ALERT_FIELDS
from load.harness.lag import wait_for_lag
from load.harness.topology import temporary_topology
from load.world.failure_table import SimulatedFailure
from load.world.healthy import healthy_day
from load.world.json_writer import json_lines
from load.world.world import World
from pipeline.detect.offline.history import learn_history
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.topics import ALERTS, DEPLOYMENTS, DRIFTS, RECORDS
from tests.topologies.worker_under_test import SESSION_TIMEOUT_S, WorkerUnderTest
from topologies.configuration.configuration import Configuration, write_configuration
from topologies.kafka import Cluster
from topologies.kafka.client import read_topic, write_message

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(580)]

SEED = int(os.environ.get("DRIFTWIRE_TEST_SEED", "7"))
FAULTS = int(os.environ.get("DRIFTWIRE_TEST_FAULTS", "5"))
PARTITIONS = 4
START_MS = 1_795_500_000_000
RECORDS_PER_SECOND = 50.0
DURATION_S = 300
FAILURES = (
    "refusal_spike",
    "empty_output",
    "latency_degradation",
    "outage",
    "semantic_drift",
    "pii_exposure",
    None,
    None,
)
"""Failure mode by subject. Two subjects have none."""

PartitionedRecords = list[tuple[int, bytes]]
"""Partition and value of each record."""


def subject(number: int) -> str:
    return f"bot-{number}"


def record_stream() -> PartitionedRecords:
    """Return records of eight subjects, two per partition, in order of time. Failures start and end at different times."""
    records: list[tuple[int, int, bytes]] = []
    for number, failure in enumerate(FAILURES):
        starts_ms = START_MS + (60 + 15 * number) * 1000
        failures = (SimulatedFailure(failure, at_ms=starts_ms, until_ms=starts_ms + 90_000),) if failure else ()
        world = World(SEED + number, START_MS, RECORDS_PER_SECOND, failures)
        for columns in world.generate(until_ms=START_MS + DURATION_S * 1000):
            lines = json_lines(columns, subject=subject(number), seed=SEED)
            records += [(int(at), number % PARTITIONS, line) for at, line in zip(columns.times_ms, lines, strict=True)]
    records.sort(key=lambda record: record[0])
    return [(partition, line) for _, partition, line in records]


def baselines(configuration: Configuration) -> list[Baseline]:
    return [
        learn_history(
            healthy_day(SEED + number, START_MS, RECORDS_PER_SECOND, subject(number)), configuration.detect
        ).baselines[subject(number)]
        for number in range(len(FAILURES))
    ]


async def send(cluster: Cluster, records: PartitionedRecords, *, records_per_second: float | None) -> None:
    """Send records to their partitions at a rate, or as fast as possible if it is None."""
    async with AIOKafkaProducer(**cluster.client_options(), enable_idempotence=True, linger_ms=5) as producer:
        for number, (partition, value) in enumerate(records):
            await producer.send(RECORDS, value, partition=partition)
            if records_per_second and number % 100 == 99:
                await asyncio.sleep(100 / records_per_second)


def deployments() -> list[Deployment]:
    """Return a deployment per subject ten seconds before its failure starts, and one that affects all of them."""
    per_subject = [
        Deployment(
            deployment_id=f"prompt-{number}",
            timestamp=START_MS + (50 + 15 * number) * 1000,
            kind="prompt",
            subject=subject(number),
            from_version="v41",
            to_version="v42",
        )
        for number in range(len(FAILURES))
    ]
    shared = Deployment(
        deployment_id="gateway", timestamp=START_MS + 120_000, kind="config", name="gateway", environment="production"
    )
    return [*per_subject, shared]


async def deploy(cluster: Cluster) -> None:
    for deployment in deployments():
        await write_message(cluster, DEPLOYMENTS, b"production", deployment.to_json())


async def read_contents(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    return [orjson.loads(message.value or b"null") async for message in read_topic(cluster, name)]


async def read_findings(cluster: Cluster) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Read all drifts and the last revision of every incident."""
    drifts = [content for content in await read_contents(cluster, DRIFTS) if content["type"] == "drift"]
    incidents = {content["incident_id"]: content for content in await read_contents(cluster, ALERTS)}
    return drifts, incidents


async def committed_offsets(cluster: Cluster, group: str) -> dict[TopicPartition, int]:
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        return {
            partition: entry.offset for partition, entry in (await admin.list_consumer_group_offsets(group)).items()
        }
    finally:
        await admin.close()


async def kill_repeatedly(worker: WorkerUnderTest, generator: random.Random, until: asyncio.Task[None]) -> int:
    """Kill and restart a worker every few seconds until a task is done. Return how often."""
    count = 0
    while not until.done():
        await asyncio.sleep(generator.uniform(2.0, 5.0))
        worker.kill()
        worker.start()
        count += 1
    return count


def fault_sequence(generator: random.Random) -> Iterator[str]:
    """Yield the faults in order. Every kind occurs several times."""
    kinds = ["after_outputs", "after_state", "after_offsets", "kill", "pause"] * (FAULTS // 5 + 1)
    generator.shuffle(kinds)
    yield from kinds[:FAULTS]


async def disturb(workers: list[WorkerUnderTest], generator: random.Random) -> Counter[str]:
    """Disturb the workers with one fault after another, and leave both running. Return the number of each fault."""
    counts: Counter[str] = Counter()
    for kind in fault_sequence(generator):
        worker = generator.choice(workers)
        if kind == "pause":
            worker.signal(signal.SIGSTOP)
            await asyncio.sleep(SESSION_TIMEOUT_S + 1)
            worker.signal(signal.SIGCONT)
        else:
            worker.kill()
            if kind != "kill":
                worker.start(fault=f"{kind}:{generator.randint(1, 2)}:SIGKILL")
                if await asyncio.to_thread(dies_of_the_fault, worker):
                    counts[kind] += 1
                else:
                    worker.kill()
                    counts["kill"] += 1
            worker.start()
        counts[kind] += kind in ("kill", "pause")
        await asyncio.sleep(generator.uniform(0.0, 4.0))
    return counts


def dies_of_the_fault(worker: WorkerUnderTest) -> bool:
    try:
        return worker.wait_for_exit(20) == -signal.SIGKILL
    except AssertionError:
        return False


def without_revisions(incidents: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return incidents without revision and change, which depend on the order of messages of several partitions."""
    return {
        incident_id: {name: value for name, value in incident.items() if name not in IGNORED_ALERT_FIELDS}
        for incident_id, incident in incidents.items()
    }


def by_identity(drifts: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    return {(drift["drift_id"], drift["sequence"]): drift for drift in drifts}


async def test_killed_and_suspended_workers_find_what_undisturbed_ones_find(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = random.Random(SEED)
    configuration = Configuration()
    records, learned = record_stream(), baselines(configuration)

    async with temporary_topology(
        configuration, baselines=learned, workers=("detect", "detect", "correlate")
    ) as topology:
        await deploy(topology.cluster)
        await send(topology.cluster, records, records_per_second=None)
        await wait_for_lag(topology.cluster, topology.configuration.kafka.app_id, steps=("detect", "correlate"))
        expected_drifts, expected_incidents = await read_findings(topology.cluster)

    async with temporary_topology(configuration, baselines=learned, workers=()) as topology:
        file = tmp_path / "configuration.json"
        write_configuration(topology.configuration, file)
        *workers, correlate = [
            WorkerUnderTest(["-m", "tests.topologies.step_worker", step, str(file)], tmp_path / f"worker-{number}.log")
            for number, step in enumerate(("detect", "detect", "correlate"))
        ]
        try:
            for worker in (*workers, correlate):
                worker.start()
            await deploy(topology.cluster)
            sending = asyncio.create_task(
                send(topology.cluster, records, records_per_second=len(records) / (FAULTS * 7))
            )
            killing = asyncio.create_task(kill_repeatedly(correlate, random.Random(SEED), sending))
            counts = await disturb(workers, generator)
            await sending
            killed = await killing
            await wait_for_lag(topology.cluster, topology.configuration.kafka.app_id, steps=("detect", "correlate"))
            drifts, incidents = await read_findings(topology.cluster)
            offsets = await committed_offsets(topology.cluster, f"{topology.configuration.kafka.app_id}-detect")
        finally:
            for worker in (*workers, correlate):
                worker.kill()

    with capsys.disabled():
        print(
            f"\nseed {SEED}: faults {dict(counts)}, correlate killed {killed} times; {len(records)} records, {len(drifts)} drift messages, "
            f"{len(incidents)} incidents"
        )
    assert counts.total() == FAULTS
    assert len({drift["subject"] for drift in expected_drifts}) >= sum(failure is not None for failure in FAILURES)
    assert set(Counter((drift["drift_id"], drift["sequence"]) for drift in drifts).values()) == {1}
    assert by_identity(drifts) == by_identity(expected_drifts)
    assert without_revisions(incidents) == without_revisions(expected_incidents)
    assert killed >= FAULTS
    assert sum(offsets.values()) == len(records)
    assert not any("Traceback" in worker.output for worker in (*workers, correlate))
