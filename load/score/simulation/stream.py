"""The stream of a scenario: the records of a service to which something happens, as messages in order of arrival."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial

import numpy as np

from load.score.simulation.design_world import DesignWorld
from load.score.simulation.disturbances import disturbed, storm_lines, storm_times_ms
from load.score.simulation.effects import EMBEDDING, touched
from load.score.simulation.extra_signals import embedded, widened
from load.score.simulation.normal_day import MONDAY_MS
from load.score.simulation.scenario import Scenario
from load.world import DAY_MS, Columns, Plan, World, cut, json_lines
from schemas.deployment import Deployment

CHUNK_RECORDS = 2048
OTHER_CHANCE = 1_000_000
"""What is added to a seed for the records of a stream: they are not those of its baseline."""


class Told:
    """A part of a stream: the truth about its records in the order of their times, and its messages.

    The messages are made when somebody wants them: past what was looked for only the truth is of use.
    """

    def __init__(self, columns: Columns, tell: Callable[[], list[bytes]]) -> None:
        self.columns, self._tell = columns, tell

    @cached_property
    def lines(self) -> list[bytes]:
        """The messages, in the order in which they arrive."""
        return self._tell()


def change_ms(scenario: Scenario) -> int:
    """When it happens, Unix milliseconds."""
    return MONDAY_MS + scenario.day * DAY_MS + round(scenario.hour * 3_600_000)


def begins_ms(scenario: Scenario, seed: int) -> int:
    """When it happens in the stream of one seed: what happens does not know where a pane begins."""
    return _begins_ms(scenario, _chance(scenario, seed))


def stream(scenario: Scenario, seed: int, deployments: Sequence[Deployment] = (), twin: int = 0) -> Iterator[Told]:
    """The stream of one seed, part by part, in the order in which messages arrive.

    ``deployments`` change the versions that the bot's records carry, and nothing else. A ``twin`` is another service that
    is normally like it: each number has records of its own.
    """
    random = _chance(scenario, seed)
    # On the way chance has a source of its own: the truth is the same whether messages are made or not.
    way = np.random.default_rng((OTHER_CHANCE, seed, *scenario.name.encode()))
    at_ms = _begins_ms(scenario, random)
    world = _world(scenario, seed, at_ms, deployments, twin)
    parts = (touched(columns, scenario, at_ms, random) for columns in _columns(scenario, world, at_ms, random))
    if scenario.messages.late_s:
        every = list(parts)
        yield Told(joined(every), partial(_late, every, scenario, seed, at_ms, way))
        return
    before_ms = at_ms - round(scenario.healthy_s * 1000) - 1
    for columns in parts:
        yield Told(columns, partial(_lines, columns, scenario, seed, at_ms, before_ms, way))
        before_ms = int(columns.times_ms[-1]) if columns.times_ms.size else before_ms


def _chance(scenario: Scenario, seed: int) -> np.random.Generator:
    return np.random.default_rng((seed, *scenario.name.encode()))


def _begins_ms(scenario: Scenario, random: np.random.Generator) -> int:
    # The phase within the second is the first number that a stream draws.
    return change_ms(scenario) + int(random.integers(1000))


def _lines(
    columns: Columns, scenario: Scenario, seed: int, at_ms: int, before_ms: int, way: np.random.Generator
) -> list[bytes]:
    lines = json_lines(columns, seed=seed)
    if scenario.embeddings:
        moved = any(touch.signal == EMBEDDING for touch in scenario.touch)
        lines = embedded(lines, columns, seed, turned=(columns.times_ms >= at_ms) & moved)
    return disturbed(lines, columns, scenario, at_ms, way, before_ms=before_ms)


def _world(
    scenario: Scenario, seed: int, at_ms: int, deployments: Sequence[Deployment], twin: int
) -> World | DesignWorld:
    start_ms = at_ms - round(scenario.healthy_s * 1000)
    per_second, chance = scenario.records_per_second * _most(scenario), seed + OTHER_CHANCE * (1 + twin)
    if scenario.world == "design":
        return DesignWorld(seed, start_ms, per_second, chance)
    return World(seed, start_ms, per_second, Plan(deployments=tuple(deployments)), chance)


def _most(scenario: Scenario) -> float:
    return max([1.0, *(traffic.factor for traffic in scenario.traffic)])


def _columns(
    scenario: Scenario, world: World | DesignWorld, at_ms: int, random: np.random.Generator
) -> Iterator[Columns]:
    end_ms = at_ms + round(scenario.after_s * 1000)
    while True:
        columns = world.draw(CHUNK_RECORDS)
        keep = int(np.searchsorted(columns.times_ms, end_ms))
        if isinstance(world, World):
            columns = widened(columns, world.chance or 0)
        if keep:
            yield _thinned(cut(columns, keep), scenario, at_ms, random)
        if keep < CHUNK_RECORDS:
            return


def _thinned(columns: Columns, scenario: Scenario, at_ms: int, random: np.random.Generator) -> Columns:
    if not scenario.traffic:
        return columns
    most = _most(scenario)
    since_s = (columns.times_ms - at_ms) / 1000.0
    factor = np.ones(since_s.size)
    for traffic in scenario.traffic:
        factor[(since_s >= traffic.after_s) & (since_s < traffic.after_s + traffic.for_s)] = traffic.factor
    rows = np.flatnonzero(random.random(since_s.size) < factor / most)
    picked = rows.tolist()
    return Columns(
        columns.times_ms[rows],
        columns.first_index,
        {name: column[rows] for name, column in columns.values.items()},
        [columns.versions[row] for row in picked],
        {name: [column[row] for row in picked] for name, column in columns.labels.items()},
    )


def _late(parts: list[Columns], scenario: Scenario, seed: int, at_ms: int, way: np.random.Generator) -> list[bytes]:
    """All of it at once, in the order of arrival."""
    times_ms = np.concatenate([columns.times_ms for columns in parts] + [storm_times_ms(scenario, at_ms)])
    lines = [line for columns in parts for line in json_lines(columns, seed=seed)] + storm_lines(scenario, at_ms)
    arrivals = times_ms + way.uniform(0.0, scenario.messages.late_s * 1000, times_ms.size)
    return [lines[row] for row in np.argsort(arrivals, kind="stable").tolist()]


def joined(parts: list[Columns]) -> Columns:
    """Columns one after the other; at least one."""
    return Columns(
        np.concatenate([part.times_ms for part in parts]),
        parts[0].first_index,
        {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
        [versions for part in parts for versions in part.versions],
        {name: [label for part in parts for label in part.labels[name]] for name in parts[0].labels},
    )
