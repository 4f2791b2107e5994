import numpy as np
import pytest

from pipeline.detect.statistics.quantiles import RELATIVE_ERROR, Quantiles


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_quantiles_are_within_the_stated_error(scale):
    values = np.random.default_rng(1).lognormal(0, 1, (30_000, 1)) * scale
    quantiles = Quantiles(1)
    quantiles.add(values)
    for share, estimate in zip((0.5, 0.95, 0.99), quantiles.estimate(0, (0.5, 0.95, 0.99)), strict=True):
        assert estimate == pytest.approx(np.quantile(values, share, method="inverted_cdf"), rel=RELATIVE_ERROR)


def test_negative_zero_and_absent_values_are_counted_correctly():
    quantiles = Quantiles(2)
    quantiles.add(np.array([[-5.0, np.nan], [0.0, np.nan], [7.0, np.nan]]))
    low, middle, high = quantiles.estimate(0, (0.1, 0.5, 1.0))
    assert (low, middle, high) == (pytest.approx(-5, rel=0.02), 0.0, pytest.approx(7, rel=0.02))
    assert quantiles.estimate(1, (0.5,)) == [None]


def test_values_out_of_range_count_in_the_nearest_bin():
    quantiles = Quantiles(1)
    quantiles.add(np.array([[1e15], [1e-12], [-1e15]]))
    low, middle, high = quantiles.estimate(0, (0.1, 0.5, 1.0))
    assert low < -1e10
    assert middle == 0.0
    assert high > 1e10


def test_order_blocks_and_restores_do_not_matter():
    values = np.random.default_rng(2).normal(size=(999, 3))
    unbroken, cut = Quantiles(3), Quantiles(3)
    unbroken.add(values)
    cut.add(values[::-1][:400])
    restored = Quantiles(0)
    restored.load(cut.dump())
    restored.add(values[::-1][400:])
    assert [restored.estimate(column, (0.1, 0.9)) for column in range(3)] == [
        unbroken.estimate(column, (0.1, 0.9)) for column in range(3)
    ]


def test_new_columns_are_empty():
    quantiles = Quantiles(1)
    quantiles.add(np.ones((4, 1)))
    quantiles.widen(2)
    quantiles.widen(1)
    assert quantiles.estimate(1, (0.5,)) == [None]
    assert quantiles.estimate(0, (0.5,)) != [None]


def test_adding_few_values_at_a_time_equals_adding_all_at_once():
    values = np.random.default_rng(3).lognormal(size=(4000, 2))
    values[::7, 1] = np.nan
    unbroken, few = Quantiles(2), Quantiles(2)
    unbroken.add(values)
    for begin in range(0, 4000, 5):
        few.add(values[begin : begin + 5])
    for name, array in unbroken.dump().items():
        np.testing.assert_array_equal(few.dump()[name], array)
