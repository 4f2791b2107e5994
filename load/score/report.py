"""Report of the score: figures and rows of all suites, and the figures that miss a target."""

from typing import Any

from rich.console import Console

from load.score.suites import LONG_SUITES, SUITES, ScoreResults

REPORT_SEED_MIN = 1000
"""First seed for the report. Lower seeds are for tuning."""

WALL_MAX_S = 720.0
"""Target duration of all suites that are not long, in seconds."""

LONG_MAX_S = 3600.0
"""Target duration of a long suite, in seconds."""


def build_report(results: ScoreResults) -> dict[str, Any]:
    """Build the report from the results of all tasks."""
    plan = results.plan
    report: dict[str, Any] = {
        "suites": list(plan.suites),
        "seed": plan.seed,
        "seeds_are_for": "the report" if plan.seed >= REPORT_SEED_MIN else "tuning",
        "config_hash": plan.settings.digest(),
        "wall_s": results.wall_s,
        "processor_s": results.processor_s,
    }
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    for name, suite in SUITES.items():
        if name in plan.suites:
            suite_report = suite.report(results)
            report |= suite_report.figures
            rows += suite_report.rows
            problems += suite_report.problems
    is_long = not LONG_SUITES.isdisjoint(plan.suites)
    max_s = LONG_MAX_S if is_long else WALL_MAX_S
    if (is_long or set(plan.suites) == set(SUITES) - LONG_SUITES) and results.wall_s > max_s:
        problems.append(f"the suites took {results.wall_s:.0f} s and should take at most {max_s:.0f} s")
    return report | {"rows": rows, "problems": problems}


def show_report(report: dict[str, Any], console: Console) -> None:
    """Print a report."""
    console.print(f"seed {report['seed']}: seeds for {report['seeds_are_for']}; configuration {report['config_hash']}")
    for name, suite in SUITES.items():
        if name in report["suites"]:
            suite.show(report, console)
    processor_s = sum(report["processor_s"].values())
    console.print(f"took {report['wall_s']:.0f} s of wall-clock time and {processor_s:.0f} s of processor time")
    for problem in report["problems"]:
        console.print(f"[bold red]misses its target:[/] {problem}", highlight=False)
    if not report["problems"]:
        console.print("[bold green]no figure misses its target[/]")
