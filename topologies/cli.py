"""Command line ``driftwire``. A command is imported only when it runs, so help and errors appear quickly."""

import click

from topologies.command_line import LazyGroup, run_command_line

COMMANDS = {
    "up": "Run Kafka and all steps on this machine until Ctrl-C.",
    "worker": "Run one step against an existing Kafka.",
    "broker": "Run the embedded Kafka alone until Ctrl-C.",
    "status": "Show which records arrive, and what detect does with them.",
    "incidents": "List open incidents, show them, and follow their changes.",
    "incident": "Show or update an incident.",
    "report": "Show how many incidents paged, and how many were false.",
    "silence": "Silence incidents for a time.",
    "route": "Show and test the routes of incidents.",
    "receiver": "Test the receivers of notifications.",
    "notifications": "Show who was notified of an incident.",
    "records": "Check records for problems.",
    "dead-letters": "Show dead letters, and send them again.",
    "deployed": "Record a deployment.",
    "baseline": "Learn, publish, show and accept baselines.",
    "backtest": "Show what driftwire would have found in past records.",
    "intake": "Show how messages of another service would be read.",
    "explain": "Show the evidence of every channel over files of records.",
    "topics": "Add partitions to the records topic.",
    "check": "Check a configuration file.",
    "schema": "Export the message contracts as JSON Schemas or AsyncAPI.",
}
"""Help line of each command. The module of the same name in ``topologies/commands`` defines ``command``."""


@click.group(
    cls=LazyGroup,
    package="topologies.commands",
    help_lines=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="driftwire", message="%(prog)s %(version)s")
def command() -> None:
    """Find drift and incidents in AI systems in production.

    Reads records from Apache Kafka and writes incidents back to it.
    """


def main() -> None:
    """Run the command line."""
    run_command_line(command, "driftwire")


if __name__ == "__main__":
    main()
