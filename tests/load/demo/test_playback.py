"""The demo as a newcomer runs it: on a real Kafka, to the end, leaving nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_finds_what_it_plants_and_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    report = tmp_path / "demo.json"
    done = subprocess.run(
        [sys.executable, "-m", "load.cli", "demo", "--seed", "2", "--json", str(report)],
        env=os.environ | {"TMPDIR": str(temporary), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    result = json.loads(report.read_text())
    assert result["right"]
    assert [finding["wrong"] for finding in result["findings"]] == [[], []]
    assert not list(temporary.glob("driftwire-*/kafka"))
    assert not [
        line
        for line in subprocess.check_output(["ps", "-eo", "args"], text=True).splitlines()
        if str(temporary) in line
    ]


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("number", "seconds_max", "line"),
    [
        (signal.SIGKILL, 40, "driftwire-load: Kafka stopped: killed by SIGKILL"),
        (signal.SIGSTOP, 120, "driftwire-load: "),
    ],
)
def test_a_kafka_that_fails_during_the_demo_ends_it_with_one_line_and_no_processes(
    tmp_path: Path, number: signal.Signals, seconds_max: float, line: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "load.cli", "demo", "--seed", "2"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        for printed in demo.stdout:
            if "Playing 34 minutes" in printed:
                break
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        [java] = [pid for pid in children if "kafka.Kafka" in Path(f"/proc/{pid}/cmdline").read_text()]
        started_s = time.monotonic()
        os.kill(int(java), number)
        output, errors = demo.communicate(timeout=180)
    assert demo.returncode == 1
    assert errors.startswith(line), errors
    assert len(errors.splitlines()) == 1, errors
    assert "Kafka" in errors
    assert "Traceback" not in output
    assert time.monotonic() - started_s < seconds_max
    assert len(children) == 4
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
