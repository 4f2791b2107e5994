"""Moving: whether a channel was still on its way somewhere while its baseline was learned, so that nothing was normal."""

import math

import numpy as np

from pipeline.detect.baselines.spread import SliceMeans, half_difference
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals import ChannelName, channels
from schemas.baseline import Baseline

ERRORS = 5.0
"""Standard errors that the halves must lie apart."""

END_S = 3600.0
"""Seconds of either end that are compared: the same hour of the first day and after the last."""

END_SHARE = 0.5
"""Share of the difference between the halves that the ends must show too. Of a daily cycle, which makes the halves of a
single day differ as much as a failure does, they show a quarter at most; of a step all, of a steady move twice that."""

END_ERRORS = 2.0
"""Standard errors by which they must show more than that: an hour holds few of the values that a baseline keeps."""

NONSTATIONARY = "it was still moving while its baseline was learned"


def nonstationary_signals(baseline: Baseline) -> list[str]:
    """The signals of a baseline with a channel that was still moving."""
    return [
        name for name, signal in baseline.signals.items() if any(channel.moving for channel in signal.channels.values())
    ]


def is_nonstationary(
    name: ChannelName, slices: SliceMeans, settings: DetectSettings, *, slice_s: float, variance: float, time: float,
    deviation: float,
) -> bool:  # fmt: skip
    """Whether the second half differs from the first by more than chance, a ticket's tolerance and a daily cycle.

    Looks at the last whole days. Of less than one nothing can be said, and nothing is where ``settings.ready_after_s``
    says that days do not matter.

    The tolerance is the gate, not the whole band: that holds three standard deviations between slices, and the halves
    of no series differ by more than two.

    Parameters
    ----------
    slices
        Means of the channel by slice, of ``slice_s`` seconds each, in order.
    variance, time, deviation
        Of the channel, its autocorrelation time in records, and its deviation between slices.
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
    if abs(half_difference(window, variance, time, deviation)) <= ERRORS or _tolerated(name, first, second, settings):
        return False
    records = float(window.counts[:end].sum()), float(window.counts[-end:].sum())
    chance = END_ERRORS * (time * variance * (1.0 / records[0] + 1.0 / records[1])) ** 0.5
    difference = second - first
    shown: float = math.copysign(1.0, difference) * (finish - start)
    return bool(shown >= END_SHARE * abs(difference) + chance)


def _mean(slices: SliceMeans, begin: int, end: int) -> float | None:
    counts = slices.counts[begin:end]
    return float(np.average(slices.means[begin:end], weights=counts)) if counts.sum() > 0 else None


def _tolerated(name: ChannelName, first: float, second: float, settings: DetectSettings) -> bool:
    if name not in channels.BINARY:
        return abs(second - first) <= settings.ticket_rank_shift
    low, high = sorted((first, second))
    return high <= channels.scale_odds(low, settings.ticket_rate_odds)
