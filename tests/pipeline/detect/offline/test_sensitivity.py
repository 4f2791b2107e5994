"""The smallest listed change of a signal changes the mean rank by the required amount."""

import numpy as np
import pytest

from pipeline.detect.baselines.ranks import RankTable, RankTables, compute_knots
from pipeline.detect.offline.sensitivity import smallest_changes
from pipeline.detect.settings import DetectSettings
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


def test_the_size_of_a_rate_is_its_null_boundary_and_smaller_for_a_ticket():
    rate = SignalBaseline(kind="rate", count=100_000, mean=0.01, channels={"rate": channel(0.01, 0.0099)})
    by_tier = {change.tier: change for change in smallest_changes(baseline(refused=rate), DetectSettings())}
    assert 0.01 < by_tier["ticket"].size < by_tier["page"].size < 0.02
    assert {change.direction for change in by_tier.values()} == {"up"}


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
    by_tier = {change.tier: change for change in smallest_changes(baseline(index_age_s=value), DetectSettings())}
    assert (by_tier["ticket"].channel, by_tier["ticket"].size) == ("overdue", 87_600.0)
    assert (by_tier["page"].size, by_tier["page"].reason) == (
        None,
        "a page needs at least 7 resets, and its baseline has 1",
    )
