"""``driftwire-load walk``: walk through one incident, from its cause to its draft review."""

import sys
from pathlib import Path

import click


@click.command("walk")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the simulated service.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for the draft review and its chart. Existing files are overwritten.",
)
def command(*, seed: int, folder: Path) -> None:
    """Walk through one incident on a real Kafka.

    A prompt leaks personal data, people respond, and the prompt is rolled back. Shows each command with its output,
    and writes the draft review, example.md, and its chart, example.svg. Exits with status 0 only if the incident is
    opened, acknowledged, mitigated and resolved with the correct cause. Leaves nothing running.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import, and --help needs none of it

    from load.demo import WalkthroughResult, play_walkthrough  # noqa: PLC0415
    from topologies.interrupt import run_until_interrupted  # noqa: PLC0415

    console = Console()
    results: list[WalkthroughResult] = []

    async def run() -> None:
        results.append(await play_walkthrough(seed, folder, console))

    if run_until_interrupted(run()) or not results:
        console.print("Stopped. Nothing is left running.")
        sys.exit(130)
    (result,) = results
    console.print(f"{len(result.revisions)} revisions, {', '.join(result.statuses)}; {result.draft}, {result.picture}")
    for problem in result.problems:
        console.print(f"problem: {problem}", markup=False)
    sys.exit(1 if result.problems else 0)
