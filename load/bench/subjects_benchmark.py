"""Benchmark of the detect worker with many subjects, as shares of its rate with one busy subject.

Each number of subjects has a Kafka of its own, and all are measured in turn, in rounds, so the shares do not depend on
how fast the machine is at the moment. The cost of checkpoints is the difference between two intervals: with an interval
four times as long, three quarters of the cost disappear.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import median
from typing import Any

from rich.console import Console

from load.bench.detect_benchmark import SECONDS_MIN, busy_service
from load.bench.measurement import PeerComparison, SimulatedFleet, filled_topic

RATES = {100: 20.0, 1000: 2.0, 5000: 1.0}
"""Records per second of event time of each subject, by number of subjects. Other numbers have the rate of the next."""

FAILING_SHARE = 0.02
FAILING_MIN = 4

FAILURE_SHARES = 0.3, 0.7
"""Smallest and usual share of the records before the services fail."""

FAILED_RECORDS = 30
"""Number of records of a failing service that are needed to report its failure. With few records, it fails earlier."""

PEERS = ("quix",)

CHECKPOINT_SUBJECTS = 1000
"""Number of subjects for which the cost of checkpoints is measured, or the nearest that is measured."""

INTERVAL_FACTOR = 4.0
"""Factor between the two intervals of the checkpoints."""


def fleet_of(seed: int, subjects: int, records: int, end_ms: int) -> SimulatedFleet:
    """Return a fleet whose last record is at ``end_ms``. Some of its services fail."""
    usual = subjects * next((rate for size, rate in RATES.items() if subjects <= size), min(RATES.values()))
    rate = min(usual, records / SECONDS_MIN)
    failing = min(subjects, max(FAILING_MIN, round(subjects * FAILING_SHARE)))
    earliest, usual_share = FAILURE_SHARES
    share = min(usual_share, max(earliest, 1 - FAILED_RECORDS * subjects / records))
    start_ms = end_ms - round(records / rate * 1000)
    return SimulatedFleet(seed, subjects, rate, records, start_ms, failing=failing, failure_shares=(share, share))


async def run_subjects_benchmark(
    seed: int, records: int, end_ms: int, console: Console, *, sizes: Sequence[int] = tuple(RATES), rounds: int = 3
) -> dict[str, Any]:
    """Time detect and a peer on the records of one service and of fleets, and return the report.

    Parameters
    ----------
    seed
        Seed of the records.
    records
        Number of records of each fleet.
    end_ms
        Time of the last record in Unix ms.
    console
        Console for progress.
    sizes
        Numbers of subjects.
    rounds
        Number of rounds.

    Raises
    ------
    DriftwireError
        If the broker, a worker or a peer fails.
    """
    fleets = {1: busy_service(seed, records, end_ms)} | {size: fleet_of(seed, size, records, end_ms) for size in sizes}
    comparisons = {size: PeerComparison() for size in fleets}
    checkpoints_of = min(sizes, key=lambda size: abs(size - CHECKPOINT_SUBJECTS))
    rare = PeerComparison()
    async with AsyncExitStack() as stack:
        topics = {
            size: await stack.enter_async_context(filled_topic(fleet, console, with_empty_worker=True))
            for size, fleet in fleets.items()
        }
        for number in range(1, rounds + 1):
            console.print("with rare checkpoints:")
            await rare.run_round(
                topics[checkpoints_of], f"{number}-rare", say=console.print, interval_factor=INTERVAL_FACTOR
            )
            for size, topic in topics.items():
                peers = PEERS if size > 1 else ()
                await comparisons[size].run_round(topic, str(number), peers=peers, say=console.print)
        for size, topic in topics.items():
            await comparisons[size].finish(topic)
    one = comparisons[1].records_per_s
    figures: dict[str, Any] = {}
    for size in sizes:
        comparison = comparisons[size]
        figures[f"share_of_one_{size}"] = round(comparison.records_per_s / one, 3)
        ratio = comparison.ratio_to("quix")
        figures[f"ratio_to_quix_{size}"] = None if ratio is None else round(ratio, 3)
        resident_mb = median(run.resident_mb for run in comparison.runs) - topics[size].empty_mb
        figures[f"memory_mb_{size}"] = round(resident_mb, 1)
    runs = comparisons[checkpoints_of].runs
    often_us = comparisons[checkpoints_of].processor_us
    saved_share = 1 - rare.processor_us / often_us
    return figures | {
        "checkpoint_time_share": round(max(0.0, saved_share) / (1 - 1 / INTERVAL_FACTOR), 4),
        "checkpoint_mb_per_s": round(median(run.checkpoint_bytes / run.seconds for run in runs) / 1e6, 3),
        "checkpoint_subjects": checkpoints_of,
        **PeerComparison.combine({f"{size} subjects": comparison for size, comparison in comparisons.items()}),
        "records": records,
        "subjects": {
            str(size): comparison.to_json() | {"records_per_subject_s": fleets[size].records_per_second / size}
            for size, comparison in comparisons.items()
        },
    }
