"""Floor of a delay: minimum mean number of records that any detector with the same false-alarm rate needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import RankTables, hourly_profile
from pipeline.detect.one_sided_tests import OneSidedTest, derive_tests
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, channels
from schemas.baseline import Baseline
from schemas.drift import Tier

PANES = 4
"""Number of panes that must have begun, because the records of one second count as one event."""

STAKES = 400
"""Stakes from which the best stake is selected."""


@dataclass(frozen=True, slots=True)
class DelayFloor:
    """Lower limits of a delay, in records: until the fourth pane begins, and until the evidence suffices.

    The second limit is the threshold x the autocorrelation time / the growth of the evidence at the best stake.
    """

    panes: int
    evidence: float

    @property
    def records(self) -> float:
        """Larger of the two counts."""
        return max(float(self.panes), self.evidence)


def compute_floor(
    baseline: Baseline,
    settings: DetectSettings,
    values: dict[str, NDArray[np.float64]],
    times_ms: NDArray[np.int64],
    tier: Tier,
) -> DelayFloor:
    """Compute the floor of the delay after a change.

    The growth is the mean of ln(1 + stake x (x - null boundary)) over all records after the change, at the best stake:
    the divergence of the changed records from the nearest distribution that the band allows (Honda and Takemura's
    KL-inf). The lowest floor of all one-sided tests is returned.

    Parameters
    ----------
    baseline
        Baseline before the change.
    settings
        Settings of detect.
    values
        Values of the records after the change by signal; NaN where a value is not reported. If there are no values, as
        for a signal that detect derives from labels, only the panes count.
    times_ms
        Times of the records after the change, in order.
    tier
        Tier of the one-sided tests.
    """
    panes = np.flatnonzero(np.diff(times_ms // PANE_MS, prepend=times_ms[0] // PANE_MS - 1) > 0)
    begun = int(panes[PANES - 1]) + 1 if panes.size >= PANES else int(times_ms.size)
    profiles = {name: learned.profile for name, learned in baseline.signals.items()}
    freed = {
        name: column
        if (profile := profiles.get(name)) is None
        else hourly_profile.remove_profile(profile, column, hourly_profile.quarter_of_day(times_ms))
        for name, column in values.items()
    }
    counts = [
        _evidence_records(test, baseline, freed[test.signal.name])
        for test in derive_tests(baseline, settings)[0]
        if test.tier == tier and test.signal.name in values
    ]
    return DelayFloor(begun, min(counts, default=np.inf) if values else 0.0)


def _evidence_records(test: OneSidedTest, baseline: Baseline, values: NDArray[np.float64]) -> float:
    """Return the number of records after which the evidence of a one-sided test reaches its threshold."""
    reported = values[~np.isnan(values)]
    if not reported.size:
        return float(np.inf)
    knots = baseline.signals[test.signal.name].knots
    if knots is not None:
        reported = RankTables([knots]).ranks(reported[:, None])[:, 0]
    channel = channels.from_rank(test.channel, reported)
    deviations = channel - test.null_boundary if test.rising else test.null_boundary - channel
    null = test.null_boundary if test.rising else 1.0 - test.null_boundary
    if deviations.mean() <= 0:
        return float(np.inf)
    stakes = np.geomspace(1e-3, 0.999, STAKES) / null
    numbers, counts = np.unique(deviations, return_counts=True)
    growth = (np.log1p(np.outer(stakes, numbers)) @ (counts / reported.size)).max()
    reported_share = reported.size / values.size
    return test.threshold / (test.weight * float(growth) * reported_share)
