"""Benchmark of the detect worker with more and more segments of one busy subject, as shares of its rate without any.

Each case has a Kafka of its own, and all are measured in turn, in rounds.
"""

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from rich.console import Console

from load.bench.detect_benchmark import busy_service
from load.bench.measurement import PeerComparison, filled_topic

PLAIN = "plain"
"""The case without segments."""

USUAL = "8_values"
"""The case with the usual segments: three regions and five tenants."""

VALUES = {"64_values": 32, "100000_values": 50_000}
"""Values of each of the two dimensions, by case."""


async def run_segments_benchmark(
    seed: int, records: int, end_ms: int, console: Console, *, rounds: int = 3
) -> dict[str, Any]:
    """Time detect on one subject without segments, with two dimensions, and with many values, and return the report.

    Parameters
    ----------
    seed
        Seed of the records.
    records
        Number of records in each case.
    end_ms
        Time of the last record in Unix ms.
    console
        Console for progress.
    rounds
        Number of rounds.

    Raises
    ------
    DriftwireError
        If the broker or a worker fails.
    """
    busy = busy_service(seed, records, end_ms)
    fleets = {PLAIN: replace(busy, is_segmented=False), USUAL: busy}
    fleets |= {case: replace(busy, segment_values=values) for case, values in VALUES.items()}
    comparisons = {case: PeerComparison() for case in fleets}
    console.print("learning a baseline")
    typical = busy.learn()
    async with AsyncExitStack() as stack:
        topics = {
            case: await stack.enter_async_context(filled_topic(fleet, console, typical=typical))
            for case, fleet in fleets.items()
        }
        for number in range(1, rounds + 1):
            for case, topic in topics.items():
                console.print(f"segments: {case}")
                await comparisons[case].run_round(topic, str(number), say=console.print)
        for case, topic in topics.items():
            await comparisons[case].finish(topic)
    plain = comparisons.pop(PLAIN)
    shares = {
        f"share_of_plain_{case}": round(comparison.records_per_s / plain.records_per_s, 3)
        for case, comparison in comparisons.items()
    }
    everything = {PLAIN: plain} | comparisons
    return {
        **shares,
        **PeerComparison.combine(everything),
        "records": records,
        "cases": {case: comparison.to_json() for case, comparison in everything.items()},
    }
