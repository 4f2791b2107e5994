"""The statistics of several streams, updated in one pass."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.statistics.quantiles import find_bins
from pipeline.detect.statistics.statistics import Statistics


def add_values(
    statistics: Sequence[Statistics], values: NDArray[np.float64], sources: NDArray[np.intp], rows: NDArray[np.intp]
) -> None:
    """Add the values of one block per stream to the moments and quantiles. See :meth:`Statistics.observe`.

    Parameters
    ----------
    statistics
        The statistics of ``V`` streams. All have equal numbers of signals, at least two, and of values.
    values
        Shape ``(R, columns)``: the values of all rows.
    sources
        Shape ``(V, signals)``: the column of each signal.
    rows
        Shape ``(V + 1,)``: the first row of each stream, and the total.
    """
    lengths = np.diff(rows)
    longest, width = int(lengths.max()), values.shape[1]
    steps = np.arange(longest)
    is_row = steps < lengths[:, None]
    row_indexes = np.where(is_row, rows[:-1, None] + steps, 0)
    block_values = values.take((row_indexes * width)[:, :, None] + sources[:, None])
    block_values[~is_row] = np.nan
    absent = np.isnan(block_values)
    present = longest - absent.sum(axis=1, dtype=np.float64)
    value_columns = np.array([each.value_columns for each in statistics])
    if value_columns.size:
        columns = value_columns[:, None]
        is_present = ~np.take_along_axis(absent, columns, axis=2)
        bins = find_bins(np.take_along_axis(block_values, columns, axis=2))[is_present].astype(np.int32)
        start = 0
        for each, count in zip(statistics, is_present.sum(axis=(1, 2)).tolist(), strict=True):
            each.quantiles.add_bins(bins[start : start + count].copy())
            start += count
    numbers = block_values
    np.copyto(numbers, 0.0, where=absent)
    mean = numbers.sum(axis=1) / np.maximum(present, 1.0)
    numbers -= mean[:, None]
    np.copyto(numbers, 0.0, where=absent)
    numbers *= numbers
    moments = np.array([each.moments for each in statistics])
    count, old_mean, old_squares = moments[:, 0], moments[:, 1], moments[:, 2]
    share = present / np.maximum(count + present, 1.0)
    difference = mean - old_mean
    old_squares += numbers.sum(axis=1) + difference * difference * count * share
    old_mean += difference * share
    count += present
    for each, after in zip(statistics, moments, strict=True):
        each.moments[:] = after
