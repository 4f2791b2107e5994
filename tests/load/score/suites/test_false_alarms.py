"""The false-alarm suite: a quiet service is silent, river's detectors are not, and false pages are counted."""

import json

import pytest

from load.score.report import build_report
from load.score.suite import ScorePlan, ScoreResults
from load.score.suites.false_alarms import FalseAlarmCounts, QuietService, count_incidents, figures, play_service
from tests.load.score.scenarios import DATA, SEED, SETTINGS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def counts() -> FalseAlarmCounts:
    return play_service(QuietService(SEED, 50.0, 24_000), SETTINGS)


def test_a_quiet_service_is_silent_and_river_is_not(counts: FalseAlarmCounts) -> None:
    assert not counts.incidents
    assert counts.signal_records > 24_000 * 25
    assert counts.rivers["river_adwin"] > 0
    report = json.loads(json.dumps(figures([counts])))
    assert report["river_adwin_per_10m"] > 200
    assert report["page_false_incidents"] == 0
    assert report["exceedance"]["8"]["measured"] <= report["exceedance"]["8"]["bound"]


def test_both_counts_of_incidents_are_in_the_report(counts: FalseAlarmCounts) -> None:
    report = figures([counts])
    hourly = report["merged_within_an_hour"]
    assert hourly["page_false_incidents"] == 0
    raw = report["river_alarms"]["river_adwin"] * 1e7 / report["signal_records"]
    assert 0 < hourly["river_adwin_per_10m"] < raw


def test_a_false_page_is_counted_and_is_a_problem() -> None:
    counts = play_service(QuietService(SEED, 50.0, 2400), SETTINGS)
    counts.incidents["page"] += 1
    plan = ScorePlan(("null",), SEED, DATA, SETTINGS)
    report = build_report(ScoreResults(plan, {("null", "50/s", SEED): counts}, {"null": 1.0}, 1.0))
    assert report["page_false_incidents"] == 1
    assert any("1 false pages" in problem for problem in report["problems"])
    assert report["seeds_are_for"] == "tuning"


def test_alarms_close_to_the_last_one_are_one_incident_however_long_they_continue() -> None:
    assert count_incidents([10, 900, 1800, 2700, 3700], 1000) == 2
    assert count_incidents([10], 1000) == 1
    assert count_incidents([], 1000) == 0
