"""The score on a terminal: a row a scenario, the figures, and what misses its floor."""

from typing import Any

from rich.console import Console
from rich.table import Table

_NONE = "-"


def show(report: dict[str, Any], console: Console) -> None:
    """Print a report of :func:`load.score.run_suites.run`."""
    console.print(f"seed {report['seed']}: seeds for {report['seeds_are_for']}; configuration {report['config_hash']}")
    if "null" in report["suites"]:
        _null(report, console)
    if "failures" in report["suites"]:
        _failures(report, console)
    if "harmless" in report["suites"]:
        _harmless(report, console)
    if "real" in report["suites"]:
        _real(report, console)
    if "severity" in report["suites"]:
        _severity(report, console)
    if "causes" in report["suites"]:
        _causes(report, console)
    took = sum(report["processor_s"].values())
    console.print(f"took {report['wall_s']:.0f} s, of {took:.0f} s of processors")
    for problem in report["problems"]:
        console.print(f"[bold red]misses[/] {problem}", highlight=False)
    if not report["problems"]:
        console.print("[bold green]nothing misses its floor[/]")


def _null(report: dict[str, Any], console: Console) -> None:
    table = Table(title=f"A quiet world: false incidents in {report['signal_records']:,} signal-records", box=None)
    for name in ("who", "incidents", "per 10 million", "merged within an hour"):
        table.add_column(name, justify="left" if name == "who" else "right")
    per_10m = 1e7 / max(1, report["signal_records"])
    hourly = report["merged_within_an_hour"]
    for tier in ("page", "ticket"):
        count, fewer = report[f"{tier}_false_incidents"], hourly[f"{tier}_false_incidents"]
        table.add_row(f"driftwire, {tier} tier", str(count), f"{count * per_10m:.2f}", f"{fewer * per_10m:.2f}")
    for name, key in (("ADWIN", "river_adwin_per_10m"), ("PageHinkley", "river_page_hinkley_per_10m")):
        table.add_row(f"river {name}, defaults", _NONE, f"{report[key]:.0f}", f"{hourly[key]:.0f}")
    table.add_row("always fire", _NONE, f"{report['always_fire_per_10m']:,.0f}", _NONE)
    table.add_row("never fire", "0", "0", "0")
    console.print(table)
    for level, each in report["exceedance"].items():
        console.print(f"max W >= {level}: {each['measured']:.2g} of looks, bound K exp(-w) {each['bound']:.2g}")


def _failures(report: dict[str, Any], console: Console) -> None:
    table = Table(title="Failures", box=None)
    table.add_column("scenario")
    for name in ("tier", "found", "records", "seconds", "over floor", "start off", "false", "ADWIN", "PageHinkley"):
        table.add_column(name, justify="right")
    for row in (row for row in report["rows"] if row["suite"] == "failures"):
        rivers = [_river(row["rivers"].get(name)) for name in ("river_adwin", "river_page_hinkley")]
        table.add_row(
            row["scenario"] + (" *" if row["clear"] else ""), row["expected_tier"], f"{row['found_share']:.0%}",
            _number(row["median_delay_records"]), _number(row["median_delay_s"], 1),
            _number(row["median_delay_over_floor"], 2), _number(row["median_start_error_records"]),
            f"{row['false_pages']} / {row['false_tickets']}", *rivers,
        )  # fmt: skip
    table.add_row("always fire", "any", "100%", "1", "0.0", _NONE, _NONE, "all", _NONE, _NONE)
    table.add_row("never fire", "any", "0%", _NONE, _NONE, _NONE, _NONE, "0 / 0", _NONE, _NONE)
    console.print(table)
    console.print(
        f"* clear steps. {report['failures_found_share']:.1%} found in the right tier; over the floor: worst "
        f"{_number(report['worst_delay_over_floor'], 2)}, median {_number(report['median_delay_over_floor'], 2)}; start "
        f"off by {_number(report['median_start_error_records'])} records; false: pages / tickets; peers: alarms before the "
        "change / delay"
    )


def _harmless(report: dict[str, Any], console: Console) -> None:
    table = Table(title="Harmless", box=None)
    for name in ("scenario", "pages", "tickets", "provokes"):
        table.add_column(name, justify="right" if name in ("pages", "tickets") else "left")
    for row in (row for row in report["rows"] if row["suite"] == "harmless"):
        table.add_row(row["scenario"], str(row["pages"]), str(row["tickets"]), ", ".join(row["provokes"]))
    console.print(table)
    console.print(
        f"{report['harmless_counted']} of them provoke a simpler rule that is silent without what happens, and count; "
        f"retry storm with late records: {report['storm_pages_share']:.0%} of {report['storm_runs']} runs page; a record "
        f"from the year 2200 {'changes nothing' if report['year_2200_changes_nothing'] else 'changes what is found'}"
    )


def _real(report: dict[str, Any], console: Console) -> None:
    table = Table(title="Real streams", box=None)
    for name in ("stream", "ready at", "what fired"):
        table.add_column(name)
    for row in (row for row in report["rows"] if row["suite"] == "real"):
        if "skipped" in row:
            table.add_row(row["scenario"], _NONE, row["skipped"])
        elif "windows" in row:
            peers = "; ".join(
                f"{name} {each['windows_hit']}, {each['false_alarms']} false" for name, each in row["rivers"].items()
            )
            said = f"{row['windows_hit']} of {row['windows']} windows, {row['false_alarms']} false alarms ({peers})"
            table.add_row(row["scenario"], f"{row['series_ready']} of {row['series']} series", said)
        else:
            fired = ", ".join(f"{name} x{count}" for name, count in row["fired"]) or "nothing"
            weekly = ", ".join(f"{name} {count:,.0f}" for name, count in row["river_alarms_a_week"].items())
            pages = f"{row['firings_a_week']['page']:.1f} pages a week" if "forced" in row["scenario"] else ""
            table.add_row(row["scenario"], row["ready_at"] or _NONE, f"{fired} {pages} (a week: {weekly})")
    console.print(table)


def _severity(report: dict[str, Any], console: Console) -> None:
    table = Table(title="Severity", box=None)
    for name in ("case", "is", "rule"):
        table.add_column(name)
    for row in (row for row in report["rows"] if row["suite"] == "severity"):
        table.add_row(row["scenario"], row["severity"], " and ".join(filter(None, (row["rule"], row["moved_by"]))))
    console.print(table)
    console.print(f"{report['severity_right_share']:.1%} of {report['severity_cases']} cases are as a person says")


def _causes(report: dict[str, Any], console: Console) -> None:
    table = Table(title="Causes", box=None)
    for name in ("case", "cause", "named first", "instead, with seed"):
        table.add_column(name)
    rows = [row for row in report["rows"] if row["suite"] == "causes"]
    for name in dict.fromkeys(row["scenario"] for row in rows):
        own = [row for row in rows if row["scenario"] == name]
        wrong = [f"{row['guessed'] or row['first']} ({row['seed']})" for row in own if not row["right"]]
        table.add_row(name, own[0]["cause"], f"{sum(row['right'] for row in own)} of {len(own)}", ", ".join(wrong[:4]))
    console.print(table)
    console.print(
        f"a deployment first in {report['suspect_first_share']:.1%} (called the most likely cause in "
        f"{report['suspect_clear_share']:.1%}; naming the last one before the detection: "
        f"{report['last_deployment']['suspect_first_share']:.1%}, the nearest to the start: "
        f"{report['nearest_deployment']['suspect_first_share']:.1%})"
    )
    console.print(
        f"canaries first in {report['canary_first_share']:.1%}, by their version in {report['canary_split_share']:.1%} "
        f"(without versions side by side: {report['canary_first_share_without_split']:.1%}; the last: "
        f"{report['last_deployment']['canary_first_share']:.1%}, the nearest: "
        f"{report['nearest_deployment']['canary_first_share']:.1%})"
    )
    console.print(
        f"another cause first in {report['cause_first_share']:.1%} (called so in {report['cause_clear_share']:.1%}); "
        f"{report['inconclusive_guessed']} guesses where nobody can know"
    )


def _number(value: float | None, digits: int = 0) -> str:
    return _NONE if value is None else f"{value:,.{digits}f}"


def _river(found: dict[str, Any] | None) -> str:
    return _NONE if found is None else f"{found['alarms_before']} / {_number(found['median_delay'])}"
