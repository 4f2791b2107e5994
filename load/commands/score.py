"""``driftwire-load score``: how well detect finds what is known to have failed, and how quiet it is where nothing did."""

import sys
from pathlib import Path

import click

from load.commands.options import json_option, write_json

WIDTH_MIN = 120
"""Characters: the tables of the report need so many."""


@click.command("score")
@click.option(
    "--suite", type=click.Choice(("null", "failures", "harmless", "real", "severity", "causes", "all")), default="all", show_default=True,
    help="What to run.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1000, show_default=True, help="The first; below 1000 to tune.")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), default=Path("../shared/data"), show_default=True,
    help="Where the real streams are; without them their rows say so.",
)  # fmt: skip
@json_option
def command(*, suite: str, seed: int, data: Path, json_file: Path | None) -> None:
    """Score against ground truth: a quiet world, failures, harmless events, real streams, severity cases, causes.

    Uses every core. Ends with status 1 if a figure misses its floor, and names it. Seeds from 1000 on are for the
    report; whatever is tuned is tuned on seeds below.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import, and --help needs none of it

    from load.score import (  # noqa: PLC0415
        SUITES,
        Plan,
        report,  # noqa: PLC0415
        run,
        show,  # noqa: PLC0415
    )
    from load.stage import progress_bar  # noqa: PLC0415
    from pipeline.detect.settings import DetectSettings  # noqa: PLC0415

    console = Console(width=max(WIDTH_MIN, Console().width))
    plan = Plan(SUITES if suite == "all" else tuple(each for each in SUITES if each == suite), seed, data)
    settings = DetectSettings()
    with progress_bar(console) as progress:
        task = progress.add_task(f"score, {suite}")
        done = run(plan, settings, lambda done, total: progress.update(task, completed=done, total=total))
    found = report(plan, settings, done)
    show(found, console)
    write_json(json_file, found)
    sys.exit(1 if found["problems"] else 0)
