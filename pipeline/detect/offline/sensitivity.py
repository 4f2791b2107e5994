"""The smallest change that a baseline lets detect see, signal by signal, in the signal's own unit. For people."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import RankTable
from pipeline.detect.one_sided_tests import derive_tests
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline
from schemas.drift import Direction, Tier

BISECTIONS = 60
"""Halvings of the range in which a shift is sought: more than a double has digits."""


@dataclass(frozen=True, slots=True)
class SmallestChange:
    """The smallest change to one side that is news at one tier.

    Attributes
    ----------
    by
        Of a rate, the mean at which its band ends; of a value, how far all values together must shift, with its sign.
        None where it cannot be judged.
    reason
        Why it cannot be judged; empty where it can.
    """

    signal: str
    side: Direction
    tier: Tier
    by: float | None
    reason: str = ""


def smallest_changes(baseline: Baseline, settings: DetectSettings) -> list[SmallestChange]:
    """For every signal, bad side and tier that is watched, or would be, the smallest change.

    Tails and dispersion are watched too, and may see a change that moves few values far; they are not listed.
    """
    sides, unjudged = derive_tests(baseline, settings)
    found = []
    for side in sides:
        name = side.signal.name
        if side.channel == "rate":
            found.append(SmallestChange(name, side.direction, side.tier, side.null_boundary))
        elif side.channel == "location":
            knots = np.asarray(baseline.signals[name].knots, dtype=np.float64)
            found.append(
                SmallestChange(name, side.direction, side.tier, shift_for_mean_rank(knots, side.null_boundary))
            )
    found += [
        SmallestChange(gap.signal.name, gap.direction, gap.tier, None, gap.reason)
        for gap in unjudged
        if gap.channel in ("rate", "location")
    ]
    return found


def shift_for_mean_rank(knots: NDArray[np.float64], mean_rank: float) -> float:
    """How far all values of a table must shift for their mean rank to become ``mean_rank`` (0.5 is no shift).

    Parameters
    ----------
    knots
        Ascending quantiles, evenly spaced.

    >>> round(shift_to(np.linspace(0.0, 100.0, 513), 0.58), 1)
    8.3
    """
    table = RankTable(knots.tolist())
    middles = (knots[1:] + knots[:-1]) / 2
    sign = 1.0 if mean_rank >= 0.5 else -1.0
    low, high = 0.0, float(knots[-1] - knots[0]) or 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        reached = float(table.ranks(middles + sign * middle).mean())
        if sign * (reached - mean_rank) < 0:
            low = middle
        else:
            high = middle
    return sign * high
