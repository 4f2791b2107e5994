"""``driftwire-load bench``: compare driftwire with the reference pipeline and with only parsing, and overload HTTP."""

import asyncio
import sys
import time
from pathlib import Path

import click

from load.commands.options import json_option, write_json
from topologies.terminal import echo


@click.group("bench")
def command() -> None:
    """Compare driftwire with the reference pipeline."""


@command.command("detect")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the simulated service.")
@click.option(
    "--records", type=click.IntRange(50_000), default=600_000, show_default=True, help="Number of records in the topic."
)
@json_option
def detect(*, seed: int, records: int, json_file: Path | None) -> None:
    """Measure the throughput of the detect worker and of the reference pipeline on a prefilled topic.

    Runs each pipeline alone, in three rounds, and reports the medians. Exits with status 1 if the ratio is too low, if
    a timed run does not report the planted failure, or if less than 99 % of the signal values are monitored.
    """
    from rich.console import Console  # noqa: PLC0415  slow to import, and --help needs none of it

    from load.bench import run_benchmark  # noqa: PLC0415

    console = Console()
    benchmark = asyncio.run(run_benchmark(seed, records, time.time_ns() // 1_000_000, console))
    benchmark.show(console)
    write_json(json_file, benchmark.to_json())
    sys.exit(1 if benchmark.problems else 0)


@command.command("intake")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the messages.")
@click.option("--records", type=click.IntRange(100), default=20_000, show_default=True, help="Number of records.")
@json_option
def intake(*, seed: int, records: int, json_file: Path | None) -> None:
    """Measure the processor time of the intake step per record, compared with only parsing the same bytes.

    The messages are JSON objects, and then spans of OpenTelemetry in Protobuf. Runs both in one process, without Kafka,
    in five rounds, and reports the medians.
    """
    from load.bench import run_intake_benchmark, run_telemetry_benchmark  # noqa: PLC0415  slow to import

    benchmarks = {"json": run_intake_benchmark(seed, records), "otlp_spans": run_telemetry_benchmark(seed, records)}
    for form, benchmark in benchmarks.items():
        echo(
            f"{form}: {benchmark.records} records of {benchmark.bytes_per_record:.0f} bytes (seed {seed}): "
            f"parse {benchmark.parse_us:.1f} us, intake {benchmark.intake_us:.1f} us per record, "
            f"ratio {benchmark.ratio:.1f}"
        )
    write_json(json_file, {form: benchmark.to_json() for form, benchmark in benchmarks.items()})


@command.command("http")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the records.")
@click.option(
    "--seconds", type=click.FloatRange(1), default=60.0, show_default=True, help="Length of the overload in seconds."
)
@click.option(
    "--records", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Number of records in a request."
)
@json_option
def http(*, seed: int, seconds: float, records: int, json_file: Path | None) -> None:
    """Send three times what the http worker can take, and check that nothing is lost that it accepted.

    Runs an embedded Kafka and one worker, measures its capacity for five seconds, and then sends requests at three
    times that rate. Exits with status 1 if an accepted record is not in Kafka, if the worker uses too much memory, or
    if no request is refused with 429.
    """
    from load.bench import run_http_overload  # noqa: PLC0415  slow to import, and --help needs none of it

    result = asyncio.run(run_http_overload(seed=seed, seconds=seconds, records_per_request=records))
    echo(str(result))
    for problem in result.problems:
        echo(f"problem: {problem}", err=True)
    write_json(json_file, result.to_json())
    sys.exit(1 if result.problems else 0)
