import numpy as np

from pipeline.detect.detectors.cusum import NEXT_RECORD
from pipeline.detect.segments.segment_sums import group_rows, sum_groups


def example_groups():
    panes = np.array([3, 3, 3, 4, 4, 7])
    first = np.array([0, 1, 0, 1, -1, 1])
    second = np.array([2, 2, -1, -1, 2, 2])
    return panes, (first, second), group_rows(panes, (first, second), 3)


def test_rows_are_sorted_by_value_and_pane_without_those_that_have_no_value():
    _, _, groups = example_groups()
    assert groups.rows.tolist() == [0, 2, 1, 3, 5, 0, 1, 4, 5]
    assert (groups.first_pane, groups.last_pane, groups.shape) == (3, 7, (3, 3))
    assert [array.tolist() for array in groups.value_rows(1)] == [[0, 1, 2], [1, 3, 5], [0, 1, 2]]
    assert [array.tolist() for array in groups.value_rows(2)] == [[0, 1, 2], [0, 1, 4, 5], [0, 2, 3]]


def test_a_block_without_a_value_has_no_groups():
    assert group_rows(np.array([3, 4]), [np.array([-1, -1])], 1) is None


def test_sums_are_by_value_and_pane():
    panes, value_indexes, groups = example_groups()
    numbers = np.random.default_rng(1).random((6, 2))
    sums = sum_groups(groups, numbers, (10 * numbers[:, :1]).astype(np.float32))
    for value in range(3):
        for pane, number in enumerate((3, 4, 7)):
            rows = (panes == number) & ((value_indexes[0] == value) | (value_indexes[1] == value))
            np.testing.assert_allclose(sums.sums[pane, value], numbers[rows].sum(axis=0))
            np.testing.assert_allclose(sums.log_bets[pane, value], 10 * numbers[rows, :1].sum(axis=0), rtol=1e-6)


def test_many_values_and_panes_are_sorted_like_few():
    random = np.random.default_rng(2)
    panes = np.arange(600)
    value_indexes = random.integers(0, 80, 600)
    groups = group_rows(panes, [value_indexes], 80)
    expected = np.lexsort((panes, value_indexes))
    np.testing.assert_array_equal(groups.rows, expected)
    np.testing.assert_array_equal(groups.values, value_indexes[expected])


def test_next_times_are_those_of_the_first_record_in_a_pane_or_after():
    _, _, groups = example_groups()
    times = groups.next_times(np.arange(100, 106))
    assert times[:, 0].tolist() == [100, NEXT_RECORD, NEXT_RECORD, NEXT_RECORD]
    assert times[:, 1].tolist() == [101, 103, 105, NEXT_RECORD]
