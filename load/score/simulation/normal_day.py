"""What is normal for a simulated service: the baselines by which the score has its streams judged."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from load.score.simulation.design_world import DAY_RECORDS, DesignWorld
from load.score.simulation.disturbances import probe_line
from load.score.simulation.extra_signals import embedded, widened
from load.score.simulation.scenario import Scenario
from load.world import DAY_MS, SAMPLE_INTERVAL_S, SAMPLE_RECORDS, SUBJECT, World, generate, json_lines
from pipeline.detect.offline import learn_history
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline
from schemas.timestamp import parse_timestamp

MONDAY_MS = parse_timestamp("2026-11-02T00:00:00Z")
"""The baseline is of this day, and of an hour more."""

BASELINE_END_MS = MONDAY_MS + 25 * 3_600_000
SAMPLE_INTERVAL_MS = SAMPLE_INTERVAL_S * 1000
PROBE_INTERVAL_MS = 10_000
"""Known-bad prompts are sent so often, and all of them blocked."""


@dataclass(frozen=True, slots=True)
class Normal:
    """Which service a baseline is of, and what of it was seen.

    Attributes
    ----------
    embeddings
        Whether its records carry one.
    whole
        Whether every record of its day was seen; otherwise a sample every seven and a half minutes.
    days
        How long it was watched, to the end of that Monday.
    """

    seed: int
    per_second: float = 50.0
    world: str = "bot"
    embeddings: bool = False
    whole: bool = False
    days: int = 1


def normal_of(scenario: Scenario, seed: int) -> Normal:
    """By what a scenario is judged."""
    return Normal(
        seed, scenario.records_per_second, scenario.world, scenario.embeddings, scenario.whole_day,
        scenario.baseline_days,
    )  # fmt: skip


@lru_cache(maxsize=8)
def baseline_of(normal: Normal, settings: DetectSettings) -> Baseline:
    """What is normal, learned as ``driftwire baseline learn`` learns it from a file."""
    return learn_history(_healthy(normal), settings, subject=SUBJECT).baselines[SUBJECT]


def _healthy(normal: Normal) -> Iterator[bytes]:
    seed = normal.seed
    if normal.world == "design":
        design = DesignWorld(seed, MONDAY_MS, normal.per_second, seed)
        samples = DAY_RECORDS // SAMPLE_RECORDS
        for at_ms in range(MONDAY_MS, MONDAY_MS + DAY_MS, DAY_MS // samples):
            design.skip_to(at_ms)
            yield from json_lines(design.draw(SAMPLE_RECORDS), seed=seed)
        return
    start_ms = MONDAY_MS - (normal.days - 1) * DAY_MS
    bot = World(seed, start_ms, normal.per_second)
    if normal.whole:
        for columns in generate(bot, until_ms=BASELINE_END_MS):
            yield from json_lines(widened(columns, seed), seed=seed)
        return
    for at_ms in range(start_ms, BASELINE_END_MS, SAMPLE_INTERVAL_MS):
        bot.skip_to(at_ms)
        columns = widened(bot.draw(SAMPLE_RECORDS), seed)
        lines = json_lines(columns, seed=seed)
        nothing = np.zeros(SAMPLE_RECORDS, dtype=bool)
        yield from embedded(lines, columns, seed, turned=nothing) if normal.embeddings else lines
        for time_ms in range(at_ms + PROBE_INTERVAL_MS, at_ms + SAMPLE_INTERVAL_MS, PROBE_INTERVAL_MS):
            yield probe_line(time_ms, blocked=True)
