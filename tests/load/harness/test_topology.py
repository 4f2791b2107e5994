"""Private topologies: a run does not use a live cluster or a secret that its environment variables name."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient

from load.harness import temporary_topology, wait_for_lag
from load.traffic import OutgoingMessage, produce
from load.world import SUBJECT, World, json_lines
from pipeline.step import RawMessage
from schemas.topics import TOPICS, checkpoints_topic
from topologies.broker import embedded_broker
from topologies.configuration import Configuration
from topologies.errors import BrokerError
from topologies.kafka import Cluster, read_topic
from topologies.kafka_security import PASSWORD_VARIABLE
from topologies.processes import Topology

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

START_MS = 1_795_000_000_000
RECORDS = 3_000

INTERNAL_TOPICS = ("__consumer_offsets", "__transaction_state")
"""Topics in which Kafka stores the members and offsets of groups and the owners of transactional ids."""

SECRETS = ("s3cret-of-the-environment", "s3cret-of-the-file")

SECURE_CONFIGURATION = f"""
[kafka]
bootstrap = "127.0.0.1:{{port}}"

[kafka.security]
protocol = "sasl_plaintext"
mechanism = "PLAIN"
username = "live"
password = "{SECRETS[1]}"
"""


def build_messages() -> list[OutgoingMessage]:
    return [
        OutgoingMessage(time_ms, SUBJECT.encode(), value)
        for columns in World(1, START_MS, 50.0).generate(records=RECORDS)
        for time_ms, value in zip(columns.times_ms.tolist(), json_lines(columns, seed=1), strict=True)
    ]


@pytest_asyncio.fixture
async def live(tmp_path: Path) -> AsyncIterator[Topology]:
    """A running topology that has read records and written state."""
    async with Topology(Configuration(), data_folder=tmp_path / "live", port=0, replay=True) as topology:
        await produce(topology.cluster, build_messages())
        await wait_for_lag(topology.cluster, topology.configuration.kafka.app_id)
        state = None
        while (newest := await read_state(topology)) != state:
            state = newest
            await asyncio.sleep(3 * topology.configuration.kafka.checkpoint_interval_s)
        yield topology


async def read_state(topology: Topology) -> dict[str, set[RawMessage]]:
    """Return every message of every topic, including Kafka's own topics for group members, offsets and transactions."""
    # Without intake, its checkpoints have no topic.
    names = [*(topic.name for topic in TOPICS if topic.written_by != ("intake",)), *INTERNAL_TOPICS]
    state = {name: {message async for message in read_topic(topology.cluster, name)} for name in names}
    for name in (checkpoints_topic("detect"), *INTERNAL_TOPICS):
        assert state[name], f"{name} is empty, so this test would prove nothing"
    return state


def write_records(folder: Path) -> Path:
    path = folder / "records.ndjson"
    path.write_bytes(b"".join(message.value + b"\n" for message in build_messages()))
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("replay", "RECORDS", "--ready-after", "30s", "--ready-records", "1000"),
        pytest.param(("demo", "--seed", "2", "--keep"), marks=pytest.mark.slow),
    ],
)
async def test_a_private_run_uses_no_cluster_and_no_secret_of_the_environment(live, tmp_path, command):
    before = await read_state(live)
    file, temporary = tmp_path / "live.toml", tmp_path / "temporary"
    temporary.mkdir()
    records = str(write_records(tmp_path))
    trap = socket.create_server(("127.0.0.1", 0))
    trap.setblocking(False)
    file.write_text(SECURE_CONFIGURATION.format(port=trap.getsockname()[1]))
    environment = {"DRIFTWIRE_BOOTSTRAP": live.cluster.bootstrap, "DRIFTWIRE_CONFIG": str(file)}
    environment |= {PASSWORD_VARIABLE: SECRETS[0], "TMPDIR": str(temporary)}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "load.cli", *(records if word == "RECORDS" else word for word in command)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    after = await read_state(live)
    assert {name: after[name] ^ before[name] for name in before if after[name] != before[name]} == {}
    assert [worker.restarts for worker in live.workers] == [0, 0, 0]
    with trap, pytest.raises(BlockingIOError):  # nobody has connected
        trap.accept()
    written = [done.stdout, done.stderr, *(path.read_text(errors="replace") for path in files_in(temporary))]
    assert [secret for secret in SECRETS if any(secret in text for text in written)] == []


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_two_private_topologies_share_no_group_and_no_cluster_id(tmp_path):
    async with (
        temporary_topology(Configuration(), workers=(), folder=tmp_path / "one") as one,
        temporary_topology(Configuration(), workers=(), folder=tmp_path / "two") as two,
    ):
        ids = [await read_cluster_id(topology.cluster) for topology in (one, two)]
        names = [topology.configuration.kafka.app_id for topology in (one, two)]
    assert len(set(ids)) == 2
    assert len({*names, Configuration().kafka.app_id}) == 3


async def read_cluster_id(cluster: Cluster) -> str:
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()


async def test_a_topology_refuses_a_kafka_that_is_not_its_own(broker, tmp_path, monkeypatch):
    """Another Kafka takes the port after it was checked. Without the cluster id, the workers would join that Kafka."""
    monkeypatch.setattr(embedded_broker, "_check_port", lambda _: None)
    before = {message async for message in read_topic(broker.cluster, TOPICS[0].name)}
    topology = Topology(Configuration(), data_folder=tmp_path, port=broker.port)
    with pytest.raises(BrokerError, match=rf"another Kafka answers at {broker.bootstrap}") as error:
        await topology.start()
    assert "\n" not in str(error.value)
    assert topology.workers == []
    assert {message async for message in read_topic(broker.cluster, TOPICS[0].name)} == before
    assert broker.is_running
