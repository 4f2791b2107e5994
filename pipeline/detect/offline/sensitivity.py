"""The smallest detectable change of each signal, in the unit of the signal."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import RankTables
from pipeline.detect.one_sided_tests import derive_tests, overdue_limit
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import ChannelName, channels
from schemas.baseline import Baseline
from schemas.drift import Direction, Tier

BISECTIONS = 60
"""Number of times that the range of shifts is bisected, which is enough for double precision."""


@dataclass(frozen=True, slots=True)
class SmallestChange:
    """The smallest lasting change of a channel in one direction that is detected at one tier.

    Attributes
    ----------
    size
        For a rate, the mean at the null boundary. For a value, the shift of all values: positive for a rise, negative
        for a fall. For an age that is overdue, its limit. None if the change is not testable.
    reason
        Reason why the change is not testable, or an empty string if it is testable.
    """

    signal: str
    channel: ChannelName
    direction: Direction
    tier: Tier
    size: float | None
    reason: str = ""


def smallest_changes(baseline: Baseline, settings: DetectSettings) -> list[SmallestChange]:
    """Return the smallest detectable change, or the reason why there is none, for each signal, bad direction and tier.

    An age also has the limit above which it is overdue.

    Tails and dispersion are not listed. They are also monitored and can detect a large change in a few values.
    """
    tests, not_testable = derive_tests(baseline, settings)
    changes = []
    for test in tests:
        name = test.signal.name
        if test.channel == "rate":
            changes.append(SmallestChange(name, test.channel, test.direction, test.tier, test.smallest_mean))
        elif test.channel == "location":
            knots = np.asarray(baseline.signals[name].knots, dtype=np.float64)
            shift = shift_for_mean_rank(knots, test.smallest_mean)
            changes.append(SmallestChange(name, test.channel, test.direction, test.tier, shift))
        elif test.channel == channels.OVERDUE and (ages := baseline.signals[name].ages) is not None:
            changes.append(SmallestChange(name, test.channel, test.direction, test.tier, overdue_limit(ages)))
    changes += [
        SmallestChange(skipped.signal.name, skipped.channel, skipped.direction, skipped.tier, None, skipped.reason)
        for skipped in not_testable
        if skipped.channel in ("rate", "location", channels.OVERDUE)
    ]
    return changes


def shift_for_mean_rank(knots: NDArray[np.float64], mean_rank: float) -> float:
    """Return the shift of all values that changes their mean rank from 0.5 to ``mean_rank``.

    Parameters
    ----------
    knots
        Ascending quantiles, evenly spaced.

    >>> round(shift_for_mean_rank(np.linspace(0.0, 100.0, 513), 0.58), 1)
    8.3
    """
    table = RankTables([knots.tolist()])
    middles = (knots[1:] + knots[:-1]) / 2
    sign = 1.0 if mean_rank >= 0.5 else -1.0
    low, high = 0.0, float(knots[-1] - knots[0]) or 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        rank = float(table.ranks((middles + sign * middle)[:, None]).mean())
        if sign * (rank - mean_rank) < 0:
            low = middle
        else:
            high = middle
    return sign * high
