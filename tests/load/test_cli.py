"""The commands at the terminal: wrong use, errors, and the output of `generate`."""

import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from load import cli
from schemas.record import Record


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.command, list(arguments))
    return result.exit_code, result.output


def run_main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[object, str]:
    monkeypatch.setattr(sys, "argv", ["driftwire-load", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code, capsys.readouterr().err


def test_help_names_every_command() -> None:
    status, text = invoke("--help")
    assert status == 0
    assert all(name in text for name in cli.COMMANDS)


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_has_help(name: str) -> None:
    status, text = invoke(name, "--help")
    assert (status, "Usage:" in text) == (0, True)


def test_generate_writes_records_of_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "records.ndjson"
    status, _ = invoke("generate", "--seed", "4", "--records", "50", "--subject", "bot", "-o", str(path))
    records = [Record.from_json(line) for line in path.read_bytes().splitlines()]
    assert status == 0
    assert [record.subject for record in records] == ["bot"] * 50


def test_generate_plants_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "records.ndjson"
    invoke("generate", "--records", "2000", "--failure", "empty_output@10", "-o", str(path))
    empty = [orjson.loads(line)["output"]["empty"] for line in path.read_bytes().splitlines()]
    assert sum(empty[:300]) < 5
    assert sum(empty[-1000:]) > 500


@pytest.mark.parametrize("text", ["refusals@10", "refusal_spike", "refusal_spike@soon"])
def test_an_invalid_failure_is_wrong_use(text: str) -> None:
    status, output = invoke("generate", "--failure", text)
    assert status == 2
    assert "NAME@SECONDS" in output


@pytest.mark.parametrize(
    ("option", "value"), [("--speed", "fast"), ("--speed", "-1"), ("--ready-after", "soon"), ("--ready-records", "9")]
)
def test_invalid_options_of_replay_are_wrong_use(option: str, value: str) -> None:
    status, output = invoke("replay", "x.ndjson", option, value)
    assert status == 2
    assert option in output


def test_readiness_is_not_an_option_for_a_running_topology() -> None:
    status, output = invoke("replay", "x.ndjson", "--bootstrap", "127.0.0.1:1", "--ready-after", "30m")
    assert status == 2
    assert "settings of the topology" in output


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["replay", "absent.ndjson"], "absent.ndjson cannot be read"),
        (["replay", "absent.csv", "--subject", "bot"], "absent.csv cannot be read"),
        (["generate", "-o", "absent/records.ndjson"], "absent/records.ndjson: cannot be written"),
    ],
)
def test_an_error_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    status, error = run_main(monkeypatch, capsys, *arguments)
    assert status == 1
    assert error.startswith(f"driftwire-load: {problem}")
    assert error.count("\n") == 1
