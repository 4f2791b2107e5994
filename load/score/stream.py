"""The stream of a scenario: the records of a service to which something happens, as messages in order of arrival."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import orjson
from numpy.typing import NDArray

from load.lines import SUBJECT, json_lines
from load.noise import DAY_MS
from load.score.design import DAY_RECORDS, DesignWorld
from load.score.disturbances import disturbed, probe_line, storm_lines
from load.score.further import embeddings, widened
from load.score.scenario import Scenario
from load.score.touched import EMBEDDING, touched
from load.world import Columns, World, cut, generate
from pipeline.detect.history import learn_history
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline
from schemas.timestamp import parse_timestamp

MONDAY_MS = parse_timestamp("2026-11-02T00:00:00Z")
"""The baseline is of this day, and of an hour more."""

BASELINE_END_MS = MONDAY_MS + 25 * 3_600_000
SAMPLE_INTERVAL_MS = 450_000
SAMPLE_RECORDS = 256
PROBE_INTERVAL_MS = 10_000
"""Known-bad prompts are sent so often, and all of them blocked."""

CHUNK_RECORDS = 2048
OTHER_CHANCE = 1_000_000
"""What is added to a seed for the records of a stream: they are not those of its baseline."""


@dataclass(frozen=True, slots=True)
class Told:
    """A part of a stream: its messages, and the truth about its records in the order of their times."""

    lines: list[bytes]
    columns: Columns


@lru_cache(maxsize=8)
def baseline_of(
    world: str,
    seed: int,
    per_second: float,
    settings: DetectSettings,
    *,
    embedded: bool = False,
    whole: bool = False,
    days: int = 1,
) -> Baseline:
    """What is normal for the simulated service, learned as ``driftwire baseline learn`` learns it from a file."""
    records = _healthy_day(world, seed, per_second, embedded=embedded, whole=whole, days=days)
    history = learn_history(records, settings, subject=SUBJECT)
    return history.baselines[SUBJECT]


def _healthy_day(
    world: str, seed: int, per_second: float, *, embedded: bool, whole: bool, days: int
) -> Iterator[bytes]:
    if world == "design":
        design = DesignWorld(seed, MONDAY_MS, per_second, seed)
        samples = DAY_RECORDS // SAMPLE_RECORDS
        for at_ms in range(MONDAY_MS, MONDAY_MS + DAY_MS, DAY_MS // samples):
            design.skip_to(at_ms)
            yield from json_lines(design.draw(SAMPLE_RECORDS), seed=seed)
        return
    start_ms = MONDAY_MS - (days - 1) * DAY_MS
    bot = World(seed, start_ms, per_second)
    if whole:
        for columns in generate(bot, until_ms=BASELINE_END_MS):
            yield from json_lines(widened(columns, seed), seed=seed)
        return
    for at_ms in range(start_ms, BASELINE_END_MS, SAMPLE_INTERVAL_MS):
        bot.skip_to(at_ms)
        columns = widened(bot.draw(SAMPLE_RECORDS), seed)
        lines = json_lines(columns, seed=seed)
        nothing = np.zeros(SAMPLE_RECORDS, dtype=bool)
        yield from _embedded(lines, columns, seed, turned=nothing) if embedded else lines
        for time_ms in range(at_ms + PROBE_INTERVAL_MS, at_ms + SAMPLE_INTERVAL_MS, PROBE_INTERVAL_MS):
            yield probe_line(time_ms, blocked=True)


def change_ms(scenario: Scenario) -> int:
    """When it happens, Unix milliseconds."""
    return MONDAY_MS + scenario.day * DAY_MS + round(scenario.hour * 3_600_000)


def stream(scenario: Scenario, seed: int) -> Iterator[Told]:
    """The stream of one seed, part by part, in the order in which messages arrive."""
    random = np.random.default_rng((seed, *scenario.name.encode()))
    # A phase within the second: what happens does not know where a pane begins.
    at_ms = change_ms(scenario) + int(random.integers(1000))
    parts = (touched(columns, scenario, at_ms, random) for columns in _columns(scenario, seed, at_ms, random))
    if scenario.messages.late_s:
        yield _late(list(parts), scenario, seed, at_ms, random)
        return
    before_ms = at_ms - round(scenario.healthy_s * 1000) - 1
    for columns in parts:
        lines = json_lines(columns, seed=seed)
        if scenario.embeddings:
            moved = any(touch.signal == EMBEDDING for touch in scenario.touch)
            lines = _embedded(lines, columns, seed, turned=(columns.times_ms >= at_ms) & moved)
        yield Told(disturbed(lines, columns, scenario, at_ms, random, before_ms=before_ms), columns)
        before_ms = int(columns.times_ms[-1]) if columns.times_ms.size else before_ms


def _embedded(lines: list[bytes], columns: Columns, seed: int, *, turned: NDArray[np.bool_]) -> list[bytes]:
    found = []
    for line, embedding in zip(lines, embeddings(columns, seed, turned=turned), strict=True):
        record = orjson.loads(line)
        record["data"][EMBEDDING] = embedding
        found.append(orjson.dumps(record))
    return found


def _columns(scenario: Scenario, seed: int, at_ms: int, random: np.random.Generator) -> Iterator[Columns]:
    start_ms = at_ms - round(scenario.healthy_s * 1000)
    end_ms = at_ms + round(scenario.after_s * 1000)
    most = max(1.0, *(traffic.factor for traffic in scenario.traffic)) if scenario.traffic else 1.0
    per_second = scenario.records_per_second * most
    chance = seed + OTHER_CHANCE
    if scenario.world == "design":
        world: World | DesignWorld = DesignWorld(seed, start_ms, per_second, chance)
    else:
        world = World(seed, start_ms, per_second, chance=chance)
    while True:
        columns = world.draw(CHUNK_RECORDS)
        keep = int(np.searchsorted(columns.times_ms, end_ms))
        if scenario.world == "bot":
            columns = widened(columns, chance)
        if keep:
            yield _thinned(cut(columns, keep), scenario, at_ms, most, random)
        if keep < CHUNK_RECORDS:
            return


def _thinned(columns: Columns, scenario: Scenario, at_ms: int, most: float, random: np.random.Generator) -> Columns:
    if not scenario.traffic:
        return columns
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


def _late(parts: list[Columns], scenario: Scenario, seed: int, at_ms: int, random: np.random.Generator) -> Told:
    """All of it at once, in the order of arrival."""
    whole = joined(parts)
    lines = [line for columns in parts for line in json_lines(columns, seed=seed)]
    arrivals = whole.times_ms + random.uniform(0.0, scenario.messages.late_s * 1000, whole.times_ms.size)
    storm = storm_lines(scenario, at_ms)
    arrivals = np.concatenate(
        [arrivals, at_ms + random.uniform(0.0, 1000.0 + scenario.messages.late_s * 1000, len(storm))]
    )
    lines += storm
    ordered = [lines[row] for row in np.argsort(arrivals, kind="stable").tolist()]
    return Told(ordered, whole)


def joined(parts: list[Columns]) -> Columns:
    """Columns one after the other; at least one."""
    return Columns(
        np.concatenate([part.times_ms for part in parts]),
        parts[0].first_index,
        {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
        [versions for part in parts for versions in part.versions],
        {name: [label for part in parts for label in part.labels[name]] for name in parts[0].labels},
    )
