"""A worker in its own process: it stops on a signal, even if its event loop hangs."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

PROGRAM = textwrap.dedent("""
    import os, sys, time
    import faust
    from topologies.runtime import faust_worker
    faust_worker.STOP_TIMEOUT_S = float(sys.argv[2])
    app = faust.App(f"run-{os.getpid()}", broker=f"kafka://{sys.argv[1]}", store="memory://", web_enabled=False,
                    datadir=sys.argv[4], topic_allow_declare=False, topic_disable_leader=True)

    async def agent(stream):
        async for _ in stream:
            pass

    app.agent(app.topic("driftwire.deployments", value_serializer="raw"))(agent)

    @app.on_partitions_assigned.connect
    async def assigned(*_, **__):
        print("ready", flush=True)
        if sys.argv[3] == "hangs":
            time.sleep(60)

    faust_worker.run_worker(app)
""")


@pytest.fixture
def worker(broker, tmp_path):
    started = []

    def start(behaviour, stop_timeout_s=8.0):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, broker.bootstrap, str(stop_timeout_s), behaviour, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        assert child.stdout.readline() == "ready\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_and_no_output(worker, number):
    child = worker("works")
    child.send_signal(number)
    out, errors = child.communicate(timeout=60)
    assert (child.returncode, out, errors) == (0, "", "")


def test_it_opens_no_port(worker):
    child = worker("works")
    sockets = subprocess.run(["cat", f"/proc/{child.pid}/net/tcp"], capture_output=True, text=True, check=True).stdout
    listening_inodes = {line.split()[9] for line in sockets.splitlines()[1:] if line.split()[3] == "0A"}
    open_files = subprocess.run(
        ["ls", "-l", f"/proc/{child.pid}/fd"], capture_output=True, text=True, check=True
    ).stdout
    assert not [inode for inode in listening_inodes if f"socket:[{inode}]" in open_files]


def test_a_worker_whose_event_loop_hangs_is_ended_after_the_timeout(worker):
    child = worker("hangs", stop_timeout_s=1.0)
    signalled_at = time.monotonic()
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=60)
    assert time.monotonic() - signalled_at < 30
    assert child.returncode == 3
    assert "did not stop within 1 s" in errors
