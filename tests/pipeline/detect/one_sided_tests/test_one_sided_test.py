import math

import numpy as np
import pytest

from pipeline.correlate.severity.table import SeverityTable
from pipeline.detect.one_sided_tests.one_sided_test import (
    NEVER_DEMOTED,
    YEAR_S,
    NotTestable,
    compute_threshold,
    derive_tests,
    fleet_updates_per_s,
)
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.worlds import learned, normal_world

REPLAY = DetectSettings(ready_after_s=600)


@pytest.fixture(scope="module")
def baseline():
    return learned(normal_world(1, 30_000), REPLAY)


def test_a_threshold_follows_from_updates_and_the_false_alarm_budget():
    assert compute_threshold(100 * 50, 1 / YEAR_S) == 28.0
    assert compute_threshold(5000 * 90, 1 / YEAR_S) == 32.5
    assert compute_threshold(0.0, 1 / YEAR_S) == 1.0


def test_thresholds_grow_with_the_logarithm_of_the_updates():
    exact = math.log(8 * fleet_updates_per_s(100 * 50, 0, 1) * YEAR_S)
    assert exact == pytest.approx(27.9, abs=0.05)
    assert compute_threshold(fleet_updates_per_s(100 * 50, 0, 1), 1 / YEAR_S) == 28.0
    assert math.log(8 * fleet_updates_per_s(100 * 5000, 4, 1) * YEAR_S) == pytest.approx(34, abs=0.1)


def test_a_fleet_and_its_segments_share_the_false_alarm_budget(baseline):
    def thresholds(**settings):
        return {test.tier: test.threshold for test in derive_tests(baseline, REPLAY.model_copy(update=settings))[0]}

    alone = thresholds(fleet_subjects=1, segments=())
    assert thresholds(fleet_subjects=1)["page"] - alone["page"] == pytest.approx(math.log(3), abs=0.5)
    assert thresholds(fleet_subjects=1, segments=("tenant",))["page"] - alone["page"] == pytest.approx(
        math.log(2), abs=0.5
    )
    assert thresholds(fleet_subjects=1)["ticket"] == alone["ticket"]
    fleet = thresholds(fleet_subjects=1000, segments=())
    assert all(fleet[tier] - alone[tier] == pytest.approx(math.log(1000), abs=0.5) for tier in ("page", "ticket"))


def test_failure_modes_that_can_be_a_p1_or_p2_are_never_demoted():
    severe = {
        mode
        for rule in SeverityTable.default().rules
        if rule.severity in ("P1", "P2")
        for mode in rule.when.failure_modes
    }
    assert severe
    assert severe | {"filter_over_blocking"} == NEVER_DEMOTED


def test_each_tier_has_its_own_threshold(baseline):
    tests, _ = derive_tests(baseline, REPLAY)
    by_tier = {test.tier: test.threshold for test in tests}
    assert by_tier["ticket"] < by_tier["page"]
    assert {test.threshold for test in tests} == set(by_tier.values())


def test_a_rate_ticket_is_tested_against_what_two_days_show(baseline):
    signals = {
        name: learned.model_copy(
            update={
                "channels": {
                    channel: mean.model_copy(update={"count": 1_000_000, "slice_deviation": 0.0})
                    for channel, mean in learned.channels.items()
                }
            }
        )
        for name, learned in baseline.signals.items()
    }
    days = baseline.model_copy(update={"learned_from": baseline.learned_to - 2 * 86_400_000, "signals": signals})
    tests = [test for test in derive_tests(days, DetectSettings())[0] if test.channel == "rate"]
    assert {test.tier for test in tests} == {"page", "ticket"}
    distances = {
        (test.signal.name, test.direction, test.tier): (
            abs(test.null_boundary - test.mean),
            abs(test.smallest_mean - test.mean),
        )
        for test in tests
    }
    assert all(null == smallest for (*_, tier), (null, smallest) in distances.items() if tier == "page")
    null, smallest = distances["refused", "up", "ticket"]
    assert null < 0.5 * smallest


def test_a_larger_false_alarm_budget_lowers_the_threshold(baseline):
    lax = derive_tests(baseline, REPLAY.model_copy(update={"false_pages_per_year": 100.0}))[0]
    strict = derive_tests(baseline, REPLAY)[0]
    assert lax[0].threshold < strict[0].threshold


def test_tests_are_derived_for_bad_directions_only(baseline):
    tests, not_testable = derive_tests(baseline, REPLAY)
    by_name = {(test.signal.name, test.channel, test.direction, test.tier): test for test in tests}
    assert ("latency_ms", "location", "up", "page") in by_name
    assert ("latency_ms", "location", "down", "page") not in by_name
    assert ("length", "location", "down", "page") in by_name
    assert ("length", "high_tail", "up", "page") not in by_name
    assert (by_name["confidence", "location", "down", "page"].stakes < 0).all()
    assert (by_name["confidence", "low_tail", "down", "page"].stakes > 0).all()
    assert not_testable == []


def test_the_recovery_boundary_is_not_inside_the_band_and_its_bets_point_back(baseline):
    for test in derive_tests(baseline, REPLAY)[0]:
        for firing_mean in (0.0, test.mean, test.null_boundary, 0.5, 1.0):
            null, stakes = test.recovery_test(firing_mean)
            assert null >= test.null_boundary - 1e-9 if test.rising else null <= test.null_boundary + 1e-9
            assert (stakes < 0).all() if test.rising else (stakes > 0).all()
            assert (1 + stakes * (0 - null) > 0).all()
            assert (1 + stakes * (1 - null) > 0).all()


def test_a_channel_that_is_not_testable_is_listed_with_its_reason(baseline):
    latency = baseline.signals["latency_ms"]
    wild = latency.channels["location"].model_copy(update={"slice_deviation": 0.2})
    channels = {**latency.channels, "location": wild}
    signals = {**baseline.signals, "latency_ms": latency.model_copy(update={"channels": channels})}
    tests, not_testable = derive_tests(baseline.model_copy(update={"signals": signals}), REPLAY)
    assert {(skipped.signal.name, skipped.channel) for skipped in not_testable} == {("latency_ms", "location")}
    assert "by 0.60 without a failure" in not_testable[0].reason
    assert any(test.signal.name == "latency_ms" for test in tests)


def test_unknown_signals_and_values_without_knots_are_skipped(baseline):
    length = baseline.signals["length"]
    signals = {"nonsense": length, "length": length.model_copy(update={"knots": None})}
    assert derive_tests(baseline.model_copy(update={"signals": signals}), REPLAY) == ([], [])


@pytest.mark.parametrize("of_baseline", [True, False])
def test_signals_that_depend_on_the_outcome_are_not_testable_if_records_are_sampled(of_baseline):
    rows = 30_000
    random = np.random.default_rng(2)
    columns = {
        **normal_world(1, rows),
        "index_age_s": random.uniform(0, 100, rows),
        "probe_blocked": np.ones(rows),
        "throughput_ratio": random.normal(1, 0.1, rows),
    }
    whole = learned(columns, REPLAY)
    sampled = whole.model_copy(update={"sampled": "tail"}) if of_baseline else whole
    tests, not_testable = derive_tests(sampled, REPLAY, is_sampled=not of_baseline)
    assert {test.signal.name for test in tests} == {"index_age_s", "probe_blocked", "throughput_ratio"}
    excluded = {test.key for test in not_testable if test.reason == NotTestable.SAMPLED_BY_OUTCOME}
    before, never_testable = derive_tests(whole, REPLAY)
    assert {key[0] for key in excluded} == normal_world(1, 1).keys()
    # The false-alarm budget is shared by the same tests, so thresholds do not change.
    assert [test.threshold for test in tests] == [test.threshold for test in before if test.key not in excluded]
    assert len(tests) + len(not_testable) == len(before) + len(never_testable)
