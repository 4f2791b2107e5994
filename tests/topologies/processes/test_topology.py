"""The whole topology: up, a worker lost and found again, given up, the broker lost, down, and nothing left."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from topologies.configuration.configuration import Configuration
from topologies.errors import Failure
from topologies.processes import worker_process as worker_child
from topologies.processes.topology import Topology

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


def alive(pids):
    return [pid for pid in pids if pid is not None and Path(f"/proc/{pid}").exists()]


async def until(holds, within_s=40.0):
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.1)


async def test_everything_starts_a_killed_worker_comes_back_and_nothing_is_left(tmp_path):
    said = []
    async with Topology(Configuration(), data=tmp_path, port=0, say=said.append) as topology:
        assert [worker.name for worker in topology.workers] == ["detect", "correlate", "route"]
        assert topology.bootstrap == topology.broker.bootstrap
        first = [worker.pid for worker in topology.workers]
        assert len(alive(first)) == 3
        detect = topology.workers[0]
        os.kill(detect.pid, signal.SIGKILL)
        await until(lambda: detect.restarts == 1 and detect.ready.is_set())
        assert detect.pid not in first
        last = [worker.pid for worker in topology.workers]
    assert not alive([*first, *last])
    assert not topology.broker.running
    assert any("worker detect died (killed by SIGKILL)" in line for line in said)
    assert not [line for line in said if "Traceback" in line]


async def test_a_worker_that_dies_at_once_is_given_up_with_its_last_words(broker, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_child, "BACK_OFF_FIRST_S", 0.01)
    monkeypatch.setattr(worker_child, "BACK_OFF_MAX_S", 0.01)
    topology = Topology(Configuration(), data=tmp_path, bootstrap=broker.bootstrap, workers=("dettect",))
    with pytest.raises(Failure, match=r"worker dettect died \(exit status 2\).*'dettect' is not one of.*given up"):
        await topology.start()
    assert not alive([worker.pid for worker in topology.workers])


async def test_the_brokers_death_is_told_and_takes_the_rest_down(tmp_path):
    topology = Topology(Configuration(), data=tmp_path, port=0, workers=())
    async with topology:
        topology.broker._java.kill()
        with pytest.raises(Failure, match="Kafka stopped: killed by SIGKILL"):
            await topology.failed()


async def test_topics_that_do_not_fit_are_told_and_nothing_is_left(broker, tmp_path):
    kafka = Configuration().kafka.model_copy(update={"records_partitions": 12})
    configuration = Configuration().model_copy(update={"kafka": kafka})
    topology = Topology(configuration, data=tmp_path, bootstrap=broker.bootstrap)
    with pytest.raises(Failure, match="has 4 partitions, and the configuration wants 12"):
        await topology.start()
    assert topology.workers == []


def test_up_stops_at_ctrl_c_with_status_0_and_leaves_no_children(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "topologies.cli", "up", "--port", "0", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as up:
        said = []
        for line in up.stdout:
            said.append(line)
            if "driftwire is up" in line:
                break
        children = Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()
        up.send_signal(signal.SIGINT)
        said += up.stdout.readlines()
    assert up.returncode == 0, said
    assert len(children) == 4
    assert not alive(children)
    assert said[-1] == "driftwire has stopped.\n"
    assert not [line for line in said if "ERROR" in line or "Traceback" in line]
