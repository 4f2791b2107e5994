"""Benchmark of two detect workers that share four partitions, compared with one worker on the same topic."""

from typing import Any

from rich.console import Console

from load.bench.measurement import PeerComparison, SimulatedFleet, filled_topic

WORKERS = (1, 2)


async def run_workers_benchmark(fleet: SimulatedFleet, console: Console, *, rounds: int = 3) -> dict[str, Any]:
    """Time one worker and two workers in turn, and return the report.

    Parameters
    ----------
    fleet
        The services whose records fill the topic.
    console
        Console for progress.
    rounds
        Number of rounds.

    Raises
    ------
    DriftwireError
        If the broker or a worker fails.
    """
    comparisons = {workers: PeerComparison() for workers in WORKERS}
    async with filled_topic(fleet, console) as topic:
        for number in range(1, rounds + 1):
            for workers, comparison in comparisons.items():
                console.print(f"workers: {workers}")
                await comparison.run_round(topic, f"{number}-{workers}", say=console.print, workers=workers)
        for comparison in comparisons.values():
            await comparison.finish(topic)
    one, two = comparisons.values()
    return {
        "processor_ratio": round(two.processor_us / one.processor_us, 3),
        "wall_ratio": round(two.records_per_s / one.records_per_s, 3),
        **PeerComparison.combine({f"workers: {workers}": comparison for workers, comparison in comparisons.items()}),
        "records": fleet.records,
        "subjects": fleet.subjects,
        "workers": {str(workers): comparison.to_json() for workers, comparison in comparisons.items()},
    }
