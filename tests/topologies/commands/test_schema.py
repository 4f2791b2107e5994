"""``driftwire schema export`` writes every contract, or one AsyncAPI document, and prints the files."""

import json
from importlib.metadata import version
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


def test_one_asyncapi_document_has_the_version_of_driftwire(tmp_path):
    result = CliRunner().invoke(command, ["export", "--asyncapi", str(tmp_path / "driftwire.json")])
    assert result.exit_code == 0
    assert result.output == f"{tmp_path / 'driftwire.json'}\n"
    content = json.loads((tmp_path / "driftwire.json").read_text())
    assert content["asyncapi"] == "3.0.0"
    assert content["info"]["version"] == version("driftwire")


@pytest.mark.parametrize("options", [[], ["--asyncapi"]])
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, options):
    (tmp_path / "file").touch()
    with pytest.raises(DriftwireError, match="cannot write the schemas to"):
        CliRunner().invoke(command, ["export", *options, str(tmp_path / "file" / "schemas")], catch_exceptions=False)
