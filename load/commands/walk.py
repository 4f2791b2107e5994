"""``driftwire-load walk``: one incident from its cause to the draft of its review."""

import sys
from pathlib import Path

import click


@click.command("walk")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the simulated service.")
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path, file_okay=False), required=True,
    help="The folder for the draft of the review and its picture; those of a walk before are written over.",
)  # fmt: skip
def command(*, seed: int, folder: Path) -> None:
    """Walk through one incident on a real Kafka: a prompt leaks personal data, people respond, it is rolled back.

    Shows each command that is typed and what it says, and leaves the draft of the review, example.md, with its picture,
    example.svg. Ends with status 0 only if the incident was opened, acknowledged, mitigated and resolved, with the right
    cause. Leaves nothing running.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import, and --help needs none of it

    from load.demo import Walked, walk  # noqa: PLC0415
    from topologies.interrupt import run_until_interrupted  # noqa: PLC0415

    console = Console()
    done: list[Walked] = []

    async def run() -> None:
        done.append(await walk(seed, folder, console))

    if run_until_interrupted(run()) or not done:
        console.print("stopped; nothing is left running")
        sys.exit(130)
    walked = done[0]
    console.print(f"{len(walked.revisions)} revisions, {', '.join(walked.statuses)}; {walked.draft}, {walked.picture}")
    for problem in walked.problems:
        console.print(f"wrong: {problem}", markup=False)
    sys.exit(1 if walked.problems else 0)
