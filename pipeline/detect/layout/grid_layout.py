"""The layout of a monitor: the signals and channels that its tests need, and the columns of the grid."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import RankTables, hourly_profile
from pipeline.detect.layout.grid import BlockView, Grid, Samples
from pipeline.detect.one_sided_tests import OneSidedTest, overdue_limit
from pipeline.detect.shared_values import index_names, share, share_array
from pipeline.detect.signals import Block, ChannelName, Signal, channels
from schemas.baseline import Baseline


class GridLayout:
    """The columns of a :class:`Grid` for ``S`` one-sided tests.

    The columns are the presences of all monitored signals, then the channels of the rates, then the channels of the
    values, channel by channel, and then whether each of ``A`` ages is overdue.

    Attributes
    ----------
    signals
        The monitored signals: first rates, then values, both in the order of the baseline.
    signal_indexes, presence_columns, channel_columns
        Shape ``(S,)``: for each test, the index of its signal, and the grid columns of the signal's presence and the
        test's channel.
    age_indexes, age_limits
        Shape ``(A,)``: the index of each signal with a test of whether it is overdue, and its limit.
    """

    def __init__(self, baseline: Baseline, tests: Sequence[OneSidedTest]) -> None:
        monitored = {test.signal.name: test.signal for test in tests}.values()
        knots = {signal.name: baseline.signals[signal.name].knots for signal in monitored}
        rates = [signal for signal in monitored if knots[signal.name] is None]
        values = [(signal, quantiles) for signal in monitored if (quantiles := knots[signal.name]) is not None]
        self.signals: list[Signal] = [*rates, *(signal for signal, _ in values)]
        self.rate_count, self.value_count = len(rates), len(values)
        self._indexes = index_names(share(tuple(signal.name for signal in self.signals)))
        self._medians = [None] * len(rates) + [float(quantiles[len(quantiles) // 2]) for _, quantiles in values]
        profiles = [(index, baseline.signals[name].profile) for name, index in self._indexes.items()]
        self._cyclic = np.array([index for index, profile in profiles if profile is not None], dtype=np.intp)
        self._hourly = (
            np.array([hourly_profile.profile_factors(profile) for _, profile in profiles if profile is not None])
            .reshape(-1, 2, hourly_profile.QUARTERS)
            .transpose(1, 2, 0)
            .copy()
        )
        self.rank_tables = RankTables([quantiles for _, quantiles in values])
        aged = sorted({self._indexes[test.signal.name] for test in tests if test.channel == channels.OVERDUE})
        cycles = [(baseline.signals[self.signals[index].name].ages, self.signals[index].smallest) for index in aged]
        self.age_indexes = share_array(np.array(aged, dtype=np.intp))
        self.age_limits = np.array([overdue_limit(ages, smallest) for ages, smallest in cycles if ages is not None])
        self.signal_indexes = share_array(np.array([self._indexes[test.signal.name] for test in tests], dtype=np.intp))
        self.presence_columns = self.signal_indexes
        self.channel_columns = share_array(
            np.array([self.channel_column(test.signal, test.channel) for test in tests], dtype=np.intp)
        )
        self.has_hours = bool(self._cyclic.size)
        self._block_signals = -1
        self._block_columns = self._missing = np.zeros(0, dtype=np.intp)

    @property
    def width(self) -> int:
        """Number of columns of a grid."""
        values = len(channels.VALUE_CHANNELS) * self.value_count
        return len(self.signals) + self.rate_count + values + self.age_indexes.size

    @property
    def value_indexes(self) -> list[int]:
        """Indexes of the signals that are values, not rates."""
        return list(range(self.rate_count, len(self.signals)))

    @property
    def indexes(self) -> Mapping[str, int]:
        """Index of each signal, by name."""
        return self._indexes

    def channel_column(self, signal: Signal, channel: ChannelName) -> int:
        """Return the grid column of a channel."""
        index = self._indexes[signal.name]
        if index < self.rate_count:
            return len(self.signals) + index
        if channel == channels.OVERDUE:
            return self.width - self.age_indexes.size + int(self.age_indexes.searchsorted(index))
        return len(self.signals) + index + channels.VALUE_CHANNELS.index(channel) * self.value_count

    def main_channel(self, signal: Signal) -> ChannelName:
        """Return the main channel of a signal: ``rate`` for a rate, and ``location`` for a value."""
        return "rate" if self._indexes[signal.name] < self.rate_count else "location"

    def baseline_median(self, test: int) -> float | None:
        """Return the median of a test's signal in the baseline, or None for a rate."""
        return self._medians[int(self.signal_indexes[test])]

    def view(self, block: Block) -> BlockView:
        """Lay out a block of at least one record."""
        values = self.monitored_values(block)
        overdue = self._find_overdue(block, values) if self.age_indexes.size else None
        return BlockView(block, values, self.build_grid(Samples.cut(block.panes), values, overdue))

    def monitored_values(self, block: Block) -> NDArray[np.float64]:
        """Return the monitored values of a block, corrected for the hour of day where the baseline has a profile.

        Returns
        -------
        numpy.ndarray
            Shape ``(R + 1, len(signals))``: NaN where absent or not finite. The last row is a record without signals,
            which pads the samples.
        """
        columns = self._columns_of(block)
        values = np.empty((block.panes.size + 1, len(self.signals)))
        values[-1] = np.nan
        if self._missing.size == len(self.signals):
            values[:] = np.nan
            return values
        block.values.take(columns, axis=1, out=values[:-1], mode="wrap")
        values[:, self._missing] = np.nan
        if self.has_hours:
            self.correct_hours(values[:-1], block.times_ms)
        np.copyto(values, np.nan, where=np.isinf(values))
        return values

    def correct_hours(self, values: NDArray[np.float64], times_ms: NDArray[np.int64]) -> None:
        """Correct the values of rows, shape ``(R, len(signals))``, for the hour of day, in place."""
        factors, shifts = self._hourly.take(hourly_profile.quarter_of_day(times_ms), axis=1)
        with np.errstate(over="ignore", invalid="ignore"):
            values[:, self._cyclic] = values.take(self._cyclic, axis=1) * factors + shifts

    def longest_age(self, block: Block, signal: int, rows: slice | NDArray[np.intp]) -> float | None:
        """Return the longest age of a signal in the given rows of a block, or None if no row carries it."""
        column = int(self._columns_of(block)[signal])
        ages = block.values[rows, column] if column >= 0 else np.zeros(0)
        longest = float(np.fmax.reduce(ages, initial=-np.inf))
        return longest if np.isfinite(longest) else None

    def current_age(self, block: Block, signal: int, row: int, *, is_reset: bool) -> float | None:
        """Return the longest age of a signal up to a row of a block. After a reset, only that row is current."""
        return self.longest_age(block, signal, slice(row if is_reset else 0, row + 1))

    def build_grid(
        self, samples: Samples, values: NDArray[np.float64], overdue: NDArray[np.bool_] | None = None
    ) -> Grid:
        """Build the grid of a block from its :meth:`monitored_values`.

        ``overdue`` marks the ages that are overdue, shape ``(R + 1, A)``. It may be None if there are none.
        """
        height, count = samples.rows.shape
        rows = values.take(samples.rows.ravel(), axis=0)
        present = rows == rows  # noqa: PLR0124 - only NaN differs from itself
        ranks = self.rank_tables.ranks(rows[:, self.rate_count :])
        by_channel = [channels.from_rank(name, ranks) for name in channels.VALUE_CHANNELS]
        parts = [present, rows[:, : self.rate_count], *by_channel]
        if overdue is not None:
            parts.append(overdue.take(samples.rows.ravel(), axis=0))
        numbers = np.concatenate(parts, axis=1)
        if not present.all():
            np.copyto(numbers, 0.0, where=np.isnan(numbers))
        return Grid.from_numbers(samples, numbers.reshape(height, count, -1))

    def fill_numbers(
        self,
        values: NDArray[np.float64],
        ranks: NDArray[np.float64],
        overdue: NDArray[np.bool_],
        numbers: NDArray[np.float64],
    ) -> None:
        """Fill the numbers of rows, shape ``(R, width)``, from their monitored values, ranks and overdue ages."""
        present = values == values  # noqa: PLR0124 - only NaN differs from itself
        by_channel = [channels.from_rank(name, ranks) for name in channels.VALUE_CHANNELS]
        np.concatenate([present, values[:, : self.rate_count], *by_channel, overdue], axis=1, out=numbers)
        if not present.all():
            np.copyto(numbers, 0.0, where=np.isnan(numbers))

    def _columns_of(self, block: Block) -> NDArray[np.intp]:
        """Return the column of each monitored signal in a block, or -1."""
        if self._block_signals != len(block.signals):
            columns = {(signal.name, signal.kind): column for column, signal in enumerate(block.signals)}
            self._block_columns = np.array(
                [columns.get((signal.name, signal.kind), -1) for signal in self.signals], dtype=np.intp
            )
            self._missing = np.flatnonzero(self._block_columns < 0)
            self._block_signals = len(block.signals)
        return self._block_columns

    def _find_overdue(self, block: Block, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which ages are above their limits, shape ``(R + 1, A)``. Ages are compared without their daily profile."""
        overdue = np.zeros((values.shape[0], self.age_indexes.size), dtype=bool)
        if self._missing.size < len(self.signals):
            columns = self._columns_of(block).take(self.age_indexes)
            np.greater(block.values.take(columns, axis=1, mode="wrap"), self.age_limits, out=overdue[:-1])
            overdue &= ~np.isnan(values.take(self.age_indexes, axis=1))
        return overdue
