"""The harmless: what looks like a failure to a simple rule and is none. Nothing may page."""

from dataclasses import asdict, dataclass
from typing import Any

from load.score.simulation import Scenario, Touch, baseline_of, normal_of, stream
from load.score.suites.play import play, play_scenario
from load.score.suites.provoked import provoked
from pipeline.detect.settings import DetectSettings

SEEDS = 3
COUNTED = 20
"""Scenarios that must provoke a simpler rule: our silence about the others proves nothing."""

STORM_RUNS = 100
SHARED_BASELINE = 25
"""Storms that are judged by one baseline, because learning it takes longer than they do."""


@dataclass(frozen=True, slots=True)
class Run:
    """One harmless scenario with one seed: what we said."""

    scenario: str
    seed: int
    pages: tuple[str, ...]
    tickets: tuple[str, ...]
    config_hash: str


def run_harmless(scenario: Scenario, seed: int, settings: DetectSettings) -> Run:
    """Play one and count."""
    played = play_scenario(scenario, seed, settings)
    return Run(
        scenario.name,
        seed,
        tuple(f"{each.signal} {each.channel}" for each in played.fired if each.tier == "page"),
        tuple(f"{each.signal} {each.channel}" for each in played.fired if each.tier == "ticket"),
        settings.digest(),
    )


def provokes(scenario: Scenario, seed: int, settings: DetectSettings) -> tuple[str, ...]:
    """The simpler rules that a scenario provokes."""
    return provoked(scenario, seed, baseline_of(normal_of(scenario, seed), settings))


def summary(scenario: Scenario, runs: list[Run], provoked_by_seed: list[tuple[str, ...]]) -> dict[str, Any]:
    """The row of a scenario over its seeds."""
    provoked = sorted({rule for rules in provoked_by_seed for rule in rules})
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "suite": "harmless",
        "seeds": [run.seed for run in runs],
        "pages": sum(len(run.pages) for run in runs),
        "tickets": sum(len(run.tickets) for run in runs),
        "provokes": provoked,
        "counts": len(provoked) > 1,
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
