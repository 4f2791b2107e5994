import numpy as np
import pytest

from pipeline.detect.baselines.spread import (
    SliceMeans,
    autocorrelation_time,
    half_difference,
    outlying_slices,
    slice_deviation,
    slice_means,
)

SLICES, PER_SLICE = 48, 256


def places():
    rows = SLICES * PER_SLICE
    return np.arange(rows) // PER_SLICE, np.arange(rows) // 64


def autoregressive(seed, factor):
    noise = np.random.default_rng(seed).normal(size=SLICES * PER_SLICE) * np.sqrt(1 - factor**2)
    values, last = np.empty_like(noise), 0.0
    for row, fresh in enumerate(noise.tolist()):
        last = factor * last + fresh
        values[row] = last
    return values


def test_independent_records_have_an_autocorrelation_time_of_one():
    slices, bursts = places()
    found = [autocorrelation_time(autoregressive(seed, 0.0), slices, bursts, 1.0) for seed in range(9)]
    assert np.median(found) == 1.0
    assert max(found) < 1.6


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 3.0), (0.8, 9.0)])
def test_autocorrelation_time_is_that_of_its_series(factor, expected):
    slices, bursts = places()
    found = np.mean([autocorrelation_time(autoregressive(seed, factor), slices, bursts, 1.0) for seed in range(8)])
    assert found == pytest.approx(expected, rel=0.2)


def test_of_few_records_an_autocorrelation_time_is_rather_taken_too_long():
    slices, bursts = places()
    values = autoregressive(1, 0.8)
    few = slice(0, 8 * PER_SLICE)
    whole, part = (
        [autocorrelation_time(values[of], slices[of], bursts[of], 1.0, surer=surer) for surer in (0.0, 2.0)]
        for of in (slice(None), few)
    )
    assert whole[0] < whole[1] < 1.3 * whole[0]
    assert part[1] / part[0] > 1.2 * whole[1] / whole[0]


def test_autocorrelation_time_stays_within_its_limits():
    slices, bursts = places()
    assert autocorrelation_time(bursts % 2 * 1.0, slices, bursts, 0.25) == 50.0
    assert autocorrelation_time(np.zeros(10), np.zeros(10, dtype=int), np.zeros(10, dtype=int), 0.0) == 1.0
    assert autocorrelation_time(np.arange(3.0), np.zeros(3, dtype=int), np.zeros(3, dtype=int), 1.0) == 1.0


def test_chance_alone_is_no_deviation_between_slices_and_a_cycle_is():
    slices, _ = places()
    quiet = np.random.default_rng(1).normal(size=slices.size)
    cycle = quiet + 0.5 * np.sin(2 * np.pi * slices / SLICES)
    assert slice_deviation(slice_means(quiet, slices, SLICES), 1.0, 1.0) < 0.03
    assert slice_deviation(slice_means(cycle, slices, SLICES), 1.0, 1.0) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_a_failure_within_a_baseline_stands_out_and_a_cycle_does_not():
    slices, _ = places()
    values = np.random.default_rng(2).normal(size=slices.size) + 0.5 * np.sin(2 * np.pi * slices / SLICES)
    assert not outlying_slices(slice_means(values, slices, SLICES), 1.0, 1.0, binary=False).any()
    values[np.isin(slices, [30, 31])] += 6
    found = outlying_slices(slice_means(values, slices, SLICES), 1.0, 1.0, binary=False)
    assert np.flatnonzero(found).tolist() == [30, 31]


@pytest.mark.parametrize("seed", range(10))
def test_slices_with_a_rare_event_do_not_stand_out_and_an_outage_does(seed):
    counts = np.full(SLICES, 250.0)
    events = np.random.default_rng(seed).binomial(250, 0.001, SLICES).astype(float)
    assert not outlying_slices(SliceMeans(events / counts, counts), 0.001, 1.0, binary=True).any()
    events[7] = 120
    assert np.flatnonzero(outlying_slices(SliceMeans(events / counts, counts), 0.001, 1.0, binary=True)).tolist() == [7]


def test_if_many_slices_stand_out_that_is_how_the_signal_is():
    counts = np.full(SLICES, 250.0)
    means = np.where(np.arange(SLICES) % 5 == 0, 0.5, 0.01)
    assert not outlying_slices(SliceMeans(means, counts), 0.01, 1.0, binary=True).any()


def test_a_step_in_the_middle_separates_the_halves():
    slices, _ = places()
    values = np.random.default_rng(3).normal(size=slices.size)
    assert abs(half_difference(slice_means(values, slices, SLICES), 1.0, 1.0, 0.0)) < 4
    step = values + (slices >= SLICES // 2)
    assert half_difference(slice_means(step, slices, SLICES), 1.0, 1.0, 0.0) > 20


def test_a_nearly_empty_slice_is_not_compared():
    means = SliceMeans(np.array([0.5, 0.5, 0.5, 0.9]), np.array([100.0, 100.0, 100.0, 2.0]))
    assert means.pairwise_differences().tolist() == [True, True, True, False]
    assert slice_deviation(means, 0.01, 1.0) == 0.0
