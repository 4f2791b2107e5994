"""Grids for the tests of what looks at them."""

import numpy as np

from pipeline.detect.layout.grid import Grid, grid_of
from pipeline.detect.layout.samples import samples_of


def grid_of_channels(channels: np.ndarray, panes: np.ndarray) -> Grid:
    """The grid of C channels, shape ``(R, C)``, NaN where absent: column c is whether c is carried, C + c is c."""
    rows = np.column_stack([~np.isnan(channels), np.nan_to_num(channels, nan=0.0)])
    samples = samples_of(panes)
    return grid_of(samples, np.vstack([rows, np.zeros((1, rows.shape[1]))])[samples.rows])
