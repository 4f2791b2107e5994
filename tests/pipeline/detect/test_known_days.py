from dataclasses import replace

import pytest

from pipeline.detect.known_days import DAY_MS, KnownDays
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.simple_tests import simple_test
from tests.pipeline.detect.worlds import learned, normal_world

LIVE = DetectSettings()
MONDAY_MS = 1_795_392_000_000
"""2026-11-23T00:00:00Z."""

SATURDAY_MS = MONDAY_MS + 5 * DAY_MS
LOCATION = simple_test(0.58, 0.5, binary=False)
TAIL = replace(simple_test(0.03, 0.01), channel="high_tail")
RATE = simple_test(0.015, 0.01)


@pytest.fixture(scope="module")
def baseline():
    return learned(normal_world(1, 8000), DetectSettings(ready_after_s=100))


def known_days(baseline, from_ms, days, settings=LIVE) -> KnownDays:
    period = {"learned_from": from_ms, "learned_to": from_ms + round(days * DAY_MS)}
    return KnownDays.from_baseline(baseline.model_copy(update=period), settings)


@pytest.mark.parametrize(
    ("first_day", "days", "weekdays", "weekends"),
    [
        (0, 1, True, False),
        (0, 4.9, True, False),
        (0, 6, True, True),
        (5, 1, False, True),
        (4, 1.5, True, False),
        (0, 0.01, True, False),
        (5, 0.2, False, True),
        (4.5, 1, False, False),
    ],
)
def test_a_baseline_knows_the_kinds_of_days_of_which_it_has_24_hours_or_all(
    baseline, first_day, days, weekdays, weekends
):
    assert known_days(baseline, MONDAY_MS + round(first_day * DAY_MS), days)[:2] == (weekdays, weekends)


def test_a_week_and_a_short_readiness_know_all_days(baseline):
    assert known_days(baseline, MONDAY_MS, 7)[:2] == (True, True)
    assert known_days(baseline, MONDAY_MS, 0.1, DetectSettings(ready_after_s=600))[:2] == (True, True)


@pytest.mark.parametrize(("test", "moderate", "large"), [(LOCATION, 0.7, 0.8), (TAIL, 0.2, 0.4)])
def test_an_unknown_day_explains_a_moderate_change_of_a_value_and_no_large_one(test, moderate, large):
    monday_only = KnownDays(True, False, 0.25)
    assert monday_only.may_explain(test, moderate, SATURDAY_MS)
    assert not monday_only.may_explain(test, large, SATURDAY_MS)
    assert not monday_only.may_explain(test, moderate, MONDAY_MS)
    assert KnownDays(False, True, 0.25).may_explain(test, moderate, MONDAY_MS)
    assert not KnownDays().may_explain(test, moderate, SATURDAY_MS)


def test_rates_and_causes_do_not_depend_on_the_day():
    monday_only = KnownDays(True, False, 0.25)
    assert not monday_only.may_explain(RATE, 0.02, SATURDAY_MS)
    assert monday_only.may_explain(replace(LOCATION, tier="ticket"), 0.6, SATURDAY_MS)
    assert not monday_only.may_explain(replace(LOCATION, tier="cause"), 0.6, SATURDAY_MS)
