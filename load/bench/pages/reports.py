"""Reports of the benchmarks in a folder: one JSON file per benchmark, which ``driftwire-load bench`` writes."""

import json
from pathlib import Path
from typing import Any

from load.errors import LoadError

Reports = dict[str, dict[str, Any]]
"""Reports by name of the benchmark, such as ``detect``."""


def read_reports(folder: Path) -> Reports:
    """Read all reports of a folder.

    Raises
    ------
    LoadError
        If a file is not a report, if two are of one benchmark, or if there is none.
    """
    reports: Reports = {}
    for path in sorted(folder.glob("*.json")):
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            bench = report["bench"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LoadError(f"{path} is not a report of driftwire-load bench: write it with --json") from error
        if bench in reports:
            raise LoadError(f"{path} is a second report of bench {bench}: remove one of them")
        reports[bench] = report
    if not reports:
        raise LoadError(f"{folder} contains no report: write one with driftwire-load bench detect --json FILE")
    return reports


def describe_report(report: dict[str, Any]) -> str:
    """Return the command, the commit and the machine of a report as a sentence."""
    machine = report["machine"]
    load = ", ".join(f"{value:g}" for value in machine["load_average"])
    return (
        f"`{report['command']}`, commit {report['commit']}, {machine['cpu_count']} processors, Python "
        f"{machine['versions']['python']}, load average {load}."
    )
