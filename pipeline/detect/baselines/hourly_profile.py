"""The hourly profile: the typical level of a value by hour of day. With it, a daily cycle does not widen the band."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import spread
from pipeline.detect.baselines.ranks import RankTable, compute_knots
from pipeline.detect.baselines.spread import HOURS
from pipeline.detect.settings import DAY_S
from schemas.baseline import Profile

HOUR_MS = 3_600_000
DAYS_MIN = 3
"""Number of full days required for a profile. With fewer days, the effect of the hour cannot be separated from the
effect of the day."""

DEVIATION_DROP_MIN = 0.2
"""Share by which a profile must reduce the deviation between slices on held-out days. On real traffic, a profile often
increases the deviation."""

SKEW_MIN = 0.2
"""Minimum skew of the middle 80 % of positive values at which hours are compared by ratio instead of difference."""

Transform = Literal["log", "none"]
Floats = NDArray[np.float64]


def learn_profile(
    values: Floats, times_ms: NDArray[np.int64], slices: NDArray[np.intp], from_ms: int, to_ms: int
) -> tuple[Profile, Floats] | None:
    """Learn the profile of a value. Return None if there are too few days or if a profile would not help.

    The profile is cross-validated: each full day is corrected with the profile of the other days. The profile is used
    only if this lowers the deviation between the slices' mean ranks by at least 20 %. The cross-validated values are
    returned, because values corrected with a profile that includes their own day would look steadier than future
    values.

    Parameters
    ----------
    values, times_ms, slices
        Shape ``(N,)``: the values, their approximate times, and their slices in the baseline.
    from_ms, to_ms
        The period of the baseline, Unix milliseconds.

    Returns
    -------
    profile
        The profile of all full days.
    corrected
        The corrected values, shape ``(N,)``. Values after the last full day are corrected with ``profile``, which does
        not include them.
    """
    day_ms = DAY_S * 1000
    count = (to_ms - from_ms) // day_ms
    if count < DAYS_MIN or not values.size:
        return None
    transform = choose_transform(values)
    days, hours = (times_ms - from_ms) // day_ms, hour_of_day(times_ms)
    in_whole_day = days < count
    if np.unique(days[in_whole_day]).size < DAYS_MIN:
        return None
    try:
        medians = _hourly_medians(values[in_whole_day], hours[in_whole_day])
        profile = Profile(transform=transform, medians=medians.tolist())
        corrected = remove_profile(profile, values, hours)
        for day in np.unique(days[in_whole_day]):
            in_day, in_others = days == day, in_whole_day & (days != day)
            medians = _hourly_medians(values[in_others], hours[in_others])
            profile_of_others = Profile(transform=transform, medians=medians.tolist())
            corrected[in_day] = remove_profile(profile_of_others, values[in_day], hours[in_day])
    except ValueError:
        return None
    if not np.isfinite(corrected).all():
        return None
    before = _slice_deviation(values[in_whole_day], slices[in_whole_day])
    after = _slice_deviation(corrected[in_whole_day], slices[in_whole_day])
    if before == 0.0 or after > (1.0 - DEVIATION_DROP_MIN) * before:
        return None
    return profile, corrected


def hourly_factors(profile: Profile) -> tuple[Floats, Floats]:
    """Return the factor and the shift per hour that correct a value to the day's typical level, in its unit.

    The corrected value is ``value * factor + shift``, so ranking needs no logarithm.

    >>> factors, shifts = hourly_factors(Profile(transform="log", medians=[100.0] * 23 + [200.0]))
    >>> float(200.0 * factors[23] + shifts[23]), float(factors[0])
    (100.0, 1.0)

    Raises
    ------
    ValueError
        If the profile cannot be applied: a median is not above 0 although hours are compared by ratio, or the medians
        are too far apart.
    """
    medians = np.asarray(profile.medians, dtype=np.float64)
    if profile.transform == "log" and medians.min() <= 0.0:
        raise ValueError("a profile by ratio needs 24 medians above 0")
    factors, shifts = np.ones(HOURS), np.zeros(HOURS)
    with np.errstate(over="ignore"):
        typical = float(np.median(medians))
        if profile.transform == "log":
            factors = typical / medians
        else:
            shifts = typical - medians
    if not (np.isfinite(factors).all() and np.isfinite(shifts).all()):
        raise ValueError("the medians of the profile are too far apart for floating-point numbers")
    return factors, shifts


def restore_hour(profile: Profile | None, value: float, time_ms: int) -> float:
    """Convert a value from the day's typical level to the level at the hour of ``time_ms``, in the same unit.

    >>> restore_hour(Profile(transform="log", medians=[100.0] * 23 + [200.0]), 100.0, 23 * HOUR_MS)
    200.0
    """
    if profile is None:
        return value
    factors, shifts = hourly_factors(profile)
    hour = time_ms // HOUR_MS % HOURS
    return float((value - shifts[hour]) / factors[hour])


def hour_of_day(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the UTC hour of the day of each time.

    >>> hour_of_day(np.array([0, 90_000_000, -1])).tolist()
    [0, 1, 23]
    """
    return times_ms // HOUR_MS % HOURS


def choose_transform(values: Floats) -> Transform:
    """Choose ratios for positive values that are skewed to the right, such as latencies; otherwise choose differences.

    >>> choose_transform(np.exp(np.linspace(-2.0, 2.0, 99))), choose_transform(np.linspace(1.0, 2.0, 99))
    ('log', 'none')
    """
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    positive = float(values.min()) > 0.0
    return "log" if positive and high + low - 2.0 * middle > SKEW_MIN * (high - low) else "none"


def remove_profile(profile: Profile, values: Floats, hours: NDArray[np.int64]) -> Floats:
    """Remove the effect of the hour from values, so they are at the day's typical level."""
    factors, shifts = hourly_factors(profile)
    with np.errstate(over="ignore"):
        corrected: Floats = values * factors[hours] + shifts[hours]
    return corrected


def _hourly_medians(values: Floats, hours: NDArray[np.int64]) -> Floats:
    """Return the median per hour. Hours without a value are interpolated, including across midnight."""
    known = np.unique(hours)
    medians = np.array([np.median(values[hours == hour]) for hour in known])
    interpolated: Floats = np.interp(np.arange(HOURS), known, medians, period=HOURS)
    # Whole numbers stay whole, because half a number would change their distribution at every hour.
    return np.round(interpolated) if np.array_equal(values, np.round(values)) else interpolated


def _slice_deviation(values: Floats, slices: NDArray[np.intp]) -> float:
    ranks = RankTable(compute_knots(values)).ranks(values)
    means = spread.slice_means(ranks, slices, int(slices.max()) + 1)
    comparable = means.comparable()
    return float(np.std(means.means[comparable])) if np.count_nonzero(comparable) > 1 else 0.0
