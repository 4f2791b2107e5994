"""The command ``driftwire``. Commands are imported when they are run, so that help and errors come at once."""

import importlib
import logging
import sys

import click

from topologies.failure import Failure

COMMANDS = {
    "up": "Run Kafka and all steps on this machine until Ctrl-C.",
    "worker": "Run one step on a Kafka that is there.",
    "broker": "Run the embedded Kafka alone until Ctrl-C.",
    "incidents": "Show incidents, and follow them.",
    "incident": "Show one incident, or acknowledge, classify, assign, resolve, accept it.",
    "deployed": "Tell that something was deployed.",
    "baseline": "Learn, publish and show what is normal.",
    "check": "Check a configuration file.",
    "schema": "Export the contracts as JSON Schemas.",
}
"""By name: one line of help. The file in ``topologies/commands`` has the same name and exposes ``command``."""

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports a command only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"topologies.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="driftwire", message="%(prog)s %(version)s")
def command() -> None:
    """Find drift and incidents in AI systems in production: records in, incidents out, on Apache Kafka."""


def main() -> None:
    """Run the command line: status 1 with a line for each problem, 2 for wrong use, 130 after Ctrl-C."""
    # What the Kafka client logs while no log is set up, a command's own line says better.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        command(prog_name="driftwire")
    except Failure as failure:
        for line in str(failure).splitlines():
            click.echo(f"driftwire: {line}", err=True)
        sys.exit(EXIT_FAILURE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
