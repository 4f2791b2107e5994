"""``driftwire-load score``: its report as JSON."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from load.commands.score import command
from load.score.suites import recorded
from tests.load.score.scenarios import SETTINGS


@pytest.mark.slow
def test_the_command_writes_its_figures_and_names_missing_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "RECORDED_STREAMS", recorded.RECORDED_STREAMS[:1])
    path = tmp_path / "score.json"
    arguments = ["--suite", "real", "--seed", "5", "--data", str(tmp_path), "--json", str(path)]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    report = json.loads(path.read_text())
    assert report["config_hash"] == SETTINGS.digest()
    assert report["seeds_are_for"] == "tuning"
    (row,) = report["rows"]
    assert "--data" in row["skipped"]
    assert row["scenario"] in result.output
