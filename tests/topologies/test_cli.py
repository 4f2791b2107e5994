"""The command line: quick help, one line for each problem, and the status that scripts rely on."""

import subprocess
import sys
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from topologies import cli
from topologies.cli import COMMANDS, command
from topologies.errors import Failure


def run(*arguments, **settings):
    return CliRunner().invoke(command, arguments, **settings)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_begins_as_the_list_says(name):
    context = click.Context(command)
    found = command.get_command(context, name)
    assert found.name == name
    assert found.get_short_help_str(limit=200) == COMMANDS[name]
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_the_list_of_commands_imports_none_of_them():
    program = "import sys; sys.argv = ['driftwire', '--help']; from topologies.cli import command\n"
    program += "try: command()\nexcept SystemExit: pass\nprint([n for n in ('faust', 'numpy', 'pydantic') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_the_distributions():
    assert run("--version", prog_name="driftwire").output == f"driftwire {version('driftwire')}\n"


def test_an_unknown_command_is_wrong_use():
    result = run("upp")
    assert result.exit_code == 2
    assert "No such command 'upp'" in result.output


def fail_with(error):
    def raise_it(**_):
        raise error

    return raise_it


def test_a_known_failure_is_a_line_for_each_problem_and_status_1(monkeypatch, capsys):
    monkeypatch.setattr(cli, "command", fail_with(Failure("one is wrong\ntwo is wrong")))
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1
    assert capsys.readouterr().err == "driftwire: one is wrong\ndriftwire: two is wrong\n"


def test_ctrl_c_is_status_130_and_says_nothing(monkeypatch, capsys):
    monkeypatch.setattr(cli, "command", fail_with(KeyboardInterrupt()))
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 130
    assert capsys.readouterr().err == ""


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "command", fail_with(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main()
