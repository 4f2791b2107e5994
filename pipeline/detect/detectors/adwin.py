"""ADWIN on means of 50 records. It detects slow drift that is not visible in single records, and raises only tickets.

Bifet and Gavaldà 2007, "Learning from time-changing data with adaptive windowing".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.detectors.river_adwin import dump_window, load_window, new_window
from pipeline.detect.layout import Grid, GridLayout
from pipeline.detect.one_sided_tests import OneSidedTest
from pipeline.detect.settings import DetectSettings
from pipeline.detect.shared_values import share_array

RATE_SCALE = 5.0
"""Scale factor. A rate is divided by this factor times its baseline mean and capped at 1, because ADWIN's bound assumes
numbers near 1."""

RATE_MIN = 1e-3
"""Smallest baseline rate used for scaling."""


class TicketBoundary(NamedTuple):
    """A null boundary, and the ticket test that fires when the mean crosses it."""

    mean: float
    test: int


@dataclass(frozen=True, slots=True)
class AdwinChannel:
    """A channel that ADWIN monitors.

    Attributes
    ----------
    name
        Name of the signal and of the channel, such as ``latency_ms.location``.
    channel_column, presence_column
        The grid columns of the channel and of its signal's presence.
    mean
        Mean of the channel in the baseline.
    low, high
        The boundaries below and above the mean. A boundary is None if its direction is not bad or not testable.
    """

    name: str
    channel_column: int
    presence_column: int
    is_rate: bool
    mean: float
    low: TicketBoundary | None
    high: TicketBoundary | None

    @property
    def is_mirrored(self) -> bool:
        """Whether ADWIN receives 1 - x. For a rate above 0.5, ADWIN monitors the rarer outcome."""
        return self.is_rate and self.mean > 0.5

    @property
    def scale(self) -> float:
        """Divisor of the numbers that ADWIN receives."""
        rarer = 1.0 - self.mean if self.is_mirrored else self.mean
        return RATE_SCALE * max(rarer, RATE_MIN) if self.is_rate else 1.0


@dataclass(frozen=True, slots=True)
class MeanChange:
    """A channel whose mean changed and is now beyond a boundary. ``row`` is the last row of the 50 records."""

    test: int
    is_rise: bool
    row: int


class _WindowBoundary(NamedTuple):
    """A boundary on the scale of a window, with the direction in which the scaled mean crosses it."""

    mean: float
    is_upper: bool
    is_rise: bool
    test: int


class AdwinBank:
    """One ADWIN window per channel. A window receives the means of groups of records that carry the signal.

    When a window shrinks, its mean may still include records from before the change. The mean is therefore compared
    with the boundaries at that time and after every later group.

    Parameters
    ----------
    monitored
        The channels.
    delta
        Significance level of ADWIN. With lower values, ADWIN reports fewer changes, and they are more reliable.
    records
        Minimum number of records per mean. A group has at least this many values, and ends at a row of the stream that
        is a multiple of this number.

    Attributes
    ----------
    SETTINGS
        Names of the settings on which the windows depend.
    """

    SETTINGS: ClassVar = ("adwin_delta", "adwin_records")

    def __init__(self, monitored: Sequence[AdwinChannel], delta: float, records: int) -> None:
        self._channels = tuple(monitored)
        self._delta, self._records = delta, records
        self._columns = share_array(
            np.array(
                [
                    [channel.presence_column for channel in monitored],
                    [channel.channel_column for channel in monitored],
                ],
                dtype=np.intp,
            )
        )
        self._scales = np.array([channel.scale for channel in monitored])
        self._mirrored = share_array(np.array([float(channel.is_mirrored) for channel in monitored]))
        self._signs = share_array(1.0 - 2.0 * self._mirrored)
        self.reset()

    @classmethod
    def for_tests(cls, tests: Sequence[OneSidedTest], layout: GridLayout, settings: DetectSettings) -> Self:
        """Build the bank for the rates and locations that have a ticket test."""
        by_column: dict[int, dict[bool, int]] = {}
        for index, test in enumerate(tests):
            if test.tier == "ticket" and test.channel in ("location", "rate"):
                by_column.setdefault(int(layout.channel_columns[index]), {})[test.direction == "up"] = index
        monitored = []
        for column, by_direction in by_column.items():
            first = next(iter(by_direction.values()))
            low, high = (
                TicketBoundary(tests[by_direction[is_rise]].smallest_mean, by_direction[is_rise])
                if is_rise in by_direction
                else None
                for is_rise in (False, True)
            )
            name, is_rate = f"{tests[first].signal.name}.{tests[first].channel}", tests[first].channel == "rate"
            presence = int(layout.presence_columns[first])
            monitored.append(AdwinChannel(name, column, presence, is_rate, tests[first].mean, low, high))
        return cls(monitored, settings.adwin_delta, settings.adwin_records)

    def reset(self) -> None:
        """Empty all windows after a gap in the records."""
        self._windows = [new_window(self._delta) for _ in self._channels]
        self._tallies = np.zeros((2, len(self._channels)))
        self._changed = [False] * len(self._channels)
        self._rows = 0

    def forget(self, channel_column: int) -> None:
        """Empty the window of a channel that has recovered, because records of the failure would affect later means."""
        for index, channel in enumerate(self._channels):
            if channel.channel_column == channel_column:
                self._windows[index] = new_window(self._delta)
                self._changed[index] = False
                self._tallies[:, index] = 0.0

    def observe(self, grid: Grid) -> list[MeanChange]:
        """Update the windows with one block."""
        if not self._channels:
            return []
        rows = int(grid.samples.starts[-1] + grid.samples.lengths[-1])
        tallies, total = self._tallies, grid.prefix_sums[-1].take(self._columns)
        ends = range(self._records - self._rows, rows + 1, self._records)
        self._rows = rows - ends[-1] if ends else self._rows + rows
        if not ends:
            tallies += total
            return []
        changes: list[MeanChange] = []
        sums = grid.sums_before(np.array(ends, dtype=np.intp), self._columns.ravel()).reshape(-1, *self._columns.shape)
        tallies += sums[0]
        for group, end in enumerate(ends):
            if group:
                tallies += sums[group] - sums[group - 1]
            full = tallies[0] >= self._records
            means = self._scaled_means(tallies).tolist()
            for index, is_full in enumerate(full.tolist()):
                if not is_full:
                    continue
                if self._windows[index].update(means[index]):
                    self._changed[index] = True
                if self._changed[index]:
                    changes += self._mean_changes(index, end - 1)
            tallies *= ~full
        tallies += total - sums[-1]
        return changes

    def add_rows(self, rows: int, sums: NDArray[np.float64]) -> bool:
        """Add a block that does not end a group, given the sums of its grid. Return False if it ends a group."""
        if self._rows + rows >= self._records:
            return False
        if self._channels:
            self._rows += rows
            self._tallies += sums.take(self._columns)
        return True

    def dump(self) -> dict[str, Any]:
        """Return the state. The windows are bytes in river's own format."""
        return {
            "channels": [channel.name for channel in self._channels],
            "windows": [dump_window(window) for window in self._windows],
            "tallies": self._tallies.copy(),
            "changed": list(self._changed),
            "rows": self._rows,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned. Channels that it does not contain begin with empty windows.

        Raises
        ------
        ValueError
            If river cannot read its bytes.
        """
        self.reset()
        stored = {name: index for index, name in enumerate(state["channels"])}
        for index, channel in enumerate(self._channels):
            source = stored.get(channel.name)
            if source is not None:
                self._windows[index] = load_window(state["windows"][source], self._delta)
                self._tallies[:, index] = state["tallies"][:, source]
                self._changed[index] = bool(state["changed"][source])
        self._rows = int(state["rows"])

    def _scaled_means(self, tallies: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the means on the scale of the windows. They are undefined for channels without a record."""
        means = tallies[1] / np.maximum(tallies[0], 1.0)
        scaled: NDArray[np.float64] = np.minimum((means * self._signs + self._mirrored) / self._scales, 1.0)
        return scaled

    def _mean_changes(self, index: int, row: int) -> list[MeanChange]:
        window = self._windows[index]
        mean = window.get_total() / window.get_width()
        return [
            MeanChange(boundary.test, boundary.is_rise, row)
            for boundary in _window_boundaries(self._channels[index])
            if (mean > boundary.mean if boundary.is_upper else mean < boundary.mean)
        ]


def _window_boundaries(channel: AdwinChannel) -> list[_WindowBoundary]:
    mirrored, scale = channel.is_mirrored, channel.scale
    return [
        _WindowBoundary(
            min((1.0 - boundary.mean if mirrored else boundary.mean) / scale, 1.0),
            is_rise != mirrored,
            is_rise,
            boundary.test,
        )
        for boundary, is_rise in ((channel.high, True), (channel.low, False))
        if boundary is not None
    ]
