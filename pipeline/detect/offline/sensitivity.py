"""The smallest detectable change of each signal, in the unit of the signal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import RankTables
from pipeline.detect.one_sided_tests import OneSidedTest, derive_tests, overdue_limit, rate_evidence
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals import ChannelName, channels
from schemas.baseline import Baseline, SignalBaseline
from schemas.drift import Direction, Tier

DETECTED_WITHIN_S = (DAY_S, 7 * DAY_S, 28 * DAY_S)
"""Seconds within which a change is to be detected: a day, or longer for a signal that few records contain."""

DETECTED_DEVIATIONS = 1.2816
"""Standard deviations by which the expected evidence must exceed the threshold: nine of ten changes are then detected."""

BISECTIONS = 30

TOO_FEW = "its records are too few, or depend too much on each other, to show any change within 28 days"
"""Reason why no change is detectable although the test runs."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SmallestChange:
    """The smallest lasting change of a channel in one direction that nine of ten times is detected at one tier.

    Attributes
    ----------
    size
        For a rate, the new mean. For a value, the shift of all values: positive for a rise, negative for a fall. For an
        age that is overdue, its limit. None if no change is detectable.
    reason
        Reason why no change is detectable, or an empty string.
    unit
        Unit of the signal.
    within_s
        Seconds within which the change is detected, at the requests per second of the baseline. A smaller change may be
        detected later. 0 for an age.
    """

    signal: str
    channel: ChannelName
    direction: Direction
    tier: Tier
    size: float | None
    reason: str = ""
    unit: str = ""
    within_s: int = 0


def smallest_changes(
    baseline: Baseline, settings: DetectSettings, within_s: Sequence[int] = DETECTED_WITHIN_S
) -> list[SmallestChange]:
    """Return the smallest detectable change, or the reason why there is none, for each signal, bad direction and tier.

    An age also has the limit above which it is overdue.

    Tails, dispersion and shapes are not listed. They are also monitored and can detect a large change in a few values.

    Parameters
    ----------
    within_s
        Seconds within which a change is to be detected. The first period in which any change can be detected applies.
    """
    tests, not_testable = derive_tests(baseline, settings)
    span_s = max(1.0, (baseline.learned_to - baseline.learned_from) / 1000)
    changes = [
        change
        for test in tests
        if (change := _find_change(test, baseline.signals[test.signal.name], span_s, within_s)) is not None
    ]
    changes += [
        SmallestChange(skipped.signal.name, skipped.channel, skipped.direction, skipped.tier, None, skipped.reason)
        for skipped in not_testable
        if skipped.channel in ("rate", "location", channels.OVERDUE)
    ]
    return changes


def _find_change(
    test: OneSidedTest, learned: SignalBaseline, span_s: float, within_s: Sequence[int]
) -> SmallestChange | None:
    """Return the smallest detectable change of a test, or None if its channel is not listed."""
    found: tuple[float, int] | None
    per_s = learned.count / span_s
    if test.channel == channels.OVERDUE and learned.ages is not None:
        found = overdue_limit(learned.ages, test.signal.smallest), 0
    elif test.channel == "rate":
        extreme = 1.0 if test.rising else 0.0
        found = _search(test, per_s, within_s, partial(_rate_evidence, test), test.smallest_mean, extreme)
    elif test.channel == "location":
        knots = np.asarray(learned.knots, dtype=np.float64)
        nearest = RankTables.shift_for_mean_rank(knots, test.smallest_mean)
        extreme = float(np.copysign(knots[-1] - knots[0], nearest))
        table, middles = RankTables([knots.tolist()]), (knots[1:] + knots[:-1]) / 2
        evidence = partial(_location_evidence, test, table, middles)
        found = _search(test, per_s, within_s, evidence, nearest, extreme)
    else:
        return None
    size, found_s = (None, 0) if found is None else found
    reason, unit = TOO_FEW if found is None else "", test.signal.unit
    return SmallestChange(
        test.signal.name, test.channel, test.direction, test.tier, size, reason, unit=unit, within_s=found_s
    )


def _search(
    test: OneSidedTest,
    records_per_s: float,
    within_s: Sequence[int],
    evidence: Callable[[float], tuple[Floats, Floats]],
    nearest: float,
    extreme: float,
) -> tuple[float, int] | None:
    """Return the size between ``nearest`` and ``extreme`` that is detected, and the seconds that this takes, or None.

    Parameters
    ----------
    records_per_s
        Records per second that carry the signal.
    within_s
        Seconds within which a change is to be detected: the first period in which any change can be.
    evidence
        Mean and variance of a record's evidence per bet, given a size.
    nearest, extreme
        The smallest size that matters, and the largest that is possible.
    """
    for period_s in within_s:
        if test.tier == "page" and records_per_s * period_s < test.PAGE_RECORDS:
            continue
        independent = records_per_s * period_s * test.weight

        def is_detected(share: float, independent: float = independent) -> bool:
            mean, variance = evidence(nearest + share * (extreme - nearest))
            sure = independent * mean - DETECTED_DEVIATIONS * np.sqrt(independent * variance)
            return bool(sure.max() >= test.threshold)

        if is_detected(0.0):
            return nearest, period_s
        if is_detected(1.0):
            low, high = 0.0, 1.0
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                low, high = (low, middle) if is_detected(middle) else (middle, high)
            return nearest + high * (extreme - nearest), period_s
    return None


def _rate_evidence(test: OneSidedTest, mean: float) -> tuple[Floats, Floats]:
    without_event, event = rate_evidence(test.stakes, np.array(test.null_boundary), np.array(1.0))
    return without_event + mean * event, mean * (1.0 - mean) * event**2


def _location_evidence(test: OneSidedTest, table: RankTables, values: Floats, shift: float) -> tuple[Floats, Floats]:
    surprise = table.ranks((values + shift)[:, None])[:, 0] - test.null_boundary
    evidence = np.log(1.0 + test.stakes[:, None] * surprise)
    return evidence.mean(axis=1), evidence.var(axis=1)
