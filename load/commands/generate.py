"""``driftwire-load generate``: write records of a simulated service as NDJSON, for files, kcat and other tools."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

import click

from load.errors import LoadError
from load.world import FAILURES, SUBJECT, SimulatedFailure, World, json_lines
from topologies.commands.parameter_types import PointInTime

START = "2026-11-24T00:00:00Z"


@click.command("generate")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed. The same seed gives the same records."
)
@click.option("--records", type=click.IntRange(1), default=10_000, show_default=True, help="Number of records.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=50.0,
    show_default=True,
    help="Records per second of event time.",
)
@click.option("--start", type=PointInTime(), default=START, show_default=True, help="Event time of the first record.")
@click.option("--subject", default=SUBJECT, show_default=True, help="Subject of the records.")
@click.option(
    "--failure",
    "failures",
    multiple=True,
    metavar="NAME@SECONDS",
    help=f"Name of a failure, and seconds until it begins. Repeatable. One of: {', '.join(sorted(FAILURES))}.",
)
@click.option("-o", "--output", default="-", help="File to write.  [default: standard output]")
def command(
    *, seed: int, records: int, rate: float, start: int, subject: str, failures: tuple[str, ...], output: str
) -> None:
    """Write records of a simulated support bot with retrieval, one JSON object per line."""
    world = World(seed, start, rate, tuple(_parse_failure(text, start) for text in failures))
    try:
        with _open_output(output) as stream:
            for columns in world.generate(records=records):
                stream.write(b"".join(line + b"\n" for line in json_lines(columns, subject=subject, seed=seed)))
    except BrokenPipeError:
        # The reader closed the pipe, as head does. Python would report this again when it flushes at exit.
        sys.stderr.close()
    except OSError as error:
        raise LoadError(f"{output}: cannot be written ({error.strerror})") from error


def _open_output(output: str) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(sys.stdout.buffer) if output == "-" else Path(output).open("wb")


def _parse_failure(text: str, start_ms: int) -> SimulatedFailure:
    name, _, seconds = text.partition("@")
    try:
        return SimulatedFailure(name, start_ms + round(float(seconds) * 1000))
    except ValueError as error:
        raise click.BadParameter(f"{text}: use NAME@SECONDS, such as refusal_spike@600: {error}") from error
