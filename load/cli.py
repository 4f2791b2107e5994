"""Command line of ``driftwire-load``. A command is imported only when it runs, so help appears quickly."""

import click

from topologies.command_line import LazyGroup, run_command_line

COMMANDS = {
    "demo": "Play a demo with three deployments, two of which cause a failure.",
    "generate": "Write the records of a simulated service.",
    "replay": "Replay files of records through the pipeline.",
    "walk": "Walk through one incident, from its cause to its draft review.",
    "probe": "Send the outcomes of known-bad prompts.",
    "bench": "Measure the workers, and compare them with other pipelines.",
    "chaos": "Disrupt a topology with a seeded plan of faults.",
    "soak": "Disturb a topology for a long time, and check that its resources do not grow.",
    "storm": "Send a storm of incidents through route while a receiver fails.",
    "score": "Score detection and diagnosis against ground truth.",
}
"""Help line of each command. The module of the same name in ``load/commands`` defines ``command``."""


@click.group(
    cls=LazyGroup,
    package="load.commands",
    help_lines=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="driftwire", message="%(prog)s %(version)s")
def command() -> None:
    """Generate load for driftwire: a simulated service, replays of files, a demo, scores and benchmarks."""


def main() -> None:
    """Run the command line."""
    run_command_line(command, "driftwire-load")


if __name__ == "__main__":
    main()
