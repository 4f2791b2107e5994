"""The command line: quick help, one line per problem, and the exit status on which scripts rely."""

import subprocess
import sys
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from topologies import cli
from topologies.cli import COMMANDS, command
from topologies.errors import DriftwireError


def run(*arguments, **settings):
    return CliRunner().invoke(command, arguments, **settings)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_help_line_of_the_list(name):
    context = click.Context(command)
    subcommand = command.get_command(context, name)
    assert subcommand.name == name
    assert subcommand.get_short_help_str(limit=200) == COMMANDS[name]
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_the_help_of_all_commands_imports_none_of_them():
    program = "import sys; sys.argv = ['driftwire', '--help']; from topologies.cli import command\n"
    program += "try: command()\nexcept SystemExit: pass\nprint([n for n in ('faust', 'numpy', 'pydantic') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_no_slow_library(name):
    program = f"import sys; sys.argv = ['driftwire', '{name}', '--help']; from topologies.cli import command\n"
    program += "try: command()\nexcept SystemExit: pass\n"
    program += "print([n for n in ('faust', 'matplotlib', 'numpy', 'river') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_that_of_the_distribution():
    assert run("--version", prog_name="driftwire").output == f"driftwire {version('driftwire')}\n"


def test_an_unknown_command_is_a_usage_error():
    result = run("upp")
    assert result.exit_code == 2
    assert "No such command 'upp'" in result.output


def fail_with(error):
    def raise_it(**_):
        raise error

    return raise_it


def test_a_known_error_prints_one_line_per_problem_and_ends_with_status_1(monkeypatch, capsys):
    monkeypatch.setattr(cli, "command", fail_with(DriftwireError("one is wrong\ntwo is wrong")))
    with pytest.raises(SystemExit) as exit_error:
        cli.main()
    assert exit_error.value.code == 1
    assert capsys.readouterr().err == "driftwire: one is wrong\ndriftwire: two is wrong\n"


def test_ctrl_c_ends_with_status_130_and_no_output(monkeypatch, capsys):
    monkeypatch.setattr(cli, "command", fail_with(KeyboardInterrupt()))
    with pytest.raises(SystemExit) as exit_error:
        cli.main()
    assert exit_error.value.code == 130
    assert capsys.readouterr().err == ""


def test_an_unexpected_error_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "command", fail_with(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main()
