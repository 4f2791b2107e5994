"""The harmless: what looks like a failure to a simple rule and is none. Nothing may page."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from load.score.normal import baseline_of, normal_of
from load.score.play import Played, play, play_scenario
from load.score.rivers import alarms, three_sigma
from load.score.scenario import Scenario, Touch
from load.score.stream import change_ms, stream
from pipeline.detect.settings import DetectSettings

SEEDS = 3
STORM_RUNS = 100
SHARED_BASELINE = 25
"""Storms that are judged by one baseline, because learning it takes longer than they do."""


@dataclass(frozen=True, slots=True)
class Run:
    """One harmless scenario with one seed: what we said, and whether simpler rules were provoked."""

    scenario: str
    seed: int
    pages: tuple[str, ...]
    tickets: tuple[str, ...]
    provoked: tuple[str, ...]
    config_hash: str


def run_harmless(scenario: Scenario, seed: int, settings: DetectSettings) -> Run:
    """Play one and count."""
    played = play_scenario(scenario, seed, settings)
    return Run(
        scenario.name,
        seed,
        tuple(f"{each.signal} {each.channel}" for each in played.fired if each.tier == "page"),
        tuple(f"{each.signal} {each.channel}" for each in played.fired if each.tier == "ticket"),
        _provoked(played, scenario),
        settings.digest(),
    )


def _provoked(played: Played, scenario: Scenario) -> tuple[str, ...]:
    """Which simpler rules fire after the change; always-fire does by its nature."""
    columns = played.columns
    assert columns is not None  # noqa: S101  it was asked for
    first = int(np.searchsorted(columns.times_ms, change_ms(scenario)))
    found = {"always_fire"}
    for name, column in columns.values.items():
        carried = ~np.isnan(column)
        before = int(np.count_nonzero(carried[:first]))
        values = column[carried]
        for each in alarms(values):
            if each.after(before) is not None:
                found.add(each.detector)
        learned = played.baseline.signals.get(name)
        if learned is not None and learned.mean is not None and before > 1:
            deviation = float(values[:before].std())
            if three_sigma(values[before:], columns.times_ms[carried][before:], learned.mean, deviation):
                found.add("three_sigma")
        if len(found) == 4:
            break
    return tuple(sorted(found))


def summary(scenario: Scenario, runs: list[Run]) -> dict[str, Any]:
    """The row of a scenario over its seeds."""
    provoked = sorted({name for run in runs for name in run.provoked})
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "suite": "harmless",
        "seeds": [run.seed for run in runs],
        "pages": sum(len(run.pages) for run in runs),
        "tickets": sum(len(run.tickets) for run in runs),
        "provokes": provoked,
        "counts": "always_fire" in provoked and len(provoked) > 1,
        "runs": [asdict(run) for run in runs],
    }


def storm_baseline(seed: int) -> int:
    """The seed of the baseline by which a storm is judged."""
    return seed - seed % SHARED_BASELINE


def run_storm(scenario: Scenario, seed: int, settings: DetectSettings) -> bool:
    """Whether a retry storm with late records pages: a short stream, for many runs."""
    short = scenario.model_copy(update={"healthy_s": 20.0, "after_s": 20.0})
    baseline = baseline_of(normal_of(short, storm_baseline(seed)), settings)
    played = play(baseline, stream(short, seed), settings, keep_columns=False)
    return any(drift.tier == "page" for drift in played.fired)


def changes_nothing(scenario: Scenario, seed: int, settings: DetectSettings) -> bool:
    """Whether what is said with the one message from the year 2200 is what is said without it, on a stream that fails."""
    refusals = Touch(signal="refused", how="probability", amount=0.1)
    failing = scenario.model_copy(update={"touch": (refusals,), "after_s": 60.0})
    without = failing.model_copy(update={"messages": failing.messages.model_copy(update={"year_2200": False})})
    said = [play_scenario(each, seed, settings) for each in (failing, without)]
    ids = [[drift.drift_id for drift in each.fired] for each in said]
    return ids[0] == ids[1] and bool(ids[0]) and said[0].dead_letters + said[0].counts["held"] == 1
