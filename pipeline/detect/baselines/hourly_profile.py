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

QUARTERS_PER_HOUR, QUARTERS, QUARTER_MS = 4, 4 * HOURS, HOUR_MS // 4
"""Number of quarters of an hour in an hour and in a day, and milliseconds of one."""

_QUARTERS = (np.arange(QUARTERS) + 0.5) / QUARTERS_PER_HOUR
"""The middles of the quarters, in hours."""

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
    days, quarters = (times_ms - from_ms) // day_ms, quarter_of_day(times_ms)
    hours = quarters // QUARTERS_PER_HOUR
    in_whole_day = days < count
    if np.unique(days[in_whole_day]).size < DAYS_MIN:
        return None
    try:
        medians = _hourly_medians(values[in_whole_day], hours[in_whole_day])
        profile = Profile(transform=transform, medians=medians.tolist())
        corrected = remove_profile(profile, values, quarters)
        for day in np.unique(days[in_whole_day]):
            in_day, in_others = days == day, in_whole_day & (days != day)
            medians = _hourly_medians(values[in_others], hours[in_others])
            profile_of_others = Profile(transform=transform, medians=medians.tolist())
            corrected[in_day] = remove_profile(profile_of_others, values[in_day], quarters[in_day])
    except ValueError:
        return None
    if not np.isfinite(corrected).all():
        return None
    before = _slice_deviation(values[in_whole_day], slices[in_whole_day])
    after = _slice_deviation(corrected[in_whole_day], slices[in_whole_day])
    if before == 0.0 or after > (1.0 - DEVIATION_DROP_MIN) * before:
        return None
    return profile, corrected


def profile_factors(profile: Profile) -> tuple[Floats, Floats]:
    """Return the factor and the shift per quarter of an hour that correct a value to the day's typical level, in its unit.

    The corrected value is ``value * factor + shift``, so ranking needs no logarithm. The medians are those of the middle of
    each hour, and the levels between them are interpolated: a value that rises by the hour would otherwise be too low in the
    first minutes of each hour, and too high in the last ones. If all medians are whole, the levels are.

    Returns
    -------
    factors, shifts
        Shape ``(96,)``.

    >>> factors, shifts = profile_factors(Profile(transform="log", medians=[100.0] * 22 + [200.0, 200.0]))
    >>> float(200.0 * factors[91] + shifts[91]), float(factors[40])
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
    with np.errstate(over="ignore", invalid="ignore"):
        levels = np.interp(_QUARTERS, np.arange(HOURS) + 0.5, medians, period=HOURS)
        if np.array_equal(medians, np.round(medians)):
            levels = np.round(levels)
        factors, shifts = np.ones(levels.size), np.zeros(levels.size)
        typical = float(np.median(medians))
        if profile.transform == "log":
            factors, extremes = typical / levels, typical / medians
        else:
            shifts, extremes = typical - levels, typical - medians
    if not (np.isfinite(factors).all() and np.isfinite(shifts).all() and np.isfinite(extremes).all()):
        raise ValueError("the medians of the profile are too far apart for floating-point numbers")
    return factors, shifts


def restore_hour(profile: Profile | None, value: float, time_ms: int) -> float:
    """Convert a value from the day's typical level to the level at the hour of ``time_ms``, in the same unit.

    >>> restore_hour(Profile(transform="log", medians=[100.0] * 22 + [200.0] * 2), 100.0, 23 * HOUR_MS)
    200.0
    """
    if profile is None:
        return value
    factors, shifts = profile_factors(profile)
    quarter = time_ms // QUARTER_MS % QUARTERS
    return float((value - shifts[quarter]) / factors[quarter])


def quarter_of_day(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the quarter of an hour of each time, from 0 at midnight UTC to 95.

    >>> quarter_of_day(np.array([0, 91_000_000, -1])).tolist()
    [0, 5, 95]
    """
    return times_ms // QUARTER_MS % QUARTERS


def choose_transform(values: Floats) -> Transform:
    """Choose ratios for positive values that are skewed to the right, such as latencies; otherwise choose differences.

    >>> choose_transform(np.exp(np.linspace(-2.0, 2.0, 99))), choose_transform(np.linspace(1.0, 2.0, 99))
    ('log', 'none')
    """
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    positive = float(values.min()) > 0.0
    return "log" if positive and high + low - 2.0 * middle > SKEW_MIN * (high - low) else "none"


def remove_profile(profile: Profile, values: Floats, quarters: NDArray[np.int64]) -> Floats:
    """Remove the effect of the time of day from values, given their quarters, so they are at the day's typical level."""
    factors, shifts = profile_factors(profile)
    with np.errstate(over="ignore"):
        corrected: Floats = values * factors[quarters] + shifts[quarters]
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
