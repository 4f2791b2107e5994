"""Records that change by less than the smallest change that matters have means within the band, whatever their distribution."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.detect.baselines.ranks import RankTable, compute_knots
from pipeline.detect.one_sided_tests.band import Band
from pipeline.detect.one_sided_tests.smallest_effect import find_indifferent_means, find_indifferent_share
from pipeline.detect.signals import channels
from pipeline.detect.signals.catalogue import SIGNALS, SmallestEffect
from schemas.baseline import SignalBaseline

LATENCY, ERROR = SIGNALS[0], SIGNALS[2]
COUNT = 40_000
SAMPLING_ERROR = 0.012
"""More than the error of a mean of so many records, and of 513 knots."""

RANDOM = np.random.default_rng(5)
DISTRIBUTIONS = {
    "normal": RANDOM.normal(400, 40, COUNT),
    "skewed": RANDOM.lognormal(6, 0.8, COUNT),
    "two modes": np.where(RANDOM.random(COUNT) < 0.2, RANDOM.normal(8, 1, COUNT), RANDOM.normal(2500, 300, COUNT)),
    "whole numbers": RANDOM.poisson(3, COUNT).astype(float),
    "negative": RANDOM.normal(-50, 5, COUNT),
}
MOVES = {
    "all up": lambda values, sizes: values + sizes,
    "all down": lambda values, sizes: values - sizes,
    "half of the way": lambda values, sizes: values + sizes / 2,
    "to the median": lambda values, sizes: np.clip(np.median(values), values - sizes, values + sizes),
    "each somewhere": lambda values, sizes: values + sizes * np.random.default_rng(6).uniform(-1, 1, values.size),
}


def learned(values):
    return SignalBaseline(kind="amount", count=values.size, knots=compute_knots(values))


def signal(kind, size, of=LATENCY):
    return replace(of, smallest=SmallestEffect(kind, size))


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("kind", ["smallest_change", "smallest_relative_change"])
def test_means_and_shares_after_a_smaller_change_do_not_matter(kind, name, move):
    values, is_relative = DISTRIBUTIONS[name], kind == "smallest_relative_change"
    size = 0.1 if is_relative else 0.3 * float(np.std(values))
    sizes = 0.999 * size * (np.abs(values) if is_relative else np.ones(values.size))
    table = RankTable(compute_knots(values))
    before, after = table.ranks(values), table.ranks(MOVES[move](values, sizes))
    tested = signal(kind, size)
    for channel in channels.VALUE_CHANNELS:
        mean, moved = (float(channels.from_rank(channel, ranks).mean()) for ranks in (before, after))
        low, high = find_indifferent_means(tested, learned(values), channel, mean)
        assert low - SAMPLING_ERROR <= moved <= high + SAMPLING_ERROR, channel
    for number in range(channels.BINS):
        share, moved = (float(np.mean(channels.find_bins(r, np.ones(r.size)) == number)) for r in (before, after))
        low, high = find_indifferent_share(tested, learned(values), number, share)
        assert low - SAMPLING_ERROR <= moved <= high + SAMPLING_ERROR, number


@pytest.mark.parametrize("name", ["normal", "skewed", "negative"])
def test_a_change_of_all_values_by_twice_the_smallest_is_outside(name):
    values = DISTRIBUTIONS[name]
    size = 0.2 * float(np.std(values))
    tested, table = signal("smallest_change", size), RankTable(compute_knots(values))
    for sign in (1, -1):
        low, high = find_indifferent_means(tested, learned(values), "location", 0.5)
        moved = float(table.ranks(values + sign * 2 * size).mean())
        assert moved > high + SAMPLING_ERROR or moved < low - SAMPLING_ERROR


def test_the_odds_ratio_of_a_value_is_that_of_a_value_above_one_of_the_baseline():
    values = DISTRIBUTIONS["normal"]
    low, high = find_indifferent_means(signal("smallest_odds_ratio", 3.0), learned(values), "location", 0.5)
    assert (low, high) == (pytest.approx(0.25, abs=0.005), pytest.approx(0.75, abs=0.005))
    # A shift by this much makes the tail of a normal distribution heavier than an odds ratio of 3 would.
    assert find_indifferent_means(signal("smallest_odds_ratio", 3.0), learned(values), "high_tail", 0.01)[1] > 0.05


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        ("smallest_change", 0.02, (0.08, 0.12)),
        ("smallest_relative_change", 0.5, (0.05, 0.15)),
        ("smallest_odds_ratio", 3.0, (1 / 28, 0.25)),
    ],
)
def test_the_smallest_change_of_a_rate_is_one_of_its_mean(kind, size, expected):
    rate = SignalBaseline(kind="rate", count=1000)
    assert find_indifferent_means(signal(kind, size, ERROR), rate, "rate", 0.1) == pytest.approx(expected)


def test_a_band_never_becomes_narrower_and_a_direction_without_room_is_not_testable():
    rate = SignalBaseline(kind="rate", count=1000)
    band = Band(0.05, 0.2, None, None, 0.07, 0.15)
    assert band.include_means(ERROR, rate, "rate", 0.1) is band
    assert band.include_means(signal("smallest_change", 0.01, ERROR), rate, "rate", 0.1) == band
    wide = band.include_means(signal("smallest_change", 0.3, ERROR), rate, "rate", 0.1)
    assert (wide.high, wide.high_null, wide.high_not_testable) == (pytest.approx(0.4), pytest.approx(0.4), None)
    assert wide.low_not_testable == "no change in this direction is as large as the smallest change that matters"
