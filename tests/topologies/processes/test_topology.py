"""The topology: start, workers that restart or die too often, a broker that dies, and a clean stop."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from schemas.topics import RECORDS
from tests.topologies.test_intake import create, message, read_all, send
from tests.topologies.worker_under_test import WorkerUnderTest, find_trouble
from topologies.configuration.configuration import Configuration
from topologies.errors import DriftwireError
from topologies.processes import worker_process
from topologies.processes.topology import Topology

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def running(pids):
    return [pid for pid in pids if pid is not None and Path(f"/proc/{pid}").exists()]


async def wait_until(condition, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "timeout"
        await asyncio.sleep(0.1)


async def test_a_killed_worker_is_restarted_and_a_stop_leaves_no_process(tmp_path):
    lines = []
    async with Topology(Configuration(), data_folder=tmp_path, port=0, on_line=lines.append) as topology:
        assert [worker.name for worker in topology.workers] == ["detect", "correlate", "route"]
        assert topology.cluster == topology.broker.cluster
        first_pids = [worker.pid for worker in topology.workers]
        assert len(running(first_pids)) == 3
        detect = topology.workers[0]
        os.kill(detect.pid, signal.SIGKILL)
        await wait_until(lambda: detect.restarts == 1 and detect.ready.is_set())
        assert detect.pid not in first_pids
        last_pids = [worker.pid for worker in topology.workers]
    assert not running([*first_pids, *last_pids])
    assert not topology.broker.is_running
    assert any("worker detect died (killed by SIGKILL)" in line for line in lines)
    assert not [line for line in lines if "Traceback" in line]


async def test_a_worker_that_always_dies_fails_with_its_last_lines(broker, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_process, "BACK_OFF_FIRST_S", 0.01)
    monkeypatch.setattr(worker_process, "BACK_OFF_MAX_S", 0.01)
    topology = Topology(Configuration(), data_folder=tmp_path, cluster=broker.cluster, steps=("dettect",))
    with pytest.raises(
        DriftwireError, match=r"worker dettect died \(exit status 2\).*'dettect' is not one of.*will not be restarted"
    ):
        await topology.start()
    assert not running([worker.pid for worker in topology.workers])


async def test_the_death_of_the_broker_fails_the_topology(tmp_path):
    topology = Topology(Configuration(), data_folder=tmp_path, port=0, steps=())
    async with topology:
        topology.broker._java.kill()
        with pytest.raises(DriftwireError, match="Kafka stopped: killed by SIGKILL"):
            await topology.wait_for_failure()


async def test_a_topic_with_another_number_of_partitions_fails_the_start(broker, tmp_path):
    kafka = Configuration().kafka.model_copy(update={"records_partitions": 12})
    configuration = Configuration().model_copy(update={"kafka": kafka})
    topology = Topology(configuration, data_folder=tmp_path, cluster=broker.cluster)
    with pytest.raises(DriftwireError, match="has 4 partitions but the configuration requires 12"):
        await topology.start()
    assert topology.workers == []


def test_up_stops_at_ctrl_c_with_status_0_and_leaves_no_children(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "topologies.cli", "up", "--port", "0", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as up:
        lines = []
        for line in up.stdout:
            lines.append(line)
            if "driftwire is up" in line:
                break
        children = Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()
        up.send_signal(signal.SIGINT)
        lines += up.stdout.readlines()
    assert up.returncode == 0, lines
    assert len(children) == 4
    assert not running(children)
    assert lines[-1] == "driftwire has stopped.\n"
    assert not [line for line in lines if "ERROR" in line or "Traceback" in line]


INTAKE = """
[intake.topics."llm.requests"]
map = ["took=latency_ms:s", "n=request_id", "at=timestamp"]
subject = "{app}"
"""


HTTP = """
[http]
listen = "127.0.0.1:0"
"""


def up_with_intake(folder, *arguments):
    configuration = folder / "driftwire.toml"
    configuration.write_text(INTAKE + HTTP)
    command = ["-m", "topologies.cli", "up", "--config", configuration, "--data", folder / "data", *arguments]
    return WorkerUnderTest([str(argument) for argument in command], folder / "log")


def record_of_llm_requests(bootstrap):
    asyncio.run(send(bootstrap, "llm.requests", [message(1)]))
    (record,) = asyncio.run(read_all(bootstrap, RECORDS, 1))
    assert json.loads(record.value)["infrastructure"] == {"latency_ms": 500.0}
    return record.key


def test_up_starts_intake_and_http_if_they_are_configured(empty_broker, tmp_path):
    asyncio.run(create(empty_broker.bootstrap, {"llm.requests": 1}))
    with up_with_intake(tmp_path, "--bootstrap", empty_broker.bootstrap) as up:
        up.start()
        up.wait_for_output("driftwire is up")
        assert record_of_llm_requests(empty_broker.bootstrap) == b"app-1"
        address = re.search(r"^http +\| http: ready on (\S+)$", up.output, re.MULTILINE)[1]
        with urllib.request.urlopen(f"{address}/healthz", timeout=10) as answer:
            assert answer.status == 200
        assert up.stop() == 0
        assert find_trouble(up.output) == []


def test_up_names_a_missing_topic_for_intake_and_reads_it_when_it_is_created(tmp_path):
    with up_with_intake(tmp_path, "--port", "0") as up:
        up.start()
        up.wait_for_output("driftwire is up")
        bootstrap = re.search(r"driftwire is up: Kafka at (\S+),", up.output)[1]
        line = f"Kafka at {bootstrap} has no topic llm.requests: create it, or correct its name in [intake.topics]; waiting"
        assert re.search(rf"^intake +\| intake: {re.escape(line)}", up.output, re.MULTILINE), up.output
        asyncio.run(create(bootstrap, {"llm.requests": 1}))
        assert record_of_llm_requests(bootstrap) == b"app-1"
        assert up.stop() == 0
        assert " died " not in up.output
