import numpy as np
import pytest

from pipeline.detect.findings.recent_values import RECENT_VALUES, RecentValues


def test_the_median_is_that_of_the_last_values_that_carry_the_signal():
    recent = RecentValues([1])
    for begin in range(0, 1000, 100):
        values = np.full((100, 2), np.nan)
        values[::2, 1] = np.arange(begin, begin + 100, 2)
        recent.observe(values)
    assert recent.median(1, np.zeros((0, 2)), rows=0, count=10) == np.median(np.arange(980, 1000, 2))
    assert recent.dump()["1"].size == RECENT_VALUES


def test_rows_after_the_finding_do_not_count():
    values = np.array([[1.0], [2.0], [1000.0]])
    assert RecentValues([0]).median(0, values, rows=2, count=99) == 1.5


def test_without_any_value_there_is_no_median():
    assert RecentValues([0]).median(0, np.full((3, 1), np.nan), rows=3, count=5) is None


def test_state_is_restored_and_state_of_other_columns_is_refused():
    recent, other = RecentValues([0]), RecentValues([0])
    recent.observe(np.arange(5.0)[:, None])
    other.load(recent.dump())
    assert other.median(0, np.zeros((0, 1)), rows=0, count=5) == 2.0
    with pytest.raises(ValueError, match="do not fit"):
        RecentValues([1]).load(recent.dump())


def test_small_blocks_are_stored_like_one_large_block_and_count_at_once():
    values = np.random.default_rng(1).random((700, 2))
    values[::3, 1] = np.nan
    unbroken, small = RecentValues([0, 1]), RecentValues([0, 1])
    unbroken.observe(values)
    for row in range(700):
        small.observe(values[row : row + 1])
        if row % 50 == 7:
            assert small.median(0, np.zeros((0, 2)), rows=0, count=1) == values[row, 0]
        if row == 333:
            again = RecentValues([0, 1])
            again.load(small.dump())
            small = again
    for column, stored in unbroken.dump().items():
        np.testing.assert_array_equal(small.dump()[column], stored)
