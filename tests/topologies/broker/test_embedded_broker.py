"""The embedded broker starts, keeps its messages, stops, and fails with one clear line."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.topics import DEPLOYMENTS
from topologies.broker import EmbeddedBroker, create_topics, jars
from topologies.errors import BrokerError

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def start_error(broker: EmbeddedBroker) -> str:
    with pytest.raises(BrokerError) as error:
        await broker.start()
    assert not broker.is_running
    text = str(error.value)
    assert "\n" not in text
    return text


async def test_a_message_written_before_a_stop_is_read_after_the_next_start(tmp_path):
    async with EmbeddedBroker(tmp_path) as broker:
        await create_topics(broker.cluster, 1, 1)
        async with AIOKafkaProducer(**broker.cluster.client_options()) as producer:
            await producer.send_and_wait(DEPLOYMENTS, b"stored")
    assert not broker.is_running

    async with EmbeddedBroker(tmp_path) as restarted:
        consumer = AIOKafkaConsumer(DEPLOYMENTS, **restarted.cluster.client_options(), auto_offset_reset="earliest")
        async with consumer:
            message = await consumer.getone()
    assert message.value == b"stored"


def test_the_broker_listens_on_this_machine_only(broker):
    host, port = broker.bootstrap.split(":")
    assert host == "127.0.0.1"
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", int(port)))


async def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        text = await start_error(EmbeddedBroker(tmp_path, port=port))
    assert f"port {port}" in text
    assert "--port" in text


async def test_a_second_broker_on_a_folder_is_refused_and_the_first_continues(tmp_path):
    async with EmbeddedBroker(tmp_path) as first:
        text = await start_error(EmbeddedBroker(tmp_path))
        assert first.is_running
    assert "in use by another broker" in text
    assert str(os.getpid()) in text


async def test_a_folder_that_is_a_file_is_named(tmp_path):
    path = tmp_path / "occupied"
    path.write_text("not a folder")
    assert str(path) in await start_error(EmbeddedBroker(path))


async def test_the_data_of_another_cluster_is_left_alone(tmp_path):
    properties = tmp_path / "kafka" / "meta.properties"
    properties.parent.mkdir()
    properties.write_text("version=1\nnode.id=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\n")
    assert "another Kafka cluster" in await start_error(EmbeddedBroker(tmp_path))
    assert "AAAAAAAA" in properties.read_text()


async def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "thesis.txt").write_text("mine")
    assert "meta.properties is missing" in await start_error(EmbeddedBroker(tmp_path))


async def test_the_error_for_damaged_data_names_the_log(tmp_path):
    async with EmbeddedBroker(tmp_path):
        pass
    properties = tmp_path / "kafka" / "meta.properties"
    properties.write_text(properties.read_text().replace("node.id=1", "node.id=7"))
    text = await start_error(EmbeddedBroker(tmp_path))
    assert "Kafka stopped while starting" in text
    assert "kafka.log" in text


async def test_the_error_for_a_failed_download_asks_for_the_network(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    text = await start_error(EmbeddedBroker(tmp_path / "data"))
    assert "the first start needs the network" in text
    assert not list((tmp_path / "cache").rglob("*.jar"))


def test_a_jar_that_does_not_match_the_lock_is_never_stored(tmp_path, monkeypatch):
    class Artifact:
        def __getattr__(self, name):
            return lambda *_: self

        def resolve(self):
            path = tmp_path / "swapped.jar"
            path.write_bytes(b"something else")
            return path

    monkeypatch.setattr("jgo.maven.MavenContext", lambda **_: Artifact())
    with pytest.raises(BrokerError, match="does not match driftwire's lock"):
        jars.fetch_jars(tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.jar"))


def test_the_lock_contains_kafka_and_a_full_digest_of_every_jar():
    locked = jars.parse_lock(jars.LOCK_PATH.read_text())
    assert {(jar.artifact, jar.version) for jar in locked} >= {("kafka_2.13", jars.KAFKA_VERSION)}
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert len({jar.file_name for jar in locked}) == len(locked)


def test_java_ends_when_its_parent_is_killed(tmp_path):
    program = textwrap.dedent("""
        import asyncio, pathlib, sys
        from topologies.broker.embedded_broker import EmbeddedBroker
        async def run():
            broker = EmbeddedBroker(pathlib.Path(sys.argv[1]))
            await broker.start()
            print(broker._java.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(run())
    """)
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        java = int(parent.stdout.readline())
        assert Path(f"/proc/{java}").exists()
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{java}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{java}").exists()
