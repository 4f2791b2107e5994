"""The layout of a judge: which signals and channels its sides need, and how a block's columns become them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import RankTable, RankTables, hourly_profile
from pipeline.detect.layout.grid import Grid, build_grid
from pipeline.detect.layout.samples import Samples
from pipeline.detect.one_sided_tests import OneSidedTest
from pipeline.detect.signals import Block, ChannelName, Signal, channels
from schemas.baseline import Baseline


class Layout:
    """Places for the signals that are watched, and columns of a :class:`Grid` for them and their channels.

    The columns are one for each signal that tells where it is carried, then one for each rate, then those of the
    values, by channel.

    Attributes
    ----------
    signals
        The signals with a side, by their places: rates first, then values, else in the baseline's order.
    side_signals, side_carried, side_channels
        Shape ``(S,)``: of each side the place of its signal, and the columns that tell where its signal is carried
        and that hold its channel.
    """

    def __init__(self, baseline: Baseline, sides: Sequence[OneSidedTest]) -> None:
        watched = {side.signal.name: side.signal for side in sides}.values()
        knots = {signal.name: baseline.signals[signal.name].knots for signal in watched}
        rates = [signal for signal in watched if knots[signal.name] is None]
        values = [(signal, own) for signal in watched if (own := knots[signal.name]) is not None]
        self.signals: list[Signal] = [*rates, *(signal for signal, _ in values)]
        self._rates = len(rates)
        self._places = {signal.name: place for place, signal in enumerate(self.signals)}
        self._medians = [None] * len(rates) + [float(own[len(own) // 2]) for _, own in values]
        self._values = len(values)
        profiles = [(place, baseline.signals[name].profile) for name, place in self._places.items()]
        self._cyclic = np.array([place for place, profile in profiles if profile is not None], dtype=np.intp)
        self._steps = (
            np.array([hourly_profile.hourly_factors(profile) for _, profile in profiles if profile is not None])
            .reshape(-1, 2, 24)
            .transpose(1, 2, 0)
            .copy()
        )
        self._tables = RankTables([RankTable(own) for _, own in values])
        self.side_signals = np.array([self._places[side.signal.name] for side in sides], dtype=np.intp)
        self.side_carried = self.side_signals
        self.side_channels = np.array([self.column(side.signal, side.channel) for side in sides], dtype=np.intp)
        self._known: tuple[int, NDArray[np.intp], NDArray[np.intp]] = (-1, self.side_signals, self.side_signals)

    def column(self, signal: Signal, channel: ChannelName) -> int:
        """The column of a grid that holds a channel."""
        place = self._places[signal.name]
        if place < self._rates:
            return len(self.signals) + place
        return len(self.signals) + place + channels.VALUE_CHANNELS.index(channel) * self._values

    def usual_channel(self, signal: Signal) -> ChannelName:
        """The channel that says where a signal usually lies: the rate of a rate, the location of a value."""
        return "rate" if self._places[signal.name] < self._rates else "location"

    @property
    def width(self) -> int:
        """How many columns a grid has."""
        return len(self.signals) + self._rates + len(channels.VALUE_CHANNELS) * self._values

    def values(self, block: Block) -> NDArray[np.float64]:
        """Of the block the watched signals, NaN where absent or not finite; without its daily cycle what has a profile.

        Shape ``(R + 1, len(signals))``: the last row is that of a record that carries nothing.
        """
        if self._known[0] != len(block.signals):
            columns = {(signal.name, signal.kind): column for column, signal in enumerate(block.signals)}
            own = np.array([columns.get((signal.name, signal.kind), -1) for signal in self.signals], dtype=np.intp)
            self._known = (len(block.signals), own, np.flatnonzero(own < 0))
        _, columns_of_signals, missing = self._known
        values = np.empty((block.panes.size + 1, len(self.signals)))
        values[-1] = np.nan
        if missing.size == len(self.signals):
            values[:] = np.nan
            return values
        block.values.take(columns_of_signals, axis=1, out=values[:-1], mode="wrap")
        values[:, missing] = np.nan
        if self._cyclic.size:
            factors, shifts = self._steps.take(hourly_profile.hour_of_day(block.times_ms), axis=1)
            with np.errstate(over="ignore", invalid="ignore"):
                values[:-1, self._cyclic] = values[:-1].take(self._cyclic, axis=1) * factors + shifts
        np.copyto(values, np.nan, where=np.isinf(values))
        return values

    def grid(self, samples: Samples, values: NDArray[np.float64]) -> Grid:
        """Lay out a block: ``values`` are those of :meth:`values`."""
        height, count = samples.rows.shape
        rows = values.take(samples.rows.ravel(), axis=0)
        carried = rows == rows  # noqa: PLR0124 - only NaN is not itself
        ranks = self._tables.ranks(rows[:, self._rates :])
        by_channel = [channels.from_rank(name, ranks) for name in channels.VALUE_CHANNELS]
        numbers = np.concatenate([carried, rows[:, : self._rates], *by_channel], axis=1)
        if not carried.all():
            np.copyto(numbers, 0.0, where=np.isnan(numbers))
        return build_grid(samples, numbers.reshape(height, count, -1))

    def baseline_median(self, side: int) -> float | None:
        """The median of a side's value in its baseline; None of a rate."""
        return self._medians[int(self.side_signals[side])]

    @property
    def valued(self) -> list[int]:
        """The places of the signals that are values, not rates."""
        return list(range(self._rates, len(self.signals)))
