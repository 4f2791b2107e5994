"""``driftwire-load soak``: disturb a topology for a long time, and check that its resources do not grow."""

import sys
import tempfile
from pathlib import Path

import click

from load.commands.options import json_option, write_bytes, write_json
from topologies.terminal import echo


@click.command("soak")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Seed of the faults and the records. The same seed gives the same schedule.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(2, 24 * 60),
    default=40.0,
    show_default=True,
    help="Minutes of the run. Higher values find slower leaks.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a plot of the resources to this file as PNG.",
)
@click.option("--keep", is_flag=True, help="Keep the folder with the logs of the workers, and print its path.")
@json_option
def command(*, seed: int, minutes: float, plot: Path | None, keep: bool, json_file: Path | None) -> None:
    """Disturb a topology every 15 seconds, and check that its memory, open files and state do not grow.

    Two workers per step process records at a moderate rate. The broker is down twice for a minute: in the second and in
    the last quarter. Exits with status 0 only if no record was lost, and if the peak memory, number of open files and
    size of the state in the last quarter are at most 1.05 times the peaks in the second quarter. Leaves nothing
    running.
    """
    from load.chaos import SoakReport, draw_soak, run_soak  # noqa: PLC0415  slow to import, and --help needs none of it
    from topologies.interrupt import run_until_interrupted  # noqa: PLC0415

    folder = Path(tempfile.mkdtemp(prefix="driftwire-soak-")) if keep else None
    reports: list[SoakReport] = []

    async def run() -> None:
        reports.append(await run_soak(seed, minutes * 60, folder=folder, say=echo))

    interrupted = run_until_interrupted(run())
    if folder is not None:
        echo(f"the logs of the workers are in {folder}")
    if interrupted:
        echo("Stopped. Nothing is left running.")
        sys.exit(130)
    (report,) = reports
    content = report.to_json()
    write_json(json_file, content)
    if plot is not None:
        write_bytes(plot, draw_soak(report))
    for name, largest in content["largest_by_quarter"].items():
        echo(f"{name:<17} {' '.join(f'{value:>12,}' for value in largest)}   growth {content['growth'][name]}")
    problems = report.problems()
    for line in problems:
        echo(f"seed {seed}: {line}", err=True)
    if not problems:
        echo(f"seed {seed}: {len(report.faults)} faults, and nothing grew, was lost or is stuck")
    sys.exit(1 if problems else 0)
