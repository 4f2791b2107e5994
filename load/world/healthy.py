"""A healthy day: what a baseline is learned from before a go-live, thinned so that it takes seconds, not a day."""

from collections.abc import Iterator

from load.errors import LoadError
from load.world.lines import SUBJECT, json_lines
from load.world.world import World
from pipeline.detect.offline import learn_history
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline

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


def healthy_baseline(seed: int, end_ms: int, records_per_second: float, settings: DetectSettings) -> Baseline:
    """What is normal for the simulated service, learned as ``driftwire baseline learn`` learns it from a file.

    Raises
    ------
    LoadError
        If some of the day's records cannot be used, which would be a fault of the simulation.
    """
    history = learn_history(healthy_day(seed, end_ms, records_per_second), settings, subject=SUBJECT)
    if history.unusable:
        raise LoadError(f"records of the healthy day were refused: {dict(history.unusable)}")
    return history.baselines[SUBJECT]
