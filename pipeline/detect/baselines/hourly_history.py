"""The hours of a monitored stream, from which its baseline is renewed every day."""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines.baseline import STORED_VALUES_MIN, LearnedColumn, LearnedData, build_baseline
from pipeline.detect.baselines.packed_numbers import HistoryDay, HistoryHour
from pipeline.detect.baselines.ranks import RankTable, compute_knots
from pipeline.detect.baselines.spread import (
    HOURS,
    SHAPE_TIMES,
    known_shape_times,
    short_autocorrelation_time,
    slice_means,
)
from pipeline.detect.baselines.stationarity import Level, find_accepted_levels, last_level, tail_level
from pipeline.detect.settings import DAY_S, HOUR_S, DetectSettings
from pipeline.detect.signals import PANE_MS, Signal, channels
from schemas.baseline import Baseline, SignalBaseline, SignalKind

DAYS_MAX = 28
"""Maximum number of days in the history. Higher values make bands narrower, and follow a change of traffic more slowly."""

HOUR_VALUES_MAX = 32
"""Maximum number of values per signal and hour: the first of each of so many equal parts of the hour. The first values of
the hour would show only one moment of a signal that changes slowly, such as an age or a queue."""

SIGNAL_VALUES_MAX = 6144
"""Maximum number of values per signal over all days. With more days, every other value of each hour is dropped."""


class HourlyHistory:
    """The hours of a stream over at most 28 days, without the hours in which a drift began or was open.

    An hour is counted from the totals of the stream's statistics. Hours and days start at a time that depends on the
    subject, so that streams do not renew their baselines at once.

    Parameters
    ----------
    subject
        The subject. It determines where hours and days start.

    Attributes
    ----------
    is_paused
        Whether no hours are stored, because the baseline of the stream is never renewed.
    """

    def __init__(self, subject: str) -> None:
        self._offset_s = zlib.crc32(subject.encode()) % DAY_S
        self.is_paused = False
        self._hour: int | None = None
        self._values = np.zeros((0, 0))
        self._full_part = (-1, 0)
        self._totals_before = np.zeros((2, 0))
        self._is_excluded = False
        self._days: dict[int, HistoryDay] = {}
        self._changed: set[str] = set()

    @property
    def hour_count(self) -> int:
        """Number of hours in the history."""
        return sum(len(day.hours) for day in self._days.values())

    @property
    def span_s(self) -> int:
        """Seconds from the start of the first hour to the end of the last hour."""
        hours = self._hours()
        return (hours[-1] + 1 - hours[0]) * HOUR_S if hours else 0

    def has_room(self, first_pane: int, last_pane: int, width: int) -> bool:
        """Return whether values of a block between two panes, with ``width`` signals, may be stored."""
        if self.is_paused:
            return False
        part = self._part_of(last_pane)
        return (part, width) != self._full_part or self._part_of(first_pane) != part

    def begins_hour(self, pane: int) -> bool:
        """Return whether a block that begins in a pane begins another hour."""
        return not self.is_paused and self._hour != self._hour_of(pane)

    def advance(self, pane: int, signals: Sequence[Signal], moments: NDArray[np.float64]) -> bool:
        """Begin the hour of a pane if it is another hour. Store the hour before it unless it is excluded.

        Parameters
        ----------
        signals
            The ``S`` signals.
        moments
            Shape ``(3, S)``: number and mean of all values since the stream began; the last row is ignored.

        Returns
        -------
        bool
            Whether an hour ended that was the last of a day.
        """
        before, number = self._hour, self._hour_of(pane)
        if before == number:
            return False
        totals = np.array([moments[0], moments[0] * moments[1]])
        hourly = totals.copy()
        hourly[:, : self._totals_before.shape[1]] -= self._totals_before
        values, is_excluded = self._values, self._is_excluded
        self._hour, self._totals_before = number, totals
        self._values, self._full_part, self._is_excluded = np.zeros((0, 0)), (-1, 0), False
        self._changed.add("head")
        if before is None:
            return False
        # If the statistics were reset, counts have fallen.
        if not is_excluded and (hourly[0] >= 0.0).all() and hourly[0].any():
            columns = [
                _present(values[:, index]) if index < values.shape[1] else np.zeros(0) for index in range(len(signals))
            ]
            names, kinds = tuple(signal.name for signal in signals), tuple(signal.kind for signal in signals)
            # Numbers of single precision need half the memory.
            sums = hourly[1].astype(np.float32).astype(np.float64)
            self._add(HistoryHour(before, columns, hourly[0], sums), names, kinds)
        return before // HOURS != number // HOURS

    def add_values(self, values: NDArray[np.float64], panes: NDArray[np.int64]) -> None:
        """Store the first value of each signal in each part of the hour.

        Parameters
        ----------
        values
            Shape ``(R, S)``: NaN where absent.
        panes
            Shape ``(R,)``: the panes of the rows, non-decreasing, at least one.
        """
        first, last = int(panes[0]), int(panes[-1])
        if self._part_of(first) == self._part_of(last):
            self._fill_part(self._part_of(last), values)
            return
        parts = np.array([self._part_of(pane) for pane in panes.tolist()])
        for part in np.unique(parts).tolist():
            self._fill_part(part, values[parts == part])

    def exclude_since(self, time_ms: int) -> None:
        """Exclude the current hour, and all hours from the given time, because a drift began then."""
        self._is_excluded = True
        self._changed.add("head")
        first = self._hour_of(time_ms // PANE_MS)
        for number, day in [(number, day) for number, day in self._days.items() if day.hours[-1] >= first]:
            kept = [hour for hour in day.unpack() if hour.number < first]
            self._store(number, HistoryDay.pack(kept, day.names, day.kinds) if kept else None)

    def clear(self) -> None:
        """Remove all hours, because another normal state begins."""
        for number in list(self._days):
            self._store(number, None)
        self._hour, self._values, self._full_part = None, np.zeros((0, 0)), (-1, 0)
        self._changed.add("head")

    def learn(
        self, before: Baseline, settings: DetectSettings
    ) -> tuple[Baseline, dict[str, list[float]], dict[str, list[Level]]]:
        """Return a baseline of the history, the accepted levels, and each signal now and as it was accepted.

        Parameters
        ----------
        before
            The current baseline. Its autocorrelation times are kept, because the history has too few consecutive values
            to measure them. If it has no accepted levels, they are its own.

        Raises
        ------
        ValueError
            If there are no hours.
        """
        accepted = find_accepted_levels(before) | before.accepted_levels
        learned = self._learned_data(before)
        built = build_baseline(before.subject, learned, "renewed", settings)
        levels = {
            column.signal.name: _find_levels(column, built.signals[column.signal.name], accepted[column.signal.name])
            for column in learned.columns
            if column.signal.name in built.signals and accepted.get(column.signal.name)
        }
        return built, accepted, levels

    def _learned_data(self, before: Baseline) -> LearnedData:
        hours = self._hours()
        if not hours:
            raise ValueError("the history has no hours")
        first, count = hours[0], hours[-1] + 1 - hours[0]
        widest = self._days[max(self._days)]
        counts, sums = np.zeros((2, count, len(widest.names)))
        values: list[list[NDArray[np.float64]]] = [[] for _ in widest.names]
        slices: list[list[int]] = [[] for _ in widest.names]
        for _, day in sorted(self._days.items()):
            for hour in day.unpack():
                row = hour.number - first
                counts[row, : hour.counts.size], sums[row, : hour.sums.size] = hour.counts, hour.sums
                for index, column in enumerate(hour.values):
                    values[index].append(column)
                    slices[index].append(row)
        columns = []
        for index, (name, kind) in enumerate(zip(widest.names, widest.kinds, strict=True)):
            signal = channels.signal_by_name(name, kind)
            if signal is None:
                continue
            sizes = [column.size for column in values[index]]
            rows = np.repeat(np.array(slices[index], dtype=np.intp), sizes)
            # Hours of the history are not hours of the day, so the start of its hour would put a value into a wrong one.
            shares = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
            columns.append(
                LearnedColumn(
                    signal=signal,
                    values=np.concatenate(values[index]),
                    slices=rows,
                    bursts=rows,
                    counts=counts[:, index],
                    sums=sums[:, index],
                    times_ms=self._start_ms(first) + ((rows + shares) * (HOUR_S * 1000)).astype(np.int64),
                    is_spaced=True,
                )
            )
        return LearnedData(
            columns=[replace(column, known_times=_known_times(column, before)) for column in columns],
            categories={},
            slice_starts_ms=[self._start_ms(first + row) for row in range(count)],
            from_ms=self._start_ms(first),
            to_ms=self._start_ms(first + count),
            records=int(counts.max(axis=1).sum()),
        )

    def mark_all(self) -> None:
        """Mark all parts of the state as changed."""
        self._changed = {"head", *(str(number) for number in self._days)}

    def dump_changed(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Return the parts of the state that changed since the last call, with None for days that were removed."""
        changed, self._changed = sorted(self._changed), set()
        return [(item, self._dump_head() if item == "head" else self._dump_day(int(item))) for item in changed]

    def load_part(self, item: str, state: dict[str, Any]) -> None:
        """Restore a part from :meth:`dump_changed`. Parts can come in any order."""
        if item == "head":
            self._hour, self._is_excluded = state["hour"], state["is_excluded"]
            self._values = np.array(state["values"], dtype=np.float64)
            self._totals_before = np.array(state["totals"], dtype=np.float64).reshape(2, -1)
        else:
            self._days[int(item)] = HistoryDay(
                tuple(state["hours"]),
                tuple(state["names"]),
                tuple(state["kinds"]),
                np.asarray(state["numbers"], np.uint8).tobytes(),
            )

    @property
    def _hour_values(self) -> int:
        """Number of values per signal and hour, with the current number of days: a power of two."""
        limit = HOUR_VALUES_MAX
        while limit > 1 and limit * HOURS * len(self._days) > SIGNAL_VALUES_MAX:
            limit //= 2
        return limit

    def _hour_of(self, pane: int) -> int:
        return (pane * PANE_MS // 1000 - self._offset_s) // HOUR_S

    def _part_of(self, pane: int) -> int:
        return (pane * PANE_MS // 1000 - self._offset_s) % HOUR_S * HOUR_VALUES_MAX // HOUR_S

    def _fill_part(self, part: int, rows: NDArray[np.float64]) -> None:
        height, width = max(self._values.shape[0], part + 1), max(self._values.shape[1], rows.shape[1])
        if self._values.shape != (height, width):
            stored = np.full((height, width), np.nan)
            stored[: self._values.shape[0], : self._values.shape[1]] = self._values
            self._values = stored
        known = self._values[part]
        missing = np.flatnonzero(np.isnan(known[: rows.shape[1]]))
        candidates = rows.take(missing, axis=1)
        is_finite = np.isfinite(candidates)
        found = np.flatnonzero(is_finite.any(axis=0))
        if found.size:
            known[missing[found]] = candidates[is_finite.argmax(axis=0)[found], found]
            self._changed.add("head")
        if found.size == missing.size:
            self._full_part = part, rows.shape[1]

    def _start_ms(self, hour: int) -> int:
        return (hour * HOUR_S + self._offset_s) * 1000

    def _hours(self) -> list[int]:
        return sorted(hour for day in self._days.values() for hour in day.hours)

    def _add(self, hour: HistoryHour, names: tuple[str, ...], kinds: tuple[SignalKind, ...]) -> None:
        number = hour.number // HOURS
        day = self._days.get(number)
        hour = hour.thin_out(self._hour_values)
        hours = [] if day is None else day.unpack()
        self._store(number, HistoryDay.pack([*hours, hour], names, kinds))
        if day is None:
            for old in [old for old in self._days if old <= number - DAYS_MAX]:
                self._store(old, None)
            self._thin()

    def _thin(self) -> None:
        """Drop values of earlier hours, so that all hours have the same number of values."""
        limit = self._hour_values
        for number, day in list(self._days.items()):
            hours = day.unpack()
            if max(column.size for hour in hours for column in hour.values) > limit:
                self._store(number, HistoryDay.pack([hour.thin_out(limit) for hour in hours], day.names, day.kinds))

    def _store(self, number: int, day: HistoryDay | None) -> None:
        if day is None:
            del self._days[number]
        else:
            self._days[number] = day
        self._changed.add(str(number))

    def _dump_head(self) -> dict[str, Any]:
        return {
            "hour": self._hour,
            "is_excluded": self._is_excluded,
            "totals": self._totals_before.copy(),
            "values": self._values.copy(),
        }

    def _dump_day(self, number: int) -> dict[str, Any] | None:
        day = self._days.get(number)
        if day is None:
            return None
        return {
            "hours": list(day.hours),
            "names": list(day.names),
            "kinds": list(day.kinds),
            "numbers": np.frombuffer(day.numbers, np.uint8),
        }


def _known_times(column: LearnedColumn, before: Baseline) -> dict[str, float]:
    """Return the autocorrelation times of the channels. For a new signal, they are estimated from its hours."""
    signal = before.signals.get(column.signal.name)
    if signal is not None:
        times = {name: channel.autocorrelation_time for name, channel in signal.channels.items()}
        return times | known_shape_times(signal)
    if column.values.size < STORED_VALUES_MIN:
        return {}
    is_rate = column.signal.kind == "rate"
    numbers = column.values if is_rate else RankTable(compute_knots(column.values)).ranks(column.values)
    spacing = float(column.counts.sum()) / column.values.size
    time = short_autocorrelation_time(numbers, column.slices, spacing)
    return dict.fromkeys((*channels.channel_names(column.signal.kind), *SHAPE_TIMES), time)


def _find_levels(column: LearnedColumn, renewed: SignalBaseline, accepted: Sequence[float]) -> list[Level]:
    """Return the levels of a rate, or of the location and both tails of a value.

    Values are compared without their daily profile, which the accepted quantiles do not contain.
    """
    *levels, records = accepted
    if renewed.knots is None:
        return [last_level(renewed, "rate", column.rate_means(), levels[0], records)]
    table = RankTable(compute_knots(column.values))
    ranks, (low, middle, high) = table.ranks(column.values), table.ranks(np.array(levels)).tolist()
    location = slice_means(ranks, column.slices, column.counts.size)
    # If a tail has become heavier, the accepted quantile is now in the body of the distribution.
    return [
        last_level(renewed, "location", location, middle, records),
        tail_level(renewed, "low_tail", low, ranks.size, records),
        tail_level(renewed, "high_tail", 1.0 - high, ranks.size, records),
    ]


def _present(column: NDArray[np.float64]) -> NDArray[np.float64]:
    return column[np.isfinite(column)]
