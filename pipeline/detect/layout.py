"""The layout of a judge: which signals and channels its sides need, and how a block's columns become them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.block import Block
from pipeline.detect.catalogue import Signal
from pipeline.detect.channels import ChannelName, of_rank
from pipeline.detect.rank import RankTable
from pipeline.detect.samples import Samples
from pipeline.detect.sides import Side
from schemas.baseline import Baseline


class Layout:
    """Columns for what is watched: one for each signal, one for each of their channels.

    Attributes
    ----------
    signals
        The signals with a side, in the baseline's order.
    channels
        Pairs of a place in ``signals`` and a channel.
    side_signals, side_channels
        Shape ``(S,)``: of each side the place in ``signals`` and in ``channels``.
    """

    def __init__(self, baseline: Baseline, sides: Sequence[Side]) -> None:
        self.signals: list[Signal] = list({side.signal.name: side.signal for side in sides}.values())
        places = {signal.name: place for place, signal in enumerate(self.signals)}
        pairs = [(places[side.signal.name], side.channel) for side in sides]
        self.channels: list[tuple[int, ChannelName]] = list(dict.fromkeys(pairs))
        channel_places = {pair: place for place, pair in enumerate(self.channels)}
        self.side_signals = np.array([place for place, _ in pairs], dtype=np.intp)
        self.side_channels = np.array([channel_places[pair] for pair in pairs], dtype=np.intp)
        knots = [baseline.signals[signal.name].knots for signal in self.signals]
        self._tables = [None if own is None else RankTable(own) for own in knots]
        self._medians = [None if own is None else float(own[len(own) // 2]) for own in knots]
        self._known: tuple[int, NDArray[np.intp]] = (-1, np.zeros(0, dtype=np.intp))

    def values(self, block: Block) -> NDArray[np.float64]:
        """Of the block the watched signals, ``(R, len(signals))``; NaN where absent or not finite."""
        if self._known[0] != len(block.signals):
            columns = {(signal.name, signal.kind): column for column, signal in enumerate(block.signals)}
            own = [columns.get((signal.name, signal.kind), -1) for signal in self.signals]
            self._known = (len(block.signals), np.array(own, dtype=np.intp))
        columns_of_signals = self._known[1]
        if not block.signals:
            return np.full((block.values.shape[0], len(self.signals)), np.nan)
        values: NDArray[np.float64] = block.values[:, columns_of_signals]
        values[:, columns_of_signals < 0] = np.nan
        values[np.isinf(values)] = np.nan
        return values

    def channel_values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the watched signals their channels, ``(R, len(channels))``, between 0 and 1; NaN stays NaN."""
        ranks = [
            values[:, place] if table is None else table.ranks(values[:, place])
            for place, table in enumerate(self._tables)
        ]
        channels = np.empty((values.shape[0], len(self.channels)))
        for place, (signal, channel) in enumerate(self.channels):
            channels[:, place] = of_rank(channel, ranks[signal])
        return channels

    def normal(self, side: int) -> float | None:
        """The median of a side's value in its baseline; None of a rate."""
        return self._medians[int(self.side_signals[side])]

    @property
    def valued(self) -> list[int]:
        """The places of the signals that are values, not rates."""
        return [place for place, median in enumerate(self._medians) if median is not None]

    def totals(
        self, samples: Samples, values: NDArray[np.float64], channels: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Of every side, before each sample: records with the signal, and the sum of its channel.

        Shape ``(2, T + 1, S)``.
        """
        counts = samples.sums((~np.isnan(values)).astype(np.float64))
        sums = samples.sums(np.where(np.isnan(channels), 0.0, channels))
        return np.stack([counts[:, self.side_signals], sums[:, self.side_channels]])
