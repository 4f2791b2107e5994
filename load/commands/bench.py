"""``driftwire-load bench``: measure the workers, compare them with other pipelines, and write the pages of the figures."""

import asyncio
import sys
import time
from pathlib import Path

import click

from load.commands.bench_options import (
    Sizes,
    records_option,
    rounds_option,
    run_bench,
    seed_option,
    sizes_option,
    subjects_option,
)
from load.commands.options import json_option, write_bytes, write_json
from topologies.terminal import echo


@click.group("bench")
def command() -> None:
    """Measure the workers, and compare them with other pipelines."""


@command.command("detect")
@seed_option
@records_option(600_000, 10_000)
@rounds_option
@click.option(
    "--before",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the sources of another version, whose worker is timed in turn.",
)
@json_option
def detect(*, seed: int, records: int, rounds: int, before: Path | None, json_file: Path | None) -> None:
    """Measure the throughput of the detect worker and of other pipelines on a prefilled topic.

    Times the obvious pipeline, bare reading, Quix Streams with river (if make peers has installed it) and detect alone,
    one after another, and reports the ratios of the medians. Exits with status 1 if the ratio to the obvious pipeline is
    too low, if a timed run does not report the planted failure, or if less than 99 % of the signal values are monitored.
    """
    from load.bench import DETECT_PEERS, busy_service, run_detect_benchmark  # noqa: PLC0415  slow to import

    fleet = busy_service(seed, records, _now_ms())
    checkout = None if before is None else before.absolute()
    run_bench(
        "detect",
        lambda console: run_detect_benchmark(fleet, console, peers=DETECT_PEERS, rounds=rounds, checkout=checkout),
        {"seed": seed, "records": records, "rounds": rounds},
        json_file,
    )


@command.command("peers")
@seed_option
@records_option(600_000, 10_000)
@rounds_option
@json_option
def peers(*, seed: int, records: int, rounds: int, json_file: Path | None) -> None:
    """Measure the throughput of the detect worker and of all other pipelines on a prefilled topic.

    As bench detect, with Bytewax and river, and with bare reading by confluent-kafka and msgspec. make peers installs the
    other frameworks.
    """
    from load.bench import ALL_PEERS, busy_service, run_detect_benchmark  # noqa: PLC0415  slow to import

    fleet = busy_service(seed, records, _now_ms())
    run_bench(
        "peers",
        lambda console: run_detect_benchmark(fleet, console, peers=ALL_PEERS, rounds=rounds),
        {"seed": seed, "records": records, "rounds": rounds},
        json_file,
    )


@command.command("subjects")
@seed_option
@records_option(600_000, 10_000)
@rounds_option
@sizes_option("100,1000,5000")
@json_option
def subjects(*, seed: int, records: int, rounds: int, sizes: tuple[int, ...], json_file: Path | None) -> None:
    """Measure the throughput of the detect worker with many subjects, as shares of its rate with one.

    The records of each number of subjects fill a Kafka of their own. Quix Streams with river reads the same topics. Also
    reports the memory of the worker, and the cost of its checkpoints.
    """
    from load.bench import run_subjects_benchmark  # noqa: PLC0415  slow to import

    run_bench(
        "subjects",
        lambda console: run_subjects_benchmark(seed, records, _now_ms(), console, sizes=sizes, rounds=rounds),
        {"seed": seed, "records": records, "rounds": rounds, "subjects": ",".join(map(str, sizes))},
        json_file,
    )


@command.command("segments")
@seed_option
@records_option(600_000, 10_000)
@rounds_option
@json_option
def segments(*, seed: int, records: int, rounds: int, json_file: Path | None) -> None:
    """Measure the throughput of the detect worker with many segments, as shares of its rate without segments.

    The records have two segments, with 8, 64 and 100,000 values in total.
    """
    from load.bench import run_segments_benchmark  # noqa: PLC0415  slow to import

    run_bench(
        "segments",
        lambda console: run_segments_benchmark(seed, records, _now_ms(), console, rounds=rounds),
        {"seed": seed, "records": records, "rounds": rounds},
        json_file,
    )


@command.command("latency")
@seed_option
@subjects_option(500)
@click.option(
    "--rate",
    type=click.FloatRange(1),
    default=5000.0,
    show_default=True,
    help="Records per second of all subjects. Lower values suit small machines.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(12),
    default=180.0,
    show_default=True,
    help="Length of the run in seconds. Higher values leave more time between two failures.",
)
@click.option(
    "--failures",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Number of subjects that fail, one after another. Higher values give a more exact 99th percentile.",
)
@json_option
def latency(*, seed: int, subjects: int, rate: float, seconds: float, failures: int, json_file: Path | None) -> None:
    """Measure the delay from a record to the alert that it causes.

    Sends records at a fixed rate, in which subjects fail one after another. The delay begins when the broker appends the
    record whose evidence crosses the threshold, and ends when it appends the alert. A failure that is not found counts as
    infinite. Also reports the delay to the drift, and that from the start of the failure.
    """
    from load.bench import live_fleet, run_latency_benchmark  # noqa: PLC0415  slow to import

    if failures > subjects:
        raise click.BadParameter(f"{failures} of {subjects} subjects cannot fail: use at most {subjects}")
    fleet = live_fleet(seed, subjects, rate, seconds, failures)
    run_bench(
        "latency",
        lambda console: run_latency_benchmark(fleet, console),
        {"seed": seed, "subjects": subjects, "rate": rate, "seconds": seconds, "failures": failures},
        json_file,
    )


@command.command("workers")
@seed_option
@records_option(600_000, 10_000)
@rounds_option
@subjects_option(1000)
@json_option
def workers(*, seed: int, records: int, rounds: int, subjects: int, json_file: Path | None) -> None:
    """Measure the processor time per record of two detect workers on four partitions, compared with one worker."""
    from load.bench import fleet_of, run_workers_benchmark  # noqa: PLC0415  slow to import

    fleet = fleet_of(seed, subjects, records, _now_ms())
    run_bench(
        "workers",
        lambda console: run_workers_benchmark(fleet, console, rounds=rounds),
        {"seed": seed, "records": records, "rounds": rounds, "subjects": subjects},
        json_file,
    )


@command.command("memory")
@seed_option
@sizes_option("1000,5000")
@click.option(
    "--minutes",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help="Minutes of traffic. Higher values find slower leaks.",
)
@click.option(
    "--visitors",
    type=click.IntRange(1000),
    default=100_000,
    show_default=True,
    help="Number of subjects that come and go. Higher values find slower leaks.",
)
@json_option
def memory(*, seed: int, sizes: tuple[int, ...], minutes: float, visitors: int, json_file: Path | None) -> None:
    """Measure the memory of a detect worker above that of one without subjects.

    Reads it for ready streams, during minutes of traffic, and while many subjects come and go.
    """
    from load.bench import run_memory_benchmark  # noqa: PLC0415  slow to import

    run_bench(
        "memory",
        lambda console: run_memory_benchmark(seed, _now_ms(), console, sizes=sizes, minutes=minutes, visitors=visitors),
        {"seed": seed, "subjects": ",".join(map(str, sizes)), "minutes": minutes, "visitors": visitors},
        json_file,
    )


@command.command("recovery")
@seed_option
@subjects_option(5000)
@json_option
def recovery(*, seed: int, subjects: int, json_file: Path | None) -> None:
    """Measure the seconds from the restart of a detect worker until it has judged the first new record."""
    from load.bench import quiet_fleet, run_recovery_benchmark  # noqa: PLC0415  slow to import

    fleet = quiet_fleet(seed, subjects, _now_ms())
    run_bench(
        "recovery",
        lambda console: run_recovery_benchmark(fleet, console),
        {"seed": seed, "subjects": subjects},
        json_file,
    )


@command.command("backlog")
@seed_option
@records_option(300_000, 10_000)
@subjects_option(1000)
@click.option(
    "--minutes",
    type=click.FloatRange(0.05),
    default=10.0,
    show_default=True,
    help="Minutes of the highest rate in the backlog. Higher values need more disk space.",
)
@click.option(
    "--steady",
    type=click.FloatRange(1),
    default=60.0,
    show_default=True,
    help="Seconds for which the memory without a backlog is measured. Higher values are more reliable.",
)
@json_option
def backlog(*, seed: int, records: int, subjects: int, minutes: float, steady: float, json_file: Path | None) -> None:
    """Let a detect worker read a backlog while records arrive at half its highest rate.

    Exits with status 1 if a record is lost, or if the worker uses more than 1.2 times the memory without a backlog.
    """
    from load.bench import fleet_of, run_backlog_benchmark  # noqa: PLC0415  slow to import

    fleet = fleet_of(seed, subjects, records, _now_ms())
    run_bench(
        "backlog",
        lambda console: run_backlog_benchmark(fleet, console, minutes=minutes, steady_s=steady),
        {"seed": seed, "records": records, "subjects": subjects, "minutes": minutes, "steady": steady},
        json_file,
    )


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


@command.command("correlate")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the flood.")
@click.option(
    "--drifts", type=click.IntRange(100), default=1_000, show_default=True, help="Number of drifts per round."
)
@click.option(
    "--open",
    "open_incidents",
    type=Sizes(),
    default="100,1000,5000",
    show_default=True,
    help="Numbers of other incidents that are open, separated by commas. Lower values suit small machines.",
)
@json_option
def correlate(*, seed: int, drifts: int, open_incidents: tuple[int, ...], json_file: Path | None) -> None:
    """Measure the processor time of correlate per drift and of route per alert in a flood.

    10,000 drifts a minute come from 2,000 subjects while few or many other incidents are open. Runs both steps
    in one process, without Kafka, in three rounds, and reports the medians. Exits with status 1 if a drift or an
    alert costs more than 1.5 times as much with the most open incidents as with the fewest.
    """
    from load.bench.flood import run_correlate_benchmark  # noqa: PLC0415  slow to import

    benchmark = run_correlate_benchmark(seed, drifts, lambda line: echo(line, err=True), open_incidents=open_incidents)
    for cost in benchmark.costs:
        echo(
            f"{cost.open_incidents} open incidents: correlate {cost.correlate_us:.0f} us and {cost.alert_bytes:.0f} bytes "
            f"of alerts per drift, checkpoints {cost.correlate_checkpoint_us:.0f} us and {cost.checkpoint_bytes:.0f} "
            f"bytes per drift, restart {cost.restart_s:.1f} s, route {cost.route_us:.0f} us per alert"
        )
    echo(f"ratios: correlate {benchmark.ratio:.2f}, route {benchmark.route_ratio:.2f}")
    for problem in benchmark.problems:
        echo(f"problem: {problem}", err=True)
    write_json(json_file, benchmark.to_json())
    sys.exit(1 if benchmark.problems else 0)


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


@command.command("pages")
@click.option(
    "--reports",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("docs/performance"),
    show_default=True,
    help="Folder with the reports, one JSON file for each benchmark.",
)
@click.option(
    "--output",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("docs"),
    show_default=True,
    help="Folder for the pages.",
)
def pages(*, folder: Path, output: Path) -> None:
    """Write performance.md and scaling.md from the reports of the benchmarks."""
    from load.bench.pages import read_reports, write_performance, write_scaling  # noqa: PLC0415  slow to import

    reports = read_reports(folder)
    for name, page in (("performance.md", write_performance(reports)), ("scaling.md", write_scaling(reports))):
        write_bytes(output / name, page.encode())
        echo(f"wrote {output / name}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
