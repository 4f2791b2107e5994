"""``driftwire-load demo``: run all of driftwire on this machine, and compare the incidents with planted failures."""

import sys
import tempfile
from pathlib import Path

import click

from load.commands.options import json_option, write_json


@click.command("demo")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the simulated service.")
@click.option("--keep", is_flag=True, help="Keep the folder with Kafka's data and logs, and print its path.")
@json_option
def command(*, seed: int, keep: bool, json_file: Path | None) -> None:
    """Play half an hour of support-bot traffic in ten seconds, with three deployments, two of which cause a failure.

    Starts Kafka and the three steps, shows incidents as they open, and compares them with the planted failures. Exits
    with status 0 only if they match. Leaves nothing running.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import, and --help needs none of it

    from load.demo import play_demo  # noqa: PLC0415
    from topologies.interrupt import run_until_interrupted  # noqa: PLC0415

    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="driftwire-demo-")) if keep else None
    is_right = False

    async def run() -> None:
        nonlocal is_right
        result = await play_demo(seed, console, folder)
        result.show(console)
        write_json(json_file, result.to_json())
        is_right = result.is_right

    interrupted = run_until_interrupted(run())
    if folder is not None:
        console.print(f"Kafka's data and logs are in {folder}.")
    if interrupted:
        console.print("Stopped. Nothing is left running.")
        sys.exit(130)
    sys.exit(0 if is_right else 1)
