"""The nab suite: a few of its series in short form, what its report contains, and missing data."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from load.score import LONG_SUITES, SUITES, ScorePlan
from load.score.nab.benchmark_suite import report, run_series, show, tasks
from load.score.nab.labelled_series import list_series, read_series
from load.score.suite import ScoreResults
from tests.load.score.scenarios import DATA, SETTINGS

NAB = DATA / "nab"
SHORT = ("artificialNoAnomaly/art_flatline.csv", "realAWSCloudwatch/iio_us-east-1_i-a2eb1cd9_NetworkIn.csv")


def plan(data: Path, size: float = 1.0) -> ScorePlan:
    return ScorePlan(("nab",), 1000, data, SETTINGS, size)


def results(data: Path, rows: list[dict]) -> ScoreResults:
    return ScoreResults(plan(data), {("nab", row["scenario"], 0): row for row in rows}, {}, 1.0)


def write_series(folder: Path) -> str:
    """Write a series of 200 rows with a window from row 100 to 119, and return its name."""
    name = "made/step.csv"
    times = [f"2014-04-01 {row // 12:02d}:{row % 12 * 5:02d}:00" for row in range(200)]
    lines = [f"{time},{90.0 if row >= 100 else 10.0 + row % 3}" for row, time in enumerate(times)]
    (folder / "made").mkdir(parents=True)
    (folder / name).write_text("timestamp,value\n" + "\n".join(lines))
    (folder / "windows.json").write_text(json.dumps({name: [[times[100] + ".000000", times[119] + ".000000"]]}))
    return name


def test_windows_are_read_as_rows(tmp_path: Path) -> None:
    name = write_series(tmp_path)
    assert list_series(tmp_path) == [name]
    series = read_series(tmp_path, name)
    assert [(window.first, window.last, window.length) for window in series.windows] == [(100, 119, 20)]
    assert series.find_row(series.times_ms[100]) == 100
    assert json.loads(next(series.record_lines())) == {
        "subject": "step", "timestamp": series.times_ms[0], "custom": {"value": 10.0}
    }  # fmt: skip


def test_the_reference_rows_enclose_the_detectors(tmp_path: Path) -> None:
    folder = tmp_path / "nab"
    row = run_series(write_series(folder), folder, SETTINGS)
    assert row["readiness"] == {"ready_after_s": 30 * 300.0, "ready_records": 30, "ready_records_rate": 30}
    assert row["detectors"]["never_fire"]["score"] == 0.0
    # All 150 rows after the window's start or before it fire: 70 before, 80 after it.
    assert row["detectors"]["always_fire"] | {"points": 0, "score": 0} == {
        "windows": 1, "windows_found": 1, "false_alarms": 150, "points": 0, "score": 0
    }  # fmt: skip
    assert row["detectors"]["windowed_gaussian"]["windows_found"] == 1
    assert row["detectors"]["windowed_gaussian"]["score"] == pytest.approx(100.0)
    built = report(results(tmp_path, [row]))
    by_name = {row["scenario"]: row for row in built.rows}
    assert by_name["windowed_gaussian"]["score"] == pytest.approx(100.0)
    assert by_name["windowed_gaussian"]["parameter"] == "tail probability 1e-05"
    assert built.figures["standard"] == by_name["driftwire"]["score"] == row["score"]
    assert "scores" not in by_name["made/step.csv"]
    json.dumps(built.rows)


def test_a_low_score_is_a_problem_and_the_tables_name_all_rows(tmp_path: Path) -> None:
    folder = tmp_path / "nab"
    row = run_series(write_series(folder), folder, SETTINGS)
    row["scores"]["driftwire", None] = row["scores"]["never_fire", None]
    built = report(results(tmp_path, [row]))
    assert built.problems == ["the score on labelled series is 0.0 of 100"]
    console = Console(file=StringIO(), width=140)
    show({"rows": built.rows}, console)
    text = console.file.getvalue()
    for name in ("made/step.csv", "driftwire", "river_adwin", "river_page_hinkley", "always_fire", "never_fire"):
        assert name in text


def test_missing_data_is_skipped_with_the_reason(tmp_path: Path) -> None:
    (task,) = tasks(plan(tmp_path))
    row = task.run()
    assert str(tmp_path) in row["skipped"]
    built = report(results(tmp_path, [row]))
    assert (built.figures, built.problems) == ({"standard": None}, [])
    show({"rows": built.rows}, Console(file=StringIO()))


@pytest.mark.skipif(not NAB.exists(), reason="the labelled series do not exist here")
def test_series_of_the_benchmark_are_played() -> None:
    assert len(list(tasks(plan(DATA)))) == 28
    assert len(list(tasks(plan(DATA, size=0.1)))) == 3
    rows = [run_series(name, NAB, SETTINGS) for name in SHORT]
    flat, network = rows
    assert (flat["windows"], flat["false_alarms"], flat["score"]) == (0, 0, None)
    assert (network["windows"], network["records"], network["probation_rows"]) == (2, 1243, 186)
    built = report(results(DATA, rows))
    assert built.figures["standard"] == built.rows[2]["score"]
    assert [row["scenario"] for row in built.rows[2:]] == [
        "driftwire", "river_adwin", "river_page_hinkley", "windowed_gaussian", "always_fire", "never_fire"
    ]  # fmt: skip


def test_the_suite_is_run_only_if_it_is_named() -> None:
    assert "nab" in LONG_SUITES
    assert set(SUITES) > LONG_SUITES
