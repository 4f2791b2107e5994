"""The suites: what runs, on all cores, and what comes of it as figures and problems."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, Literal

from load.score import failures, harmless
from load.score.null import SIGNAL_RECORDS, Silence, listen, null_report, quiet_services
from load.score.real import ROWS, run_real
from load.score.scenario import Scenario, scenarios
from pipeline.detect.settings import DetectSettings

Suite = Literal["null", "failures", "harmless", "real"]
SUITES: tuple[Suite, ...] = ("null", "failures", "harmless", "real")

REPORTED_FROM = 1000
"""Seeds below are for tuning: what is reported comes from this one and up."""

TICKETS_PER_10M = 2.0
RIVER_ADWIN_PER_10M, RIVER_PAGE_HINKLEY_PER_10M = 200.0, 100.0

Told = Callable[[int, int], None]
Key = tuple[str, str, int]
Task = tuple[list[Key], Callable[[], list[Any]]]
"""What a process does in one go: the keys of its results, and the doing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: ``size`` 1 is the whole; less takes fewer seeds and records, for tests."""

    suites: tuple[Suite, ...]
    seed: int
    data: Path
    size: float = 1.0


def run(plan: Plan, settings: DetectSettings, told: Told) -> dict[str, Any]:
    """Run suites and report.

    Parameters
    ----------
    told
        Is told how many parts are done, and of how many.
    """
    tasks = _tasks(plan, settings)
    keys = [key for own, _ in tasks for key in own]
    done: dict[Key, Any] = {}
    workers = len(os.sched_getaffinity(0))
    told(0, len(keys))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(task): own for own, task in tasks}
        for future in as_completed(futures):
            done |= dict(zip(futures[future], future.result(), strict=True))
            told(len(done), len(keys))
    return report(plan, settings, {key: done[key] for key in keys})


def _tasks(plan: Plan, settings: DetectSettings) -> list[Task]:
    """What is to be done, the longest first."""
    tasks: list[Task] = []
    if "real" in plan.suites:
        order = sorted(ROWS, key=lambda row: row.kind != "servegen")
        tasks += [([("real", row.name, 0)], partial(_one, run_real, row, plan.data, settings)) for row in order]
    if "null" in plan.suites:
        tasks += [
            ([("null", f"{quiet.per_second:g}/s", quiet.seed)], partial(_one, listen, quiet, settings))
            for quiet in quiet_services(plan.seed, plan.size)
        ]
    if "failures" in plan.suites:
        tasks += _by_baseline("failures", failures.run_failure, scenarios("failure"), plan, settings)
    if "harmless" in plan.suites:
        quiet = scenarios("harmless")
        tasks += _by_baseline("harmless", harmless.run_harmless, quiet, plan, settings)
        storms = max(1, round(harmless.STORM_RUNS * plan.size))
        every = range(plan.seed, plan.seed + storms)
        for each in quiet:
            if each.messages.storm:
                tasks.append(([("storm", each.name, seed) for seed in every], partial(_storms, each, every, settings)))
            if each.messages.year_2200:
                tasks.append(([("2200", each.name, plan.seed)], partial(_year_2200, each, plan.seed, settings)))
    return tasks


def _by_baseline(
    suite: str,
    play: Callable[[Scenario, int, DetectSettings], Any],
    found: list[Scenario],
    plan: Plan,
    settings: DetectSettings,
) -> list[Task]:
    """One task for each baseline: all that is judged by it is played in one process."""
    groups: dict[tuple[Any, ...], list[tuple[Scenario, int]]] = {}
    for each in found:
        count = failures.FEWER_SEEDS if each.slow or each.whole_day or suite == "harmless" else failures.SEEDS
        for seed in range(plan.seed, plan.seed + max(1, round(count * plan.size))):
            key = (
                seed, each.world, each.records_per_second, each.embeddings, each.whole_day, each.baseline_days,
            )  # fmt: skip
            groups.setdefault(key, []).append((each, seed))
    return [
        ([(suite, each.name, seed) for each, seed in runs], partial(_play_all, play, runs, settings))
        for runs in groups.values()
    ]


def _play_all(
    play: Callable[[Scenario, int, DetectSettings], Any], runs: list[tuple[Scenario, int]], settings: DetectSettings
) -> list[Any]:
    return [play(scenario, seed, settings) for scenario, seed in runs]


def _one(play: Callable[..., Any], *arguments: Any) -> list[Any]:
    return [play(*arguments)]


def _storms(scenario: Scenario, seeds: Iterable[int], settings: DetectSettings) -> list[bool]:
    return [harmless.run_storm(scenario, seed, settings) for seed in seeds]


def _year_2200(scenario: Scenario, seed: int, settings: DetectSettings) -> list[bool]:
    return [harmless.changes_nothing(scenario, seed, settings)]


def report(plan: Plan, settings: DetectSettings, done: dict[Key, Any]) -> dict[str, Any]:
    """The figures, a row a scenario, and what misses its floor."""
    found: dict[str, Any] = {
        "suites": list(plan.suites),
        "seed": plan.seed,
        "seeds_are_for": "the report" if plan.seed >= REPORTED_FROM else "tuning",
        "config_hash": settings.digest(),
    }
    problems: list[str] = []
    rows: list[dict[str, Any]] = []
    if "null" in plan.suites:
        said = [result for (suite, _, _), result in done.items() if suite == "null"]
        found |= null_report(said)
        problems += _null_problems(found, said, settings, whole=plan.size >= 1)
    if "failures" in plan.suites:
        own = [
            failures.summary(each, [done[key] for key in done if key[:2] == ("failures", each.name)])
            for each in scenarios("failure")
        ]
        found |= _failure_figures(own)
        problems += _failure_problems(found, own)
        rows += own
    if "harmless" in plan.suites:
        own = [
            harmless.summary(each, [done[key] for key in done if key[:2] == ("harmless", each.name)])
            for each in scenarios("harmless")
        ]
        storms = [result for (suite, _, _), result in done.items() if suite == "storm"]
        found |= {
            "harmless_pages": sum(row["pages"] for row in own),
            "harmless_tickets": sum(row["tickets"] for row in own),
            "harmless_counted": sum(row["counts"] for row in own),
            "storm_pages_share": sum(storms) / max(1, len(storms)),
            "storm_runs": len(storms),
            "year_2200_changes_nothing": all(result for (suite, _, _), result in done.items() if suite == "2200"),
        }
        problems += [f"{row['scenario']}: {row['pages']} pages" for row in own if row["pages"]]
        problems += [
            f"{row['scenario']} provokes no simpler rule: it proves nothing" for row in own if not row["counts"]
        ]
        problems += ["a retry storm pages"] if found["storm_pages_share"] else []
        problems += [] if found["year_2200_changes_nothing"] else ["a record from the year 2200 changes what is found"]
        rows += own
    if "real" in plan.suites:
        own = [result for (suite, _, _), result in done.items() if suite == "real"]
        problems += [f"{row['scenario']}: {problem}" for row in own for problem in row.get("problems", [])]
        rows += own
    return found | {"rows": rows, "problems": problems}


def _null_problems(found: dict[str, Any], said: list[Silence], settings: DetectSettings, *, whole: bool) -> list[str]:
    problems = []
    if found["page_false_incidents"]:
        problems.append(f"{found['page_false_incidents']} false pages in a world in which nothing fails")
    if found["ticket_per_10m"] > TICKETS_PER_10M:
        problems.append(f"{found['ticket_per_10m']:.2f} false tickets per 10 million signal-records")
    if whole and found["signal_records"] < SIGNAL_RECORDS:
        problems.append(f"only {found['signal_records']:,} signal-records were judged")
    if (
        found["river_adwin_per_10m"] < RIVER_ADWIN_PER_10M
        or found["river_page_hinkley_per_10m"] < RIVER_PAGE_HINKLEY_PER_10M
    ):
        problems.append("the world is too soft: river's defaults say too little of it")
    problems += [
        f"max W reaches {level} more often than its bound allows"
        for level, each in found["exceedance"].items()
        if each["measured"] > each["bound"]
    ]
    if {each.config_hash for each in said} != {settings.digest()}:
        problems.append("the services were not judged by one configuration")
    return problems


def _failure_figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
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


def _failure_problems(found: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    problems = [
        f"{row['scenario']}: found in {row['found_share']:.0%} of runs" for row in rows if row["found_share"] < 1
    ]
    if found["failures_found_share"] < failures.FOUND_SHARE:
        problems.append(f"only {found['failures_found_share']:.1%} of failures are found in the right tier")
    worst, middle = found["worst_delay_over_floor"], found["median_delay_over_floor"]
    if worst is None or worst > failures.CLEAR_WORST or (middle or 0.0) > failures.CLEAR_MEDIAN:
        problems.append(f"delays over their floors: worst {worst}, median {middle}")
    if (found["median_start_error_records"] or 0.0) > failures.START_ERROR:
        problems.append(f"starts are {found['median_start_error_records']} records off")
    if found["slow_ticket_first_share"] < 1.0:
        problems.append("a slow drift paged before it made a ticket, or made none")
    problems += [
        f"{name}: {each['median']} records, and the design's table has {each['design']}"
        for name, each in found["design_table"].items()
        if each["median"] is None or each["median"] > each["design"]
    ]
    return problems
