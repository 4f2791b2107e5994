"""Suite ``failures``: detection of each failure in the expected tier, detection delay, and estimated start."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from load.score.comparison import run_detectors
from load.score.simulation import BaselineSource, Scenario, read_scenarios
from load.score.suite import NO_VALUE, ScorePlan, ScoreResults, ScoreTask, SuiteReport, format_number
from load.score.suites.delay_floor import compute_floor
from load.score.suites.playing import PlayResult, play_scenario
from pipeline.detect.one_sided_tests import derive_tests
from pipeline.detect.settings import DetectSettings
from schemas.drift import Drift

SEEDS, SLOW_SEEDS = 7, 3
"""Number of runs per failure, and number of runs per slow drift, which is lower because these runs take longer."""

WORST_DELAY_RATIO, MEDIAN_DELAY_RATIO = 1.6, 1.3
"""Limits of the worst ratio and of the median ratio of the delay to its floor, over all clear steps."""

FOUND_SHARE_MIN = 0.95
START_ERROR_MAX_RECORDS = 100
DESIGN_EVIDENCE = 25.0
"""Evidence required for a page in the design's table."""


@dataclass(frozen=True, slots=True)
class FailureRun:
    """Result of a failure scenario with one seed. The fields are keys of the report.

    Attributes
    ----------
    found
        Whether a drift of an expected signal began after the change at the expected tier. Where a ticket is expected,
        no page of an expected signal may come first.
    delay_records
        Number of records from the first record after the change to the record at which the drift fired.
    false_pages, false_tickets
        Drifts that began before the change or concern an unaffected signal.
    rivers
        Alarms before the change, and the delay (None if not detected), by river detector.
    """

    scenario: str
    seed: int
    found: bool
    tier: str | None
    delay_records: int | None
    delay_s: float | None
    start_error_records: int | None
    floor_records: float | None
    threshold: float | None
    ticket_first: bool
    false_pages: int
    false_tickets: int
    signal: str
    rivers: dict[str, tuple[int, int | None]]
    config_hash: str


def tasks(plan: ScorePlan, /) -> Iterator[ScoreTask]:
    """Yield a task per failure and seed."""
    for scenario in read_scenarios("failure"):
        count = SLOW_SEEDS if scenario.slow or scenario.whole_day else SEEDS
        for seed in plan.seeds(count):
            run = partial(run_failure, scenario, seed, plan.settings)
            yield ScoreTask(("failures", scenario.name, seed), BaselineSource.from_scenario(scenario, seed), run)


def run_failure(scenario: Scenario, seed: int, settings: DetectSettings) -> FailureRun:
    """Run a failure scenario, and compare the drifts that fired with the expected drifts."""
    if scenario.design_delay is not None:
        settings = settings_at_evidence(DESIGN_EVIDENCE, scenario, seed, settings)
    at_ms = scenario.change_ms(seed)

    def is_about_failure(drift: Drift) -> bool:
        return drift.signal in scenario.signals and drift.detected_at >= at_ms

    def is_expected(drift: Drift) -> bool:
        return is_about_failure(drift) and drift.tier == scenario.tier

    played = play_scenario(scenario, seed, settings, is_expected)
    times_ms = played.columns.times_ms
    first = int(np.searchsorted(times_ms, at_ms))
    drifts = [drift for drift in played.fired if is_about_failure(drift)]
    first_drift = next((drift for drift in drifts if drift.tier == scenario.tier), None)
    pages = [drift for drift in drifts if drift.tier == "page"]
    is_paged_first = (
        first_drift is not None
        and scenario.tier == "ticket"
        and bool(pages)
        and pages[0].detected_at <= first_drift.detected_at
    )
    false = [
        drift for drift in played.fired if drift.detected_at < at_ms or drift.signal not in scenario.affected_signals
    ]
    return FailureRun(
        scenario=scenario.name,
        seed=seed,
        found=first_drift is not None and not is_paged_first,
        tier=first_drift.tier if first_drift is not None else drifts[0].tier if drifts else None,
        delay_records=None if first_drift is None else _row_at(times_ms, first_drift.detected_at) - first + 1,
        delay_s=None if first_drift is None else (first_drift.detected_at - at_ms) / 1000,
        start_error_records=None if first_drift is None else abs(_row_at(times_ms, first_drift.started_at) - first),
        floor_records=_floor_records(scenario, played, first, settings),
        threshold=None if first_drift is None else first_drift.threshold,
        ticket_first=_is_ticket_first(drifts),
        false_pages=sum(drift.tier == "page" for drift in false),
        false_tickets=sum(drift.tier == "ticket" for drift in false),
        signal=first_drift.signal if first_drift is not None else scenario.signals[0],
        rivers=_run_river_detectors(scenario, played, first),
        config_hash=settings.digest(),
    )


def settings_at_evidence(evidence: float, scenario: Scenario, seed: int, settings: DetectSettings) -> DetectSettings:
    """Return settings whose false-page rate makes pages require the given evidence with this baseline."""
    baseline = BaselineSource.from_scenario(scenario, seed).learn(settings)
    threshold = next(test.threshold for test in derive_tests(baseline, settings)[0] if test.tier == "page")
    false_pages = settings.false_pages_per_year * float(np.exp(threshold - evidence))
    return settings.model_copy(update={"false_pages_per_year": false_pages})


def _row_at(times_ms: np.ndarray, time_ms: int) -> int:
    return int(np.searchsorted(times_ms, time_ms))


def _is_ticket_first(drifts: list[Drift]) -> bool:
    tickets = [drift.detected_at for drift in drifts if drift.tier == "ticket"]
    pages = [drift.detected_at for drift in drifts if drift.tier == "page"]
    return bool(tickets) and (not pages or tickets[0] <= pages[0])


def _floor_records(scenario: Scenario, played: PlayResult, first: int, settings: DetectSettings) -> float | None:
    """Return the floor of the delay, or None if the failure has no floor."""
    columns = played.columns
    values = {name: columns.values[name][first:] for name in scenario.signals if name in columns.values}
    has_floor = (bool(values) or scenario.clear) and not scenario.where.canary
    if not has_floor or scenario.tier is None or first >= columns.times_ms.size:
        return None
    floor = compute_floor(played.baseline, settings, values, columns.times_ms[first:], scenario.tier).records
    return floor if np.isfinite(floor) else None


def _run_river_detectors(scenario: Scenario, played: PlayResult, first: int) -> dict[str, tuple[int, int | None]]:
    name = next((name for name in scenario.signals if name in played.columns.values), None)
    if name is None or scenario.slow:
        return {}
    column = played.columns.values[name]
    reported = ~np.isnan(column)
    row = int(np.count_nonzero(reported[:first]))
    return {
        alarms.detector: (alarms.count_before(row), alarms.delay_after(row))
        for alarms in run_detectors(column[reported])
    }


def build_row(scenario: Scenario, runs: list[FailureRun]) -> dict[str, Any]:
    """Build the report row of a scenario from the results of all its seeds."""
    delays = [run.delay_records for run in runs if run.delay_records is not None]
    ratios = [run.delay_records / run.floor_records for run in runs if run.delay_records and run.floor_records]
    starts = [run.start_error_records for run in runs if run.start_error_records is not None]
    seconds = [run.delay_s for run in runs if run.delay_s is not None]
    rivers = {
        name: {
            "alarms_before": sum(run.rivers[name][0] for run in runs if name in run.rivers),
            "median_delay": _median([run.rivers[name][1] for run in runs if name in run.rivers]),
        }
        for name in (runs[0].rivers if runs else {})
    }
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "suite": "failures",
        "clear": scenario.clear,
        "slow": scenario.slow,
        "expected_tier": scenario.tier,
        "seeds": [run.seed for run in runs],
        "found_share": sum(run.found for run in runs) / len(runs),
        "median_delay_records": median(delays) if delays else None,
        "median_delay_s": median(seconds) if seconds else None,
        "median_floor_records": _median([run.floor_records for run in runs]),
        "median_delay_over_floor": median(ratios) if ratios else None,
        "median_start_error_records": median(starts) if starts else None,
        "threshold": _median([run.threshold for run in runs]),
        "ticket_first_share": sum(run.ticket_first for run in runs) / len(runs),
        "false_pages": sum(run.false_pages for run in runs),
        "false_tickets": sum(run.false_tickets for run in runs),
        "design_delay_records": scenario.design_delay,
        "rivers": rivers,
        "runs": [asdict(run) for run in runs],
    }


def _median(values: list[Any]) -> float | None:
    present = [value for value in values if value is not None]
    return float(median(present)) if present else None


def report(results: ScoreResults, /) -> SuiteReport:
    """Build the report: figures, problems, and a row per failure."""
    rows = [build_row(scenario, results.select("failures", scenario.name)) for scenario in read_scenarios("failure")]
    figures = _figures(rows)
    return SuiteReport(figures, _problems(figures, rows), rows)


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    clear = [row for row in rows if row["clear"]]
    ratios = [row["median_delay_over_floor"] for row in clear if row["median_delay_over_floor"] is not None]
    starts = [row["median_start_error_records"] for row in clear if row["median_start_error_records"] is not None]
    slow = [row for row in rows if row["slow"]]
    return {
        "failures_found_share": sum(row["found_share"] for row in rows) / max(1, len(rows)),
        "always_fire": {"failures_found_share": 1.0, "harmless_pages_share": 1.0},
        "never_fire": {"failures_found_share": 0.0, "harmless_pages_share": 0.0},
        "worst_delay_over_floor": max(ratios, default=None),
        "median_delay_over_floor": median(ratios) if ratios else None,
        "median_start_error_records": median(starts) if starts else None,
        "clear_steps": [row["scenario"] for row in clear],
        "slow_ticket_first_share": sum(row["ticket_first_share"] for row in slow) / max(1, len(slow)),
        "failure_false_pages": sum(row["false_pages"] for row in rows),
        "failure_false_tickets": sum(row["false_tickets"] for row in rows),
        "design_table": {
            row["scenario"]: {"design": row["design_delay_records"], "median": row["median_delay_records"]}
            for row in rows
            if row["design_delay_records"] is not None
        },
    }


def _problems(figures: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    problems = [
        f"{row['scenario']}: found in only {row['found_share']:.0%} of runs" for row in rows if row["found_share"] < 1
    ]
    if figures["failures_found_share"] < FOUND_SHARE_MIN:
        problems.append(f"only {figures['failures_found_share']:.1%} of failures are found in the expected tier")
    worst, middle = figures["worst_delay_over_floor"], figures["median_delay_over_floor"]
    if worst is None or worst > WORST_DELAY_RATIO or (middle or 0.0) > MEDIAN_DELAY_RATIO:
        problems.append(f"ratios of delay to floor are too high: worst {worst}, median {middle}")
    if (figures["median_start_error_records"] or 0.0) > START_ERROR_MAX_RECORDS:
        problems.append(f"estimated starts are {figures['median_start_error_records']} records off")
    if figures["slow_ticket_first_share"] < 1.0:
        problems.append("a slow drift paged before it opened a ticket, or opened no ticket")
    problems += [
        f"{name}: {delay['median']} records, above the {delay['design']} of the design's table"
        for name, delay in figures["design_table"].items()
        if delay["median"] is None or delay["median"] > delay["design"]
    ]
    return problems


def show(report: dict[str, Any], console: Console, /) -> None:
    """Print a row per failure, and the figures."""
    table = Table(title="Failures", box=None)
    table.add_column("scenario")
    for name in ("tier", "found", "records", "seconds", "over floor", "start off", "false", "ADWIN", "PageHinkley"):
        table.add_column(name, justify="right")
    for row in (row for row in report["rows"] if row["suite"] == "failures"):
        table.add_row(
            row["scenario"] + (" *" if row["clear"] else ""),
            row["expected_tier"],
            f"{row['found_share']:.0%}",
            format_number(row["median_delay_records"]),
            format_number(row["median_delay_s"], 1),
            format_number(row["median_delay_over_floor"], 2),
            format_number(row["median_start_error_records"]),
            f"{row['false_pages']} / {row['false_tickets']}",
            *(_format_river(row["rivers"].get(name)) for name in ("river_adwin", "river_page_hinkley")),
        )
    none = NO_VALUE
    table.add_row("always fire", "any", "100%", "1", "0.0", none, none, "all", none, none)
    table.add_row("never fire", "any", "0%", none, none, none, none, "0 / 0", none, none)
    console.print(table)
    console.print(
        f"* clear steps. {report['failures_found_share']:.1%} found in the expected tier; delay / floor: worst "
        f"{format_number(report['worst_delay_over_floor'], 2)}, "
        f"median {format_number(report['median_delay_over_floor'], 2)}; "
        f"start off by {format_number(report['median_start_error_records'])} records; false: pages / tickets; "
        "river: alarms before the change / delay"
    )


def _format_river(alarms: dict[str, Any] | None) -> str:
    return NO_VALUE if alarms is None else f"{alarms['alarms_before']} / {format_number(alarms['median_delay'])}"
