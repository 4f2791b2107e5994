"""The stream of a scenario: the records of a service, with the simulated event, as messages in arrival order."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial

import numpy as np

from load.score.simulation.design_world import DesignWorld
from load.score.simulation.disturbances import disturb, storm_lines, storm_times_ms
from load.score.simulation.effects import EMBEDDING, apply_effects
from load.score.simulation.extra_signals import add_agent_signals, add_embeddings, add_extra_signals, add_rebuilds
from load.score.simulation.scenario import Scenario
from load.world import RecordColumns, World, json_lines
from schemas.deployment import Deployment

CHUNK_RECORDS = 2048
NOISE_SEED_OFFSET = 1_000_000
"""Offset that is added to the seed for the noise of a stream, which makes the stream differ from its baseline."""


class StreamPart:
    """Part of a stream: records in time order, and messages in arrival order.

    The messages are built on first use. After the end of a run, only the records are needed.
    """

    def __init__(self, columns: RecordColumns, build_lines: Callable[[], list[bytes]]) -> None:
        self.columns, self._build_lines = columns, build_lines

    @cached_property
    def lines(self) -> list[bytes]:
        """Messages in arrival order."""
        return self._build_lines()


def generate_stream(
    scenario: Scenario, seed: int, deployments: Sequence[Deployment] = (), twin: int = 0
) -> Iterator[StreamPart]:
    """Yield the stream of a scenario for one seed, in parts.

    Parameters
    ----------
    scenario
        Scenario to play.
    seed
        Seed of the stream and of the service.
    deployments
        Deployments. They only change the versions in the bot's records.
    twin
        Number of a similar service. Services with different numbers have different records; 0 is the bot.
    """
    random = scenario.create_generator(seed)
    # Messages in transit use a separate random number generator, so building messages does not change the records.
    transit_random = np.random.default_rng((NOISE_SEED_OFFSET, seed, *scenario.name.encode()))
    at_ms = scenario.draw_change_ms(random)
    world = _create_world(scenario, seed, at_ms, deployments, twin)
    parts = (
        apply_effects(columns, scenario, at_ms, random)
        for columns in _generate_columns(scenario, seed, world, at_ms, random)
    )
    if scenario.messages.late_s:
        late = list(parts)
        yield StreamPart(
            RecordColumns.concatenate(late), partial(_late_lines, late, scenario, seed, at_ms, transit_random)
        )
        return
    before_ms = at_ms - round(scenario.healthy_s * 1000) - 1
    for columns in parts:
        yield StreamPart(columns, partial(_lines, columns, scenario, seed, at_ms, before_ms, transit_random))
        before_ms = int(columns.times_ms[-1]) if columns.times_ms.size else before_ms


def _lines(
    columns: RecordColumns,
    scenario: Scenario,
    seed: int,
    at_ms: int,
    before_ms: int,
    transit_random: np.random.Generator,
) -> list[bytes]:
    lines = json_lines(columns, seed=seed)
    if scenario.embeddings:
        is_touched = any(touch.signal == EMBEDDING for touch in scenario.touch)
        model_changed = (columns.times_ms >= at_ms) & is_touched
        lines = add_embeddings(lines, columns, seed, model_changed=model_changed)
    return disturb(lines, columns, scenario, at_ms, transit_random, before_ms=before_ms)


def _late_lines(
    parts: list[RecordColumns], scenario: Scenario, seed: int, at_ms: int, transit_random: np.random.Generator
) -> list[bytes]:
    times_ms = np.concatenate([columns.times_ms for columns in parts] + [storm_times_ms(scenario, at_ms)])
    lines = [line for columns in parts for line in json_lines(columns, seed=seed)] + storm_lines(scenario, at_ms)
    arrivals_ms = times_ms + transit_random.uniform(0.0, scenario.messages.late_s * 1000, times_ms.size)
    return [lines[row] for row in np.argsort(arrivals_ms, kind="stable").tolist()]


def _create_world(
    scenario: Scenario, seed: int, at_ms: int, deployments: Sequence[Deployment], twin: int
) -> World | DesignWorld:
    start_ms = at_ms - round(scenario.healthy_s * 1000)
    per_second = scenario.records_per_second * _peak_factor(scenario)
    noise_seed = seed + NOISE_SEED_OFFSET * (1 + twin)
    if scenario.world == "design":
        return DesignWorld(seed, start_ms, per_second, noise_seed)
    return World(seed, start_ms, per_second, deployments=deployments, noise_seed=noise_seed)


def _peak_factor(scenario: Scenario) -> float:
    return max([1.0, *(traffic.factor for traffic in scenario.traffic)])


def _generate_columns(
    scenario: Scenario, seed: int, world: World | DesignWorld, at_ms: int, random: np.random.Generator
) -> Iterator[RecordColumns]:
    end_ms = at_ms + round(scenario.after_s * 1000)
    while True:
        columns = world.draw(CHUNK_RECORDS)
        count = int(np.searchsorted(columns.times_ms, end_ms))
        if isinstance(world, World):
            columns = add_extra_signals(columns, world.noise_seed or 0)
            if scenario.agent:
                columns = add_agent_signals(columns, world.noise_seed or 0)
            if scenario.rebuilds is not None:
                missed_from_ms = scenario.nominal_change_ms if scenario.rebuilds == "missed" else None
                columns = add_rebuilds(columns, seed, missed_from_ms=missed_from_ms)
        if count:
            yield _thin_out(columns.head(count), scenario, at_ms, random)
        if count < CHUNK_RECORDS:
            return


def _thin_out(columns: RecordColumns, scenario: Scenario, at_ms: int, random: np.random.Generator) -> RecordColumns:
    """Drop records at random according to the traffic factor at each time."""
    if not scenario.traffic:
        return columns
    since_s = (columns.times_ms - at_ms) / 1000.0
    factor = np.ones(since_s.size)
    for traffic in scenario.traffic:
        factor[(since_s >= traffic.after_s) & (since_s < traffic.after_s + traffic.for_s)] = traffic.factor
    return columns.take(np.flatnonzero(random.random(since_s.size) < factor / _peak_factor(scenario)))
