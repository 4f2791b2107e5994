"""Functions that both command lines share: import commands on demand, and print one line per problem."""

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from pipeline.plain_text import plain_text
from topologies.errors import DriftwireError
from topologies.quiet_client import hide_client_lines
from topologies.terminal import echo

PRIVATE_UMASK = 0o077
"""File mode mask that makes new files and folders accessible only to their owner."""

EXIT_FAILURE = 1
EXIT_FOUND = 3
"""Exit status of a check that found what it looked for."""

EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """Command group that imports a command only to run it or to show its help, so the program starts quickly.

    Parameters
    ----------
    package
        Package with one module per command. The module has the name of the command, with underscores, and defines
        ``command``.
    help_lines
        One line of help for each command.
    """

    def __init__(self, *arguments: Any, package: str, help_lines: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._package = package
        self._help_lines = help_lines

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(self._help_lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self._help_lines:
            return None
        module = cmd_name.replace("-", "_")
        command: click.Command = importlib.import_module(f"{self._package}.{module}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = plain_text(error.message)  # it can contain names from messages
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(self._help_lines.items()))


def run_command_line(command: click.Command, name: str) -> None:
    """Run a command line.

    The exit status is 1 after a failure, 2 after a usage error, 3 if a check found something, and 130 after Ctrl-C.
    """
    # Records, incidents and settings can be confidential. Child processes inherit the mask.
    os.umask(PRIVATE_UMASK)
    hide_client_lines()
    try:
        command(prog_name=name)
    except DriftwireError as error:
        for line in str(error).splitlines():
            echo(f"{name}: {line}", err=True)
        sys.exit(EXIT_FAILURE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
