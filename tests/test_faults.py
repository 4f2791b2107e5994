"""Workers of detect and correlate that are killed and paused find what undisturbed ones find, each finding once.

The same records and deployments, in the same partitions, go through two topologies on brokers of their own. One is left
alone. In the other the detect workers die inside checkpoints, die at random moments, and sleep past their session and
wake up as zombies, and correlate is killed every few seconds. The seed decides which fault comes when; ``make faults``
brings twenty of them.
"""

import asyncio
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

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
from tests.topologies.workers import SESSION_TIMEOUT_S, Worker
from topologies.configuration.configuration import Configuration
from topologies.configuration.configuration import write as write_configuration
from topologies.kafka.client import read_all, write

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
"""By subject; two have none."""

Sent = list[tuple[int, bytes]]


def subject(number: int) -> str:
    return f"bot-{number}"


def stream() -> Sent:
    """Records of eight subjects, two a partition, in order of their time; failures begin and end at different times."""
    records: list[tuple[int, int, bytes]] = []
    for number, failure in enumerate(FAILURES):
        begins = START_MS + (60 + 15 * number) * 1000
        failures = (SimulatedFailure(failure, at_ms=begins, until_ms=begins + 90_000),) if failure else ()
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


async def send(bootstrap: str, records: Sent, *, pace: float | None) -> None:
    """Send to fixed partitions; ``pace`` is records a second, None as fast as possible."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5) as producer:
        for number, (partition, value) in enumerate(records):
            await producer.send(RECORDS, value, partition=partition)
            if pace and number % 100 == 99:
                await asyncio.sleep(100 / pace)


def deployments() -> list[Deployment]:
    """One to each subject ten seconds before its failure begins, and one to all of them a minute later."""
    found = [
        Deployment(
            deployment_id=f"prompt-{number}", timestamp=START_MS + (50 + 15 * number) * 1000, kind="prompt",
            subject=subject(number), from_version="v41", to_version="v42",
        )
        for number in range(len(FAILURES))
    ]  # fmt: skip
    shared = Deployment(
        deployment_id="gateway", timestamp=START_MS + 120_000, kind="config", name="gateway", environment="production"
    )
    return [*found, shared]


async def deploy(bootstrap: str) -> None:
    for each in deployments():
        await write(bootstrap, DEPLOYMENTS, b"production", each.to_json())


async def contents(bootstrap: str, name: str) -> list[dict[str, Any]]:
    return [orjson.loads(message.value or b"null") async for message in read_all(bootstrap, name)]


async def found(bootstrap: str) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """All drifts, and each incident's last revision."""
    drifts = [content for content in await contents(bootstrap, DRIFTS) if content["type"] == "drift"]
    incidents = {content["incident_id"]: content for content in await contents(bootstrap, ALERTS)}
    return drifts, incidents


async def committed(bootstrap: str, group: str) -> dict[TopicPartition, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return {place: entry.offset for place, entry in (await admin.list_consumer_group_offsets(group)).items()}
    finally:
        await admin.close()


async def kill_often(worker: Worker, chance: random.Random, until: asyncio.Task[None]) -> int:
    """Kill a worker and start it again, every few seconds until something is done; how often that was."""
    times = 0
    while not until.done():
        await asyncio.sleep(chance.uniform(2.0, 5.0))
        worker.kill()
        worker.start()
        times += 1
    return times


def faults(chance: random.Random) -> Iterator[str]:
    """The faults in their order: every kind several times."""
    kinds = ["after_outputs", "after_state", "after_offsets", "kill", "pause"] * (FAULTS // 5 + 1)
    chance.shuffle(kinds)
    yield from kinds[:FAULTS]


async def disturb(workers: list[Worker], chance: random.Random) -> Counter[str]:
    """Bring the faults upon the workers, one after the other, and leave both running."""
    happened: Counter[str] = Counter()
    for kind in faults(chance):
        worker = chance.choice(workers)
        if kind == "pause":
            worker.signal(signal.SIGSTOP)
            await asyncio.sleep(SESSION_TIMEOUT_S + 1)
            worker.signal(signal.SIGCONT)
        else:
            worker.kill()
            if kind != "kill":
                worker.start(fault=f"{kind}:{chance.randint(1, 2)}")
                if await asyncio.to_thread(ends_by_itself, worker):
                    happened[kind] += 1
                else:
                    worker.kill()
                    happened["kill"] += 1
            worker.start()
        happened[kind] += kind in ("kill", "pause")
        await asyncio.sleep(chance.uniform(0.0, 4.0))
    return happened


def ends_by_itself(worker: Worker) -> bool:
    try:
        return worker.wait_until_it_ends(20) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        return False


def final(incidents: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Without how often and why readers were told, which depends on what came first of several partitions."""
    told = ("revision", "change")
    return {key: {name: each[name] for name in each if name not in told} for key, each in incidents.items()}


def by_identity(drifts: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    return {(drift["drift_id"], drift["sequence"]): drift for drift in drifts}


async def test_killed_and_paused_workers_find_what_undisturbed_ones_find(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    configuration = Configuration()
    records, known = stream(), baselines(configuration)

    async with temporary_topology(
        configuration, baselines=known, workers=("detect", "detect", "correlate")
    ) as topology:
        await deploy(topology.bootstrap)
        await send(topology.bootstrap, records, pace=None)
        await wait_for_lag(topology.bootstrap, configuration.kafka.app_id, steps=("detect", "correlate"))
        expected_drifts, expected_incidents = await found(topology.bootstrap)

    async with temporary_topology(configuration, baselines=known, workers=()) as topology:
        file = tmp_path / "configuration.json"
        write_configuration(topology.configuration, file)
        *workers, correlate = [
            Worker(["-m", "tests.topologies.worker", step, str(file)], tmp_path / f"worker-{number}.log")
            for number, step in enumerate(("detect", "detect", "correlate"))
        ]
        try:
            for worker in (*workers, correlate):
                worker.start()
            await deploy(topology.bootstrap)
            sending = asyncio.create_task(send(topology.bootstrap, records, pace=len(records) / (FAULTS * 7)))
            killing = asyncio.create_task(kill_often(correlate, random.Random(SEED), sending))
            happened = await disturb(workers, chance)
            await sending
            killed = await killing
            await wait_for_lag(topology.bootstrap, configuration.kafka.app_id, steps=("detect", "correlate"))
            drifts, incidents = await found(topology.bootstrap)
            offsets = await committed(topology.bootstrap, f"{configuration.kafka.app_id}-detect")
        finally:
            for worker in (*workers, correlate):
                worker.kill()

    with capsys.disabled():
        print(
            f"\nseed {SEED}: faults {dict(happened)}, correlate killed {killed} times; {len(records)} records, {len(drifts)} drift messages, "
            f"{len(incidents)} incidents"
        )
    assert happened.total() == FAULTS
    assert len({drift["subject"] for drift in expected_drifts}) >= sum(failure is not None for failure in FAILURES)
    assert set(Counter((drift["drift_id"], drift["sequence"]) for drift in drifts).values()) == {1}
    assert by_identity(drifts) == by_identity(expected_drifts)
    assert final(incidents) == final(expected_incidents)
    assert killed >= FAULTS
    assert sum(offsets.values()) == len(records)
    assert not any("Traceback" in worker.said for worker in (*workers, correlate))
