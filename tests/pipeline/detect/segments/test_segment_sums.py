import numpy as np

from pipeline.detect.detectors.page_hinkley import NEXT_RECORD
from pipeline.detect.layout.grid import numbers_by_row
from pipeline.detect.segments.segment_sums import group_rows, sum_groups
from tests.pipeline.detect.grids import grid_of_channels


def some_parts():
    panes = np.array([3, 3, 3, 4, 4, 7])
    first = np.array([0, 1, 0, 1, -1, 1])
    second = np.array([2, 2, -1, -1, 2, 2])
    return panes, (first, second), group_rows(panes, (first, second), 3)


def test_rows_are_sorted_by_value_and_pane_and_those_without_a_value_left_out():
    _, _, parts = some_parts()
    assert parts.rows.tolist() == [0, 2, 1, 3, 5, 0, 1, 4, 5]
    assert (parts.first_pane, parts.last_pane, parts.shape) == (3, 7, (3, 3))
    assert [part.tolist() for part in parts.of_value(1)] == [[0, 1, 2], [1, 3, 5], [0, 1, 2]]
    assert [part.tolist() for part in parts.of_value(2)] == [[0, 1, 2], [0, 1, 4, 5], [0, 2, 3]]


def test_a_block_without_a_value_has_no_parts():
    assert group_rows(np.array([3, 4]), [np.array([-1, -1])], 1) is None


def test_sums_are_those_of_a_value_in_a_pane():
    panes, places, parts = some_parts()
    numbers = np.random.default_rng(1).random((6, 2))
    sums = sum_groups(parts, numbers, (10 * numbers[:, :1]).astype(np.float32))
    for value in range(3):
        for pane, number in enumerate((3, 4, 7)):
            rows = (panes == number) & ((places[0] == value) | (places[1] == value))
            np.testing.assert_allclose(sums.sums[pane, value], numbers[rows].sum(axis=0))
            np.testing.assert_allclose(sums.scores[pane, value], 10 * numbers[rows, :1].sum(axis=0), rtol=1e-6)


def test_many_values_and_panes_are_sorted_as_few():
    random = np.random.default_rng(2)
    panes = np.arange(600)
    place = random.integers(0, 80, 600)
    parts = group_rows(panes, [place], 80)
    expected = np.lexsort((panes, place))
    np.testing.assert_array_equal(parts.rows, expected)
    np.testing.assert_array_equal(parts.values, place[expected])


def test_next_times_are_those_of_the_first_record_in_a_pane_or_after():
    _, _, parts = some_parts()
    times = parts.next_times(np.arange(100, 106))
    assert times[:, 0].tolist() == [100, NEXT_RECORD, NEXT_RECORD, NEXT_RECORD]
    assert times[:, 1].tolist() == [101, 103, 105, NEXT_RECORD]


def test_numbers_of_a_grid_come_back_row_by_row():
    random = np.random.default_rng(3)
    channels = random.random((50, 3))
    panes = np.sort(random.integers(0, 9, 50))
    grid = grid_of_channels(channels, panes)
    np.testing.assert_array_equal(numbers_by_row(grid, np.array([3, 5])), channels[:, [0, 2]])
