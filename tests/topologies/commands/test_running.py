"""Commands that run steps or a broker fail with one clear line and stop on a signal."""

import signal
import socket
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def run_driftwire(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "topologies.cli", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def start_driftwire(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "topologies.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def only_error_line(done):
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("driftwire: ")
    return line


@pytest.fixture
def used_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("command", ["up", "broker"])
def test_a_used_port_is_one_line_and_status_1(command, used_port, tmp_path):
    line = only_error_line(run_driftwire(command, "--port", used_port, "--data", tmp_path))
    assert f"port {used_port} of 127.0.0.1 cannot be used (Address already in use)" in line


@pytest.mark.parametrize("command", [("up",), ("broker",), ("worker", "detect")])
def test_an_invalid_configuration_is_one_line_per_problem(command, tmp_path):
    path = tmp_path / "driftwire.toml"
    path.write_text("[kafka]\nbootstap = 1\n[detect]\nslices = 1\n")
    done = run_driftwire(*command, "--config", path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert sorted(done.stderr.splitlines()) == [
        f"driftwire: {path}: detect.slices: must be at least 8, not 1",
        f"driftwire: {path}: kafka.bootstap: unknown key; did you mean kafka.bootstrap?",
    ]


@pytest.mark.parametrize("arguments", [("worker", "direct"), ("broker", "--heap", "1"), ("up", "--port", "70000")])
def test_wrong_use_is_status_2(arguments):
    done = run_driftwire(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")


def test_up_without_kafka_is_one_line(tmp_path):
    line = only_error_line(run_driftwire("up", "--bootstrap", "127.0.0.1:1", "--data", tmp_path))
    assert "no Kafka broker answers at 127.0.0.1:1: start a broker" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_broker_prints_its_address_and_stops_on_a_signal(number, tmp_path):
    with start_driftwire("broker", "--port", "0", "--data", tmp_path) as broker:
        line = broker.stdout.readline()
        assert line.startswith("Kafka 4.3.1 listens on 127.0.0.1:")
        broker.send_signal(number)
        rest, errors = broker.communicate(timeout=30)
    assert (broker.returncode, rest, errors) == (0, "Kafka has stopped.\n", "")


@pytest.mark.parametrize("step", ["detect", "correlate", "route"])
def test_a_worker_prints_that_it_is_ready_and_stops_on_a_signal(step, empty_broker, tmp_path):
    with start_driftwire("worker", step, "--bootstrap", empty_broker.bootstrap) as worker:
        assert worker.stdout.readline() == f"{step}: ready\n"
        worker.send_signal(signal.SIGTERM)
        rest, errors = worker.communicate(timeout=30)
    assert (worker.returncode, rest) == (0, ""), errors
    assert "Traceback" not in errors
