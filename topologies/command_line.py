"""What both command lines share: commands imported when they are run, and one line for each problem."""

import importlib
import logging
import sys
from collections.abc import Mapping
from typing import Any

import click

from topologies.errors import Failure

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports a command only to run it or to show its own help, so that help and errors come at once.

    Parameters
    ----------
    package
        Where the commands are: one file each, named as the command, that exposes ``command``.
    lines
        By name: one line of help.
    """

    def __init__(self, *arguments: Any, package: str, lines: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._package = package
        self._lines = lines

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(self._lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self._lines:
            return None
        command: click.Command = importlib.import_module(f"{self._package}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lines.items()))


def run(command: click.Command, name: str) -> None:
    """Run a command line: status 1 with a line for each problem, 2 for wrong use, 130 after Ctrl-C."""
    # What the Kafka client logs while no log is set up, a command's own line says better.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        command(prog_name=name)
    except Failure as failure:
        for line in str(failure).splitlines():
            click.echo(f"{name}: {line}", err=True)
        sys.exit(EXIT_FAILURE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
