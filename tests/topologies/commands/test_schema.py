"""``driftwire schema export`` writes every contract and prints the files."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from topologies.commands.schema import command
from topologies.errors import DriftwireError


def test_every_message_has_a_schema(tmp_path):
    result = CliRunner().invoke(command, ["export", str(tmp_path / "schemas")])
    assert result.exit_code == 0
    written = [Path(line) for line in result.output.splitlines()]
    assert {path.name for path in written} >= {"record.schema.json", "deployment.schema.json", "incident.schema.json"}
    assert all(json.loads(path.read_text())["$schema"].endswith("2020-12/schema") for path in written)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DriftwireError, match="cannot write the schemas to"):
        CliRunner().invoke(command, ["export", str(tmp_path / "file" / "schemas")], catch_exceptions=False)
