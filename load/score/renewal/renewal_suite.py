"""Suite ``renewal``: four weeks of services that learn live, the changes that they claim to detect, and slow failures."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from load.score.renewal.planted_changes import PlantedDay, plant
from load.score.renewal.services import DAYS, SERVICES, SLOW_SERVICE, WEEK_DAYS, Service, count_incidents
from load.score.renewal.slow_failures import CREEP_DAY, SLOW_DAY, CreepResult, SlowResult, play_creep, play_slow
from load.score.suite import ScorePlan, ScoreResults, ScoreTask, SuiteReport, format_number
from pipeline.detect.settings import DetectSettings
from schemas.timestamp import format_timestamp

PLANTED_DAYS = (1, 3, 7, 28)

TICKETS_PER_WEEK_MAX, PLANTED_FOUND_MIN = 2.0, 0.9
CREEP_DAYS_MAX = 14.0
SLOWER_MAX = 1.1
"""Largest time until a slow change is found with daily renewals, relative to the time without."""

SHRINK_MAX = 0.5
"""Largest claim of the median value after a week, relative to the claim after a day."""


@dataclass(frozen=True, slots=True)
class ServiceWeeks:
    """Results of a service: pages and tickets by week, as incidents and as drifts, and the planted changes."""

    name: str
    seed: int
    pages: list[int]
    tickets: list[int]
    which: list[str]
    planted: list[PlantedDay]


def tasks(plan: ScorePlan, /) -> Iterator[ScoreTask]:
    """Yield a task per service, and those of the slow failures."""
    seed, days = plan.seed, max(1, round(DAYS * plan.size))
    for number, service in enumerate(SERVICES):
        task = partial(play_service, service, seed, plan.settings, days)
        yield ScoreTask(("renewal", "service", number), f"renewal {number}", task)
        if service == SLOW_SERVICE and days > SLOW_DAY:
            creep = partial(play_creep, service.source(seed, CREEP_DAY), plan.settings)
            yield ScoreTask(("renewal", "creep", seed), "renewal creep", creep)
            slow = partial(play_slow, service.source(seed, SLOW_DAY), plan.settings)
            yield ScoreTask(("renewal", "slow", seed), "renewal slow", slow)


def play_service(service: Service, seed: int, settings: DetectSettings, days: int = DAYS) -> ServiceWeeks:
    """Play the healthy weeks of a service, and the planted changes of some days from copies of its stream."""
    planted = []
    for day in (day for day in PLANTED_DAYS if day <= days):
        source = service.source(seed, day)
        planted.append(plant(source, settings))
    source = service.source(seed, days)
    fired = [drift for drift in source.learn(settings).fired if drift.tier != "cause"]
    which = [
        f"{format_timestamp(drift.detected_at)} {drift.tier} {drift.signal} {drift.channel} {drift.segment}".strip()
        for drift in fired
    ]
    pages, tickets = (count_incidents(fired, tier, source.start_ms) for tier in ("page", "ticket"))
    return ServiceWeeks(service.name, seed, pages, tickets, which, planted)


def report(results: ScoreResults, /) -> SuiteReport:
    """Build the report: figures, problems, and a row per service and slow failure."""
    services: list[ServiceWeeks] = results.select("renewal", "service")
    creeps: list[CreepResult] = results.select("renewal", "creep")
    slow: list[SlowResult] = [result for found in results.select("renewal", "slow") for result in found]
    figures = _figures(services, creeps, slow)
    rows = [
        {"scenario": service.name, "suite": "renewal", "kind": "service", **asdict(service)} for service in services
    ]
    rows += [{"scenario": "creep", "suite": "renewal", "kind": "creep", **asdict(creep)} for creep in creeps]
    rows += [{"scenario": result.signal, "suite": "renewal", "kind": "slow", **asdict(result)} for result in slow]
    return SuiteReport(figures, _problems(figures, creeps), _finite(rows))


def _figures(services: list[ServiceWeeks], creeps: list[CreepResult], slow: list[SlowResult]) -> dict[str, Any]:
    weeks = [sum(service.tickets[week] for service in services) for week in range(DAYS // WEEK_DAYS)]
    days = [day for service in services for day in service.planted]
    large = [change for day in days for change in day.large]
    figures: dict[str, Any] = {
        "page_false_incidents": sum(sum(service.pages) for service in services),
        "tickets_per_week": sum(weeks) / len(weeks),
        "tickets_by_week": weeks,
    }
    for number in PLANTED_DAYS:
        claims = [claim for day in days if day.day == number for claim in day.claims.values()]
        figures[f"visible_change_day_{number}"] = median(claims) if claims else math.inf
    figures |= {
        "visible_planted": len(large),
        "visible_planted_found_share": sum(change.found_h is not None for change in large) / max(1, len(large)),
        "half_planted_pages": sum(len(day.small_pages) for day in days),
        "creep_found_day": max((creep.found_day or math.inf for creep in creeps), default=None),
        "slow_ratio_max": max((_ratio(result) for result in slow), default=None),
        "always_fire": {"visible_planted_found_share": 1.0, "tickets_per_week": 7.0 * 24 * len(services)},
        "never_fire": {"visible_planted_found_share": 0.0, "tickets_per_week": 0.0},
    }
    return {name: None if value == math.inf else value for name, value in figures.items()}


def _ratio(result: SlowResult) -> float:
    """Return the days until a slow change was found with renewals, relative to those without."""
    if result.frozen_days is None:
        return 1.0
    return math.inf if result.renewed_days is None else result.renewed_days / result.frozen_days


def _problems(figures: dict[str, Any], creeps: list[CreepResult]) -> list[str]:
    problems = []
    if figures["page_false_incidents"]:
        problems.append(f"{figures['page_false_incidents']} false pages in healthy weeks")
    if figures["tickets_per_week"] > TICKETS_PER_WEEK_MAX:
        problems.append(f"{figures['tickets_per_week']:.1f} tickets a week in healthy weeks")
    if figures["visible_planted_found_share"] < PLANTED_FOUND_MIN:
        problems.append(f"only {figures['visible_planted_found_share']:.0%} of the planted changes are found")
    if figures["half_planted_pages"]:
        problems.append(f"{figures['half_planted_pages']} pages after changes of half the claimed size")
    first, week = figures["visible_change_day_1"], figures["visible_change_day_7"]
    if week is None or (first is not None and week > SHRINK_MAX * first):
        problems.append("the smallest visible change of the median value does not halve in the first week")
    for creep in creeps:
        if creep.found_day is None or creep.found_day > CREEP_DAYS_MAX:
            problems.append(f"the creep is found after {format_number(creep.found_day, 1)} days")
        if not creep.is_open_at_end:
            problems.append("the creep is not an open alert on the last day")
    if figures["slow_ratio_max"] is None or figures["slow_ratio_max"] > SLOWER_MAX:
        problems.append("a slow failure is found much later with daily renewals than without")
    return problems


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace infinite claims with None, which JSON can contain."""
    for row in rows:
        for day in row.get("planted", ()):
            day["claims"] = {name: claim if math.isfinite(claim) else None for name, claim in day["claims"].items()}
    return rows


def show(report: dict[str, Any], console: Console, /) -> None:
    """Print a row per service, the planted changes by day, and the slow failures."""
    rows = [row for row in report["rows"] if row["suite"] == "renewal"]
    services = [row for row in rows if row["kind"] == "service"]
    table = Table(title="Four weeks of live baselines", box=None)
    table.add_column("service")
    for name in ("false pages by week", "tickets by week", *(f"found, day {day}" for day in PLANTED_DAYS)):
        table.add_column(name, justify="right")
    for row in services:
        found = {day["day"]: day["large"] for day in row["planted"]}
        cells = [
            f"{sum(change['found_h'] is not None for change in found.get(day, ()))} of {len(found.get(day, ()))}"
            for day in PLANTED_DAYS
        ]
        table.add_row(row["scenario"], *(" ".join(map(str, row[key])) for key in ("pages", "tickets")), *cells)
    console.print(table)
    sizes = ", ".join(f"{format_number(report[f'visible_change_day_{day}'], 3)} on day {day}" for day in PLANTED_DAYS)
    console.print(
        f"smallest visible change of the median value, relative to its 10 % to 90 % range: {sizes}. "
        f"{report['visible_planted_found_share']:.0%} of {report['visible_planted']} planted changes are found; "
        f"half of a visible change has {report['half_planted_pages']} pages"
    )
    console.print(
        f"confidence that creeps by 0.005 a day: found after {format_number(report['creep_found_day'], 1)} days; slow "
        f"changes take {format_number(report['slow_ratio_max'], 2)} times as long with daily renewals as without; "
        f"{report['page_false_incidents']} false pages, {report['tickets_per_week']:.1f} tickets a week"
    )
