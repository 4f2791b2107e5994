import math

import numpy as np
import pytest
from scipy.stats import beta

from pipeline.detect.one_sided_tests.band import compute_band, confidence_high, shifted_tail
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals.channels import scale_odds
from schemas.baseline import Channel

REPLAY = DetectSettings(ready_after_s=1800)
LIVE = DetectSettings()


def channel(mean, *, variance=None, count=100_000, time=1.0, deviation=0.0) -> Channel:
    variance = mean * (1 - mean) if variance is None else variance
    return Channel(mean=mean, variance=variance, autocorrelation_time=time, slice_deviation=deviation, count=count)


def test_a_well_known_rate_has_its_tolerance_as_edge():
    edges = compute_band(channel(0.01), "rate", "page", REPLAY, sides=80, span_s=1800)
    assert edges.high == pytest.approx(scale_odds(0.01, 1.5))
    assert compute_band(channel(0.3), "rate", "page", REPLAY, sides=80, span_s=1800).low == pytest.approx(
        scale_odds(0.3, 1 / 1.5)
    )


def test_tickets_are_told_of_smaller_changes_than_pages():
    for name, mean, variance in (("rate", 0.2, None), ("high_tail", 0.01, None), ("location", 0.5, 1 / 12)):
        page = compute_band(channel(mean, variance=variance), name, "page", REPLAY, sides=80, span_s=1800)
        ticket = compute_band(channel(mean, variance=variance), name, "ticket", REPLAY, sides=80, span_s=1800)
        assert mean < ticket.high < page.high


def test_a_cause_is_held_to_the_band_of_a_page():
    arguments = {"sides": 80, "span_s": 1800}
    assert compute_band(channel(0.5), "location", "cause", REPLAY, **arguments) == compute_band(
        channel(0.5), "location", "page", REPLAY, **arguments
    )


def test_a_rate_never_seen_has_the_rule_of_logarithms_as_edge():
    edges = compute_band(channel(0.0, count=5000), "rate", "page", REPLAY, sides=80, span_s=1800)
    assert edges.high == pytest.approx(math.log(1000 * 80) / 5000, rel=0.01)
    assert edges.high_refusal is None


def test_the_confidence_limit_is_clopper_and_pearsons():
    assert confidence_high(7, 5000, 1e-5) == pytest.approx(beta.ppf(1 - 1e-5, 8, 4993))
    assert confidence_high(10, 10, 1e-5) == 1.0


def test_autocorrelation_leaves_fewer_records_and_a_wider_band():
    few = compute_band(channel(0.002, count=5000, time=20.0), "rate", "page", REPLAY, sides=80, span_s=1800)
    many = compute_band(channel(0.002, count=5000), "rate", "page", REPLAY, sides=80, span_s=1800)
    assert few.high > many.high


def test_more_sides_widen_every_band():
    few = compute_band(channel(0.001, count=5000), "rate", "page", REPLAY, sides=1, span_s=1800)
    many = compute_band(channel(0.001, count=5000), "rate", "page", REPLAY, sides=500, span_s=1800)
    assert many.high > few.high


def test_three_deviations_between_slices_are_no_news():
    edges = compute_band(
        channel(0.5, variance=1 / 12, deviation=0.05), "location", "page", REPLAY, sides=80, span_s=1800
    )
    assert edges.high == pytest.approx(0.65)
    assert edges.low == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("name", "mean", "deviation"), [("location", 0.5, 0.09), ("rate", 0.02, 0.03), ("high_tail", 0.01, 0.02)]
)
def test_a_band_too_wide_to_judge_says_so(name, mean, deviation):
    edges = compute_band(channel(mean, deviation=deviation), name, "page", REPLAY, sides=80, span_s=1800)
    assert "by itself" in (edges.high_refusal or "") or "by themselves" in (edges.high_refusal or "")


def test_a_rare_rate_is_judged_though_a_few_events_are_wide_in_odds():
    for events in range(8):
        edges = compute_band(channel(events / 5000, count=5000), "rate", "page", REPLAY, sides=80, span_s=1800)
        assert edges.high_refusal is None
        assert edges.high < 0.008


def test_a_mean_at_the_end_cannot_move_further():
    edges = compute_band(channel(1.0, variance=0.0), "location", "page", REPLAY, sides=80, span_s=1800)
    assert edges.high_refusal == "it cannot move that way"
    assert edges.low_refusal is None


def test_days_may_differ_until_three_whole_days_were_seen():
    usual = channel(0.5, variance=1 / 12)
    early = compute_band(usual, "location", "page", LIVE, sides=80, span_s=DAY_S)
    late = compute_band(usual, "location", "page", LIVE, sides=80, span_s=3 * DAY_S)
    assert early.high == pytest.approx(0.65)
    assert late.high == pytest.approx(0.58)


def test_the_floor_for_days_follows_the_rarer_outcome():
    edges = compute_band(channel(0.999), "rate", "page", LIVE, sides=80, span_s=DAY_S)
    assert 1 - edges.low == pytest.approx(scale_odds(0.001, 1.5), rel=0.01)


def test_a_replay_that_names_its_own_readiness_has_no_floor_for_days():
    edges = compute_band(channel(0.5, variance=1 / 12), "location", "page", REPLAY, sides=80, span_s=1800)
    assert edges.high == pytest.approx(0.58)


def test_a_channel_without_records_is_not_judged():
    edges = compute_band(channel(0.5, count=0), "rate", "page", REPLAY, sides=80, span_s=1800)
    assert edges.low_refusal == edges.high_refusal == "no records behind its mean"


def test_a_rare_rate_whose_slices_differ_by_chance_is_still_judged_because_its_edge_is_narrow_in_itself() -> None:
    rare = Channel(mean=0.0002, variance=0.0002, autocorrelation_time=1.0, slice_deviation=0.0003, count=51_200)
    found = compute_band(rare, "rate", "page", DetectSettings(), sides=90, span_s=90_000)
    assert found.high_refusal is None
    assert found.high < 0.002


def test_a_rate_that_swings_by_whole_percents_cannot_be_judged() -> None:
    wild = Channel(mean=0.01, variance=0.0099, autocorrelation_time=1.0, slice_deviation=0.02, count=51_200)
    found = compute_band(wild, "rate", "page", DetectSettings(), sides=90, span_s=90_000)
    assert found.high_refusal is not None
    assert "by themselves" in found.high_refusal


@pytest.mark.parametrize("shift", [0.1, 0.3, 0.5])
def test_a_tail_moves_with_its_value_as_that_of_a_normal_one_does(shift):
    values = np.random.default_rng(2).normal(size=400_000)
    tail = float(np.quantile(values, 0.99))
    moved = values + shift
    rank = float(np.searchsorted(np.sort(values), moved).mean() / values.size) - 0.5
    assert shifted_tail(0.01, rank) == pytest.approx(float((moved > tail).mean()), rel=0.1)


def test_what_does_not_move_has_a_tail_that_does_not():
    assert shifted_tail(0.01, 0.0) == pytest.approx(0.01)


def test_until_three_days_a_tail_may_follow_its_value():
    one, three = (
        compute_band(channel(0.01), "high_tail", "page", LIVE, sides=80, span_s=days * DAY_S) for days in (1, 3)
    )
    assert one.high == pytest.approx(shifted_tail(0.01, 0.15)) == pytest.approx(0.0374, rel=0.01)
    assert three.high == pytest.approx(scale_odds(0.01, 2.0))


@pytest.mark.parametrize("mean", [0.001, 0.004, 0.007, 0.01, 0.02])
def test_the_floor_of_days_makes_no_tail_too_wide_to_be_judged(mean):
    assert compute_band(channel(mean), "high_tail", "page", LIVE, sides=80, span_s=DAY_S).high_refusal is None
