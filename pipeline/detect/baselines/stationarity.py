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


def last_level(renewed: SignalBaseline, channel: ChannelName, hours: SliceMeans, accepted: float) -> Level:
    """Return the level of a channel whose means per hour are known, against the mean that was accepted."""
    now, records, deviation = last_day(hours)
    return level_of(renewed, channel, now, accepted, records=int(records), deviation=deviation)


def level_of(
    renewed: SignalBaseline, channel: ChannelName, now: float, accepted: float, *, records: int, deviation: float = 0.0
) -> Level:
    """Return a level from its numbers."""
    update = {"mean": accepted, "slice_deviation": deviation, "count": max(1, records)}
    return Level(channel, now, renewed.channels[channel].model_copy(update=update))
