"""What is normal: a baseline from the records of a time without failure. Live learning and files come here alike."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import spread
from pipeline.detect.baselines.profile import learn_profile
from pipeline.detect.baselines.rank import RankTable, compute_knots
from pipeline.detect.baselines.stationarity import is_nonstationary
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import ChannelName, Signal, channels
from schemas.baseline import Baseline, Channel, Profile, SignalBaseline

Source = Literal["file", "live", "accepted"]

KEPT_MIN = 100
"""Values that a rank table needs at least, however long the baseline."""

DROPPED_SHARE_MAX = 0.25
"""If more slices than this would be dropped over all signals, none is: then nobody knows which were the good ones."""

TAIL_SURER = 2.0
"""Standard errors by which a tail's autocorrelation time is taken longer than measured."""

_VERSION_LENGTH = 16


@dataclass(frozen=True, slots=True)
class LearnedColumn:
    """What was kept of one signal.

    Attributes
    ----------
    values, slices, bursts
        Shape ``(N,)``: kept values, and of each its slice (0 to S - 1) and its burst, a run of consecutive records.
    counts, sums
        Shape ``(S,)``: of all records that carried the signal, kept or not.
    times_ms
        Shape ``(N,)``: about when each kept value came, that is when its burst began; empty if nobody knows.
    """

    signal: Signal
    values: NDArray[np.float64]
    slices: NDArray[np.intp]
    bursts: NDArray[np.intp]
    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    times_ms: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class LearnedData:
    """All that was kept of a subject: its signals, its categories' counts by label, and when. Times are Unix ms.

    ``longest_gap_s``, ``quietest_per_s`` and ``centroid`` have the meanings of ``schemas.baseline.Baseline``.
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


def build_baseline(subject: str, learned: LearnedData, source: Source, settings: DetectSettings) -> Baseline:
    """Make a baseline.

    Slices in which a signal stood out are left out for all signals, and named. A signal with fewer records than
    ``settings`` asks for is left out: it is still being learned.
    """
    dropped = _dropped(learned)
    signals: dict[str, SignalBaseline] = {}
    starts_ms = learned.slice_starts_ms
    slice_s = (starts_ms[1] - starts_ms[0]) / 1000 if len(starts_ms) > 1 else 0.0
    for column in learned.columns:
        needed = settings.ready_records_rate if column.signal.kind == "rate" else settings.ready_records
        if column.counts.sum() < needed:
            continue
        own = _without(column, dropped)
        found = _signal(_freed(own, learned), slice_s, settings)
        if found is not None:
            signals[column.signal.name] = found
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
        signals=signals,
        dropped_slices=[learned.slice_starts_ms[index] for index in np.flatnonzero(dropped).tolist()],
    )
    return baseline.model_copy(update={"baseline_version": baseline_version(baseline)})


def baseline_version(baseline: Baseline) -> str:
    """The baseline's version: a short hash of what it says, not of where it came from or when it applies."""
    content = baseline.model_dump_json(exclude={"baseline_version", "source", "effective_at"})
    return hashlib.sha256(content.encode()).hexdigest()[:_VERSION_LENGTH]


def _dropped(learned: LearnedData) -> NDArray[np.bool_]:
    count = len(learned.slice_starts_ms)
    dropped = np.zeros(count, dtype=bool)
    for column in learned.columns:
        if column.values.size < KEPT_MIN:
            continue
        rate = column.signal.kind == "rate"
        numbers = column.values if rate else RankTable(compute_knots(column.values)).ranks(column.values)
        variance = float(np.var(numbers))
        time = _time(column, numbers)
        means = _rate_means(column) if rate else spread.slice_means(numbers, column.slices, count)
        dropped |= spread.outlying_slices(means, variance, time, binary=rate)
    return dropped if np.count_nonzero(dropped) <= DROPPED_SHARE_MAX * count else np.zeros(count, dtype=bool)


def _without(column: LearnedColumn, dropped: NDArray[np.bool_]) -> LearnedColumn:
    kept = ~dropped[column.slices]
    return LearnedColumn(
        column.signal,
        column.values[kept],
        column.slices[kept],
        column.bursts[kept],
        np.where(dropped, 0.0, column.counts),
        np.where(dropped, 0.0, column.sums),
        column.times_ms[kept] if column.times_ms.size else column.times_ms,
    )


def _freed(column: LearnedColumn, learned: LearnedData) -> tuple[LearnedColumn, Profile | None]:
    """The column freed of its daily cycle, and the profile that does it; as it is where there is none."""
    if column.signal.kind == "rate" or column.values.size != column.times_ms.size:
        return column, None
    found = learn_profile(column.values, column.times_ms, column.slices, learned.from_ms, learned.to_ms)
    if found is None:
        return column, None
    profile, values = found
    return replace(column, values=values), profile


def _signal(
    freed: tuple[LearnedColumn, Profile | None], slice_s: float, settings: DetectSettings
) -> SignalBaseline | None:
    column, profile = freed
    count = int(column.counts.sum())
    if column.values.size < KEPT_MIN or count == 0:
        return None
    mean = float(column.sums.sum() / count)
    if column.signal.kind == "rate":
        time = _time(column, column.values)
        means = _rate_means(column)
        rate = _channel("rate", column.values, means, time=time, mean=mean, count=count)
        rate = _still_moving(column.signal, "rate", rate, means, slice_s, settings)
        return SignalBaseline(kind="rate", count=count, mean=mean, channels={"rate": rate})
    knots = compute_knots(column.values)
    ranks = RankTable(knots).ranks(column.values)
    numbers = {name: channels.from_rank(name, ranks) for name in channels.VALUE_CHANNELS}
    times = {name: _time(column, own) for name, own in numbers.items()}
    longest = max(times.values())
    for name in (name for name in channels.VALUE_CHANNELS if name in channels.BINARY):
        # Of extremes, and of the runs in which they come, a baseline has few. Where it has too few to say, a tail is
        # taken to be as sluggish as its value.
        times[name] = min(longest, _time(column, numbers[name], surer=TAIL_SURER))
    learned: dict[str, Channel] = {}
    for name, own in numbers.items():
        means = spread.slice_means(own, column.slices, column.counts.size)
        channel = _channel(name, own, means, time=times[name], mean=float(own.mean()), count=own.size)
        learned[name] = _still_moving(column.signal, name, channel, means, slice_s, settings)
    return SignalBaseline(
        kind=column.signal.kind, count=count, mean=mean, knots=knots, channels=learned, profile=profile
    )


def _still_moving(
    signal: Signal, name: ChannelName, channel: Channel, means: spread.SliceMeans, slice_s: float,
    settings: DetectSettings,
) -> Channel:  # fmt: skip
    """The channel, with whether it was still moving: asked only of those that page."""
    if "page" not in channels.tiers(signal, name) or name not in {bad for bad, _ in channels.bad_directions(signal)}:
        return channel
    moving = is_nonstationary(
        name, means, settings, slice_s=slice_s, variance=channel.variance, time=channel.autocorrelation_time,
        deviation=channel.slice_deviation,
    )  # fmt: skip
    return channel.model_copy(update={"moving": moving})


def _rate_means(column: LearnedColumn) -> spread.SliceMeans:
    return spread.SliceMeans(column.sums / np.maximum(column.counts, 1.0), column.counts)


def _time(column: LearnedColumn, numbers: NDArray[np.float64], *, surer: float = 0.0) -> float:
    return spread.autocorrelation_time(numbers, column.slices, column.bursts, float(np.var(numbers)), surer=surer)


def _channel(
    name: ChannelName, numbers: NDArray[np.float64], means: spread.SliceMeans, *, time: float, mean: float, count: int
) -> Channel:
    variance = mean * (1.0 - mean) if name in channels.BINARY else float(np.var(numbers))
    deviation = spread.slice_deviation(means, variance, time)
    return Channel(
        mean=mean,
        variance=variance,
        autocorrelation_time=time,
        slice_deviation=deviation,
        half_difference=spread.half_difference(means, variance, time, deviation),
        count=count,
    )
