"""The smallest detectable change of each signal, in the unit of the signal."""

from dataclasses import dataclass

import numpy as np

from pipeline.detect.baselines import RankTables
from pipeline.detect.one_sided_tests import OneSidedTest, derive_tests, overdue_limit
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import ChannelName, channels
from schemas.baseline import Baseline
from schemas.drift import Direction, Tier


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
    unit
        Unit of the signal.
    """

    signal: str
    channel: ChannelName
    direction: Direction
    tier: Tier
    size: float | None
    reason: str = ""
    unit: str = ""


def smallest_changes(baseline: Baseline, settings: DetectSettings) -> list[SmallestChange]:
    """Return the smallest detectable change, or the reason why there is none, for each signal, bad direction and tier.

    An age also has the limit above which it is overdue.

    Tails and dispersion are not listed. They are also monitored and can detect a large change in a few values.
    """
    tests, not_testable = derive_tests(baseline, settings)
    changes = []
    for test in tests:
        size = _find_size(test, baseline)
        if size is not None:
            name, unit = test.signal.name, test.signal.unit
            changes.append(SmallestChange(name, test.channel, test.direction, test.tier, size, unit=unit))
    changes += [
        SmallestChange(skipped.signal.name, skipped.channel, skipped.direction, skipped.tier, None, skipped.reason)
        for skipped in not_testable
        if skipped.channel in ("rate", "location", channels.OVERDUE)
    ]
    return changes


def _find_size(test: OneSidedTest, baseline: Baseline) -> float | None:
    learned = baseline.signals[test.signal.name]
    if test.channel == "rate":
        return test.smallest_mean
    if test.channel == "location":
        return RankTables.shift_for_mean_rank(np.asarray(learned.knots, dtype=np.float64), test.smallest_mean)
    if test.channel == channels.OVERDUE and learned.ages is not None:
        return overdue_limit(learned.ages, test.signal.smallest)
    return None
