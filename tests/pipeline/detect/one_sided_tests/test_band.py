import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import beta

from pipeline.detect.one_sided_tests.band import compute_band, confidence_high, shift_tail
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals.channels import scale_odds
from schemas.baseline import Channel

REPLAY = DetectSettings(ready_after_s=1800)
LIVE = DetectSettings()


def channel(mean, *, variance=None, count=100_000, time=1.0, deviation=0.0) -> Channel:
    variance = mean * (1 - mean) if variance is None else variance
    return Channel(mean=mean, variance=variance, autocorrelation_time=time, slice_deviation=deviation, count=count)


def test_the_null_boundary_of_a_well_known_rate_is_its_tolerance():
    band = compute_band(channel(0.01), "rate", "page", REPLAY, test_count=80, span_s=1800)
    assert band.high == pytest.approx(scale_odds(0.01, 1.5))
    assert compute_band(channel(0.3), "rate", "page", REPLAY, test_count=80, span_s=1800).low == pytest.approx(
        scale_odds(0.3, 1 / 1.5)
    )


def test_tickets_have_a_narrower_band_than_pages():
    for name, mean, variance in (("rate", 0.2, None), ("high_tail", 0.01, None), ("location", 0.5, 1 / 12)):
        page = compute_band(channel(mean, variance=variance), name, "page", REPLAY, test_count=80, span_s=1800)
        ticket = compute_band(channel(mean, variance=variance), name, "ticket", REPLAY, test_count=80, span_s=1800)
        assert mean < ticket.high < page.high


def test_a_cause_has_the_band_of_a_page():
    arguments = {"test_count": 80, "span_s": 1800}
    assert compute_band(channel(0.5), "location", "cause", REPLAY, **arguments) == compute_band(
        channel(0.5), "location", "page", REPLAY, **arguments
    )


def test_the_null_boundary_of_a_rate_without_events_follows_from_the_error():
    band = compute_band(channel(0.0, count=5000), "rate", "page", REPLAY, test_count=80, span_s=1800)
    assert band.high == pytest.approx(math.log(1000 * 80) / 5000, rel=0.01)
    assert band.high_not_testable is None


def test_the_confidence_limit_is_that_of_clopper_and_pearson():
    assert confidence_high(7, 5000, 1e-5) == pytest.approx(beta.ppf(1 - 1e-5, 8, 4993))
    assert confidence_high(10, 10, 1e-5) == 1.0


def test_autocorrelation_widens_the_band():
    few = compute_band(channel(0.002, count=5000, time=20.0), "rate", "page", REPLAY, test_count=80, span_s=1800)
    many = compute_band(channel(0.002, count=5000), "rate", "page", REPLAY, test_count=80, span_s=1800)
    assert few.high > many.high


def test_more_tests_widen_every_band():
    few = compute_band(channel(0.001, count=5000), "rate", "page", REPLAY, test_count=1, span_s=1800)
    many = compute_band(channel(0.001, count=5000), "rate", "page", REPLAY, test_count=500, span_s=1800)
    assert many.high > few.high


def test_three_deviations_between_slices_are_inside_the_band():
    band = compute_band(
        channel(0.5, variance=1 / 12, deviation=0.05), "location", "page", REPLAY, test_count=80, span_s=1800
    )
    assert band.high == pytest.approx(0.65)
    assert band.low == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("name", "mean", "deviation"), [("location", 0.5, 0.09), ("rate", 0.02, 0.03), ("high_tail", 0.01, 0.1)]
)
def test_a_band_that_is_too_wide_is_not_testable(name, mean, deviation):
    band = compute_band(channel(mean, deviation=deviation), name, "page", REPLAY, test_count=80, span_s=1800)
    assert "without a failure" in (band.high_not_testable or "")


def test_a_rare_rate_is_testable_although_its_band_is_wide_in_odds():
    for events in range(8):
        band = compute_band(channel(events / 5000, count=5000), "rate", "page", REPLAY, test_count=80, span_s=1800)
        assert band.high_not_testable is None
        assert band.high < 0.008


def test_a_mean_at_the_end_of_its_range_is_testable_in_one_direction_only():
    band = compute_band(channel(1.0, variance=0.0), "location", "page", REPLAY, test_count=80, span_s=1800)
    assert band.high_not_testable == "its mean is already at that end of its range"
    assert band.low_not_testable is None


def test_the_day_floor_applies_until_three_whole_days():
    learned = channel(0.5, variance=1 / 12)
    early = compute_band(learned, "location", "page", LIVE, test_count=80, span_s=DAY_S)
    late = compute_band(learned, "location", "page", LIVE, test_count=80, span_s=3 * DAY_S)
    assert early.high == pytest.approx(0.65)
    assert late.high == pytest.approx(0.58)


def test_the_day_floor_is_relative_to_the_rarer_outcome():
    band = compute_band(channel(0.999), "rate", "page", LIVE, test_count=80, span_s=DAY_S)
    assert 1 - band.low == pytest.approx(scale_odds(0.001, 1.5), rel=0.01)


def test_a_replay_with_a_short_readiness_has_no_day_floor():
    band = compute_band(channel(0.5, variance=1 / 12), "location", "page", REPLAY, test_count=80, span_s=1800)
    assert band.high == pytest.approx(0.58)


def test_a_channel_without_records_is_not_testable():
    band = compute_band(channel(0.5, count=0), "rate", "page", REPLAY, test_count=80, span_s=1800)
    assert band.low_not_testable == band.high_not_testable == "the baseline has no records of it"


def test_a_rare_rate_whose_slices_differ_by_chance_is_testable() -> None:
    rare = Channel(mean=0.0002, variance=0.0002, autocorrelation_time=1.0, slice_deviation=0.0003, count=51_200)
    band = compute_band(rare, "rate", "page", DetectSettings(), test_count=90, span_s=90_000)
    assert band.high_not_testable is None
    assert band.high < 0.002


def test_a_rate_that_varies_by_whole_percents_is_not_testable() -> None:
    wild = Channel(mean=0.01, variance=0.0099, autocorrelation_time=1.0, slice_deviation=0.02, count=51_200)
    band = compute_band(wild, "rate", "page", DetectSettings(), test_count=90, span_s=90_000)
    assert band.high_not_testable is not None
    assert "-fold without a failure" in band.high_not_testable


@pytest.mark.parametrize("shift", [0.1, 0.3, 0.5])
def test_a_tail_shifts_like_that_of_a_normal_value(shift):
    values = np.random.default_rng(2).normal(size=400_000)
    tail = float(np.quantile(values, 0.99))
    shifted = values + shift
    rank = float(np.searchsorted(np.sort(values), shifted).mean() / values.size) - 0.5
    assert shift_tail(0.01, rank) == pytest.approx(float((shifted > tail).mean()), rel=0.1)


def test_without_a_shift_the_tail_is_unchanged():
    assert shift_tail(0.01, 0.0) == pytest.approx(0.01)


def test_the_day_floor_of_a_tail_is_that_of_its_value_shifted():
    one, three = (
        compute_band(channel(0.01), "high_tail", "page", LIVE, test_count=80, span_s=days * DAY_S) for days in (1, 3)
    )
    assert one.high == pytest.approx(shift_tail(0.01, 0.15)) == pytest.approx(0.0374, rel=0.01)
    assert three.high == pytest.approx(scale_odds(0.01, 2.0))


@pytest.mark.parametrize("mean", [0.001, 0.004, 0.007, 0.01, 0.02])
def test_with_the_day_floor_a_tail_stays_testable(mean):
    assert compute_band(channel(mean), "high_tail", "page", LIVE, test_count=80, span_s=DAY_S).high_not_testable is None


def test_a_tail_may_be_as_heavy_as_the_normal_moves_of_the_mean_make_it() -> None:
    """A queue whose level varies from hour to hour: few values per hour do not show it in the tail, but in the mean."""
    random = np.random.default_rng(4)
    levels = random.normal(0.0, 0.25, 200)
    normal = random.normal(levels[:, None], 1.0, (200, 16))
    limit = float(np.quantile(normal, 0.99))
    ranks = np.argsort(np.argsort(normal.ravel())).reshape(normal.shape) / normal.size
    deviation = float(np.sqrt(ranks.mean(axis=1).var() - ranks.var() / 16))
    tail = Channel(mean=0.01, variance=0.0099, autocorrelation_time=1.0, slice_deviation=0.0, count=100_000)
    bands = [
        compute_band(
            tail, "high_tail", "page", DetectSettings(), test_count=90, span_s=8 * DAY_S, location_deviation=each
        ).high
        for each in (0.0, deviation)
    ]
    heaviest = [float(ndtr(level - limit)) for level in random.normal(0.0, 0.25, 1000)]
    above = [sum(share > high for share in heaviest) for high in bands]
    assert above[0] > 50
    assert above[1] <= 5


def test_the_day_floor_is_divided_by_the_days_and_gone_with_five() -> None:
    location = Channel(mean=0.5, variance=1 / 12, autocorrelation_time=1.0, slice_deviation=0.0, count=1_000_000)
    rate = Channel(mean=0.1, variance=0.09, autocorrelation_time=1.0, slice_deviation=0.0, count=1_000_000)
    widths = {
        days: [
            compute_band(learned, name, "ticket", DetectSettings(), test_count=90, span_s=days * DAY_S).high
            - learned.mean
            for learned, name in ((location, "location"), (rate, "rate"))
        ]
        for days in (1.0, 1.9, 2.0, 2.9, 3.0, 4.0, 5.0)
    }
    assert widths[1.0] == widths[1.9] == [pytest.approx(0.15), pytest.approx(0.03)]
    assert widths[2.0] == widths[2.9] == [pytest.approx(0.075), pytest.approx(0.022, abs=0.001)]
    assert [widths[days][0] for days in (3.0, 4.0, 5.0)] == [pytest.approx(half) for half in (0.05, 0.0375, 0.03)]
    assert widths[3.0][1] == widths[5.0][1] == pytest.approx(0.022, abs=0.001)


def test_few_days_widen_the_band_of_the_ticket_of_a_tail() -> None:
    tail = Channel(mean=0.01, variance=0.0099, autocorrelation_time=1.0, slice_deviation=0.01, count=1_000_000)

    def width(tier, days):
        band = compute_band(tail, "high_tail", tier, LIVE, test_count=90, span_s=days * DAY_S)
        assert band.high_not_testable is None
        return band.high - tail.mean

    assert [width("ticket", days) for days in (1, 3, 4, 5)] == pytest.approx([0.24, 0.092, 0.068, 0.03], abs=0.002)
    assert width("page", 3) == pytest.approx(0.39), "a tail whose band is wide pages above 40 %"


@pytest.mark.parametrize(("deviation", "high"), [(0.05, 0.037), (0.09, 0.1), (0.2, 0.195)])
def test_from_the_second_day_the_band_of_a_tail_follows_its_location_and_stays_testable(deviation, high) -> None:
    tail = Channel(mean=0.01, variance=0.0099, autocorrelation_time=1.0, slice_deviation=0.0, count=100_000)
    first, second, page = (
        compute_band(tail, "high_tail", tier, LIVE, test_count=90, span_s=days * DAY_S, location_deviation=deviation)
        for days, tier in ((1.0, "ticket"), (2.0, "ticket"), (2.0, "page"))
    )
    assert page.high == page.high_null == (0.4 if high > 0.04 else second.high)
    assert page.high_not_testable is None
    assert second.high == pytest.approx(high, rel=0.03)
    assert first.high <= scale_odds(0.01, LIVE.band_odds_max) * 1.001
    assert first.high_not_testable is second.high_not_testable is None


def test_the_null_boundaries_of_a_rate_ticket_exclude_the_tolerance_from_two_days_on() -> None:
    rate = channel(0.3, count=300_000)
    one, two = (compute_band(rate, "rate", "ticket", LIVE, test_count=90, span_s=days * DAY_S) for days in (1.9, 2.0))
    assert (one.low_null, one.high_null) == (one.low, one.high)
    assert (two.low, two.high) == (
        pytest.approx(scale_odds(0.3, 1 / 1.25)),
        pytest.approx(scale_odds(0.3, 1.25)),
    )
    half = two.high_null - 0.3
    assert half == pytest.approx(confidence_high(90_000, 300_000, 1e-3 / 90) - 0.3)
    assert 0.3 - two.low_null == pytest.approx(half, rel=0.05)


def test_the_null_boundary_of_a_rate_ticket_contains_the_spread_and_more_than_the_tolerance_if_it_is_wide() -> None:
    band = compute_band(channel(0.3, deviation=0.03), "rate", "ticket", LIVE, test_count=90, span_s=2 * DAY_S)
    assert band.high_null == band.high == pytest.approx(0.39)


@pytest.mark.parametrize(
    ("name", "tier", "mean", "variance"),
    [("rate", "page", 0.3, None), ("high_tail", "ticket", 0.01, None), ("location", "ticket", 0.5, 1 / 12)],
)
def test_other_null_boundaries_are_the_ends_of_the_band(name, tier, mean, variance) -> None:
    band = compute_band(channel(mean, variance=variance), name, tier, LIVE, test_count=90, span_s=5 * DAY_S)
    assert (band.low_null, band.high_null) == (band.low, band.high)
