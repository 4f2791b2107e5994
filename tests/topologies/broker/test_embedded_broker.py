"""The embedded broker: it starts, keeps what it has, stops, and says in one line why it cannot."""

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
from topologies.broker import jars
from topologies.broker.embedded_broker import EmbeddedBroker, create_topics
from topologies.errors import BrokerError

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


async def reason(broker: EmbeddedBroker) -> str:
    with pytest.raises(BrokerError) as caught:
        await broker.start()
    assert not broker.running
    text = str(caught.value)
    assert "\n" not in text
    return text


async def test_a_message_written_before_a_stop_is_read_after_the_next_start(tmp_path):
    async with EmbeddedBroker(tmp_path) as broker:
        await create_topics(broker.bootstrap, 1, 1)
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            await producer.send_and_wait(DEPLOYMENTS, b"kept")
    assert not broker.running

    async with EmbeddedBroker(tmp_path) as again:
        consumer = AIOKafkaConsumer(DEPLOYMENTS, bootstrap_servers=again.bootstrap, auto_offset_reset="earliest")
        async with consumer:
            message = await consumer.getone()
    assert message.value == b"kept"


def test_the_broker_listens_on_this_machine_alone(broker):
    host, port = broker.bootstrap.split(":")
    assert host == "127.0.0.1"
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", int(port)))


async def test_a_taken_port_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = await reason(EmbeddedBroker(tmp_path, port=port))
    assert f"port {port}" in text
    assert "--port" in text


async def test_a_second_broker_on_one_folder_is_refused_and_the_first_goes_on(tmp_path):
    async with EmbeddedBroker(tmp_path) as first:
        text = await reason(EmbeddedBroker(tmp_path))
        assert first.running
    assert "in use by another broker" in text
    assert str(os.getpid()) in text


async def test_a_folder_that_is_a_file_is_named(tmp_path):
    path = tmp_path / "occupied"
    path.write_text("not a folder")
    assert str(path) in await reason(EmbeddedBroker(path))


async def test_the_data_of_another_cluster_is_left_alone(tmp_path):
    properties = tmp_path / "kafka" / "meta.properties"
    properties.parent.mkdir()
    properties.write_text("version=1\nnode.id=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\n")
    assert "another Kafka cluster" in await reason(EmbeddedBroker(tmp_path))
    assert "AAAAAAAA" in properties.read_text()


async def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "thesis.txt").write_text("mine")
    assert "meta.properties is missing" in await reason(EmbeddedBroker(tmp_path))


async def test_damaged_data_is_told_with_the_place_of_the_log(tmp_path):
    async with EmbeddedBroker(tmp_path):
        pass
    properties = tmp_path / "kafka" / "meta.properties"
    properties.write_text(properties.read_text().replace("node.id=1", "node.id=7"))
    text = await reason(EmbeddedBroker(tmp_path))
    assert "Kafka stopped while starting" in text
    assert "kafka.log" in text


async def test_a_missing_download_says_that_the_first_start_needs_the_network(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    text = await reason(EmbeddedBroker(tmp_path / "data"))
    assert "the first start needs the network" in text
    assert not list((tmp_path / "cache").rglob("*.jar"))


def test_a_jar_that_is_not_the_locked_one_is_never_kept(tmp_path, monkeypatch):
    class Artifact:
        def __getattr__(self, name):
            return lambda *_: self

        def resolve(self):
            path = tmp_path / "swapped.jar"
            path.write_bytes(b"something else")
            return path

    monkeypatch.setattr("jgo.maven.MavenContext", lambda **_: Artifact())
    with pytest.raises(BrokerError, match="not the file that driftwire's lock names"):
        jars.kafka_jars(tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.jar"))


def test_the_lock_names_kafka_itself_and_gives_every_jar_a_whole_digest():
    locked = jars.read_lock(jars.LOCK.read_text())
    assert {(jar.artifact, jar.version) for jar in locked} >= {("kafka_2.13", jars.KAFKA_VERSION)}
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert len({jar.file_name for jar in locked}) == len(locked)


def test_a_killed_parent_leaves_no_java_behind(tmp_path):
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
