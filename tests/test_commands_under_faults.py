"""Every command that uses Kafka, under every kind of Kafka failure: one clear line, status 1, limited time."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import ALERTS, BASELINES
from tests.command_processes import Ended, start_command, wait_for_commands
from tests.pipeline.review.worlds import MONITORED, baseline
from tests.pipeline.route.samples import incident
from tests.process_signals import suspend
from topologies.broker import EmbeddedBroker, create_topics
from topologies.kafka import Cluster, client, read_topic, write_message

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SECONDS_MAX = 75.0
"""Maximum seconds from the start to the end of a command."""

REVISIONS = 1_500
"""Number of revisions on the alerts topic, so a command reads for a while."""

INCIDENT = incident(incident_id="inc-1")
BASELINE = baseline(*MONITORED)

COMMANDS = {
    "incidents": ("topologies.cli", "incidents", "--all"),
    "incident show": ("topologies.cli", "incident", "show", "inc-1"),
    "incident ack": ("topologies.cli", "incident", "ack", "inc-1", "--author", "ana"),
    "incident review": ("topologies.cli", "incident", "review", "inc-1", "--output", "FOLDER", "--force"),
    "deployed": ("topologies.cli", "deployed", "--subject", "bot", "--kind", "prompt", "--to", "v2", "--author", "ana"),
    "baseline publish": ("topologies.cli", "baseline", "publish", "BASELINE"),
    "baseline show": ("topologies.cli", "baseline", "show", BASELINE.subject),
    "baseline accept": ("topologies.cli", "baseline", "accept", BASELINE.subject, "--author", "ana"),
    "probe": ("load.cli", "probe", "--count", "1"),
    "replay": ("load.cli", "replay", "RECORDS"),
    "worker": ("topologies.cli", "worker", "route"),
    "up": ("topologies.cli", "up", "--data", "FOLDER"),
}
"""Commands that read or write Kafka."""

ENDLESS = ("worker", "up", "replay")
"""Commands that do not end by themselves on a healthy Kafka without workers."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the commands read."""
    (tmp_path / "baseline").write_bytes(BASELINE.to_json())
    now_ms = int(time.time() * 1000)
    (tmp_path / "records").write_text(
        "".join(
            f'{{"subject":"bot","timestamp":{now_ms - ago},"output":{{"refused":false}}}}\n'
            for ago in range(200, 0, -1)
        )
    )
    return tmp_path


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker with an incident and a baseline. A test may stop, suspend or kill it."""
    broker = EmbeddedBroker(tmp_path / "kafka")

    async def start() -> None:
        await broker.start()
        await create_topics(broker.cluster, 1, 1)
        await write_message(broker.cluster, BASELINES, b"baseline", BASELINE.to_json())
        async with AIOKafkaProducer(**broker.cluster.client_options()) as producer:
            for revision in range(1, REVISIONS + 1):
                content = INCIDENT.model_copy(update={"revision": revision})
                await producer.send(ALERTS, content.to_json(), key=b"inc-1")

    asyncio.run(start())
    yield broker
    send_signal(broker, signal.SIGCONT)
    asyncio.run(broker.stop())


def send_signal(broker: EmbeddedBroker, number: signal.Signals) -> None:
    if broker.is_running:
        if number == signal.SIGSTOP:
            suspend(broker.pid)
        else:
            os.kill(broker.pid or 0, number)


def start(names, cluster: Cluster, folder: Path):
    places = {name: str(folder / name.lower()) for name in ("FOLDER", "BASELINE", "RECORDS")}
    return {
        name: start_command(
            [*(places.get(word, word) for word in COMMANDS[name]), "--bootstrap", cluster.bootstrap], folder, number
        )
        for number, name in enumerate(names)
    }


def failure_problems(end: Ended) -> list[str]:
    """Return the problems of a failed command's exit: its status, duration or output."""
    problems = []
    if end.status != 1:
        problems.append("it did not end" if end.status is None else f"status {end.status}")
    lines = end.errors.splitlines()
    if not lines or not lines[-1].startswith(("driftwire: ", "driftwire-load: ")):
        problems.append("the last line is not the error")
    if len([line for line in lines if "; trying again for " not in line]) != 1:
        problems.append("not one line")
    if "no incidents" in end.errors + end.output or "there is no " in end.errors + end.output:
        problems.append("it says that there is nothing")
    return [f"{problem}: {end}" for problem in problems]


def test_all_commands_succeed_while_kafka_is_healthy(kafka, folder):
    """Without this, a table of failures would prove nothing."""
    names = [name for name in COMMANDS if name not in ENDLESS]
    ends = wait_for_commands(start(names, kafka.cluster, folder), folder, SECONDS_MAX)
    assert {name: end.status for name, end in ends.items()} == dict.fromkeys(names, 0), ends


@pytest.mark.parametrize("fault", ["stopped", "suspended"])
def test_a_kafka_that_does_not_answer_is_one_line_with_its_address(folder, kafka, fault):
    if fault == "stopped":
        asyncio.run(kafka.stop())
    else:
        send_signal(kafka, signal.SIGSTOP)
    ends = wait_for_commands(start(COMMANDS, kafka.cluster, folder), folder, SECONDS_MAX)
    assert [(name, problem) for name, end in ends.items() for problem in failure_problems(end)] == []
    assert [
        name for name, end in ends.items() if f"no Kafka broker answers at {kafka.bootstrap}" not in end.errors
    ] == []


def test_a_kafka_without_the_topics_is_one_line_with_the_topic(folder, tmp_path):
    names = [name for name in COMMANDS if name not in ("worker", "up")]  # these two create the topics
    broker = EmbeddedBroker(tmp_path / "kafka")
    asyncio.run(broker.start())
    try:
        ends = wait_for_commands(start(names, broker.cluster, folder), folder, SECONDS_MAX)
    finally:
        asyncio.run(broker.stop())
    assert [(name, problem) for name, end in ends.items() for problem in failure_problems(end)] == []
    assert [name for name, end in ends.items() if "has no topic driftwire." not in end.errors] == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "seed"), [(signal.SIGSTOP, 1), (signal.SIGKILL, 2)])
def test_a_kafka_that_fails_while_commands_run_is_one_line_or_no_failure_at_all(folder, kafka, number, seed):
    names = [name for name in COMMANDS if name not in ("worker", "up")]
    processes = start(names, kafka.cluster, folder)
    time.sleep(random.Random(seed).uniform(0.1, 1.5))
    running = [name for name, process in processes.items() if process.exitcode is None]
    send_signal(kafka, number)
    ends = wait_for_commands(processes, folder, SECONDS_MAX)
    failed = {name: end for name, end in ends.items() if end.status != 0}
    assert [(name, problem) for name, end in failed.items() for problem in failure_problems(end)] == []
    assert running, "the fault came after the last command"
    assert set(failed) <= set(running)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_read_that_kafka_does_not_finish_fails_and_never_ends_early(kafka, monkeypatch, number):
    monkeypatch.setattr(client, "PROGRESS_TIMEOUT_S", 3.0)

    async def read() -> int:
        count = 0
        async for _ in read_topic(kafka.cluster, ALERTS):
            count += 1
            if count == 1:
                send_signal(kafka, number)
        return count

    started_s = time.monotonic()
    with pytest.raises(client.BrokerUnreachable, match=r"sent no message of driftwire\.alerts for 3 s"):
        asyncio.run(read())
    assert time.monotonic() - started_s < 20


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_write_that_kafka_does_not_confirm_says_so(kafka, monkeypatch, number):
    connect = AIOKafkaProducer.partitions_for

    async def connect_then_fail(producer: AIOKafkaProducer, topic: str) -> set[int]:
        partitions = await connect(producer, topic)
        send_signal(kafka, number)
        return partitions

    monkeypatch.setattr(AIOKafkaProducer, "partitions_for", connect_then_fail)
    started_s = time.monotonic()
    with pytest.raises(client.WriteUnconfirmed, match=r"did not confirm the message for driftwire\.alerts"):
        asyncio.run(write_message(kafka.cluster, ALERTS, b"inc-1", INCIDENT.to_json()))
    assert time.monotonic() - started_s < 45
