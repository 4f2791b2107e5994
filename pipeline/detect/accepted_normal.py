"""Accepted levels as a provisional baseline: what is normal until the signals of an accepted incident are learned again.

Detect has no time to learn the new normal, so it follows from what the monitor has seen since the drift began: the recent
rate, or the distribution of the last 256 values. It must agree with the level that a person saw and accepted. Otherwise
the signal has moved on meanwhile, and the level that the person saw is normal.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import RankTables, baseline_version, hourly_profile
from pipeline.detect.monitor import Monitor
from pipeline.detect.one_sided_tests import OneSidedTest, compute_band
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
        The accepted levels. Those of segments, of signals that are not monitored, and of ages that are overdue are
        ignored: an age that only grows has no level.
    now_ms
        Event time of the acceptance in Unix milliseconds.
    """
    baseline = monitor.baseline
    chosen: dict[str, AcceptedLevel] = {}
    for level in levels:
        is_ignored = level.segment or level.channel == channels.OVERDUE or level.signal in NOT_HELD
        if not is_ignored and (level.signal not in chosen or level.channel in _MAIN_CHANNELS):
            chosen[level.signal] = level
    signals: dict[str, SignalBaseline] = {}
    for name, level in chosen.items():
        before = baseline.signals.get(name)
        signal = None if before is None else channels.signal_by_name(name, before.kind)
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


def accept_segment_level(
    test: OneSidedTest, learned: SignalBaseline, level: AcceptedLevel, settings: DetectSettings
) -> float | None:
    """Return the null boundary of a rate's test for a segment whose level was accepted, or None if it cannot be tested."""
    channel = learned.channels.get(test.channel)
    if test.channel != "rate" or channel is None:
        return None
    moved = _build_channel(channel, level.now, level.now * (1.0 - level.now), level.records)
    moved = _limit_width(moved, "rate", settings, test_count=1, span_s=0.0, rising=test.rising)
    band = compute_band(moved, "rate", "page", settings, test_count=1, span_s=0.0)
    obstacle = band.high_not_testable if test.rising else band.low_not_testable
    return None if obstacle else band.high if test.rising else band.low


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
        baseline = monitor.baseline
        self._span_s = (baseline.learned_to - baseline.learned_from) / 1000
        self._test_count = len(monitor.tests) + len(monitor.not_testable)

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
        mean = min(max(self._level.now, 0.0), 1.0)
        accepted = _build_channel(channel, mean, mean * (1.0 - mean), self._level.records)
        records, total = self._monitor.minute_series.sum_since(
            self._monitor.layout.indexes[self._signal.name], self._first_minute()
        )
        if records >= OneSidedTest.PAGE_RECORDS:
            band = compute_band(
                accepted, "rate", "page", self._settings, test_count=self._test_count, span_s=self._span_s
            )
            if band.low <= total / records <= band.high:
                mean = total / records
                accepted = _build_channel(channel, mean, mean * (1.0 - mean), int(records))
        accepted = self._limit_width("rate", accepted)
        return self._before.model_copy(update={"mean": mean, "channels": {"rate": accepted}})

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
        factors, shifts = hourly_profile.hourly_factors(self._before.profile)
        hour = int(hourly_profile.hour_of_day(np.array([self._now_ms]))[0])
        return float(self._level.now * factors[hour] + shifts[hour])

    def _build_from_values(self, before: Sequence[float], values: NDArray[np.float64]) -> SignalBaseline:
        knots: list[float] = np.quantile(values, np.linspace(0.0, 1.0, len(before))).tolist()
        ranks = RankTables([knots]).ranks(values[:, None])[:, 0]
        built = dict(self._before.channels)
        for name in channels.VALUE_CHANNELS:
            numbers = channels.from_rank(name, ranks)
            built[name] = self._limit_width(
                name, _build_channel(built[name], float(numbers.mean()), float(numbers.var()), values.size)
            )
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
            name: self._limit_width(name, _build_channel(channel, channel.mean, channel.variance, count))
            if name in channels.VALUE_CHANNELS
            else channel
            for name, channel in self._before.channels.items()
        }
        knots = [knot * factor + shift for knot in before]
        return self._before.model_copy(update={"mean": mean, "knots": knots, "channels": built, "shape": None})

    def _limit_width(self, name: ChannelName, channel: Channel) -> Channel:
        for bad, direction in channels.bad_directions(self._signal):
            if bad == name:
                rising = channels.mean_rises(name, direction)
                channel = _limit_width(
                    channel, name, self._settings, test_count=self._test_count, span_s=self._span_s, rising=rising
                )
        return channel


def _build_channel(before: Channel, mean: float, variance: float, records: int) -> Channel:
    """Return a channel with another level. Its deviation between slices grows with that between records."""
    scale = (variance / before.variance) ** 0.5 if before.variance > 0.0 and variance > 0.0 else 1.0
    update = {
        "mean": mean,
        "variance": variance,
        "slice_deviation": before.slice_deviation * max(1.0, scale),
        "half_difference": 0.0,
        "count": max(1, records),
        "moving": False,
    }
    return before.model_copy(update=update)


def _limit_width(
    channel: Channel, name: ChannelName, settings: DetectSettings, *, test_count: int, span_s: float, rising: bool
) -> Channel:
    """Return a channel with as many records as a band needs that can be tested.

    A level from few records has a wide band. It is tested against the widest possible one: the alternative is no test.
    """
    for doubling in range(COUNT_DOUBLINGS_MAX):
        counted = channel.model_copy(update={"count": channel.count * 2**doubling})
        band = compute_band(counted, name, "page", settings, test_count=test_count, span_s=span_s)
        if (band.high_not_testable if rising else band.low_not_testable) is None:
            return counted
    return channel
