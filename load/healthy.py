"""A healthy day: what a baseline is learned from before a go-live, thinned so that it takes seconds, not a day."""

from collections.abc import Iterator

from load.lines import SUBJECT, json_lines
from load.world import World

DAY_S = 86_400
MARGIN_S = 3600
"""Seconds beyond a whole day, so that the daily cycle is seen from end to end."""

SAMPLE_INTERVAL_S = 450
"""Seconds from one sample to the next: four samples a half-hour."""

SAMPLE_RECORDS = 256
"""Records in a row: long enough to show how much neighbours resemble each other."""


def healthy_day(seed: int, end_ms: int, records_per_second: float, subject: str = SUBJECT) -> Iterator[bytes]:
    """Records of the day and an hour before ``end_ms`` (Unix ms), a sample every few minutes, as JSON lines."""
    start_ms = end_ms - (DAY_S + MARGIN_S) * 1000
    world = World(seed, start_ms, records_per_second)
    for at_ms in range(start_ms, end_ms, SAMPLE_INTERVAL_S * 1000):
        world.skip_to(at_ms)
        yield from json_lines(world.draw(SAMPLE_RECORDS), subject=subject, seed=seed)
