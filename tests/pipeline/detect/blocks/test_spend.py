import numpy as np
import pytest

from pipeline.detect.admission.records import Records
from pipeline.detect.blocks.spend import HISTORY_MIN, RESOLUTION, SpendRatio
from pipeline.detect.blocks.throughput import request_weights
from pipeline.detect.signals.catalogue import SIGNAL_INDEX

COST, SPEND_RATIO = SIGNAL_INDEX["cost"], SIGNAL_INDEX["spend_ratio"]


def panes_of(per_s, seconds, *, seed=1, start=1000):
    """Return the panes of a Poisson stream."""
    return np.repeat(np.arange(start, start + seconds), np.random.default_rng(seed).poisson(per_s, seconds))


def costs_of(panes, *, mean=0.01, seed=2):
    """Return skewed costs with a mean."""
    return np.random.default_rng(seed).lognormal(np.log(mean) - 0.32, 0.8, panes.size)


def records_of(panes, costs, probabilities=None, labels=None):
    """Return requests with these costs. A cost that is NaN is not sent."""
    values = np.full((panes.size, Records.WIDTH), np.nan)
    values[:, COST] = costs
    return Records(
        values,
        np.ones(panes.size, dtype=bool),
        [None] * panes.size,
        labels or {},
        panes=panes,
        sampling_probabilities=probabilities,
    )


def fill(spend, panes, costs, **fields):
    """Return the column of the ratios."""
    records = records_of(panes, costs, **fields)
    spend.fill(records, request_weights(records))
    return records.values[:, SPEND_RATIO]


def ratios_of(column):
    return column[~np.isnan(column)]


def ratios_around(change_s, panes, costs):
    """Return the mean ratio in the minute and a half after a change, and in the last ten minutes."""
    column = fill(SpendRatio(), panes, costs)
    is_after = (panes > 1010 + change_s) & (panes < 1100 + change_s)
    return ratios_of(column[is_after]).mean(), ratios_of(column[panes > panes[-1] - 600]).mean()


def test_steady_spend_has_a_ratio_of_one_every_ten_seconds_after_half_an_hour():
    panes = panes_of(50, 7200)
    column = fill(SpendRatio(), panes, costs_of(panes))
    assert ratios_of(column).tolist() == [1.0] * (7200 // 10 - 1 - HISTORY_MIN)
    rows = np.flatnonzero(~np.isnan(column))
    assert (panes[rows] % 10 == 0).all()
    assert (panes[rows - 1] % 10 == 9).all()


def test_twice_the_price_doubles_the_ratio_until_the_hour_contains_it():
    panes = panes_of(50, 9000)
    costs = costs_of(panes) * np.where(panes < 1000 + 3600, 1.0, 2.0)
    assert ratios_around(3600, panes, costs) == pytest.approx((2, 1), abs=0.1)


def test_twice_as_many_requests_at_the_same_price_double_it_too():
    panes = np.concatenate([panes_of(50, 3600), panes_of(100, 5400, start=4600)])
    assert ratios_around(3600, panes, costs_of(panes)) == pytest.approx((2, 1), abs=0.1)


def test_twice_as_many_requests_at_half_the_price_change_nothing():
    panes = np.concatenate([panes_of(50, 3600), panes_of(100, 1800, start=4600)])
    costs = costs_of(panes) * np.where(panes < 1000 + 3600, 1.0, 0.5)
    assert ratios_around(3600, panes, costs) == pytest.approx((1, 1), abs=0.05)


def test_a_daily_cycle_of_the_requests_changes_nothing():
    seconds = np.arange(86_400)
    rates = 10 * (1 + 0.6 * np.sin(seconds * 2 * np.pi / 86_400))
    panes = np.repeat(seconds + 1000, np.random.default_rng(1).poisson(rates))
    spend = SpendRatio()
    parts = [fill(spend, part, np.full(part.size, 0.01)) for part in np.array_split(panes, 24)]
    ratios = ratios_of(np.concatenate(parts))
    hourly = np.array([part.mean() for part in np.array_split(ratios, 24)])
    assert hourly.max() < 1.1
    assert hourly.min() > 0.8, "late on a day, more was spent at this time on the day before"


def batches(days, *, from_hour=2, factor=4.0):
    """Return a stream that spends four times as much for an hour of each day."""
    seconds = np.arange(days * 86_400)
    rates = np.where(seconds // 3600 % 24 == from_hour, factor, 1.0) * 2
    return np.repeat(seconds + 86_400, np.random.default_rng(1).poisson(rates))


def hourly_ratios(panes, spend=None):
    spend = SpendRatio() if spend is None else spend
    parts = [fill(spend, panes[panes // 3600 == hour], 0.01) for hour in np.unique(panes // 3600)]
    return np.array([ratios_of(part).mean() if ratios_of(part).size else np.nan for part in parts])


def test_what_is_spent_at_a_time_of_day_is_known_after_one_day():
    ratios = hourly_ratios(batches(3))
    assert ratios[2] > 1.5
    assert np.nanmax(ratios[[26, 50]]) < 1.1
    assert ratios[[25, 27]] == pytest.approx(0.25, abs=0.1), "the next hour may spend as much"
    assert ratios[30:48] == pytest.approx(1.0, abs=0.1)


def test_from_three_days_on_the_failure_of_one_day_does_not_hide_the_next():
    panes = batches(5, factor=1.0)
    days = (panes - 86_400) // 86_400
    is_failure = (panes // 3600 % 24 == 10) & np.isin(days, (3, 4))
    costs = np.where(is_failure, 0.1, 0.01)
    spend = SpendRatio()
    ratios = [
        fill(spend, panes[panes // 3600 == hour], costs[panes // 3600 == hour]) for hour in np.unique(panes // 3600)
    ]
    assert ratios_of(ratios[3 * 24 + 10]).mean() > 2.0
    assert ratios_of(ratios[4 * 24 + 10]).mean() > 2.0


def test_the_peaks_of_the_hours_survive_a_restart():
    panes = batches(2)
    spend, restored = SpendRatio(), SpendRatio()
    hourly_ratios(panes[panes < 2 * 86_400], spend)
    restored.load(spend.dump())
    rest = panes[panes >= 2 * 86_400]
    assert hourly_ratios(rest, restored).tolist() == hourly_ratios(rest, spend).tolist()


def test_kept_records_stand_for_all_requests():
    panes = panes_of(100, 5400)
    probabilities = np.where(panes < 1000 + 3600, 1.0, 0.1)
    is_kept = np.random.default_rng(4).random(panes.size) < probabilities
    panes, probabilities = panes[is_kept], probabilities[is_kept]
    column = fill(SpendRatio(), panes, np.full(panes.size, 0.01), probabilities=probabilities)
    assert ratios_of(column[panes > 4610]).mean() == pytest.approx(1, abs=0.05)


def test_records_of_unknown_weight_have_no_ratio():
    panes = panes_of(20, 3600)
    assert not ratios_of(fill(SpendRatio(), panes, costs_of(panes), labels={"sampled": ["tail"] * panes.size})).size


def test_requests_without_a_cost_have_no_ratio_and_change_none():
    panes = panes_of(30, 5400)
    costs = costs_of(panes)
    has_cost = np.random.default_rng(3).random(panes.size) < 0.7
    column = fill(SpendRatio(), panes, np.where(has_cost, costs, np.nan))
    assert np.isnan(column[~has_cost]).all()
    np.testing.assert_array_equal(column[has_cost], fill(SpendRatio(), panes[has_cost], costs[has_cost]))
    assert ratios_of(column).size


def test_costs_that_are_missing_for_an_hour_are_not_an_increase_when_they_return():
    panes = panes_of(50, 10_800)
    costs = np.where((panes > 4600) & (panes < 8200), np.nan, costs_of(panes))
    assert ratios_of(fill(SpendRatio(), panes, costs)).max() == 1.0


def test_requests_that_cost_nothing_have_no_ratio():
    panes = panes_of(20, 3600)
    assert not ratios_of(fill(SpendRatio(), panes, np.zeros(panes.size))).size


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_and_restores_change_nothing(size):
    panes = np.concatenate([panes_of(1.5, 2100), panes_of(0.2, 600, start=3200), panes_of(4, 60, start=3900)])
    costs = costs_of(panes) * np.random.default_rng(5).choice([1.0, 1e12, 1e-9], panes.size)
    costs[np.random.default_rng(6).random(panes.size) < 0.2] = np.nan
    at_once = SpendRatio()
    expected = fill(at_once, panes, costs)
    assert ratios_of(expected).size
    assert (ratios_of(expected) % RESOLUTION == 0).all()
    spend, parts = SpendRatio(), []
    for start in range(0, panes.size, size):
        parts.append(fill(spend, panes[start : start + size], costs[start : start + size]))
        restored = SpendRatio()
        restored.load(spend.dump())
        spend = restored
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert spend.dump() == at_once.dump()
