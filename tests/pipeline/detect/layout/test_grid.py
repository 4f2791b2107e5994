import numpy as np
import pytest

from pipeline.detect.layout.grid import SAMPLE_RECORDS, Samples
from tests.pipeline.detect.grids import grid_of_channels


@pytest.mark.parametrize("seed", range(6))
def test_samples_cover_all_rows_and_end_with_their_pane(seed):
    random = np.random.default_rng(seed)
    panes = np.cumsum(random.random(500) < random.choice([0.01, 0.2, 0.9]))
    samples = Samples.cut(panes)
    assert samples.lengths.sum() == 500
    assert samples.lengths.max() <= SAMPLE_RECORDS
    for start, length in zip(samples.starts, samples.lengths, strict=True):
        assert len(set(panes[start : start + length].tolist())) == 1
    first_rows = samples.starts[samples.pane_starts]
    assert panes[first_rows].tolist() == np.unique(panes).tolist()
    assert (samples.first_pane, samples.last_pane) == (panes[0], panes[-1])


def test_the_rows_of_a_sample_are_padded_with_the_number_of_rows():
    samples = Samples.cut(np.array([1] * 9 + [2] * 2))
    assert samples.rows.T.tolist() == [list(range(8)), [8] + [11] * 7, [9, 10] + [11] * 6]


def test_one_row_is_one_sample():
    assert Samples.cut(np.array([7])).lengths.tolist() == [1]
    assert Samples.cut(np.array([7])).rows.tolist() == [[0]]


def grid_and_rows(seed, rows=300):
    random = np.random.default_rng(seed)
    channels = random.random((rows, 3))
    channels[random.random(channels.shape) < 0.2] = np.nan
    panes = np.cumsum(random.random(rows) < random.choice([0.01, 0.2, 0.9]))
    return grid_of_channels(channels, panes), np.column_stack([~np.isnan(channels), np.nan_to_num(channels)])


@pytest.mark.parametrize("seed", range(6))
def test_prefix_sums_are_the_sums_of_the_rows_before_each_sample_and_of_all_rows(seed):
    grid, rows = grid_and_rows(seed)
    ends = [*grid.samples.starts.tolist(), len(rows)]
    np.testing.assert_allclose(grid.prefix_sums, [rows[:end].sum(axis=0) for end in ends], atol=1e-9)
    np.testing.assert_allclose(grid.sample_sums, np.diff(grid.prefix_sums, axis=0), atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_sums_before_a_row_are_correct_within_a_sample_and_at_its_end(seed):
    grid, rows = grid_and_rows(seed)
    columns = np.array([4, 0])
    sums = grid.sums_before(np.arange(1, len(rows) + 1), columns)
    np.testing.assert_allclose(sums, np.cumsum(rows[:, columns], axis=0), atol=1e-9)


def test_the_numbers_of_a_grid_are_returned_row_by_row():
    random = np.random.default_rng(3)
    channels = random.random((50, 3))
    grid = grid_of_channels(channels, np.sort(random.integers(0, 9, 50)))
    np.testing.assert_array_equal(grid.numbers_by_row(np.array([3, 5])), channels[:, [0, 2]])
