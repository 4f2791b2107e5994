"""Baselines of the score, learned from a healthy Monday of a simulated service."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from load.json_texts import probe_line
from load.score.simulation.design_world import DAY_RECORDS, DesignWorld
from load.score.simulation.extra_signals import add_agent_signals, add_embeddings, add_extra_signals, add_rebuilds
from load.score.simulation.scenario import MONDAY_MS, Scenario
from load.world import SUBJECT, RecordColumns, World, json_lines
from pipeline.detect.offline import learn_history
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline
from schemas.topics import DAY_MS, HOUR_MS

BASELINE_END_MS = MONDAY_MS + 25 * HOUR_MS
"""End time of the records of a baseline in Unix ms, one hour after the end of the Monday."""

PROBE_INTERVAL_MS = 10_000
"""Milliseconds between two probes. All probes are blocked."""


@dataclass(frozen=True, slots=True)
class BaselineSource:
    """Healthy service from which a baseline is learned. Equal sources produce equal baselines.

    Attributes
    ----------
    seed
        Seed of the service.
    per_second
        Records per second.
    world
        Name of the simulated service: ``bot`` or ``design``.
    embeddings
        Whether the records have embeddings.
    every_record
        Whether the baseline is learned from every record. If false, it is learned from samples every seven and a half
        minutes.
    days
        Number of days of records, ending with the Monday.
    agent
        Whether the records have the signals of an agent and of its budget.
    rebuilds
        Whether the index is rebuilt every night.
    """

    seed: int
    per_second: float = 50.0
    world: str = "bot"
    embeddings: bool = False
    every_record: bool = False
    days: int = 1
    agent: bool = False
    rebuilds: bool = False

    @classmethod
    def from_scenario(cls, scenario: Scenario, seed: int) -> "BaselineSource":
        """Return the source of the baseline for a scenario."""
        return cls(
            seed=seed,
            per_second=scenario.records_per_second,
            world=scenario.world,
            embeddings=scenario.embeddings,
            every_record=scenario.whole_day,
            days=scenario.baseline_days,
            agent=scenario.agent,
            rebuilds=scenario.rebuilds is not None,
        )

    def learn(self, settings: DetectSettings) -> Baseline:
        """Learn the baseline, as ``driftwire baseline learn`` does from a file."""
        return _learn(self, settings)

    def healthy_lines(self) -> Iterator[bytes]:
        """Yield the records of the baseline as JSON lines."""
        if self.world == "design":
            yield from self._design_lines()
            return
        start_ms = MONDAY_MS - (self.days - 1) * DAY_MS
        bot = World(self.seed, start_ms, self.per_second)
        if self.every_record:
            for columns in bot.generate(until_ms=BASELINE_END_MS):
                yield from json_lines(self._complete(columns), seed=self.seed)
            return
        unchanged = np.zeros(World.SAMPLE_RECORDS, dtype=bool)
        for at_ms, sampled in bot.sample(BASELINE_END_MS):
            columns = self._complete(sampled)
            lines = json_lines(columns, seed=self.seed)
            yield from add_embeddings(lines, columns, self.seed, model_changed=unchanged) if self.embeddings else lines
            next_ms = at_ms + World.SAMPLE_INTERVAL_MS
            for time_ms in range(at_ms + PROBE_INTERVAL_MS, next_ms, PROBE_INTERVAL_MS):
                yield probe_line(SUBJECT, time_ms, blocked=True)

    def _complete(self, columns: RecordColumns) -> RecordColumns:
        columns = add_extra_signals(columns, self.seed)
        columns = add_agent_signals(columns, self.seed) if self.agent else columns
        return add_rebuilds(columns, self.seed) if self.rebuilds else columns

    def _design_lines(self) -> Iterator[bytes]:
        design = DesignWorld(self.seed, MONDAY_MS, self.per_second, self.seed)
        samples = DAY_RECORDS // World.SAMPLE_RECORDS
        for at_ms in range(MONDAY_MS, MONDAY_MS + DAY_MS, DAY_MS // samples):
            design.skip_to(at_ms)
            yield from json_lines(design.draw(World.SAMPLE_RECORDS), seed=self.seed)


@lru_cache(maxsize=8)
def _learn(source: BaselineSource, settings: DetectSettings) -> Baseline:
    return learn_history(source.healthy_lines(), settings, subject=SUBJECT).baselines[SUBJECT]
