"""The demo as a newcomer runs it: on a real Kafka, to its end, leaving nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.kafka
@pytest.mark.slow
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
        timeout=110,
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
