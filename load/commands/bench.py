"""``driftwire-load bench``: measures the product, beside something that it must beat, and writes figures as JSON."""

import asyncio
import sys
import time
from pathlib import Path

import click

from load.commands.options import json_option, write_json


@click.group("bench")
def command() -> None:
    """Measure the product beside the obvious pipeline."""


@command.command("detect")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the simulated service.")
@click.option("--records", type=click.IntRange(50_000), default=600_000, show_default=True, help="In the topic.")
@json_option
def detect(*, seed: int, records: int, json_file: Path | None) -> None:
    """Measure records a second of the detect worker on a filled topic, beside the obvious pipeline.

    Three rounds, each pipeline alone, the median. Ends with status 1 if the ratio is under its floor, if a timed run
    did not report the failure that was planted in it, or if less than 99 % of the signal values were judged.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import, and --help needs none of it

    from load.bench import bench, show  # noqa: PLC0415

    console = Console()
    measured = asyncio.run(bench(seed, records, time.time_ns() // 1_000_000, console))
    show(measured, console)
    write_json(json_file, measured.to_json())
    sys.exit(1 if measured.problems else 0)
