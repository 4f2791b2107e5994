"""The suites: what is played, in which processes, and on whose baseline."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from load.score.simulation import Normal, Scenario, normal_of, scenarios
from load.score.suites import ROWS, causes, failures, harmless, listen, quiet_services, run_real, severity
from pipeline.detect.settings import DetectSettings

Suite = Literal["null", "failures", "harmless", "real", "severity", "causes"]
SUITES: tuple[Suite, ...] = ("null", "failures", "harmless", "real", "severity", "causes")

Told = Callable[[int, int], None]
Key = tuple[str, str, int]
"""Kind, name and seed of a part."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: ``size`` 1 is the whole; less takes fewer seeds and records, for tests."""

    suites: tuple[Suite, ...]
    seed: int
    data: Path
    size: float = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to play. Those that share a baseline, or a row of their own, are played in one process."""

    key: Key
    shares: Normal | str
    play: Callable[[], Any]


@dataclass(slots=True)
class Done:
    """What came of all parts, and what they took: seconds of a processor by kind, and seconds by the clock."""

    results: dict[Key, Any]
    processor_s: dict[str, float]
    wall_s: float

    def of(self, kind: str, name: str | None = None) -> list[Any]:
        """The results of a kind, or of one name of it, in the order of the parts."""
        return [found for key, found in self.results.items() if key[0] == kind and name in (None, key[1])]


def run(plan: Plan, settings: DetectSettings, told: Told) -> Done:
    """Play all parts on all cores.

    Parameters
    ----------
    told
        Is told how many parts are done, and of how many.
    """
    began = time.monotonic()
    parts = list(_parts(plan, settings))
    groups: dict[Normal | str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.shares, []).append(part)
    done: dict[Key, Any] = {}
    took: defaultdict[str, float] = defaultdict(float)
    told(0, len(parts))
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_play, group): group for group in groups.values()}
        for future in as_completed(futures):
            for part, (result, seconds) in zip(futures[future], future.result(), strict=True):
                done[part.key] = result
                took[part.key[0]] += seconds
            told(len(done), len(parts))
    return Done({part.key: done[part.key] for part in parts}, dict(took), time.monotonic() - began)


def _play(parts: list[Part]) -> list[tuple[Any, float]]:
    found = []
    for part in parts:
        began = time.process_time()
        result = part.play()
        found.append((result, time.process_time() - began))
    return found


def _parts(plan: Plan, settings: DetectSettings) -> Iterator[Part]:
    """All there is to play; what takes long comes first, or the last process works alone."""
    if "real" in plan.suites:
        for row in sorted(ROWS, key=lambda row: row.kind != "servegen"):
            yield Part(("real", row.name, 0), row.name, partial(run_real, row, plan.data, settings))
    if "null" in plan.suites:
        for quiet in quiet_services(plan.seed, plan.size):
            yield Part(("null", f"{quiet.per_second:g}/s", quiet.seed), quiet.normal, partial(listen, quiet, settings))
    if "failures" in plan.suites:
        for each in scenarios("failure"):
            yield from _runs("failures", failures.run_failure, each, failures.seeds(each), plan, settings)
    if "harmless" in plan.suites:
        for each in scenarios("harmless"):
            yield from _runs("harmless", harmless.run_harmless, each, harmless.SEEDS, plan, settings)
            yield from _runs("provokes", harmless.provokes, each, harmless.SEEDS, plan, settings)
            yield from _lateness(each, plan, settings)
    yield from _cases(plan, settings)


def _cases(plan: Plan, settings: DetectSettings) -> Iterator[Part]:
    """What correlate is asked."""
    if "causes" in plan.suites:
        for seed in range(plan.seed, plan.seed + _some(causes.SEEDS, plan)):
            for case in causes.cases():
                play = partial(causes.run_cause, case, seed, settings)
                yield Part(("causes", case.name, seed), causes.normal_of(seed), play)
    if "severity" in plan.suites:
        yield Part(("severity", "cases", 0), "severity", partial(severity.judge, severity.cases()))


def _lateness(scenario: Scenario, plan: Plan, settings: DetectSettings) -> Iterator[Part]:
    if scenario.messages.storm:
        for seed in range(plan.seed, plan.seed + _some(harmless.STORM_RUNS, plan)):
            normal = normal_of(scenario, harmless.storm_baseline(seed))
            yield Part(("storm", scenario.name, seed), normal, partial(harmless.run_storm, scenario, seed, settings))
    if scenario.messages.year_2200:
        play = partial(harmless.changes_nothing, scenario, plan.seed, settings)
        yield Part(("2200", scenario.name, plan.seed), normal_of(scenario, plan.seed), play)


def _runs(
    kind: str,
    play: Callable[[Scenario, int, DetectSettings], Any],
    scenario: Scenario,
    count: int,
    plan: Plan,
    settings: DetectSettings,
) -> Iterator[Part]:
    for seed in range(plan.seed, plan.seed + _some(count, plan)):
        normal = normal_of(scenario, seed)
        yield Part((kind, scenario.name, seed), normal, partial(play, scenario, seed, settings))


def _some(count: int, plan: Plan) -> int:
    return max(1, round(count * plan.size))
