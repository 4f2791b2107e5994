"""Grids for the tests of the detectors."""

import numpy as np

from pipeline.detect.layout.grid import Grid, Samples


def grid_of_channels(channels: np.ndarray, panes: np.ndarray) -> Grid:
    """The grid of C channels, shape ``(R, C)``, NaN where absent: column c is the presence of c, and C + c is c."""
    rows = np.column_stack([~np.isnan(channels), np.nan_to_num(channels, nan=0.0)])
    samples = Samples.cut(panes)
    return Grid.from_numbers(samples, np.vstack([rows, np.zeros((1, rows.shape[1]))])[samples.rows])
