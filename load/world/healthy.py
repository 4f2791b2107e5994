"""Healthy day of records for learning a baseline before a go-live. The day is sampled, so learning takes seconds."""

from collections.abc import Collection, Iterator

from load.errors import LoadError
from load.world.json_writer import ALL_SIGNALS, SUBJECT, json_lines
from load.world.world import World
from pipeline.detect.offline import learn_history
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline
from schemas.topics import DAY_MS, HOUR_MS


def healthy_day(
    seed: int,
    end_ms: int,
    records_per_second: float,
    subject: str = SUBJECT,
    signals: Collection[str] = ALL_SIGNALS,
    sample_records: int = World.SAMPLE_RECORDS,
) -> Iterator[bytes]:
    """Yield samples of the records of the 25 hours before ``end_ms`` (Unix ms), as JSON lines, every few minutes.

    The extra hour ensures that the samples cover the full daily cycle.
    """
    world = World(seed, end_ms - DAY_MS - HOUR_MS, records_per_second)
    for _, columns in world.sample(end_ms, records=sample_records):
        yield from json_lines(columns, subject=subject, seed=seed, signals=signals)


def healthy_baseline(
    seed: int,
    end_ms: int,
    records_per_second: float,
    settings: DetectSettings,
    subject: str = SUBJECT,
    signals: Collection[str] = ALL_SIGNALS,
    sample_records: int = World.SAMPLE_RECORDS,
) -> Baseline:
    """Learn the baseline of the simulated service, as ``driftwire baseline learn`` does from a file.

    The records carry only the given signals. Larger samples take longer.

    Raises
    ------
    LoadError
        If a record of the day is rejected, which is a bug in the simulation.
    """
    day = healthy_day(seed, end_ms, records_per_second, subject, signals, sample_records)
    history = learn_history(day, settings, subject=subject)
    if history.unusable:
        raise LoadError(f"records of the healthy day were rejected: {dict(history.unusable)}: the simulation has a bug")
    return history.baselines[subject]
