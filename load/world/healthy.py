"""Healthy day of records for learning a baseline before a go-live. The day is sampled, so learning takes seconds."""

from collections.abc import Iterator

from load.errors import LoadError
from load.world.json_writer import SUBJECT, json_lines
from load.world.world import World
from pipeline.detect.offline import learn_history
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline
from schemas.topics import DAY_MS, HOUR_MS


def healthy_day(seed: int, end_ms: int, records_per_second: float, subject: str = SUBJECT) -> Iterator[bytes]:
    """Yield samples of the records of the 25 hours before ``end_ms`` (Unix ms), as JSON lines, every few minutes.

    The extra hour ensures that the samples cover the full daily cycle.
    """
    world = World(seed, end_ms - DAY_MS - HOUR_MS, records_per_second)
    for _, columns in world.sample(end_ms):
        yield from json_lines(columns, subject=subject, seed=seed)


def healthy_baseline(
    seed: int, end_ms: int, records_per_second: float, settings: DetectSettings, subject: str = SUBJECT
) -> Baseline:
    """Learn the baseline of the simulated service, as ``driftwire baseline learn`` does from a file.

    Raises
    ------
    LoadError
        If a record of the day is rejected, which is a bug in the simulation.
    """
    history = learn_history(healthy_day(seed, end_ms, records_per_second, subject), settings, subject=subject)
    if history.unusable:
        raise LoadError(f"records of the healthy day were rejected: {dict(history.unusable)}: the simulation has a bug")
    return history.baselines[subject]
