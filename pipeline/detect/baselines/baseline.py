"""Build a baseline from records of a period without failures, both for live learning and for files."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import spread
from pipeline.detect.baselines.hourly_profile import learn_profile
from pipeline.detect.baselines.quarters import QuarterAges
from pipeline.detect.baselines.ranks import RankTable, compute_knots
from pipeline.detect.baselines.stationarity import is_nonstationary
from pipeline.detect.settings import DAY_S, HOUR_S, DetectSettings
from pipeline.detect.signals import ChannelName, Signal, channels
from schemas.baseline import Baseline, Channel, Profile, SignalBaseline, Traffic

BaselineSource = Literal["file", "live", "accepted", "renewed", "provisional"]

STORED_VALUES_MIN = 100
"""Minimum number of stored values per signal, regardless of the settings."""

DROPPED_SHARE_MAX = 0.25
"""Maximum share of slices that are dropped, over all signals. If more slices are outliers, none is dropped, because it
is unknown which slices are normal."""

TAIL_STANDARD_ERRORS = 2.0
"""Number of standard errors added to the autocorrelation time of a tail."""

_VERSION_LENGTH = 16


@dataclass(frozen=True, slots=True)
class LearnedColumn:
    """The data that a learner stored for one signal.

    Attributes
    ----------
    values, slices, bursts
        Shape ``(N,)``: the stored values, and the slice (0 to S - 1) and burst of each value. A burst is a run of
        consecutive records.
    counts, sums
        Shape ``(S,)``: number and sum of all values per slice, including values that were not stored.
    times_ms
        Shape ``(N,)``: the approximate time of each stored value (the start of its burst). Empty if unknown.
    known_times
        Autocorrelation times, in records, that are already known, by channel.
    is_spaced
        Whether the stored values are so far apart that each is independent of the one before.
    ages
        The ages by quarter of a slice, or None if the signal is not an age or its ages are not known.
    """

    signal: Signal
    values: NDArray[np.float64]
    slices: NDArray[np.intp]
    bursts: NDArray[np.intp]
    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    times_ms: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    known_times: Mapping[str, float] = field(default_factory=dict)
    is_spaced: bool = False
    ages: QuarterAges | None = None

    def without_slices(self, dropped: NDArray[np.bool_]) -> "LearnedColumn":
        """Return the column without the slices that are marked in ``dropped``, shape ``(S,)``."""
        remaining = ~dropped[self.slices]
        return replace(
            self,
            values=self.values[remaining],
            slices=self.slices[remaining],
            bursts=self.bursts[remaining],
            counts=np.where(dropped, 0.0, self.counts),
            sums=np.where(dropped, 0.0, self.sums),
            times_ms=self.times_ms[remaining] if self.times_ms.size else self.times_ms,
            ages=None if self.ages is None else self.ages.without_slices(dropped),
        )

    def rate_means(self) -> spread.SliceMeans:
        """Return the mean per slice over all values, stored or not."""
        return spread.SliceMeans(self.sums / np.maximum(self.counts, 1.0), self.counts)

    def chance_time(self, time: float) -> float:
        """Return the autocorrelation time of the stored values, for one of the records."""
        return 1.0 if self.is_spaced else time

    def autocorrelation_time(
        self, channel: ChannelName, numbers: NDArray[np.float64], *, standard_errors: float = 0.0
    ) -> float:
        """Return the autocorrelation time, in records, of a channel of the stored values, shape ``(N,)``."""
        if channel in self.known_times:
            return self.known_times[channel]
        return spread.autocorrelation_time(
            numbers, self.slices, self.bursts, float(np.var(numbers)), standard_errors=standard_errors
        )


@dataclass(frozen=True, slots=True)
class LearnedData:
    """The data that a learner stored for a subject: signals, labels of categories, and times in Unix milliseconds.

    ``longest_gap_s``, ``quietest_per_s``, ``centroid``, ``expected_fields`` and ``traffic`` have the same meaning as in
    ``schemas.baseline.Baseline``.
    ``is_sampled`` is whether any record was sampled by outcome.
    """

    columns: Sequence[LearnedColumn]
    categories: dict[str, dict[str, int]]
    slice_starts_ms: Sequence[int]
    from_ms: int
    to_ms: int
    records: int
    longest_gap_s: float = 0.0
    quietest_per_s: float = 0.0
    centroid: list[float] | None = None
    expected_fields: Sequence[str] = ()
    is_sampled: bool = False
    traffic: Traffic | None = None

    @property
    def slice_s(self) -> float:
        """Seconds per slice, or 0 if there is only one slice."""
        starts_ms = self.slice_starts_ms
        return (starts_ms[1] - starts_ms[0]) / 1000 if len(starts_ms) > 1 else 0.0

    @property
    def hours(self) -> NDArray[np.intp] | None:
        """The UTC hour of each slice, shape ``(S,)``, or None if a slice is longer than an hour or there are no two days."""
        if self.slice_s > HOUR_S or self.to_ms - self.from_ms < 2 * DAY_S * 1000:
            return None
        return np.array(self.slice_starts_ms, dtype=np.intp) // (HOUR_S * 1000) % spread.HOURS

    def times_of_day(self, column: LearnedColumn) -> NDArray[np.intp] | None:
        """Return the time of the day of each stored value of a column, or None if it is not known or there are no two days."""
        if self.to_ms - self.from_ms >= 2 * DAY_S * 1000 and column.times_ms.size == column.values.size:
            part_ms = HOUR_S * 1000 // spread.TIMES_PER_HOUR
            return np.asarray(column.times_ms // part_ms % (spread.HOURS * spread.TIMES_PER_HOUR), dtype=np.intp)
        return None if self.hours is None else self.hours[column.slices]


def required_records(signal: Signal, settings: DetectSettings) -> int:
    """Return the number of records that the baseline of a signal requires."""
    return settings.ready_records_rate if signal.kind == "rate" else settings.ready_records


def build_baseline(subject: str, learned: LearnedData, source: BaselineSource, settings: DetectSettings) -> Baseline:
    """Build a baseline.

    If any signal is an outlier in a slice, the slice is dropped for all signals and listed in ``dropped_slices``.
    Signals with fewer records than ``settings`` requires are omitted, because they are still being learned.
    """
    dropped = _find_outlying_slices(learned)
    signals: dict[str, SignalBaseline] = {}
    for column in learned.columns:
        if column.counts.sum() < required_records(column.signal, settings):
            continue
        signal = channels.configure_signal(column.signal, subject, settings)
        signal_baseline = _build_signal(replace(column.without_slices(dropped), signal=signal), learned, settings)
        if signal_baseline is not None:
            signals[column.signal.name] = signal_baseline
    for name, counts in learned.categories.items():
        records = sum(counts.values())
        if records >= settings.ready_records_rate:
            shares = {label: count / records for label, count in sorted(counts.items())}
            signals[name] = SignalBaseline(kind="category", count=records, shares=shares)
    baseline = Baseline(
        subject=subject,
        baseline_version="",
        source=source,
        learned_from=learned.from_ms,
        learned_to=learned.to_ms,
        records=learned.records,
        longest_gap_s=learned.longest_gap_s,
        quietest_per_s=learned.quietest_per_s,
        centroid=learned.centroid,
        expected_fields=list(learned.expected_fields),
        signals=signals,
        traffic=learned.traffic,
        sampled="tail" if learned.is_sampled else None,
        dropped_slices=[learned.slice_starts_ms[index] for index in np.flatnonzero(dropped).tolist()],
    )
    return baseline.model_copy(update={"baseline_version": baseline_version(baseline)})


def baseline_version(baseline: Baseline) -> str:
    """Return a short hash of the baseline's content. The hash ignores ``source`` and ``effective_at``."""
    excluded: dict[str, Any] = dict.fromkeys(("baseline_version", "source", "effective_at"), True)
    # Versions of baselines from before these fields remain valid.
    optional = ("sampled", "expected_fields", "accepted_levels", "held_back", "traffic")
    excluded |= {name: True for name in optional if not getattr(baseline, name)}
    if baseline.traffic is not None and baseline.traffic.hours_from is None:
        excluded["traffic"] = {"hours_from", "hourly_requests", "gaps"}
    excluded["signals"] = {
        name: {field for field in ("ages", "shape") if getattr(signal, field) is None}
        for name, signal in baseline.signals.items()
    }
    content = baseline.model_dump_json(exclude=excluded)
    return hashlib.sha256(content.encode()).hexdigest()[:_VERSION_LENGTH]


def _find_outlying_slices(learned: LearnedData) -> NDArray[np.bool_]:
    count = len(learned.slice_starts_ms)
    outlying = np.zeros(count, dtype=bool)
    for column in learned.columns:
        if column.values.size < STORED_VALUES_MIN:
            continue
        is_rate = column.signal.kind == "rate"
        numbers = column.values if is_rate else RankTable(compute_knots(column.values)).ranks(column.values)
        time = column.autocorrelation_time("rate" if is_rate else "location", numbers)
        means = column.rate_means() if is_rate else spread.slice_means(numbers, column.slices, count)
        time = time if is_rate else column.chance_time(time)
        variance = float(np.var(numbers))
        outlying |= spread.outlying_slices(means, variance, time, binary=is_rate)
    return outlying if np.count_nonzero(outlying) <= DROPPED_SHARE_MAX * count else np.zeros(count, dtype=bool)


def _build_signal(column: LearnedColumn, learned: LearnedData, settings: DetectSettings) -> SignalBaseline | None:
    column, profile = _remove_daily_cycle(column, learned)
    count = int(column.counts.sum())
    if column.values.size < STORED_VALUES_MIN or count == 0:
        return None
    mean = float(column.sums.sum() / count)
    if column.signal.kind == "rate":
        time = column.autocorrelation_time("rate", column.values)
        means, variance = column.rate_means(), mean * (1.0 - mean)
        deviation = spread.slice_deviation(means, variance, time)
        if learned.hours is not None:
            recurring = spread.recurring_deviation(column.sums, column.counts, learned.hours, variance, time)
            deviation = max(deviation, recurring)
        rate = _build_channel(means, deviation, mean=mean, variance=variance, time=time, chance_time=time, count=count)
        rate = _mark_nonstationary(column.signal, "rate", rate, means, learned.slice_s, settings, time=time)
        return SignalBaseline(kind="rate", count=count, mean=mean, channels={"rate": rate})
    knots = compute_knots(column.values)
    ranks = RankTable(knots).ranks(column.values)
    numbers = {name: channels.from_rank(name, ranks) for name in channels.VALUE_CHANNELS}
    times = {name: column.autocorrelation_time(name, channel_numbers) for name, channel_numbers in numbers.items()}
    longest = max(times.values())
    for name in (name for name in channels.VALUE_CHANNELS if name in channels.BINARY):
        # A baseline has few extreme values, so the estimate for a tail is uncertain. Standard errors are added to it,
        # up to the longest autocorrelation time of the other channels.
        time = column.autocorrelation_time(name, numbers[name], standard_errors=TAIL_STANDARD_ERRORS)
        times[name] = min(longest, time)
    times_of_day = learned.times_of_day(column)
    built: dict[str, Channel] = {}
    for name, channel_numbers in numbers.items():
        means = spread.slice_means(channel_numbers, column.slices, column.counts.size)
        channel_mean = float(channel_numbers.mean())
        chance_time = column.chance_time(times[name])
        is_binary = name in channels.BINARY
        variance = channel_mean * (1.0 - channel_mean) if is_binary else float(np.var(channel_numbers))
        channel = _build_channel(
            means,
            spread.value_deviation(channel_numbers, means, times_of_day, variance, chance_time),
            mean=channel_mean,
            variance=variance,
            time=times[name],
            chance_time=chance_time,
            count=channel_numbers.size,
        )
        built[name] = _mark_nonstationary(
            column.signal, name, channel, means, learned.slice_s, settings, time=chance_time
        )
    cycles = None if column.ages is None else column.ages.find_cycles()
    if cycles is not None:
        # No age of the baseline is above the limit, which follows from the longest one.
        built[channels.OVERDUE] = Channel(
            mean=0.0, variance=0.0, autocorrelation_time=1.0, slice_deviation=0.0, count=count
        )
    return SignalBaseline(
        kind=column.signal.kind,
        count=count,
        mean=mean,
        knots=knots,
        channels=built,
        profile=profile,
        ages=cycles,
        shape=spread.learn_shape(column, ranks, times_of_day),
    )


def _remove_daily_cycle(column: LearnedColumn, learned: LearnedData) -> tuple[LearnedColumn, Profile | None]:
    """Remove the daily cycle of a column.

    Return the corrected column and its profile, or the original column and None.
    """
    if column.signal.kind == "rate" or column.values.size != column.times_ms.size:
        return column, None
    learned_profile = learn_profile(column.values, column.times_ms, column.slices, learned.from_ms, learned.to_ms)
    if learned_profile is None:
        return column, None
    profile, values = learned_profile
    return replace(column, values=values), profile


def _build_channel(
    means: spread.SliceMeans,
    deviation: float,
    *,
    mean: float,
    variance: float,
    time: float,
    chance_time: float,
    count: int,
) -> Channel:
    return Channel(
        mean=mean,
        variance=variance,
        autocorrelation_time=time,
        slice_deviation=deviation,
        half_difference=spread.half_difference(means, variance, chance_time, deviation),
        count=count,
    )


def _mark_nonstationary(
    signal: Signal,
    name: ChannelName,
    channel: Channel,
    means: spread.SliceMeans,
    slice_s: float,
    settings: DetectSettings,
    *,
    time: float,
) -> Channel:
    """Return the channel with ``moving`` set if it may page and was not stationary."""
    if "page" not in channels.tiers(signal, name) or name not in {bad for bad, _ in channels.bad_directions(signal)}:
        return channel
    moving = is_nonstationary(
        name,
        means,
        settings,
        slice_s=slice_s,
        variance=channel.variance,
        time=time,
        deviation=channel.slice_deviation,
    )
    return channel.model_copy(update={"moving": moving})
