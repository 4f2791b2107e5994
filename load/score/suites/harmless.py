"""Suite ``harmless``: events that look like failures to a simpler rule. No event may page."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from load.score.comparison import find_provoked_rules
from load.score.simulation import BaselineSource, Scenario, Touch, generate_stream, read_scenarios
from load.score.suite import ScorePlan, ScoreResults, ScoreTask, SuiteReport, mean_share
from load.score.suites.playing import play_scenario, play_stream
from pipeline.detect.settings import DetectSettings

SEEDS = 3
COUNTED_MIN = 20
"""Minimum number of scenarios that trigger a simpler rule. The absence of alarms in other scenarios proves nothing."""

STORM_SEEDS = 100
STORMS_PER_BASELINE = 25
"""Number of retry storms that share a baseline. Learning a baseline takes longer than simulating a storm."""

EXPECTED_SIGNALS = ("duplicates",)
"""Signals that are not counted. A producer that sends a fifth of its records twice is harmless, but detect rightly
reports it."""


@dataclass(frozen=True, slots=True)
class HarmlessRun:
    """Pages and tickets of a harmless scenario with one seed. The fields are keys of the report."""

    scenario: str
    seed: int
    pages: tuple[str, ...]
    tickets: tuple[str, ...]
    config_hash: str


def tasks(plan: ScorePlan, /) -> Iterator[ScoreTask]:
    """Yield tasks per scenario and seed: to play the scenario, to run the simpler rules, and to test late messages."""
    for scenario in read_scenarios("harmless"):
        for seed in plan.seeds(SEEDS):
            run = partial(run_harmless, scenario, seed, plan.settings)
            yield ScoreTask(("harmless", scenario.name, seed), BaselineSource.from_scenario(scenario, seed), run)
        for seed in plan.seeds(SEEDS):
            rules = partial(run_simpler_rules, scenario, seed, plan.settings)
            yield ScoreTask(("provokes", scenario.name, seed), BaselineSource.from_scenario(scenario, seed), rules)
        yield from _lateness_tasks(scenario, plan)


def _lateness_tasks(scenario: Scenario, plan: ScorePlan) -> Iterator[ScoreTask]:
    if scenario.messages.storm:
        for seed in plan.seeds(STORM_SEEDS):
            source = BaselineSource.from_scenario(scenario, storm_baseline_seed(seed))
            storm = partial(run_storm, scenario, seed, plan.settings)
            yield ScoreTask(("storm", scenario.name, seed), source, storm)
    if scenario.messages.year_2200:
        source = BaselineSource.from_scenario(scenario, plan.seed)
        year_2200 = partial(is_unchanged_by_year_2200, scenario, plan.seed, plan.settings)
        yield ScoreTask(("2200", scenario.name, plan.seed), source, year_2200)


def run_harmless(scenario: Scenario, seed: int, settings: DetectSettings) -> HarmlessRun:
    """Run a scenario, and list its pages and tickets."""
    played = play_scenario(scenario, seed, settings)
    fired = [drift for drift in played.fired if drift.signal not in EXPECTED_SIGNALS]
    return HarmlessRun(
        scenario.name,
        seed,
        tuple(f"{drift.signal} {drift.channel}" for drift in fired if drift.tier == "page"),
        tuple(f"{drift.signal} {drift.channel}" for drift in fired if drift.tier == "ticket"),
        settings.digest(),
    )


def run_simpler_rules(scenario: Scenario, seed: int, settings: DetectSettings) -> tuple[str, ...]:
    """Return the simpler rules that a scenario triggers."""
    return find_provoked_rules(scenario, seed, BaselineSource.from_scenario(scenario, seed).learn(settings))


def storm_baseline_seed(seed: int) -> int:
    """Return the seed of the baseline for a retry storm."""
    return seed - seed % STORMS_PER_BASELINE


def run_storm(scenario: Scenario, seed: int, settings: DetectSettings) -> bool:
    """Return whether a retry storm with late records pages. The stream is short, because the test has many runs."""
    short = scenario.model_copy(update={"healthy_s": 20.0, "after_s": 20.0})
    baseline = BaselineSource.from_scenario(short, storm_baseline_seed(seed)).learn(settings)
    played = play_stream(baseline, generate_stream(short, seed), settings)
    return any(drift.tier == "page" for drift in played.fired)


def is_unchanged_by_year_2200(scenario: Scenario, seed: int, settings: DetectSettings) -> bool:
    """Return whether a failing stream produces the same drifts with and without the message from the year 2200."""
    refusals = Touch(signal="refused", how="probability", amount=0.1)
    failing = scenario.model_copy(update={"touch": (refusals,), "after_s": 60.0})
    without = failing.model_copy(update={"messages": failing.messages.model_copy(update={"year_2200": False})})
    played = [play_scenario(variant, seed, settings) for variant in (failing, without)]
    ids = [[drift.drift_id for drift in result.fired] for result in played]
    return ids[0] == ids[1] and bool(ids[0]) and played[0].dead_letters + played[0].counts["held"] == 1


def build_row(scenario: Scenario, runs: list[HarmlessRun], rules_by_seed: list[tuple[str, ...]]) -> dict[str, Any]:
    """Build the report row of a scenario. The scenario counts if it triggers a rule other than always-fire."""
    provoked = sorted({rule for rules in rules_by_seed for rule in rules})
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


def report(results: ScoreResults, /) -> SuiteReport:
    """Build the report: figures, problems, and a row per scenario."""
    rows = [
        build_row(scenario, results.select("harmless", scenario.name), results.select("provokes", scenario.name))
        for scenario in read_scenarios("harmless")
    ]
    storms = results.select("storm")
    figures = {
        "harmless_pages": sum(row["pages"] for row in rows),
        "harmless_tickets": sum(row["tickets"] for row in rows),
        "harmless_counted": sum(row["counts"] for row in rows),
        "storm_pages_share": mean_share(storms),
        "storm_runs": len(storms),
        "year_2200_changes_nothing": all(results.select("2200")),
    }
    problems = [f"{row['scenario']}: {row['pages']} pages" for row in rows if row["pages"]]
    if figures["harmless_counted"] < COUNTED_MIN:
        problems.append(
            f"only {figures['harmless_counted']} harmless scenarios trigger a simpler rule, but {COUNTED_MIN} must"
        )
    if figures["storm_pages_share"]:
        problems.append("a retry storm with late records pages")
    if not figures["year_2200_changes_nothing"]:
        problems.append("a record from the year 2200 changes the drifts")
    return SuiteReport(figures, problems, rows)


def show(report: dict[str, Any], console: Console, /) -> None:
    """Print a row per scenario, and the figures."""
    table = Table(title="Harmless", box=None)
    for name in ("scenario", "pages", "tickets", "provokes"):
        table.add_column(name, justify="right" if name in ("pages", "tickets") else "left")
    for row in (row for row in report["rows"] if row["suite"] == "harmless"):
        table.add_row(row["scenario"], str(row["pages"]), str(row["tickets"]), ", ".join(row["provokes"]))
    console.print(table)
    year_2200 = "changes nothing" if report["year_2200_changes_nothing"] else "changes the drifts"
    console.print(
        f"{report['harmless_counted']} scenarios count, because they trigger a simpler rule that does not fire "
        f"without the event; retry storm with late records: {report['storm_pages_share']:.0%} of {report['storm_runs']} runs page; "
        f"a record from the year 2200 {year_2200}"
    )
