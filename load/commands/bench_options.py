"""Options that several benchmarks share, and what they do with their report."""

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from load.commands.options import write_json
from topologies.terminal import echo

if TYPE_CHECKING:
    from rich.console import Console

Run = Callable[["Console"], Coroutine[Any, Any, dict[str, Any]]]

seed_option = click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the simulated services."
)
rounds_option = click.option(
    "--rounds",
    type=click.IntRange(1, 99),
    default=3,
    show_default=True,
    help="Number of rounds. The results are medians over the rounds.",
)


def records_option(default: int, minimum: int) -> Callable[[Any], Any]:
    """Return the option for the number of records in a topic."""
    return click.option(
        "--records",
        type=click.IntRange(minimum),
        default=default,
        show_default=True,
        help="Number of records in the topic. Higher values give more exact figures.",
    )


def subjects_option(default: int, minimum: int = 2) -> Callable[[Any], Any]:
    """Return the option for the number of subjects."""
    return click.option(
        "--subjects",
        type=click.IntRange(minimum, 100_000),
        default=default,
        show_default=True,
        help="Number of subjects. Lower values suit small machines.",
    )


def sizes_option(default: str) -> Callable[[Any], Any]:
    """Return the option for several numbers of subjects."""
    return click.option(
        "--subjects",
        "sizes",
        type=Sizes(),
        default=default,
        show_default=True,
        help="Numbers of subjects, separated by commas. Lower values suit small machines.",
    )


class Sizes(click.ParamType):
    """Numbers of subjects or of incidents, separated by commas, in ascending order."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            sizes = tuple(int(word) for word in str(value).split(","))
        except ValueError:
            sizes = ()
        if not sizes or min(sizes) < 2:
            self.fail(f"{value!r} is not a list of numbers above 1: use one such as 100,1000", param, ctx)
        return tuple(sorted(set(sizes)))


def run_bench(bench: str, run: Run, options: dict[str, Any], json_file: Path | None) -> None:
    """Run a benchmark, print its figures, write its report, and exit with status 1 if it has problems."""
    from rich.console import Console  # noqa: PLC0415  slow to import, and --help needs none of it

    from load.bench import describe_run  # noqa: PLC0415
    from topologies.interrupt import run_until_interrupted  # noqa: PLC0415

    reports: list[dict[str, Any]] = []

    async def run_and_keep() -> None:
        reports.append(await run(Console(stderr=True, markup=False, highlight=False, soft_wrap=True)))

    if run_until_interrupted(run_and_keep()):
        echo("Stopped. Nothing is left running.", err=True)
        sys.exit(130)
    (report,) = reports
    for name, value in report.items():
        if isinstance(value, (int, float, str)):
            echo(f"{name:<28} {value}")
    for problem in report["problems"]:
        echo(f"problem: {problem}", err=True)
    write_json(json_file, describe_run(bench, options) | report)
    sys.exit(1 if report["problems"] else 0)
