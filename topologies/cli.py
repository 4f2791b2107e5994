"""The command ``driftwire``. Commands are imported when they are run, so that help and errors come at once."""

import click

from topologies.command_line import LazyGroup, run

COMMANDS = {
    "up": "Run Kafka and all steps on this machine until Ctrl-C.",
    "worker": "Run one step on a Kafka that is there.",
    "broker": "Run the embedded Kafka alone until Ctrl-C.",
    "incidents": "Show incidents, and follow them.",
    "incident": "Show one incident, or say something of it.",
    "deployed": "Tell that something was deployed.",
    "baseline": "Learn, publish, show and accept what is normal.",
    "explain": "Show the evidence of every channel over a stream.",
    "check": "Check a configuration file.",
    "schema": "Export the contracts as JSON Schemas.",
}
"""By name: one line of help. The file in ``topologies/commands`` has the same name and exposes ``command``."""


@click.group(
    cls=LazyGroup,
    package="topologies.commands",
    lines=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="driftwire", message="%(prog)s %(version)s")
def command() -> None:
    """Find drift and incidents in AI systems in production: records in, incidents out, on Apache Kafka."""


def main() -> None:
    """Run the command line."""
    run(command, "driftwire")


if __name__ == "__main__":
    main()
