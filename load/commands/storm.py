"""``driftwire-load storm``: send many incidents through route, while a receiver fails and the worker is killed."""

import sys
from pathlib import Path

import click

from load.commands.options import json_option, write_json
from topologies.terminal import echo


@click.command("storm")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Seed of the incidents and of the kills. The same seed gives the same storm.",
)
@click.option(
    "--incidents",
    type=click.IntRange(1, 10_000),
    default=500,
    show_default=True,
    help="Number of incidents. Higher values load route and the receivers more.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(5, 3600),
    default=60.0,
    show_default=True,
    help="Seconds in which the incidents open. Higher values make the storm weaker.",
)
@click.option(
    "--kills",
    type=click.IntRange(0, 5),
    default=5,
    show_default=True,
    help="Number of times that the worker is killed. Each time it is restarted.",
)
@json_option
def command(*, seed: int, incidents: int, seconds: float, kills: int, json_file: Path | None) -> None:
    """Send a storm of incidents through route while a receiver fails.

    Three receivers get every incident: one gets each incident by itself, and two get one message per subject. One of
    these refuses everything until the storm is over, and the other has a limit of messages per minute. The worker is
    killed several times. Exits with status 0 only if every receiver finally has the newest state of every incident,
    nothing is dead-lettered, nothing is sent twice with different keys, and the limit is respected. Leaves nothing
    running.
    """
    from load.chaos.storm import StormReport, run_storm  # noqa: PLC0415  slow to import, and --help needs none of it
    from topologies.interrupt import run_until_interrupted  # noqa: PLC0415

    reports: list[StormReport] = []

    async def run() -> None:
        reports.append(await run_storm(seed, incidents=incidents, duration_s=seconds, kills=kills))

    if run_until_interrupted(run()):
        echo("Stopped. Nothing is left running.")
        sys.exit(130)
    (report,) = reports
    write_json(json_file, report.to_json())
    for name, count in report.sent_by_receiver.items():
        echo(f"{name:<8} accepted {count:,} notifications in {report.messages_by_receiver[name]:,} messages")
    for reason, count in report.suppressed_by_reason.items():
        echo(f"{count:>6,} suppressed: {reason}")
    problems = report.problems()
    for line in problems:
        echo(f"seed {seed}: {line}", err=True)
    if not problems:
        echo(
            f"seed {seed}: {incidents:,} incidents, {report.kills} kills: every receiver got the newest state of each, "
            f"{report.duplicates} notifications arrived twice with the same key"
        )
    sys.exit(1 if problems else 0)
