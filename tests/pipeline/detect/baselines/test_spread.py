import numpy as np
import pytest

from pipeline.detect.baselines.spread import (
    SliceMeans,
    autocorrelation_time,
    half_difference,
    outlying_slices,
    recurring_deviation,
    slice_deviation,
    slice_means,
    value_deviation,
)

SLICES, PER_SLICE = 48, 256


def slices_and_bursts():
    rows = SLICES * PER_SLICE
    return np.arange(rows) // PER_SLICE, np.arange(rows) // 64


def autoregressive(seed, factor):
    noise = np.random.default_rng(seed).normal(size=SLICES * PER_SLICE) * np.sqrt(1 - factor**2)
    values, last = np.empty_like(noise), 0.0
    for row, shock in enumerate(noise.tolist()):
        last = factor * last + shock
        values[row] = last
    return values


def test_independent_records_have_an_autocorrelation_time_of_one():
    slices, bursts = slices_and_bursts()
    estimates = [autocorrelation_time(autoregressive(seed, 0.0), slices, bursts, 1.0) for seed in range(9)]
    assert np.median(estimates) == 1.0
    assert max(estimates) < 1.6


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 3.0), (0.8, 9.0)])
def test_the_autocorrelation_time_of_an_ar1_series_is_estimated(factor, expected):
    slices, bursts = slices_and_bursts()
    estimate = np.mean([autocorrelation_time(autoregressive(seed, factor), slices, bursts, 1.0) for seed in range(8)])
    assert estimate == pytest.approx(expected, rel=0.2)


def test_standard_errors_lengthen_the_time_more_with_few_records():
    slices, bursts = slices_and_bursts()
    values = autoregressive(1, 0.8)
    few = slice(0, 8 * PER_SLICE)
    all_times, few_times = (
        [
            autocorrelation_time(values[rows], slices[rows], bursts[rows], 1.0, standard_errors=errors)
            for errors in (0.0, 2.0)
        ]
        for rows in (slice(None), few)
    )
    assert all_times[0] < all_times[1] < 1.3 * all_times[0]
    assert few_times[1] / few_times[0] > 1.2 * all_times[1] / all_times[0]


def test_the_autocorrelation_time_stays_within_its_limits():
    slices, bursts = slices_and_bursts()
    assert autocorrelation_time(bursts % 2 * 1.0, slices, bursts, 0.25) == 50.0
    assert autocorrelation_time(np.zeros(10), np.zeros(10, dtype=int), np.zeros(10, dtype=int), 0.0) == 1.0
    assert autocorrelation_time(np.arange(3.0), np.zeros(3, dtype=int), np.zeros(3, dtype=int), 1.0) == 1.0


def test_a_cycle_gives_a_deviation_between_slices_and_chance_does_not():
    slices, _ = slices_and_bursts()
    noise = np.random.default_rng(1).normal(size=slices.size)
    cycle = noise + 0.5 * np.sin(2 * np.pi * slices / SLICES)
    assert slice_deviation(slice_means(noise, slices, SLICES), 1.0, 1.0) < 0.03
    assert slice_deviation(slice_means(cycle, slices, SLICES), 1.0, 1.0) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_a_failure_within_a_baseline_is_an_outlier_and_a_cycle_is_not():
    slices, _ = slices_and_bursts()
    values = np.random.default_rng(2).normal(size=slices.size) + 0.5 * np.sin(2 * np.pi * slices / SLICES)
    assert not outlying_slices(slice_means(values, slices, SLICES), 1.0, 1.0, binary=False).any()
    values[np.isin(slices, [30, 31])] += 6
    outlying = outlying_slices(slice_means(values, slices, SLICES), 1.0, 1.0, binary=False)
    assert np.flatnonzero(outlying).tolist() == [30, 31]


@pytest.mark.parametrize("seed", range(10))
def test_an_outage_is_an_outlier_and_a_rare_event_is_not(seed):
    counts = np.full(SLICES, 250.0)
    events = np.random.default_rng(seed).binomial(250, 0.001, SLICES).astype(float)
    assert not outlying_slices(SliceMeans(events / counts, counts), 0.001, 1.0, binary=True).any()
    events[7] = 120
    assert np.flatnonzero(outlying_slices(SliceMeans(events / counts, counts), 0.001, 1.0, binary=True)).tolist() == [7]


def test_if_many_slices_would_be_outliers_none_is():
    counts = np.full(SLICES, 250.0)
    means = np.where(np.arange(SLICES) % 5 == 0, 0.5, 0.01)
    assert not outlying_slices(SliceMeans(means, counts), 0.01, 1.0, binary=True).any()


def test_a_step_in_the_middle_separates_the_halves():
    slices, _ = slices_and_bursts()
    values = np.random.default_rng(3).normal(size=slices.size)
    assert abs(half_difference(slice_means(values, slices, SLICES), 1.0, 1.0, 0.0)) < 4
    step = values + (slices >= SLICES // 2)
    assert half_difference(slice_means(step, slices, SLICES), 1.0, 1.0, 0.0) > 20


def test_a_nearly_empty_slice_is_not_compared():
    means = SliceMeans(np.array([0.5, 0.5, 0.5, 0.9]), np.array([100.0, 100.0, 100.0, 2.0]))
    assert means.comparable().tolist() == [True, True, True, False]
    assert slice_deviation(means, 0.01, 1.0) == 0.0


def test_what_happens_every_day_at_one_hour_is_normal():
    """A tail of 1 % that is 6 % from eight to nine. Its deviation over all hours would be a fifth of that."""
    random = np.random.default_rng(5)
    hours = np.tile(np.arange(24), 8)
    means = random.binomial(200, np.where(hours == 8, 0.06, 0.01)) / 200
    slices = SliceMeans(means, np.full(means.size, 200.0))
    variance = float(means.mean() * (1.0 - means.mean()))
    assert float(np.std(means)) < 0.02
    deviation = recurring_deviation(200 * means, slices.counts, hours, variance, 1.0)
    assert 3 * deviation == pytest.approx(0.05, abs=0.01)
    assert 3 * slice_deviation(slices, variance, 1.0) < 0.04


def test_an_hour_that_differs_by_chance_changes_nothing():
    hours = np.tile(np.arange(24), 8)
    unchanged = 0
    for seed in range(20):
        means = np.random.default_rng(seed).binomial(500, 0.2, hours.size) / 500
        deviation = recurring_deviation(500 * means, np.full(means.size, 500.0), hours, 0.16, 1.0)
        unchanged += deviation == 0.0
        assert deviation < 0.01
    assert unchanged >= 14


def test_times_of_which_few_are_known_have_no_deviation():
    times, numbers = np.arange(20), np.linspace(0.0, 1.0, 20)
    assert recurring_deviation(numbers, np.ones(20), times, 1e-9, 1.0) == 0.0


def test_what_comes_every_night_for_an_hour_is_normal():
    times = np.tile(np.repeat(np.arange(48), 10), 8)
    numbers = np.random.default_rng(2).normal(np.where((times == 3) | (times == 4), 0.65, 0.5), 0.1)
    means = slice_means(numbers, np.arange(numbers.size) // 20, numbers.size // 20)
    assert value_deviation(numbers, means, None, 0.01, 1.0) < 0.03
    assert 3 * value_deviation(numbers, means, times, 0.01, 1.0) == pytest.approx(0.15, abs=0.02)
