"""Accepted levels as a provisional baseline: what is normal until the signals of an accepted incident are learned again.

Detect has no time to learn the new normal, so it follows from what the monitor has seen since the drift began: the recent
rate, or the distribution of the last 256 values. It must agree with the level that a person saw and accepted. Otherwise
the signal has moved on meanwhile, and the level that the person saw is normal.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import RankTables, baseline_version, hourly_profile
from pipeline.detect.findings import Finding
from pipeline.detect.monitor import Monitor
from pipeline.detect.one_sided_tests import CrossingKey, OneSidedTest, compute_band
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import ChannelName, Signal, channels
from schemas.baseline import Baseline, Channel, SignalBaseline
from schemas.drift import MINUTE_MS
from schemas.relearn import AcceptedLevel

RECENT_MINUTES = 10
"""Minutes before the acceptance from which the recent rate is computed."""

VALUES_MIN = 100
"""Minimum number of recent values that describe a distribution."""

MEDIAN_ERRORS = 3.0
"""Standard errors by which the median of recent values may differ from the accepted one, besides the tolerance of pages."""

COUNT_DOUBLINGS_MAX = 8
"""Maximum number of times by which the records of an accepted level are doubled for a band that can be tested."""

NOT_HELD = frozenset({"embedding_similarity"})
"""Signals without a provisional normal, because learning them again also changes how they are computed."""

HELD_CHANNELS = frozenset({"rate", "shape", *channels.VALUE_CHANNELS})
"""Channels whose level can be held. An age that only grows has no level, and a limit of the configuration always holds."""

_MAIN_CHANNELS = ("rate", "location")


class AcceptedBaseline(NamedTuple):
    """A provisional baseline, and the names of the signals whose level it has accepted. It is None if there are none."""

    baseline: Baseline | None
    names: frozenset[str]


def accept_levels(
    monitor: Monitor, levels: Iterable[AcceptedLevel], settings: DetectSettings, *, now_ms: int
) -> AcceptedBaseline:
    """Return the baseline of a monitor with accepted levels of the full subject in place of what was normal.

    Parameters
    ----------
    monitor
        The monitor, whose baseline, recent values and series are used. It is not changed.
    levels
        The accepted levels. Those of segments, of signals that are not monitored, and of channels that cannot be held
        are ignored.
    now_ms
        Event time of the acceptance in Unix milliseconds.
    """
    baseline = monitor.baseline
    chosen: dict[str, AcceptedLevel] = {}
    for level in levels:
        is_ignored = level.segment or level.channel not in HELD_CHANNELS or level.signal in NOT_HELD
        if not is_ignored and (level.signal not in chosen or level.channel in _MAIN_CHANNELS):
            chosen[level.signal] = level
    signals: dict[str, SignalBaseline] = {}
    for name, level in chosen.items():
        before = baseline.signals.get(name)
        signal = None if before is None else channels.find_signal(name, before.kind, baseline.subject, settings)
        if before is None or signal is None or name not in monitor.layout.indexes:
            continue
        accepted = _LevelBuilder(monitor, signal, before, level, settings, now_ms).build()
        if accepted is not None:
            signals[name] = accepted
    if not signals:
        return AcceptedBaseline(None, frozenset())
    update = {
        "source": "provisional",
        "signals": baseline.signals | signals,
        "accepted_levels": {name: known for name, known in baseline.accepted_levels.items() if name not in signals},
        "held_back": [name for name in baseline.held_back if name not in signals],
        "effective_at": None,
    }
    provisional = baseline.model_copy(update=update)
    provisional = provisional.model_copy(update={"baseline_version": baseline_version(provisional)})
    return AcceptedBaseline(provisional, frozenset(signals))


def accept_segment_levels(
    monitor: Monitor,
    levels: Iterable[AcceptedLevel],
    settings: DetectSettings,
    open_drifts: Mapping[tuple[CrossingKey, str], tuple[float, float, float]],
) -> None:
    """Take the accepted levels of segments as normal for their values. If one cannot be tested, its test is excluded.

    Parameters
    ----------
    monitor
        The monitor, which is changed in place.
    open_drifts
        The mean at which each test of a value fired, and the records and their sum since its last message, by the key of
        the test and the segment.
    """
    segments, bands = monitor.segments, _Bands.from_monitor(monitor, settings)
    for level in levels:
        index = None if not level.segment else segments.find_test((level.signal, level.channel, level.side))
        if index is None:
            continue
        test = segments.tests[index]
        # The level in the unit of a value does not give its mean rank.
        fired, records, total = open_drifts.get((test.crossing_key, level.segment), (test.mean, 0.0, 0.0))
        learned = monitor.baseline.signals[level.signal].channels[test.channel]
        channel = bands.build_channel(
            test.channel, learned, level.now if test.channel == "rate" else fired, level.records
        )
        boundary = None
        if test.channel != channels.OVERDUE:
            channel = bands.choose_recent(test.channel, channel, records, total)
            channel = bands.widen(test.channel, channel, rising=test.rising)
            boundary = bands.find_boundary(
                test.channel,
                channel,
                rising=test.rising,
                signal=test.signal,
                learned=monitor.baseline.signals[level.signal],
            )
        for dimension, values in segments.dimensions.items():
            for value in values.values.values():
                if Finding.segment_name(dimension, value.label) == level.segment:
                    slot = segments.monitor_value(value)
                    if boundary is None:
                        segments.bank.exclude(slot, index)
                    else:
                        segments.bank.hold(slot, index, channel.mean, boundary)


@dataclass(frozen=True)
class _Bands:
    """Channels with an accepted level, and their bands.

    Attributes
    ----------
    span_s, test_count
        Seconds of the baseline, and number of its tests, on which the width of a band depends.
    """

    settings: DetectSettings
    span_s: float
    test_count: int

    @classmethod
    def from_monitor(cls, monitor: Monitor, settings: DetectSettings) -> "_Bands":
        baseline = monitor.baseline
        span_s = (baseline.learned_to - baseline.learned_from) / 1000
        return cls(settings, span_s, len(monitor.tests) + len(monitor.not_testable))

    def build_channel(
        self, name: ChannelName, before: Channel, mean: float, records: float, variance: float | None = None
    ) -> Channel:
        """Return a channel with another level. Its deviation between slices grows with that between records."""
        if name in channels.BINARY:
            mean = min(max(mean, 0.0), 1.0)
            variance = mean * (1.0 - mean)
        elif variance is None:
            variance = before.variance
        scale = (variance / before.variance) ** 0.5 if before.variance > 0.0 and variance > 0.0 else 1.0
        update = {
            "mean": mean,
            "variance": variance,
            "slice_deviation": before.slice_deviation * max(1.0, scale),
            "half_difference": 0.0,
            "count": max(1, int(records)),
            "moving": False,
        }
        return before.model_copy(update=update)

    def choose_recent(self, name: ChannelName, accepted: Channel, records: float, total: float) -> Channel:
        """Return the level of recent records if it agrees with the accepted one, and otherwise the accepted one."""
        if records < OneSidedTest.PAGE_RECORDS:
            return accepted
        band = compute_band(accepted, name, "page", self.settings, test_count=self.test_count, span_s=self.span_s)
        is_same = band.low <= total / records <= band.high
        return self.build_channel(name, accepted, total / records, records) if is_same else accepted

    def widen(self, name: ChannelName, channel: Channel, *, rising: bool) -> Channel:
        """Return a channel with as many records as a band needs that can be tested.

        A level from few records has a wide band. It is tested against the widest possible one: the alternative is no
        test.
        """
        for doubling in range(COUNT_DOUBLINGS_MAX):
            counted = channel.model_copy(update={"count": channel.count * 2**doubling})
            if self.find_boundary(name, counted, rising=rising) is not None:
                return counted
        return channel

    def find_boundary(
        self,
        name: ChannelName,
        channel: Channel,
        *,
        rising: bool,
        signal: Signal | None = None,
        learned: SignalBaseline | None = None,
    ) -> float | None:
        """Return the null boundary of pages in a direction, or None if it cannot be tested.

        With a signal and its baseline, changes that do not matter according to the configuration are inside the band.
        """
        band = compute_band(channel, name, "page", self.settings, test_count=self.test_count, span_s=self.span_s)
        if signal is not None and learned is not None:
            band = band.include_means(signal, learned, name, channel.mean)
        if rising:
            return band.high if band.high_not_testable is None else None
        return band.low if band.low_not_testable is None else None


class _LevelBuilder:
    """Builder of the provisional baseline of one signal."""

    def __init__(
        self,
        monitor: Monitor,
        signal: Signal,
        before: SignalBaseline,
        level: AcceptedLevel,
        settings: DetectSettings,
        now_ms: int,
    ) -> None:
        self._monitor, self._signal, self._before, self._level = monitor, signal, before, level
        self._settings, self._now_ms = settings, now_ms
        self._bands = _Bands.from_monitor(monitor, settings)

    def build(self) -> SignalBaseline | None:
        """Return the provisional baseline, or None if too little is known of the accepted level."""
        if self._before.kind == "rate":
            return self._build_rate(self._before.channels["rate"])
        if self._before.knots is None:
            return None
        values = self._recent_values()
        if values is not None:
            return self._build_from_values(self._before.knots, values)
        return self._build_moved(self._before.knots) if self._level.channel == "location" else None

    def _build_rate(self, channel: Channel) -> SignalBaseline:
        index = self._monitor.layout.indexes[self._signal.name]
        records, total = self._monitor.minute_series.sum_since(index, self._first_minute())
        accepted = self._bands.build_channel("rate", channel, self._level.now, self._level.records)
        accepted = self._widen("rate", self._bands.choose_recent("rate", accepted, records, total))
        return self._before.model_copy(update={"mean": accepted.mean, "channels": {"rate": accepted}})

    def _first_minute(self) -> int:
        """Return the first full minute after the start of the drift, but at most ten minutes ago."""
        return max(self._level.started_at // MINUTE_MS + 1, self._now_ms // MINUTE_MS - RECENT_MINUTES)

    def _recent_values(self) -> NDArray[np.float64] | None:
        """Return the last values since the start of the drift if their median agrees with the accepted one."""
        index = self._monitor.layout.indexes[self._signal.name]
        records, _ = self._monitor.minute_series.sum_since(index, self._level.started_at // MINUTE_MS + 1)
        values = self._monitor.recent_values.newest(index, max(int(records), self._level.records))
        if values.size < VALUES_MIN:
            return None
        errors = values.size**-0.5 + max(1, self._level.records) ** -0.5
        tolerance = self._settings.page_rank_shift + MEDIAN_ERRORS * 0.5 * errors
        rank = float(np.mean(values < self._accepted_median()) + np.mean(values <= self._accepted_median())) / 2.0
        return values if abs(rank - 0.5) <= tolerance else None

    def _accepted_median(self) -> float:
        """Return the accepted median at the day's typical level."""
        if self._before.profile is None:
            return self._level.now
        quarter = hourly_profile.quarter_of_day(np.array([self._now_ms]))
        return float(hourly_profile.remove_profile(self._before.profile, np.array([self._level.now]), quarter)[0])

    def _build_from_values(self, before: Sequence[float], values: NDArray[np.float64]) -> SignalBaseline:
        knots: list[float] = np.quantile(values, np.linspace(0.0, 1.0, len(before))).tolist()
        ranks = RankTables([knots]).ranks(values[:, None])[:, 0]
        built = dict(self._before.channels)
        for name in channels.VALUE_CHANNELS:
            numbers = channels.from_rank(name, ranks)
            channel = self._bands.build_channel(
                name, built[name], float(numbers.mean()), values.size, float(numbers.var())
            )
            built[name] = self._widen(name, channel)
        return self._before.model_copy(
            update={"mean": float(values.mean()), "knots": knots, "channels": built, "shape": None}
        )

    def _build_moved(self, before: Sequence[float]) -> SignalBaseline:
        """Return what was normal, moved to the accepted median: by their ratio, or by their difference."""
        normal, now = before[len(before) // 2], self._accepted_median()
        is_ratio = self._before.kind in ("amount", "ratio") and normal > 0.0 and now > 0.0 and before[0] >= 0.0
        factor, shift = (now / normal, 0.0) if is_ratio else (1.0, now - normal)
        mean = None if self._before.mean is None else self._before.mean * factor + shift
        # The error of a median in ranks is that of a mean of a third of the records.
        count = max(1, self._level.records // 3)
        built = {
            name: self._widen(
                name,
                self._bands.build_channel(name, self._before.channels[name], self._before.channels[name].mean, count),
            )
            for name in channels.VALUE_CHANNELS
        }
        knots = [knot * factor + shift for knot in before]
        return self._before.model_copy(
            update={"mean": mean, "knots": knots, "channels": self._before.channels | built, "shape": None}
        )

    def _widen(self, name: ChannelName, channel: Channel) -> Channel:
        for bad, direction in channels.bad_directions(self._signal):
            if bad == name:
                channel = self._bands.widen(name, channel, rising=channels.mean_rises(name, direction))
        return channel
