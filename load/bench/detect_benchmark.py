"""Benchmark of the detect worker with one busy subject, compared with other pipelines on the same topic.

The pipelines read the topic in turn, in several rounds, and the ratios are those of the medians. Start-up time is
excluded: a peer is timed from its first record, and detect from the first checkpoint after the warm-up.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from load.bench.machine import describe_commit
from load.bench.measurement import PeerComparison, SimulatedFleet, filled_topic

RATIO_MIN = 6.0
"""Minimum ratio of the detect rate to the rate of the obvious pipeline."""

ALL_PEERS = ("obvious", "quix", "bytewax", "reading", "confluent")
DETECT_PEERS = ("obvious", "reading", "quix")

RECORDS_PER_SECOND = 2000.0
"""Records per second of event time, typical of a busy service."""

SECONDS_MIN = 100.0
"""Minimum seconds of event time, which the tests need to tell a failure from a burst. A short run has a lower rate."""


def busy_service(seed: int, records: int, end_ms: int) -> SimulatedFleet:
    """Return a fleet of one busy service whose last record is at ``end_ms``."""
    rate = min(RECORDS_PER_SECOND, records / SECONDS_MIN)
    return SimulatedFleet(seed, 1, rate, records, end_ms - round(records / rate * 1000))


async def run_detect_benchmark(
    fleet: SimulatedFleet,
    console: Console,
    *,
    peers: Sequence[str] = DETECT_PEERS,
    rounds: int = 3,
    checkout: Path | None = None,
) -> dict[str, Any]:
    """Time detect and peers on the records of a fleet, and return the report.

    Parameters
    ----------
    fleet
        The services whose records fill the topic.
    console
        Console for progress.
    peers
        Names of the peers.
    rounds
        Number of rounds.
    checkout
        Folder with the sources of another version of detect, or None.

    Raises
    ------
    DriftwireError
        If the broker, a worker or a peer fails.
    """
    comparison = PeerComparison()
    async with filled_topic(fleet, console) as topic:
        for number in range(1, rounds + 1):
            await comparison.run_round(topic, str(number), peers=peers, say=console.print, checkout=checkout)
        await comparison.finish(topic)
    # A peer that is not installed has a ratio of null.
    return (
        {f"ratio_to_{peer}": None for peer in peers}
        | comparison.to_json()
        | {
            "problems": detect_problems(comparison),
            "floor": RATIO_MIN,
            "commit_before": None if checkout is None else describe_commit(checkout),
            "records": fleet.records,
            "record_bytes": round(topic.record_bytes),
        }
    )


def detect_problems(comparison: PeerComparison) -> list[str]:
    """Return why a comparison fails: what it does not prove, and a ratio below the minimum."""
    ratio = comparison.ratio_to("obvious")
    if ratio is None or ratio >= RATIO_MIN:
        return comparison.problems
    return [*comparison.problems, f"{ratio:.2f} times the obvious pipeline, below the minimum of {RATIO_MIN:g}"]
