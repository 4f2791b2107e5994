"""Grids for the tests of what looks at them."""

import numpy as np

from pipeline.detect.layout.grid import Grid, build_grid
from pipeline.detect.layout.samples import cut_samples


def grid_of_channels(channels: np.ndarray, panes: np.ndarray) -> Grid:
    """The grid of C channels, shape ``(R, C)``, NaN where absent: column c is whether c is carried, C + c is c."""
    rows = np.column_stack([~np.isnan(channels), np.nan_to_num(channels, nan=0.0)])
    samples = cut_samples(panes)
    return build_grid(samples, np.vstack([rows, np.zeros((1, rows.shape[1]))])[samples.rows])
