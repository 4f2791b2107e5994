"""``driftwire-load chaos``: disrupt a topology with a seeded plan, and compare the result with an undisturbed run."""

import sys
import tempfile
from pathlib import Path

import click

from load.commands.options import json_option, write_json
from topologies.terminal import echo


@click.command("chaos")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Seed of the faults and the records. The same seed gives the same schedule.",
)
@click.option(
    "--faults",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Number of faults. Higher values make the run longer: a hundred faults take up to 30 minutes.",
)
@click.option("--keep", is_flag=True, help="Keep the folder with the logs of the workers, and print its path.")
@json_option
def command(*, seed: int, faults: int, keep: bool, json_file: Path | None) -> None:
    """Disrupt a topology with a seeded plan of faults, and compare the result with an undisturbed run.

    Kills and suspends workers and the broker, changes clocks, breaks connections, fills disks and sends unusable
    records, while two workers per step process the records. Exits with status 0 only if every alert, output and record
    is present exactly once and no worker is stuck. Leaves nothing running.
    """
    from load.chaos import ChaosReport, run_chaos  # noqa: PLC0415  slow to import, and --help needs none of it
    from topologies.interrupt import run_until_interrupted  # noqa: PLC0415

    folder = Path(tempfile.mkdtemp(prefix="driftwire-chaos-")) if keep else None
    reports: list[ChaosReport] = []

    async def run() -> None:
        reports.append(await run_chaos(seed, faults, folder=folder, say=echo))

    interrupted = run_until_interrupted(run())
    if folder is not None:
        echo(f"the logs of the workers are in {folder}")
    if interrupted:
        echo("Stopped. Nothing is left running.")
        sys.exit(130)
    (report,) = reports
    write_json(json_file, report.to_json())
    for kind, counts in report.by_kind.items():
        echo(f"{kind:<24} {counts['struck']} of {counts['planned']} took effect")
    for line in report.differences:
        echo(line)
    problems = report.problems()
    for line in problems:
        echo(f"seed {seed}: {line}", err=True)
    if not problems:
        echo(f"seed {seed}: {report.struck} of {faults} faults took effect, and nothing was lost, repeated or stuck")
    sys.exit(1 if problems else 0)
