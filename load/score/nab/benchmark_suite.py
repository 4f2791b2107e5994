"""Suite ``nab``: the series of the Numenta Anomaly Benchmark, scored as the benchmark describes it."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from load.score.nab.labelled_series import LabelledSeries, list_series, read_series
from load.score.nab.sigmoid_score import SigmoidScore, count_probation_rows, score_alarms
from load.score.nab.value_detectors import (
    ALWAYS_FIRE,
    COMPARED_DETECTORS,
    DRIFTWIRE,
    NEVER_FIRE,
    detect_with_driftwire,
    suitable_readiness,
)
from load.score.suite import NO_VALUE, ScorePlan, ScoreResults, ScoreTask, SuiteReport, format_number
from pipeline.detect.settings import DetectSettings

FOLDER = "nab"
STANDARD_MIN = 50.0

SeriesScores = dict[tuple[str, float | None], SigmoidScore]
"""Scores by the name of a detector and its parameter. The parameter is None if the detector has no choice."""


def tasks(plan: ScorePlan, /) -> Iterator[ScoreTask]:
    """Yield a task per series. If the data is missing, yield one task that gives the reason."""
    folder = plan.data / FOLDER
    names = list_series(folder)
    for name in names[: max(1, round(len(names) * plan.size))] or [FOLDER]:
        run = partial(run_series, name, folder, plan.settings)
        yield ScoreTask(("nab", name, 0), f"nab {name}", run)


def run_series(name: str, folder: Path, settings: DetectSettings) -> dict[str, Any]:
    """Run all detectors on one series, and return its row, with the scores of each detector and parameter."""
    head = {"scenario": name, "suite": "nab", "kind": "series", "config_hash": settings.digest()}
    if not (folder / name).is_file():
        return head | {"skipped": f"{folder / name} does not exist: see --data"}
    series = read_series(folder, name)
    readiness = suitable_readiness(series)
    scores = _score_all(series, settings.model_copy(update=readiness))
    return head | {
        "readiness": readiness,
        "records": len(series.times_ms),
        "probation_rows": count_probation_rows(len(series.times_ms)),
        **_describe(scores[DRIFTWIRE, None]),
        "detectors": {
            name: _describe(score) for (name, parameter), score in scores.items() if parameter in (None, _default(name))
        },
        "scores": scores,
    }


def _score_all(series: LabelledSeries, settings: DetectSettings) -> SeriesScores:
    rows = len(series.times_ms)
    alarms: dict[tuple[str, float | None], Iterable[int]] = {(DRIFTWIRE, None): detect_with_driftwire(series, settings)}
    for detector in COMPARED_DETECTORS:
        for parameter in detector.choices:
            alarms[detector.name, parameter] = detector.detect(series.values, parameter)
    alarms[ALWAYS_FIRE, None], alarms[NEVER_FIRE, None] = range(rows), ()
    return {key: score_alarms(found, series.windows, rows) for key, found in alarms.items()}


def _default(name: str) -> float | None:
    return next((detector.default for detector in COMPARED_DETECTORS if detector.name == name), None)


def _describe(score: SigmoidScore) -> dict[str, Any]:
    return {
        "windows": score.windows,
        "windows_found": score.windows_found,
        "false_alarms": score.false_alarms,
        "points": score.points,
        "score": score.normalised,
    }


def report(results: ScoreResults, /) -> SuiteReport:
    """Build the report: the score on the standard profile, a row per series, and a row per detector."""
    rows = [dict(row) for row in results.select("nab")]
    totals: SeriesScores = {}
    for row in rows:
        for key, score in row.pop("scores", {}).items():
            totals[key] = totals.get(key, SigmoidScore()) + score
    if not totals:
        return SuiteReport({"standard": None}, [], rows)
    standard = totals[DRIFTWIRE, None].normalised
    problems = []
    if standard is None or standard <= STANDARD_MIN:
        problems.append(f"the score on labelled series is {format_number(standard, 1)} of 100")
    return SuiteReport({"standard": standard}, problems, rows + _detector_rows(totals))


def _detector_rows(totals: SeriesScores) -> list[dict[str, Any]]:
    """Build a row per detector over all series, with the best parameter of those that were given several."""
    rows = []
    for name in dict.fromkeys(name for name, _ in totals):
        by_parameter = {parameter: score for (other, parameter), score in totals.items() if other == name}
        row = {"scenario": name, "suite": "nab", "kind": "detector", **_describe(by_parameter[_default(name)])}
        if len(by_parameter) > 1:
            best = max(by_parameter, key=lambda parameter: by_parameter[parameter].points)
            named = next(detector.parameter for detector in COMPARED_DETECTORS if detector.name == name)
            row |= {"parameter": f"{named} {_default(name):g}", "best_parameter": f"{named} {best:g}"}
            row |= {f"best_{key}": value for key, value in _describe(by_parameter[best]).items() if key != "windows"}
        rows.append(row)
    return rows


def show(report: dict[str, Any], console: Console, /) -> None:
    """Print a row per series, and a row per detector."""
    rows = [row for row in report["rows"] if row["suite"] == "nab"]
    table = Table(title="Labelled series (NAB), standard profile", box=None)
    table.add_column("series")
    for name in ("ready after", "windows found", "false alarms", "score"):
        table.add_column(name, justify="right")
    for row in (row for row in rows if row["kind"] == "series"):
        if "skipped" in row:
            table.add_row(row["scenario"], row["skipped"])
            continue
        ready = f"{row['probation_rows']} rows, {row['readiness']['ready_after_s'] / 3600:.1f} h"
        table.add_row(row["scenario"], ready, *_cells(row))
    console.print(table)
    detectors = [row for row in rows if row["kind"] == "detector"]
    if not detectors:
        return
    table = Table(title="All series", box=None)
    table.add_column("detector")
    table.add_column("parameter, fixed in advance")
    for name in ("windows found", "false alarms", "score"):
        table.add_column(name, justify="right")
    table.add_column("parameter with the best score")
    table.add_column("score", justify="right")
    for row in detectors:
        best = (row["best_parameter"], format_number(row["best_score"], 1)) if "best_score" in row else (NO_VALUE,) * 2
        table.add_row(row["scenario"], row.get("parameter", NO_VALUE), *_cells(row), *best)
    console.print(table)


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    return (
        f"{row['windows_found']} of {row['windows']}",
        f"{row['false_alarms']:,}",
        format_number(row["score"], 1),
    )
