"""The commands that run something tell a person in a line what is in their way, and stop when told to."""

import signal
import socket
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]


def driftwire(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "topologies.cli", *map(str, arguments)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def started(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "topologies.cli", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def fails_with_one_line(done):
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("driftwire: ")
    return line


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.parametrize("command", ["up", "broker"])
def test_a_taken_port_is_one_line_and_status_1(command, taken_port, tmp_path):
    line = fails_with_one_line(driftwire(command, "--port", taken_port, "--data", tmp_path))
    assert f"port {taken_port} of 127.0.0.1 cannot be used (Address already in use)" in line


@pytest.mark.parametrize("command", [("up",), ("broker",), ("worker", "detect")])
def test_a_broken_configuration_is_a_line_for_each_problem(command, tmp_path):
    path = tmp_path / "driftwire.toml"
    path.write_text("[kafka]\nbootstap = 1\n[detect]\nslices = 1\n")
    done = driftwire(*command, "--config", path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert sorted(done.stderr.splitlines()) == [
        f"driftwire: {path}: detect.slices: must be at least 8, not 1",
        f"driftwire: {path}: kafka.bootstap: unknown key; did you mean kafka.bootstrap?",
    ]


@pytest.mark.parametrize("arguments", [("worker", "direct"), ("broker", "--heap", "1"), ("up", "--port", "70000")])
def test_wrong_use_is_status_2(arguments):
    done = driftwire(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")


def test_up_without_an_answering_kafka_is_one_line(tmp_path):
    line = fails_with_one_line(driftwire("up", "--bootstrap", "127.0.0.1:1", "--data", tmp_path))
    assert "no Kafka answers at 127.0.0.1:1: start one" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_broker_says_where_it_listens_and_stops_when_told_to(number, tmp_path):
    with started("broker", "--port", "0", "--data", tmp_path) as broker:
        said = broker.stdout.readline()
        assert said.startswith("Kafka 4.3.1 listens on 127.0.0.1:")
        broker.send_signal(number)
        rest, errors = broker.communicate(timeout=30)
    assert (broker.returncode, rest, errors) == (0, "Kafka has stopped.\n", "")


@pytest.mark.parametrize("step", ["detect", "correlate", "route"])
def test_a_worker_says_that_it_is_ready_and_stops_when_told_to(step, empty_broker, tmp_path):
    with started("worker", step, "--bootstrap", empty_broker.bootstrap) as worker:
        assert worker.stdout.readline() == f"{step}: ready\n"
        worker.send_signal(signal.SIGTERM)
        rest, errors = worker.communicate(timeout=30)
    assert (worker.returncode, rest) == (0, ""), errors
    assert "Traceback" not in errors
