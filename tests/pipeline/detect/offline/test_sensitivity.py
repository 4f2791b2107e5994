"""The smallest listed change of a signal changes the mean rank by the required amount."""

import numpy as np
import pytest

from pipeline.detect.baselines.ranks import RankTable, RankTables, compute_knots
from pipeline.detect.offline.sensitivity import smallest_changes
from pipeline.detect.one_sided_tests import derive_tests
from pipeline.detect.settings import DAY_S, DetectSettings
from schemas.baseline import AgeCycles, Baseline, Channel, SignalBaseline

HOUR_MS = 3_600_000


def baseline(**signals):
    return Baseline(
        subject="bot",
        baseline_version="v",
        source="file",
        learned_from=1_795_000_000_000,
        learned_to=1_795_000_000_000 + 96 * HOUR_MS,
        records=100_000,
        signals=signals,
    )


def channel(mean, variance):
    return Channel(mean=mean, variance=variance, autocorrelation_time=1, slice_deviation=0, count=100_000)


@pytest.mark.parametrize("mean_rank", [0.42, 0.55, 0.58, 0.7])
def test_values_changed_by_the_shift_have_the_mean_rank(mean_rank):
    values = np.random.default_rng(1).lognormal(6, 0.5, 20_000)
    knots = np.asarray(compute_knots(values))
    shifted = values + RankTables.shift_for_mean_rank(knots, mean_rank)
    assert RankTable(knots.tolist()).ranks(shifted).mean() == pytest.approx(mean_rank, abs=0.003)


def test_no_change_of_rank_is_no_shift():
    assert RankTables.shift_for_mean_rank(np.linspace(0, 1, 513), 0.5) == pytest.approx(0, abs=1e-3)


def rate_baseline(count):
    rate = SignalBaseline(kind="rate", count=count, mean=0.01, channels={"rate": channel(0.01, 0.0099)})
    return baseline(refused=rate)


def value_baseline(count):
    knots = np.random.default_rng(3).lognormal(6, 0.5, 20_000)
    learned = {"location": channel(0.5, 1 / 12)}
    return baseline(latency_ms=SignalBaseline(kind="amount", count=count, knots=compute_knots(knots), channels=learned))


def by_tier(learned):
    return {change.tier: change for change in smallest_changes(learned, DetectSettings())}


def test_the_smallest_change_of_a_rate_is_beyond_its_boundary_and_smaller_for_a_ticket():
    changes = by_tier(rate_baseline(1_000_000))
    assert 0.0125 <= changes["ticket"].size < changes["page"].size < 0.02
    assert {change.direction for change in changes.values()} == {"up"}


@pytest.mark.parametrize("learned", [rate_baseline, value_baseline])
def test_few_records_show_large_changes_only_and_later(learned):
    many, few, fewer = (by_tier(learned(count)) for count in (100_000, 4_000, 40))
    for tier in ("page", "ticket"):
        assert many[tier].size < few[tier].size
        assert (many[tier].within_s, few[tier].within_s) == (DAY_S, DAY_S)
        assert few[tier].size < fewer[tier].size
    assert fewer["page"].within_s == 7 * DAY_S, "a page needs 20 records"


def test_no_change_is_listed_if_four_weeks_of_records_show_none():
    page = by_tier(rate_baseline(1))["page"]
    assert page.size is None
    assert "too few" in page.reason


@pytest.mark.parametrize("learned", [rate_baseline(60_000), value_baseline(60_000)], ids=["rate", "value"])
@pytest.mark.parametrize("tier", ["page", "ticket"])
def test_the_smallest_change_is_detected_nine_of_ten_times_within_a_day(learned, tier):
    random, runs, records = np.random.default_rng(5), 200, 60_000 // 4
    change = by_tier(learned)[tier]
    (test,) = (one for one in derive_tests(learned, DetectSettings())[0] if one.key[3] == tier and one.rising)
    if change.channel == "rate":
        numbers = (random.random((runs, records)) < change.size).astype(float)
    else:
        table = RankTable(learned.signals["latency_ms"].knots)
        numbers = table.ranks(random.lognormal(6, 0.5, (runs, records)) + change.size)
    found = np.zeros(runs, dtype=bool)
    for stake in test.stakes:
        path = np.cumsum(np.log1p(stake * (numbers - test.null_boundary)) * test.weight, axis=1)
        lowest = np.minimum.accumulate(np.minimum(path, 0.0), axis=1)
        found |= ((path - lowest) >= test.threshold).any(axis=1)
    assert 0.85 <= found.mean() <= 1.0
    assert change.within_s == DAY_S


def test_a_signal_that_is_not_testable_has_a_reason():
    unsteady = channel(0.5, 1 / 12).model_copy(update={"slice_deviation": 0.2})
    value = SignalBaseline(
        kind="amount", count=100_000, knots=np.linspace(0, 1, 513).tolist(), channels={"location": unsteady}
    )
    changes = smallest_changes(baseline(latency_ms=value), DetectSettings())
    assert changes
    assert all(change.size is None and "by 0.60 without a failure" in change.reason for change in changes)


def test_an_age_has_its_limit_or_the_reason_why_it_has_none():
    cycles = AgeCycles(longest=86_400, resets=1, mean=86_400)
    value = SignalBaseline(
        kind="age",
        count=100_000,
        knots=np.linspace(0, 86_400, 513).tolist(),
        channels={"overdue": channel(0.0, 0.0)},
        ages=cycles,
    )
    changes = by_tier(baseline(index_age_s=value))
    assert (changes["ticket"].channel, changes["ticket"].size) == ("overdue", 87_600.0)
    assert (changes["page"].size, changes["page"].reason) == (
        None,
        "a page needs at least 7 resets, and its baseline has 1",
    )
