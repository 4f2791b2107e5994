"""``driftwire-load score``: score detection and diagnosis against ground truth."""

import sys
from pathlib import Path

import click

from load.commands.options import json_option, write_json

WIDTH_MIN = 120
"""Terminal width that the tables of the report need, in characters."""


@click.command("score")
@click.option(
    "--suite",
    type=click.Choice(("null", "failures", "harmless", "real", "severity", "causes", "field", "nab", "renewal", "all")),
    default="all",
    show_default=True,
    help="Suite to run. The choice all omits field and renewal, which take up to an hour, and nab.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="First seed. Use seeds of 1000 or more for the report, and lower seeds for tuning.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("../shared/data"),
    show_default=True,
    help="Folder of the recorded streams. Rows without data are marked in the report.",
)
@json_option
def command(*, suite: str, seed: int, data: Path, json_file: Path | None) -> None:
    """Score detection and diagnosis against ground truth.

    The suites cover a quiet service, failures, harmless events, recorded streams, severity cases, causes, events in
    the field after days of live learning, the labelled series of the Numenta Anomaly Benchmark, and four weeks of
    renewed baselines. Uses all cores. If a figure misses its target, prints the figure and exits with status 1.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import, and --help needs none of it

    from load.harness import progress_bar  # noqa: PLC0415
    from load.score import LONG_SUITES, SUITES, ScorePlan, build_report, run_suites, show_report  # noqa: PLC0415
    from pipeline.detect.settings import DetectSettings  # noqa: PLC0415

    console = Console(width=max(WIDTH_MIN, Console().width))
    names = tuple(name for name in SUITES if name == suite or (suite == "all" and name not in LONG_SUITES))
    plan = ScorePlan(names, seed, data, DetectSettings())
    with progress_bar(console) as progress:
        task = progress.add_task(f"score, {suite}")
        results = run_suites(plan, lambda done, total: progress.update(task, completed=done, total=total))
    report = build_report(results)
    show_report(report, console)
    write_json(json_file, report)
    sys.exit(1 if report["problems"] else 0)
