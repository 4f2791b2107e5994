import math

import pytest

from pipeline.correlate.severity.table import SeverityTable
from pipeline.detect.one_sided_tests.one_sided_test import NEVER_DEMOTED, YEAR_S, derive_tests, fleet_updates, threshold
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.worlds import learned, normal_world

REPLAY = DetectSettings(ready_after_s=600)


@pytest.fixture(scope="module")
def baseline():
    return learned(normal_world(1, 30_000), REPLAY)


def test_a_threshold_follows_from_updates_and_wished_false_alarms():
    assert threshold(100 * 50, 1 / YEAR_S) == 28.0
    assert threshold(5000 * 90, 1 / YEAR_S) == 32.5
    assert threshold(0.0, 1 / YEAR_S) == 1.0


def test_thresholds_are_those_of_the_design():
    exact = math.log(8 * fleet_updates(100 * 50, 0, 1) * YEAR_S)
    assert exact == pytest.approx(27.9, abs=0.05)
    assert threshold(fleet_updates(100 * 50, 0, 1), 1 / YEAR_S) == 28.0
    assert math.log(8 * fleet_updates(100 * 5000, 4, 1) * YEAR_S) == pytest.approx(34, abs=0.1)


def test_a_fleet_and_its_segments_share_the_false_alarms_wished(baseline):
    def heights(**settings):
        return {side.tier: side.threshold for side in derive_tests(baseline, REPLAY.model_copy(update=settings))[0]}

    alone = heights(fleet_subjects=1, segments=())
    assert heights(fleet_subjects=1)["page"] - alone["page"] == pytest.approx(math.log(3), abs=0.5)
    assert heights(fleet_subjects=1, segments=("tenant",))["page"] - alone["page"] == pytest.approx(
        math.log(2), abs=0.5
    )
    assert heights(fleet_subjects=1)["ticket"] == alone["ticket"]
    fleet = heights(fleet_subjects=1000, segments=())
    assert all(fleet[tier] - alone[tier] == pytest.approx(math.log(1000), abs=0.5) for tier in ("page", "ticket"))


def test_what_is_never_demoted_is_what_can_be_a_p1_or_p2():
    grave = {
        mode
        for rule in SeverityTable.default().rules
        if rule.severity in ("P1", "P2")
        for mode in rule.when.failure_modes
    }
    assert grave
    assert grave | {"filter_over_blocking"} == NEVER_DEMOTED


def test_each_tier_has_its_own_threshold(baseline):
    sides, _ = derive_tests(baseline, REPLAY)
    by_tier = {side.tier: side.threshold for side in sides}
    assert by_tier["ticket"] < by_tier["page"]
    assert {side.threshold for side in sides} == set(by_tier.values())


def test_more_false_alarms_allowed_are_a_lower_threshold(baseline):
    lax = derive_tests(baseline, REPLAY.model_copy(update={"false_pages_per_year": 100.0}))[0]
    strict = derive_tests(baseline, REPLAY)[0]
    assert lax[0].threshold < strict[0].threshold


def test_every_side_has_its_bad_direction_and_edge(baseline):
    sides, unjudged = derive_tests(baseline, REPLAY)
    named = {(side.signal.name, side.channel, side.direction, side.tier): side for side in sides}
    assert ("latency_ms", "location", "up", "page") in named
    assert ("latency_ms", "location", "down", "page") not in named
    assert ("length", "location", "down", "page") in named
    assert ("length", "high_tail", "up", "page") not in named
    assert (named["confidence", "location", "down", "page"].stakes < 0).all()
    assert (named["confidence", "low_tail", "down", "page"].stakes > 0).all()
    assert unjudged == []


def test_the_way_back_ends_at_the_edge_at_most_and_its_bets_point_home(baseline):
    for side in derive_tests(baseline, REPLAY)[0]:
        for worst in (0.0, side.mean, side.null_boundary, 0.5, 1.0):
            null, stakes = side.recovery_test(worst)
            assert null >= side.null_boundary - 1e-9 if side.rising else null <= side.null_boundary + 1e-9
            assert (stakes < 0).all() if side.rising else (stakes > 0).all()
            assert (1 + stakes * (0 - null) > 0).all()
            assert (1 + stakes * (1 - null) > 0).all()


def test_what_cannot_be_judged_is_named_with_its_reason(baseline):
    latency = baseline.signals["latency_ms"]
    wild = latency.channels["location"].model_copy(update={"slice_deviation": 0.2})
    channels = {**latency.channels, "location": wild}
    signals = {**baseline.signals, "latency_ms": latency.model_copy(update={"channels": channels})}
    sides, unjudged = derive_tests(baseline.model_copy(update={"signals": signals}), REPLAY)
    assert {(each.signal.name, each.channel) for each in unjudged} == {("latency_ms", "location")}
    assert "0.60 by itself" in unjudged[0].reason
    assert any(side.signal.name == "latency_ms" for side in sides)


def test_a_signal_that_nobody_knows_or_without_knots_is_not_watched(baseline):
    length = baseline.signals["length"]
    signals = {"nonsense": length, "length": length.model_copy(update={"knots": None})}
    assert derive_tests(baseline.model_copy(update={"signals": signals}), REPLAY) == ([], [])
