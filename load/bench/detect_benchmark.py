"""Benchmark that compares the detect worker with the reference pipeline, in records per second.

The reference pipeline is a Faust agent that processes one event at a time. In each round, the pipelines read the same
prefilled topic in turn. The benchmark reports the medians over all rounds. Start-up time is excluded: the reference
pipeline is timed from its first record, and detect is timed from the first checkpoint after the warm-up.

A failure is planted near the end of the topic. Every timed run must report this failure from every partition, which
proves that detect processed the records. The signal values must be monitored against a baseline that is published
before the run.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from load.bench.machine import describe_machine
from load.bench.obvious_run import COMMAND, run_obvious
from load.bench.timed_run import TimedRun, read_monitored_share, run_timed
from load.harness import progress_bar, run_against, temporary_topology
from load.traffic import OutgoingMessage, ProduceResult, partition_for_key, produce
from load.world import SUBJECT, SimulatedFailure, World, healthy_baseline, json_lines
from topologies.configuration import Configuration
from topologies.kafka import Cluster
from topologies.processes import Topology

RATIO_MIN = 6.0
"""Minimum ratio of the detect rate to the rate of the reference pipeline."""

MONITORED_SHARE_MIN = 0.99
"""Minimum share of the signal values that must be monitored against a ready baseline."""

ROUNDS = 3

OBVIOUS_RECORDS = 30_000
"""Number of records that the reference pipeline reads. A larger number only prolongs the run, and does not change the
rate."""

RECORDS_PER_SECOND = 2000.0
"""Records per second of event time, typical of a busy service."""

YARDSTICK_SIGNALS = (
    "latency_ms",
    "time_to_first_token_ms",
    "error",
    "input_tokens",
    "output_tokens",
    "queue_depth",
    "gpu_utilization",
    "cpu_utilization",
    "length",
    "refused",
    "confidence",
    "similarity",
    "empty",
    "thumbs_down",
    "retrieval_score",
    "feature_age_s",
    "null_fraction",
    "schema_valid",
    "filter_triggered",
    "policy_violation",
    "injection_score",
    "pii_detected",
)
"""Signals in every record. The reference pipeline monitors all of them."""

FAILURE = "refusal_spike"
FAILURE_SIGNAL = "refused"
FAILURE_AFTER_SHARE = 0.85
"""Share of the records that precede the failure."""

START_TOLERANCE_MS = 10_000
"""Maximum milliseconds by which the estimated start may precede the failure."""


@dataclass(frozen=True, slots=True)
class BenchmarkRound:
    """Rates of one round: the reference pipeline with and without its detectors, and the timed run of detect."""

    obvious_records_per_s: float
    idle_records_per_s: float
    timed: TimedRun
    planted_found: bool


@dataclass(frozen=True, slots=True)
class DetectBenchmark:
    """Result of the detect benchmark."""

    records: int
    record_bytes: float
    rounds: tuple[BenchmarkRound, ...]
    monitored_share: float

    @property
    def records_per_s(self) -> float:
        """Median rate of the detect worker."""
        return median(round_.timed.records_per_s for round_ in self.rounds)

    @property
    def obvious_records_per_s(self) -> float:
        """Median rate of the reference pipeline with its detectors."""
        return median(round_.obvious_records_per_s for round_ in self.rounds)

    @property
    def idle_records_per_s(self) -> float:
        """Median rate of the reference pipeline when it does no work per record."""
        return median(round_.idle_records_per_s for round_ in self.rounds)

    @property
    def ratio_to_obvious(self) -> float:
        """Rate of the detect worker divided by the rate of the reference pipeline."""
        return self.records_per_s / self.obvious_records_per_s

    @property
    def rounds_found(self) -> int:
        """Number of rounds in which detect reported the planted failure."""
        return sum(round_.planted_found for round_ in self.rounds)

    @property
    def problems(self) -> list[str]:
        """Reasons why the benchmark fails."""
        problems = []
        if self.rounds_found < len(self.rounds):
            problems.append(
                f"the planted {FAILURE} was reported by {self.rounds_found} of {len(self.rounds)} timed runs"
            )
        if self.monitored_share < MONITORED_SHARE_MIN:
            problems.append(
                f"only {self.monitored_share:.4f} of the signal values were monitored; the minimum is {MONITORED_SHARE_MIN}"
            )
        if any(round_.timed.dead_letters for round_ in self.rounds):
            problems.append("records became dead letters")
        if self.ratio_to_obvious < RATIO_MIN:
            problems.append(
                f"{self.ratio_to_obvious:.2f} times the reference pipeline, below the minimum of {RATIO_MIN:g}"
            )
        return problems

    def to_json(self) -> dict[str, Any]:
        """Return the result for ``--json``."""
        return {
            "ratio_to_obvious": round(self.ratio_to_obvious, 3),
            "floor": RATIO_MIN,
            "records_per_s": round(self.records_per_s),
            "obvious_records_per_s": round(self.obvious_records_per_s),
            "obvious_do_nothing_records_per_s": round(self.idle_records_per_s),
            "judged_share": round(self.monitored_share, 5),
            "planted_found": self.rounds_found == len(self.rounds),
            "problems": self.problems,
            "records": self.records,
            "record_bytes": round(self.record_bytes),
            "runs": [
                {
                    "records_per_s": round(round_.timed.records_per_s),
                    "records_timed": round_.timed.records_timed,
                    "seconds": round(round_.timed.seconds, 3),
                    "obvious_records_per_s": round_.obvious_records_per_s,
                    "obvious_do_nothing_records_per_s": round_.idle_records_per_s,
                    "planted_found": round_.planted_found,
                }
                for round_ in self.rounds
            ],
            "commands": {
                "detect": "python -P -m topologies.cli worker detect --config FILE",
                "obvious": " ".join(("DETECT=1", *COMMAND)),
                "obvious_do_nothing": " ".join(("DETECT=0", *COMMAND)),
            },
            "machine": describe_machine(),
        }

    def show(self, console: Console) -> None:
        """Print the table of rates, the ratio and the problems."""
        table = Table(title=f"Records per second, {self.records:,} records of {self.record_bytes:.0f} bytes")
        table.add_column("pipeline")
        table.add_column("median", justify="right")
        table.add_column("runs", justify="right")
        rates_by_pipeline = {
            "detect": [round_.timed.records_per_s for round_ in self.rounds],
            "the reference pipeline": [round_.obvious_records_per_s for round_ in self.rounds],
            "the same without work per record": [round_.idle_records_per_s for round_ in self.rounds],
        }
        for name, rates in rates_by_pipeline.items():
            table.add_row(name, f"{median(rates):,.0f}", ", ".join(f"{rate:,.0f}" for rate in rates))
        console.print(table)
        console.print(
            f"[bold]{self.ratio_to_obvious:.1f} times[/] the reference pipeline (minimum {RATIO_MIN:g}); "
            f"{self.monitored_share:.4f} of the signal values monitored; "
            f"planted failure reported by {self.rounds_found} of {len(self.rounds)} timed runs"
        )
        for problem in self.problems:
            console.print(f"[bold red]{problem}[/]")


async def run_benchmark(seed: int, records: int, end_ms: int, console: Console) -> DetectBenchmark:
    """Fill a topic, and time both pipelines on it in turn.

    Parameters
    ----------
    seed
        Seed of the simulated service.
    records
        Records in the topic.
    end_ms
        Time of the last record in Unix ms. The worker runs live, so it rejects old records.
    console
        Console for progress.

    Raises
    ------
    DriftwireError
        If the broker, the worker or the reference pipeline fails.
    """
    configuration = Configuration()
    start_ms = end_ms - round(records / RECORDS_PER_SECOND * 1000)
    failure_ms = _record_time_ms(round(records * FAILURE_AFTER_SHARE), World(seed, start_ms, RECORDS_PER_SECOND))
    failure = SimulatedFailure(FAILURE, failure_ms)
    console.print("learning a baseline from a healthy day ...")
    baseline = healthy_baseline(seed, start_ms, RECORDS_PER_SECOND, configuration.detect)
    partitions = configuration.kafka.records_partitions
    world = World(seed, start_ms, RECORDS_PER_SECOND, (failure,))

    async def run_rounds(kafka: Topology) -> DetectBenchmark:
        produced = await _fill_topic(kafka.cluster, world, records, partitions, console)
        rounds = [await run_round(kafka, str(number)) for number in range(1, ROUNDS + 1)]
        monitored = await read_monitored_share(kafka.cluster, configuration.detect, baseline, partitions)
        return DetectBenchmark(records, produced.bytes / records, tuple(rounds), monitored)

    async def run_round(kafka: Topology, name: str) -> BenchmarkRound:
        count, bootstrap = min(records, OBVIOUS_RECORDS), kafka.cluster.bootstrap
        obvious = await run_obvious(bootstrap, partitions=partitions, records=count, detect=True)
        idle = await run_obvious(bootstrap, partitions=partitions, records=count, detect=False)
        with tempfile.TemporaryDirectory(prefix="driftwire-bench-") as folder:
            timed = await run_timed(kafka.configuration, folder=Path(folder), records=records, name=name)
        console.print(
            f"run {name}: obvious {obvious:,.0f}, without any work {idle:,.0f}, "
            f"detect {timed.records_per_s:,.0f} records/s ({timed.records_timed:,} in {timed.seconds:.1f} s)"
        )
        return BenchmarkRound(obvious, idle, timed, _is_reported(timed, failure, partitions))

    async with temporary_topology(configuration, baselines=(baseline,), workers=(), console=console) as topology:
        return await run_against(topology, run_rounds(topology))


def _record_time_ms(number: int, world: World) -> int:
    """Return the event time, in Unix ms, of the record with a given number. The time depends on the hourly traffic."""
    time_ms = world.start_ms
    for columns in world.generate(records=number):
        time_ms = int(columns.times_ms[-1])
    return time_ms


async def _fill_topic(cluster: Cluster, world: World, records: int, partitions: int, console: Console) -> ProduceResult:
    keys = spread_keys(SUBJECT, partitions)

    def build_messages() -> Iterator[OutgoingMessage]:
        for columns in world.generate(records=records):
            values = json_lines(columns, seed=world.seed, signals=YARDSTICK_SIGNALS)
            for number, (time_ms, value) in enumerate(zip(columns.times_ms.tolist(), values, strict=True)):
                yield OutgoingMessage(time_ms, keys[number % partitions], value)

    with progress_bar(console) as progress:
        task = progress.add_task("filling the topic", total=records)
        return await produce(cluster, build_messages(), on_progress=lambda sent: progress.update(task, completed=sent))


def spread_keys(subject: str, partitions: int) -> list[bytes]:
    """Return one key per partition, as used by a producer that spreads a busy subject over partitions.

    >>> [partition_for_key(key, 4) for key in spread_keys("support-bot", 4)]
    [0, 1, 2, 3]
    """
    keys: dict[int, bytes] = {}
    number = 0
    while len(keys) < partitions:
        key = f"{subject}#{number}".encode()
        keys.setdefault(partition_for_key(key, partitions), key)
        number += 1
    return [keys[partition] for partition in range(partitions)]


def _is_reported(timed: TimedRun, failure: SimulatedFailure, partitions: int) -> bool:
    """Return whether every partition paged for the failure and no partition paged before it."""
    pages = [
        drift
        for drift in timed.drifts
        if drift.state == "firing" and drift.signal == FAILURE_SIGNAL and drift.tier == "page"
    ]
    early = [drift for drift in pages if drift.started_at < failure.at_ms - START_TOLERANCE_MS]
    return not early and {drift.partition for drift in pages} == set(range(partitions))
