import numpy as np
import pytest

from tests.pipeline.detect.grids import grid_of_channels


def grid_and_rows(seed, rows=300):
    random = np.random.default_rng(seed)
    channels = random.random((rows, 3))
    channels[random.random(channels.shape) < 0.2] = np.nan
    panes = np.cumsum(random.random(rows) < random.choice([0.01, 0.2, 0.9]))
    return grid_of_channels(channels, panes), np.column_stack([~np.isnan(channels), np.nan_to_num(channels)])


@pytest.mark.parametrize("seed", range(6))
def test_totals_are_the_sums_of_the_rows_before_each_sample_and_of_all(seed):
    grid, rows = grid_and_rows(seed)
    ends = [*grid.samples.starts.tolist(), len(rows)]
    np.testing.assert_allclose(grid.totals, [rows[:end].sum(axis=0) for end in ends], atol=1e-9)
    np.testing.assert_allclose(grid.sums, np.diff(grid.totals, axis=0), atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_sums_are_had_before_any_row_within_a_sample_or_at_its_end(seed):
    grid, rows = grid_and_rows(seed)
    columns = np.array([4, 0])
    found = grid.before(np.arange(1, len(rows) + 1), columns)
    np.testing.assert_allclose(found, np.cumsum(rows[:, columns], axis=0), atol=1e-9)
