"""The floor: how many records a failure needs at least before anybody may be sure of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load.world import Floats
from pipeline.detect.baselines import RankTable, hourly_profile
from pipeline.detect.one_sided_tests import OneSidedTest, derive_tests
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, channels
from schemas.baseline import Baseline
from schemas.drift import Tier

PANES = 4
"""Panes that must have begun: what one second holds is one event."""

STAKES = 400
"""Bets among which the best is looked for."""


@dataclass(frozen=True, slots=True)
class Floor:
    """Records until the fourth pane begins, and threshold x autocorrelation time / growth of the best bet."""

    panes: int
    evidence: float

    @property
    def records(self) -> float:
        """The larger of the two."""
        return max(float(self.panes), self.evidence)


def floor_of(
    baseline: Baseline, settings: DetectSettings, values: dict[str, Floats], times_ms: NDArray[np.int64], tier: Tier
) -> Floor:
    """The floor of a change.

    The growth is the largest mean of ln(1 + stake x (x - edge)) over all records after the change and all stakes: the
    divergence of the changed records from the nearest that the band allows (Honda and Takemura's KL-inf). Of the sides
    of all signals given, the one with the least floor counts.

    Parameters
    ----------
    values
        By signal, of the records after the change; NaN where not reported. If there are none (a signal that detect
        derives from labels), only the panes are counted: a floor all the same, and the harder to meet.
    times_ms
        Of the records after the change, in order.
    """
    panes = np.flatnonzero(np.diff(times_ms // PANE_MS, prepend=times_ms[0] // PANE_MS - 1) > 0)
    begun = int(panes[PANES - 1]) + 1 if panes.size >= PANES else int(times_ms.size)
    profiles = {name: learned.profile for name, learned in baseline.signals.items()}
    freed = {
        name: column
        if (profile := profiles.get(name)) is None
        else hourly_profile.remove_profile(profile, column, hourly_profile.hour_of_day(times_ms))
        for name, column in values.items()
    }
    needs = [
        _records(side, baseline, freed[side.signal.name])
        for side in derive_tests(baseline, settings)[0]
        if side.tier == tier and side.signal.name in values
    ]
    return Floor(begun, min(needs, default=np.inf) if values else 0.0)


def _records(side: OneSidedTest, baseline: Baseline, values: Floats) -> float:
    own = values[~np.isnan(values)]
    if not own.size:
        return float(np.inf)
    knots = baseline.signals[side.signal.name].knots
    channel = own if knots is None else channels.from_rank(side.channel, RankTable(knots).ranks(own))
    surprise = channel - side.null_boundary if side.rising else side.null_boundary - channel
    null = side.null_boundary if side.rising else 1.0 - side.null_boundary
    if surprise.mean() <= 0:
        return float(np.inf)
    stakes = np.geomspace(1e-3, 0.999, STAKES) / null
    numbers, counts = np.unique(surprise, return_counts=True)
    growth = (np.log1p(np.outer(stakes, numbers)) @ (counts / own.size)).max()
    carried = own.size / values.size
    return side.threshold / (side.weight * float(growth) * carried)
