"""Stream of a service without failures over the six days after its baseline."""

from collections.abc import Iterator

from load.score.simulation.baseline_source import BASELINE_END_MS
from load.score.simulation.extra_signals import add_extra_signals
from load.score.simulation.stream import NOISE_SEED_OFFSET
from load.world import RecordColumns, World
from schemas.topics import DAY_MS

DAYS = 6
"""Days of the stream: Tuesday to Sunday, after the Monday of the baseline."""

WINDOWS_PER_DAY = 4
"""Number of windows of records per day. No records are sent between windows."""

CHUNK_RECORDS = 4096


def generate_quiet_stream(seed: int, per_second: float, records: int) -> Iterator[RecordColumns]:
    """Yield roughly the given number of records of a service without failures, in windows at all hours of the day."""
    noise_seed = seed + NOISE_SEED_OFFSET
    world = World(seed, BASELINE_END_MS, per_second, noise_seed=noise_seed)
    windows = DAYS * WINDOWS_PER_DAY
    for window in range(windows):
        # The second term shifts every window to a different time of day.
        world.skip_to(
            BASELINE_END_MS + window * DAY_MS // WINDOWS_PER_DAY + window * DAY_MS // (windows * WINDOWS_PER_DAY)
        )
        remaining = records // windows
        while remaining:
            columns = world.draw(min(remaining, CHUNK_RECORDS))
            remaining -= len(columns.times_ms)
            yield add_extra_signals(columns, noise_seed)
