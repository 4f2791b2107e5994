"""The short form of the chaos suite: ten faults on a full topology. ``make chaos SEED=N`` runs a hundred."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(580)]

SEED = 5
FAULTS = 10


def test_ten_faults_lose_nothing_repeat_nothing_and_leave_nothing_stuck(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    arguments = ["chaos", "--seed", str(SEED), "--faults", str(FAULTS), "--json", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "load.cli", *arguments], capture_output=True, text=True, check=False, timeout=570
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads(file.read_text())
    assert report["faults"] == FAULTS
    assert report["faults_that_struck"] >= FAULTS // 2
    assert report["alerts"] >= 4
    assert report["alerts_equal"] == 1
    figures = ("records_unaccounted", "outputs_twice", "outputs_lost", "torn_checkpoints", "stuck")
    assert {name: report[name] for name in figures} == dict.fromkeys(figures, 0)
    assert report["seconds_to_lag_zero"] <= 60
