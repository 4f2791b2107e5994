"""A daily cycle on three days becomes a profile. Other variation does not."""

import numpy as np
import pytest

from pipeline.detect.baselines.hourly_profile import HOUR_MS, HOURS, learn_profile, profile_factors, restore_hour
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.settings import DAY_S, DetectSettings
from schemas.baseline import Profile
from tests.pipeline.detect.worlds import START_MS, blocks

SETTINGS = DetectSettings(ready_records=1000)
PER_S = 0.1
DAY_RECORDS = round(DAY_S * PER_S)


def hour_angles(rows, first=0):
    return 2 * np.pi * (START_MS / 1000 + (first + np.arange(rows)) / PER_S) / DAY_S


def latencies(seed, days, amplitude=0.5):
    rows = round(days * DAY_RECORDS)
    return np.random.default_rng(seed).lognormal(6.5, 0.4, rows) * np.exp(amplitude * np.sin(hour_angles(rows)))


def learned(**columns):
    learner = Learner("support-bot", SETTINGS)
    for part in blocks(columns, per_s=PER_S):
        learner.observe(part)
    return learner.baseline("file")


def test_a_daily_cycle_of_three_days_becomes_a_profile_and_the_band_is_narrower():
    cyclic = learned(latency_ms=latencies(1, 4)).signals["latency_ms"]
    two_days = learned(latency_ms=latencies(1, 2.5)).signals["latency_ms"]
    assert cyclic.profile.transform == "log"
    assert max(cyclic.profile.medians) / min(cyclic.profile.medians) == pytest.approx(np.exp(1.0), rel=0.15)
    assert two_days.profile is None
    assert cyclic.channels["location"].slice_deviation < 0.4 * two_days.channels["location"].slice_deviation


@pytest.mark.slow
def test_a_signal_without_a_cycle_has_no_profile():
    for seed in range(5):
        assert learned(latency_ms=latencies(seed, 4, amplitude=0.0)).signals["latency_ms"].profile is None


def test_days_that_differ_at_random_hours_have_no_profile():
    for seed in range(5):
        values = latencies(seed, 5, amplitude=0.0)
        # A new level every six hours, at random.
        levels = np.random.default_rng(seed + 100).normal(0, 0.4, values.size // (DAY_RECORDS // 4) + 1)
        values *= np.exp(np.repeat(levels, DAY_RECORDS // 4)[: values.size])
        assert learned(latency_ms=values).signals["latency_ms"].profile is None


def test_a_symmetric_value_is_corrected_by_difference():
    rows = 4 * DAY_RECORDS
    confidence = np.random.default_rng(3).normal(0.7, 0.05, rows) + 0.1 * np.sin(hour_angles(rows))
    profile = learned(confidence=confidence).signals["confidence"].profile
    assert profile.transform == "none"
    assert max(profile.medians) - min(profile.medians) == pytest.approx(0.2, abs=0.03)


def test_random_levels_beneath_the_cycle_still_widen_the_band():
    # Each hour of each day has a random level beneath the cycle. A profile that includes the same day would hide it.
    rows = 4 * DAY_RECORDS
    level = np.repeat(np.random.default_rng(6).normal(0, 0.2, 4 * HOURS), DAY_RECORDS // HOURS)
    noise = np.random.default_rng(7).lognormal(6.5, 0.4, rows) * np.exp(level)
    plain = learned(latency_ms=noise).signals["latency_ms"]
    cyclic = learned(latency_ms=noise * np.exp(0.8 * np.sin(hour_angles(rows)))).signals["latency_ms"]
    assert plain.profile is None
    assert cyclic.profile is not None
    assert cyclic.channels["location"].slice_deviation >= plain.channels["location"].slice_deviation


def test_rates_have_no_profile():
    rows = 4 * DAY_RECORDS
    refused = np.random.default_rng(4).random(rows) < 0.1 * (1 + 0.9 * np.sin(hour_angles(rows)))
    assert learned(refused=refused.astype(float)).signals["refused"].profile is None


def test_hours_without_values_are_interpolated():
    times = START_MS + np.arange(8 * DAY_RECORDS) * round(1000 / PER_S)
    hours = times // 3_600_000 % HOURS
    values = latencies(5, 8)
    seen = (hours >= 2) & (hours < 22)
    days = (times - START_MS) // (DAY_S * 1000)
    profile, corrected = learn_profile(
        values[seen], times[seen], (days * 24 + hours)[seen].astype(np.intp), START_MS, START_MS + 8 * DAY_S * 1000
    )
    assert len(profile.medians) == HOURS
    assert np.isfinite(corrected).all()
    missing = [profile.medians[hour] for hour in (22, 23, 0, 1)]
    low, high = sorted((profile.medians[21], profile.medians[2]))
    assert all(0.999 * low <= median <= 1.001 * high for median in missing)
    assert len(set(missing)) == 4


@pytest.mark.parametrize("transform", ["log", "none"])
def test_the_median_of_an_hour_is_corrected_to_the_typical_level(transform):
    medians = np.linspace(100.0, 300.0, HOURS)
    factors, shifts = profile_factors(Profile(transform=transform, medians=medians.tolist()))
    middles = 4 * np.arange(HOURS)
    for quarter in (1, 2):
        levels = medians * factors[middles + quarter] + shifts[middles + quarter]
        assert np.abs(levels[1:-1] - np.median(medians)).max() < 3.0, "within an eighth of the step to the next hour"
    assert np.abs((medians * factors[middles] + shifts[middles])[1:-1] - np.median(medians)).max() < 7.0


@pytest.mark.parametrize(
    "profile",
    [
        Profile(transform="log", medians=[0.0] + [1.0] * 23),
        Profile(transform="log", medians=[-1.0] * 24),
        Profile(transform="log", medians=[1e-300] + [1e300] * 23),
        Profile(transform="none", medians=[-1e308] + [1.7e308] * 23),
    ],
)
def test_a_profile_that_cannot_be_applied_is_rejected(profile):
    with pytest.raises(ValueError, match="medians"):
        profile_factors(profile)


@pytest.mark.parametrize("extreme", [1e300, 1e-300, 1.7e308])
def test_extreme_values_give_no_profile_or_a_finite_one(extreme):
    rows = 4 * DAY_RECORDS
    values = latencies(8, 4)
    values[round(rows * 0.3) : round(rows * 0.35)] = extreme
    times = START_MS + np.arange(rows) * round(1000 / PER_S)
    slices = (np.arange(rows) // (DAY_RECORDS // HOURS)).astype(np.intp)
    for sign in (1.0, -1.0):
        profile = learn_profile(sign * values, times, slices, START_MS, START_MS + 4 * DAY_S * 1000)
        assert profile is None or np.isfinite(profile[1]).all()


def test_medians_too_far_apart_give_no_profile():
    rows = 4 * DAY_RECORDS
    times = START_MS + np.arange(rows) * round(1000 / PER_S)
    slices = (np.arange(rows) // (DAY_RECORDS // HOURS)).astype(np.intp)
    values = np.where(times // 3_600_000 % HOURS == 5, 1e-300, 1e299 * latencies(9, 4))
    assert learn_profile(values, times, slices, START_MS, START_MS + 4 * DAY_S * 1000) is None


@pytest.mark.parametrize("transform", ["log", "none"])
def test_the_level_at_an_hour_is_restored(transform):
    profile = Profile(transform=transform, medians=[100.0 + hour for hour in range(24)])
    factors, shifts = profile_factors(profile)
    for quarter in (0, 37, 95):
        value = 120.0 * factors[quarter] + shifts[quarter]
        assert restore_hour(profile, value, quarter * HOUR_MS // 4 + 5) == pytest.approx(120.0)
    assert restore_hour(None, 7.0, 0) == 7.0


def test_whole_numbers_stay_whole():
    random = np.random.default_rng(4)
    times_ms = np.arange(0, 4 * 86_400_000, 30_000)
    hours = times_ms // HOUR_MS % HOURS
    values = random.poisson(np.where(hours < 8, 1.6, 6.4)).astype(float)
    found = learn_profile(values, times_ms, times_ms // HOUR_MS, 0, 4 * 86_400_000)
    assert found is not None
    profile, corrected = found
    assert profile.transform == "none"
    assert max(profile.medians) > min(profile.medians)
    assert np.array_equal(corrected, np.round(corrected))
