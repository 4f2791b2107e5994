"""The smallest change: what the table promises is what a shifted stream really does to the mean rank."""

import numpy as np
import pytest

from pipeline.detect.baselines.rank import RankTable, compute_knots
from pipeline.detect.offline.sensitivity import shift_for_mean_rank, smallest_changes
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline, Channel, SignalBaseline

HOUR_MS = 3_600_000


def baseline(**signals):
    return Baseline(
        subject="bot", baseline_version="v", source="file", learned_from=1_795_000_000_000,
        learned_to=1_795_000_000_000 + 96 * HOUR_MS, records=100_000, signals=signals,
    )  # fmt: skip


def channel(mean, variance):
    return Channel(mean=mean, variance=variance, autocorrelation_time=1, slice_deviation=0, count=100_000)


@pytest.mark.parametrize("mean_rank", [0.42, 0.55, 0.58, 0.7])
def test_values_moved_by_the_shift_have_the_mean_rank(mean_rank):
    values = np.random.default_rng(1).lognormal(6, 0.5, 20_000)
    knots = np.asarray(compute_knots(values))
    moved = values + shift_for_mean_rank(knots, mean_rank)
    assert RankTable(knots.tolist()).ranks(moved).mean() == pytest.approx(mean_rank, abs=0.003)


def test_no_change_of_rank_is_no_shift():
    assert shift_for_mean_rank(np.linspace(0, 1, 513), 0.5) == pytest.approx(0, abs=1e-3)


def test_a_rate_tells_the_mean_at_which_it_is_news_and_a_ticket_sees_less():
    rate = SignalBaseline(kind="rate", count=100_000, mean=0.01, channels={"rate": channel(0.01, 0.0099)})
    found = {change.tier: change for change in smallest_changes(baseline(refused=rate), DetectSettings())}
    assert 0.01 < found["ticket"].by < found["page"].by < 0.02
    assert {change.side for change in found.values()} == {"up"}


def test_what_cannot_be_judged_says_why():
    wobbly = channel(0.5, 1 / 12).model_copy(update={"slice_deviation": 0.2})
    value = SignalBaseline(
        kind="amount", count=100_000, knots=np.linspace(0, 1, 513).tolist(), channels={"location": wobbly}
    )
    found = smallest_changes(baseline(latency_ms=value), DetectSettings())
    assert found
    assert all(change.by is None and "by itself" in change.reason for change in found)
