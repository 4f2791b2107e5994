"""The command ``driftwire-load``. Commands are imported when they are run, so that help and errors come at once."""

import click

from topologies.command_line import LazyGroup, run

COMMANDS = {
    "demo": "Show the product at work: three deployments, two failures, found or not.",
    "generate": "Write the records of a simulated service.",
    "replay": "Send files of records through the pipeline, by their own time.",
    "walk": "Walk through one incident, from its cause to the draft of its review.",
    "probe": "Send outcomes of known-bad prompts, as a prober does.",
    "bench": "Measure the product beside the obvious pipeline.",
    "score": "Score what is found of failures that are known, and what is said where nothing failed.",
}
"""By name: one line of help. The file in ``load/commands`` has the same name and exposes ``command``."""


@click.group(
    cls=LazyGroup, package="load.commands", lines=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="driftwire", message="%(prog)s %(version)s")
def command() -> None:
    """Load for driftwire: a simulated world, real files replayed, a demo, a benchmark."""


def main() -> None:
    """Run the command line."""
    run(command, "driftwire-load")


if __name__ == "__main__":
    main()
