"""The commands of the benchmarks: options, pages, and Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from click.testing import CliRunner

from load.commands.bench import command

ROOT = Path(__file__).parents[3]


def test_the_pages_are_written_from_the_reports(tmp_path):
    done = CliRunner().invoke(
        command, ["pages", "--reports", str(ROOT / "docs/performance"), "--output", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    for name in ("performance.md", "scaling.md"):
        assert (tmp_path / name).read_text() == (ROOT / "docs" / name).read_text()


def test_more_failures_than_subjects_are_an_error():
    done = CliRunner().invoke(command, ["latency", "--subjects", "4", "--failures", "5"])
    assert done.exit_code == 2
    assert "5 of 4 subjects cannot fail: use at most 4" in done.output


def test_numbers_of_subjects_are_separated_by_commas():
    done = CliRunner().invoke(command, ["subjects", "--subjects", "100;1000"])
    assert done.exit_code == 2
    assert "use one such as 100,1000" in done.output


def test_an_interrupted_benchmark_ends_cleanly(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "load.cli", "bench", "detect", "--records", "10000"],
        env=environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert "learning a baseline" in child.stderr.readline()
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
    assert child.returncode == 130
    assert rest.endswith("Stopped. Nothing is left running.\n")
    assert list(tmp_path.iterdir()) == []
