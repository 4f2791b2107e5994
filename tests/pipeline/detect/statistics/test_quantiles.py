import numpy as np
import pytest

from pipeline.detect.statistics.quantiles import RELATIVE_ERROR, Quantiles


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_quantiles_are_right_to_the_stated_error(scale):
    values = np.random.default_rng(1).lognormal(0, 1, (30_000, 1)) * scale
    sketch = Quantiles(1)
    sketch.add(values)
    for share, found in zip((0.5, 0.95, 0.99), sketch.estimate(0, (0.5, 0.95, 0.99)), strict=True):
        assert found == pytest.approx(np.quantile(values, share, method="inverted_cdf"), rel=RELATIVE_ERROR)


def test_negative_values_zero_and_absent_ones_have_their_places():
    sketch = Quantiles(2)
    sketch.add(np.array([[-5.0, np.nan], [0.0, np.nan], [7.0, np.nan]]))
    low, middle, high = sketch.estimate(0, (0.1, 0.5, 1.0))
    assert (low, middle, high) == (pytest.approx(-5, rel=0.02), 0.0, pytest.approx(7, rel=0.02))
    assert sketch.estimate(1, (0.5,)) == [None]


def test_values_out_of_range_count_as_the_nearest_in_range():
    sketch = Quantiles(1)
    sketch.add(np.array([[1e15], [1e-12], [-1e15]]))
    low, middle, high = sketch.estimate(0, (0.1, 0.5, 1.0))
    assert low < -1e10
    assert middle == 0.0
    assert high > 1e10


def test_order_and_cuts_do_not_matter_and_state_is_taken_up():
    values = np.random.default_rng(2).normal(size=(999, 3))
    whole, cut = Quantiles(3), Quantiles(3)
    whole.add(values)
    cut.add(values[::-1][:400])
    taken_up = Quantiles(0)
    taken_up.load(cut.dump())
    taken_up.add(values[::-1][400:])
    assert [taken_up.estimate(column, (0.1, 0.9)) for column in range(3)] == [
        whole.estimate(c, (0.1, 0.9)) for c in range(3)
    ]


def test_new_columns_are_empty():
    sketch = Quantiles(1)
    sketch.add(np.ones((4, 1)))
    sketch.widen(2)
    sketch.widen(1)
    assert sketch.estimate(1, (0.5,)) == [None]
    assert sketch.estimate(0, (0.5,)) != [None]


def test_few_values_at_a_time_count_as_many_at_once():
    values = np.random.default_rng(3).lognormal(size=(4000, 2))
    values[::7, 1] = np.nan
    whole, few = Quantiles(2), Quantiles(2)
    whole.add(values)
    for begin in range(0, 4000, 5):
        few.add(values[begin : begin + 5])
    for name, kept in whole.dump().items():
        np.testing.assert_array_equal(few.dump()[name], kept)
