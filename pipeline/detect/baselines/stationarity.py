"""Whether the mean of a channel has moved: while its baseline was learned, or since its baseline was accepted."""

import math
from typing import NamedTuple

import numpy as np

from pipeline.detect.baselines.spread import SliceMeans, half_difference, last_day
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals import ChannelName, channels
from schemas.baseline import Baseline, Channel, SignalBaseline

HALF_ERRORS = 5.0
"""Minimum difference between the halves, in standard errors."""

END_S = 3600.0
"""Length of the first and the last part of the full days, in seconds. These two ends are compared because they are at
nearly the same time of day."""

END_SHARE = 0.5
"""Minimum difference between the ends, as a share of the difference between the halves. With a daily cycle, the halves
of one day can differ as much as in a failure, but the ends differ by at most a quarter of that. After a step, both
differences are equal. In a steady trend, the ends differ by twice as much as the halves."""

END_ERRORS = 2.0
"""Minimum difference between the ends, in standard errors, because a baseline stores few values per hour."""


ACCEPTED_SHARES = (channels.TAIL_SHARE, 0.5, 1.0 - channels.TAIL_SHARE)
"""Quantiles of a value that describe what was accepted."""


class Level(NamedTuple):
    """A channel of a renewed signal now and when its baseline was accepted.

    Attributes
    ----------
    channel
        The channel.
    now
        Mean of the last day. For a tail, it is the mean of all days, because one day has too few values.
    accepted
        The renewed channel with the mean that was accepted, the deviation between days, and the records of ``now``.
    """

    channel: ChannelName
    now: float
    accepted: Channel


def nonstationary_signals(baseline: Baseline) -> list[str]:
    """Return the names of the signals with a channel that was still changing."""
    return [
        name for name, signal in baseline.signals.items() if any(channel.moving for channel in signal.channels.values())
    ]


def is_nonstationary(
    name: ChannelName,
    slices: SliceMeans,
    settings: DetectSettings,
    *,
    slice_s: float,
    variance: float,
    time: float,
    deviation: float,
) -> bool:
    """Return whether the halves differ by more than chance, the ticket tolerance and a daily cycle can explain.

    The test covers the last full days. It returns False if there is no full day, or if ``settings.ready_after_s`` is
    less than a day, which means that daily cycles do not matter.

    The limit is the tolerance, not the full band. The band extends at least three standard deviations of the slice
    means to each side, but the halves of a series never differ by more than two.

    Parameters
    ----------
    slices
        Mean of the channel per slice, in order. A slice covers ``slice_s`` seconds.
    variance, time, deviation
        Variance of the channel, its autocorrelation time in records, and its deviation between slices.
    """
    days = int(slices.means.size * slice_s // DAY_S)
    if days < 1 or settings.ready_after_s < DAY_S:
        return False
    count = round(days * DAY_S / slice_s)
    window = SliceMeans(slices.means[-count:], slices.counts[-count:])
    end = max(1, round(END_S / slice_s))
    first, second = _mean(window, 0, count // 2), _mean(window, count // 2, count)
    start, finish = _mean(window, 0, end), _mean(window, count - end, count)
    if first is None or second is None or start is None or finish is None:
        return False
    halves_agree = abs(half_difference(window, variance, time, deviation)) <= HALF_ERRORS
    if halves_agree or _is_tolerated(name, first, second, settings):
        return False
    records = float(window.counts[:end].sum()), float(window.counts[-end:].sum())
    chance = END_ERRORS * (time * variance * (1.0 / records[0] + 1.0 / records[1])) ** 0.5
    difference = second - first
    end_difference: float = math.copysign(1.0, difference) * (finish - start)
    return bool(end_difference >= END_SHARE * abs(difference) + chance)


def _mean(slices: SliceMeans, begin: int, end: int) -> float | None:
    counts = slices.counts[begin:end]
    return float(np.average(slices.means[begin:end], weights=counts)) if counts.sum() > 0 else None


def _is_tolerated(name: ChannelName, first: float, second: float, settings: DetectSettings) -> bool:
    if name not in channels.BINARY:
        return abs(second - first) <= settings.ticket_rank_shift
    low, high = sorted((first, second))
    return high <= channels.scale_odds(low, settings.ticket_rate_odds)


def find_accepted_levels(baseline: Baseline) -> dict[str, list[float]]:
    """Return what is normal, as in ``schemas.baseline.Baseline``, for each signal that was learned for a day or longer."""
    accepted = {}
    for name, signal in baseline.signals.items():
        from_ms, to_ms = signal.learned_from or baseline.learned_from, signal.learned_to or baseline.learned_to
        if to_ms - from_ms < DAY_S * 1000:
            continue  # what was normal for an hour is not normal for a day
        if signal.knots is not None and "location" in signal.channels:
            positions = np.linspace(0.0, 1.0, len(signal.knots))
            quantiles = np.interp(ACCEPTED_SHARES, positions, signal.knots).tolist()
            accepted[name] = [*quantiles, float(signal.channels["location"].count)]
        elif signal.kind == "rate" and signal.mean is not None:
            accepted[name] = [signal.mean, float(signal.count)]
    return accepted


def last_level(
    renewed: SignalBaseline, channel: ChannelName, hours: SliceMeans, accepted: float, accepted_records: float
) -> Level:
    """Return the level of a channel whose means per hour are known, against the mean that was accepted."""
    now, records, deviation = last_day(hours)
    return _level(renewed, channel, now, accepted, min(records, accepted_records), deviation)


def tail_level(
    renewed: SignalBaseline, channel: ChannelName, share: float, records: float, accepted_records: float
) -> Level:
    """Return the level of a tail, given the share of all records that is now beyond the accepted quantile."""
    normal = channels.TAIL_SHARE
    return _level(renewed, channel, max(share, normal), normal, min(records, accepted_records), 0.0)


def _level(
    renewed: SignalBaseline, channel: ChannelName, now: float, accepted: float, records: float, deviation: float
) -> Level:
    # Both means have errors. Two samples have the error of one with half of the smaller number of records. The mean rank
    # of what was accepted is that of a median, whose variance is three times as high: 1/4 instead of 1/12.
    share = 4.0 if channel == "location" else 2.0
    update = {"mean": accepted, "slice_deviation": deviation, "count": max(1, int(records / share))}
    return Level(channel, now, renewed.channels[channel].model_copy(update=update))
