"""The report: the figures of all suites, a row a scenario, and what misses its floor."""

from statistics import median
from typing import Any

from load.score.run_suites import SUITES, Done, Plan
from load.score.simulation import scenarios
from load.score.suites import SIGNAL_RECORDS, Silence, causes, failures, harmless, null_report, severity
from pipeline.detect.settings import DetectSettings

REPORTED_FROM = 1000
"""Seeds below are for tuning: what is reported comes from this one and up."""

TICKETS_PER_10M = 2.0
RIVER_ADWIN_PER_10M, RIVER_PAGE_HINKLEY_PER_10M = 200.0, 100.0
WALL_S = 720.0
"""Seconds that all suites together may take."""


def report(plan: Plan, settings: DetectSettings, done: Done) -> dict[str, Any]:
    """The figures, a row a scenario, and what misses its floor."""
    found: dict[str, Any] = {
        "suites": list(plan.suites),
        "seed": plan.seed,
        "seeds_are_for": "the report" if plan.seed >= REPORTED_FROM else "tuning",
        "config_hash": settings.digest(),
        "wall_s": done.wall_s,
        "processor_s": done.processor_s,
    }
    problems: list[str] = []
    rows: list[dict[str, Any]] = []
    if "null" in plan.suites:
        said = done.of("null")
        found |= null_report(said)
        problems += _null_problems(found, said, settings, whole=plan.size >= 1)
    if "failures" in plan.suites:
        own = [failures.summary(each, done.of("failures", each.name)) for each in scenarios("failure")]
        found |= _failure_figures(own)
        problems += _failure_problems(found, own)
        rows += own
    if "harmless" in plan.suites:
        own = [
            harmless.summary(each, done.of("harmless", each.name), done.of("provokes", each.name))
            for each in scenarios("harmless")
        ]
        found |= _harmless_figures(own, done)
        problems += _harmless_problems(found, own)
        rows += own
    if "real" in plan.suites:
        own = done.of("real")
        problems += [f"{row['scenario']}: {problem}" for row in own for problem in row.get("problems", [])]
        rows += own
    if "severity" in plan.suites:
        (judged,) = done.of("severity")
        found |= severity.severity_report(judged)
        problems += severity.problems(judged)
        rows += severity.rows(judged)
    if "causes" in plan.suites:
        named = done.of("causes")
        found |= causes.causes_report(named)
        problems += causes.problems(found)
        rows += causes.rows(named)
    if plan.suites == SUITES and done.wall_s > WALL_S:
        problems.append(f"all suites took {done.wall_s:.0f} s, and should take {WALL_S:.0f}")
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


def _harmless_figures(rows: list[dict[str, Any]], done: Done) -> dict[str, Any]:
    storms = done.of("storm")
    return {
        "harmless_pages": sum(row["pages"] for row in rows),
        "harmless_tickets": sum(row["tickets"] for row in rows),
        "harmless_counted": sum(row["counts"] for row in rows),
        "storm_pages_share": sum(storms) / max(1, len(storms)),
        "storm_runs": len(storms),
        "year_2200_changes_nothing": all(done.of("2200")),
    }


def _harmless_problems(found: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    problems = [f"{row['scenario']}: {row['pages']} pages" for row in rows if row["pages"]]
    if found["harmless_counted"] < harmless.COUNTED:
        problems.append(
            f"only {found['harmless_counted']} harmless scenarios provoke a simpler rule: the others prove nothing"
        )
    problems += ["a retry storm pages"] if found["storm_pages_share"] else []
    problems += [] if found["year_2200_changes_nothing"] else ["a record from the year 2200 changes what is found"]
    return problems
