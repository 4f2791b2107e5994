"""The benchmark of detect: records a second of the real worker, beside the obvious pipeline on the same topic.

Both read a filled topic, each alone, one after the other, several times; the median counts. Start-up counts for
neither: the obvious pipeline's clock starts at its first record; ours at the first checkpoint by which a quarter of the
records have been read, and stops when the last record is committed. Work that was not done would be seen: a failure is
planted near the end, and each timed run must itself report it from every partition, judged by a baseline that was there
before.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from load.bench.machine import machine
from load.bench.timed import Timed, judged_share, run_timed
from load.bench.yardstick_run import COMMAND, run_obvious
from load.inputs import Line
from load.stage import plainly, progress_bar, stage
from load.traffic import Produced, partition_of, produce
from load.world import SUBJECT, Change, Plan, World, generate, healthy_baseline, json_lines
from topologies.configuration import Configuration

FLOOR = 6.0
"""What the ratio to the obvious pipeline must be at least."""

JUDGED_SHARE_MIN = 0.99
"""The share of signal values that a ready baseline must have judged."""

ROUNDS = 3

OBVIOUS_RECORDS = 30_000
"""Records that the obvious pipeline reads; more would only take longer."""

RECORDS_PER_SECOND = 2000.0
"""Event time: a busy service."""

YARDSTICK_SIGNALS = (
    "latency_ms", "time_to_first_token_ms", "error", "input_tokens", "output_tokens", "queue_depth", "gpu_utilization",
    "cpu_utilization", "length", "refused", "confidence", "similarity", "empty", "thumbs_down", "retrieval_score",
    "feature_age_s", "null_fraction", "schema_valid", "filter_triggered", "policy_violation", "injection_score",
    "pii_detected",
)  # fmt: skip
"""What the obvious pipeline watches, and therefore what the records carry."""

FAILURE = "refusal_spike"
FAILURE_SIGNAL = "refused"
FAILURE_AFTER = 0.85
"""The share of the records before the failure."""

START_TOLERANCE_MS = 10_000
"""Milliseconds by which an estimated start may precede the failure."""


@dataclass(slots=True)
class Measured:
    """All runs of one benchmark."""

    records: int
    record_bytes: float
    rounds: list[tuple[float, float, Timed]] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    judged_share: float = 0.0

    @property
    def records_per_s(self) -> float:
        """Of the detect worker, the median of the runs."""
        return median(timed.records_per_s for _, _, timed in self.rounds)

    @property
    def obvious_records_per_s(self) -> float:
        """Of the obvious pipeline with its detectors, the median."""
        return median(detecting for detecting, _, _ in self.rounds)

    @property
    def obvious_do_nothing_records_per_s(self) -> float:
        """Of the obvious pipeline that does nothing with a record, the median."""
        return median(idle for _, idle, _ in self.rounds)

    @property
    def ratio_to_obvious(self) -> float:
        """How many times as fast detect is."""
        return self.records_per_s / self.obvious_records_per_s

    @property
    def problems(self) -> list[str]:
        """Why the benchmark fails; empty if it does not."""
        problems = []
        if not all(self.found):
            problems.append(f"the planted {FAILURE} was reported by {sum(self.found)} of {len(self.found)} timed runs")
        if self.judged_share < JUDGED_SHARE_MIN:
            problems.append(f"only {self.judged_share:.4f} of the signal values were judged, not {JUDGED_SHARE_MIN}")
        if any(timed.dead_letters for _, _, timed in self.rounds):
            problems.append("records became dead letters")
        if self.ratio_to_obvious < FLOOR:
            problems.append(f"{self.ratio_to_obvious:.2f} times the obvious pipeline, the floor is {FLOOR:g}")
        return problems

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "ratio_to_obvious": round(self.ratio_to_obvious, 3),
            "floor": FLOOR,
            "records_per_s": round(self.records_per_s),
            "obvious_records_per_s": round(self.obvious_records_per_s),
            "obvious_do_nothing_records_per_s": round(self.obvious_do_nothing_records_per_s),
            "judged_share": round(self.judged_share, 5),
            "planted_found": all(self.found),
            "problems": self.problems,
            "records": self.records,
            "record_bytes": round(self.record_bytes),
            "runs": [
                {
                    "records_per_s": round(timed.records_per_s),
                    "records_timed": timed.records_timed,
                    "seconds": round(timed.seconds, 3),
                    "obvious_records_per_s": detecting,
                    "obvious_do_nothing_records_per_s": idle,
                    "planted_found": found,
                }
                for (detecting, idle, timed), found in zip(self.rounds, self.found, strict=True)
            ],
            "commands": {
                "detect": "python -P -m topologies.cli worker detect --config FILE",
                "obvious": " ".join(("DETECT=1", *COMMAND)),
                "obvious_do_nothing": " ".join(("DETECT=0", *COMMAND)),
            },
            "machine": machine(),
        }


async def bench(seed: int, records: int, end_ms: int, console: Console) -> Measured:
    """Fill a topic, and let both pipelines read it by turns.

    Parameters
    ----------
    seed
        Of the simulated service.
    records
        In the topic.
    end_ms
        Unix ms of the last record: the worker runs live, which takes no records from long ago.
    console
        Where progress goes.

    Raises
    ------
    DriftwireError
        In one line, if something cannot be run at all.
    """
    configuration = Configuration()
    start_ms = end_ms - round(records / RECORDS_PER_SECOND * 1000)
    change = Change(FAILURE, _time_of(round(records * FAILURE_AFTER), World(seed, start_ms, RECORDS_PER_SECOND)))
    console.print("learning a baseline from a healthy day ...")
    baseline = healthy_baseline(seed, start_ms, RECORDS_PER_SECOND, configuration.detect)
    partitions = configuration.kafka.records_partitions
    with tempfile.TemporaryDirectory(prefix="driftwire-bench-") as folder:
        async with stage(configuration, baselines=(baseline,), workers=(), say=plainly(console)) as kafka:
            world = World(seed, start_ms, RECORDS_PER_SECOND, Plan(changes=(change,)))
            filled = await _fill(kafka.bootstrap, world, records, partitions, console)
            measured = Measured(records, filled.bytes / records)
            for number in range(1, ROUNDS + 1):
                reads = min(records, OBVIOUS_RECORDS)
                detecting = await run_obvious(kafka.bootstrap, partitions=partitions, records=reads, detect=True)
                idle = await run_obvious(kafka.bootstrap, partitions=partitions, records=reads, detect=False)
                timed = await run_timed(kafka.configuration, folder=Path(folder), records=records, name=str(number))
                measured.rounds.append((detecting, idle, timed))
                measured.found.append(_reported(timed, change, partitions))
                console.print(
                    f"run {number}: obvious {detecting:,.0f}, doing nothing {idle:,.0f}, "
                    f"detect {timed.records_per_s:,.0f} records/s ({timed.records_timed:,} in {timed.seconds:.1f} s)"
                )
            measured.judged_share = await judged_share(kafka.bootstrap, configuration.detect, baseline, partitions)
    return measured


def _time_of(record: int, world: World) -> int:
    """When a world sends its so many-th record, Unix ms: how many there are in a second depends on the hour."""
    time_ms = world.start_ms
    for columns in generate(world, records=record):
        time_ms = int(columns.times_ms[-1])
    return time_ms


async def _fill(bootstrap: str, world: World, records: int, partitions: int, console: Console) -> Produced:
    keys = spread_keys(SUBJECT, partitions)

    def lines() -> Iterator[Line]:
        for columns in generate(world, records=records):
            values = json_lines(columns, seed=world.seed, signals=YARDSTICK_SIGNALS)
            for number, (time_ms, value) in enumerate(zip(columns.times_ms.tolist(), values, strict=True)):
                yield Line(time_ms, keys[number % partitions], value)

    with progress_bar(console) as progress:
        task = progress.add_task("filling the topic", total=records)
        return await produce(bootstrap, lines(), on_progress=lambda sent: progress.update(task, completed=sent))


def spread_keys(subject: str, partitions: int) -> list[bytes]:
    """Keys of one hot subject, one for each partition, as a producer that spreads it would use.

    >>> [partition_of(key, 4) for key in spread_keys("support-bot", 4)]
    [0, 1, 2, 3]
    """
    found: dict[int, bytes] = {}
    number = 0
    while len(found) < partitions:
        key = f"{subject}#{number}".encode()
        found.setdefault(partition_of(key, partitions), key)
        number += 1
    return [found[partition] for partition in range(partitions)]


def _reported(timed: Timed, change: Change, partitions: int) -> bool:
    """Whether every partition paged for the planted failure, and none before it."""
    pages = [
        drift
        for drift in timed.drifts
        if drift.state == "firing" and drift.signal == FAILURE_SIGNAL and drift.tier == "page"
    ]
    early = [drift for drift in pages if drift.started_at < change.at_ms - START_TOLERANCE_MS]
    return not early and {drift.partition for drift in pages} == set(range(partitions))


def show(measured: Measured, console: Console) -> None:
    """Print the table, the ratio and what is wrong."""
    table = Table(title=f"Records a second, {measured.records:,} records of {measured.record_bytes:.0f} bytes")
    table.add_column("pipeline")
    table.add_column("median", justify="right")
    table.add_column("runs", justify="right")
    rows = {
        "detect": [timed.records_per_s for _, _, timed in measured.rounds],
        "the obvious pipeline": [detecting for detecting, _, _ in measured.rounds],
        "the same, doing nothing": [idle for _, idle, _ in measured.rounds],
    }
    for name, rates in rows.items():
        table.add_row(name, f"{median(rates):,.0f}", ", ".join(f"{rate:,.0f}" for rate in rates))
    console.print(table)
    console.print(
        f"[bold]{measured.ratio_to_obvious:.1f} times[/] the obvious pipeline (floor {FLOOR:g}); "
        f"{measured.judged_share:.4f} of the signal values judged; "
        f"planted failure reported by {sum(measured.found)} of {len(measured.found)} timed runs"
    )
    for problem in measured.problems:
        console.print(f"[bold red]{problem}[/]")
