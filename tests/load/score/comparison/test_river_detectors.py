"""River's detectors and the simpler rule, on values with a known change."""

import numpy as np

from load.score.comparison.river_detectors import deviating_minutes, run_detectors


def test_alarms_of_river_are_counted_before_and_after_a_row() -> None:
    values = np.concatenate([np.random.default_rng(2).normal(size=3000), np.random.default_rng(3).normal(5, 1, 3000)])
    for alarms in run_detectors(values):
        assert alarms.delay_after(3000) is not None
        assert alarms.count_before(3000) <= 3


def test_three_sigma_fires_on_a_minute_that_deviates() -> None:
    times_ms = np.arange(600) * 1000
    values = np.zeros(600)
    values[300:360] = 1.0
    assert deviating_minutes(values + np.arange(600) % 2 * 0.01, times_ms, 0.005, 0.05) == [300_000]
