"""The profile: what is typical of a value by hour of the day, so that a rank need not be as wide as the daily cycle."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import spread
from pipeline.detect.baselines.rank import RankTable, compute_knots
from pipeline.detect.settings import DAY_S
from schemas.baseline import Profile

HOUR_MS = 3_600_000
HOURS = 24
"""Hours of a day, UTC."""

WHOLE_DAYS = 3
"""Whole days from which on a profile is tried: of fewer, what the hour explains is not told from what the day does."""

FALL = 0.2
"""Share by which the deviation between slices must fall on days that the profile has not seen; on real traffic a
profile often makes it larger."""

SKEWED = 0.2
"""Asymmetry of the middle 80 % from which a positive value is compared by ratio, not by difference."""

Transform = Literal["log", "none"]
Floats = NDArray[np.float64]


def learn_profile(
    values: Floats, times_ms: NDArray[np.int64], slices: NDArray[np.intp], from_ms: int, to_ms: int
) -> tuple[Profile, Floats] | None:
    """The profile of a value and the values freed of it, or None where it has too few days or would not help.

    Each whole day is left out in turn and freed of the cycle that the others show. The profile is adopted only if the
    means of slices, of rank, then lie at least a fifth nearer to each other than those of the values as they are. The
    freed values are those of the left out days: freed of what they themselves had made, they would look steadier than
    any day to come.

    Parameters
    ----------
    values, times_ms, slices
        Shape ``(N,)``: values, about when each came, and the slice of the baseline that it is of.
    from_ms, to_ms
        The time of the baseline, Unix milliseconds.

    Returns
    -------
    profile
        From all whole days.
    freed
        Shape ``(N,)``; what comes after the last whole day is freed of the profile itself, which has not seen it.
    """
    day_ms = DAY_S * 1000
    count = (to_ms - from_ms) // day_ms
    if count < WHOLE_DAYS or not values.size:
        return None
    transform = choose_transform(values)
    days, hours = (times_ms - from_ms) // day_ms, hour_of_day(times_ms)
    whole = days < count
    if np.unique(days[whole]).size < WHOLE_DAYS:
        return None
    try:
        profile = Profile(transform=transform, medians=_medians(values[whole], hours[whole]).tolist())
        freed = remove_profile(profile, values, hours)
        for day in np.unique(days[whole]):
            own, others = days == day, whole & (days != day)
            others_profile = Profile(transform=transform, medians=_medians(values[others], hours[others]).tolist())
            freed[own] = remove_profile(others_profile, values[own], hours[own])
    except ValueError:
        return None
    if not np.isfinite(freed).all():
        return None
    before, after = _deviation(values[whole], slices[whole]), _deviation(freed[whole], slices[whole])
    if before == 0.0 or after > (1.0 - FALL) * before:
        return None
    return profile, freed


def hourly_factors(profile: Profile) -> tuple[Floats, Floats]:
    """By hour, what a value is multiplied by and what is added: it is then as at the day's typical level, in its unit.

    That is the inverse of the transform, of the transformed value less its hour's median; so a rank needs no logarithm.

    >>> factors, shifts = steps(Profile(transform="log", medians=[100.0] * 23 + [200.0]))
    >>> float(200.0 * factors[23] + shifts[23]), float(factors[0])
    (100.0, 1.0)

    Raises
    ------
    ValueError
        If the profile cannot be applied: medians by ratio that are not above 0, or too far apart.
    """
    medians = np.asarray(profile.medians, dtype=np.float64)
    if profile.transform == "log" and medians.min() <= 0.0:
        raise ValueError("a profile by ratio has 24 medians above 0")
    factors, shifts = np.ones(HOURS), np.zeros(HOURS)
    with np.errstate(over="ignore"):
        typical = float(np.median(medians))
        if profile.transform == "log":
            factors = typical / medians
        else:
            shifts = typical - medians
    if not (np.isfinite(factors).all() and np.isfinite(shifts).all()):
        raise ValueError("a profile's medians lie so far apart that numbers end")
    return factors, shifts


def restore_hour(profile: Profile | None, value: float, time_ms: int) -> float:
    """What a value at the day's typical level is at the hour of a time, in its unit.

    >>> at_hour(Profile(transform="log", medians=[100.0] * 23 + [200.0]), 100.0, 23 * HOUR_MS)
    200.0
    """
    if profile is None:
        return value
    factors, shifts = hourly_factors(profile)
    hour = time_ms // HOUR_MS % HOURS
    return float((value - shifts[hour]) / factors[hour])


def hour_of_day(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """The hour of the day of some times, UTC.

    >>> hours_of(np.array([0, 90_000_000, -1])).tolist()
    [0, 1, 23]
    """
    return times_ms // HOUR_MS % HOURS


def choose_transform(values: Floats) -> Transform:
    """By ratio where values are positive and skewed to the right, such as latencies; else by difference.

    >>> transform_of(np.exp(np.linspace(-2.0, 2.0, 99))), transform_of(np.linspace(1.0, 2.0, 99))
    ('log', 'none')
    """
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    positive = float(values.min()) > 0.0
    return "log" if positive and high + low - 2.0 * middle > SKEWED * (high - low) else "none"


def remove_profile(profile: Profile, values: Floats, hours: NDArray[np.int64]) -> Floats:
    """Values as they are ranked: as if all came at the day's typical level."""
    factors, shifts = hourly_factors(profile)
    with np.errstate(over="ignore"):
        freed: Floats = values * factors[hours] + shifts[hours]
    return freed


def _medians(values: Floats, hours: NDArray[np.int64]) -> Floats:
    """By hour; an hour without a value has what its neighbours on either side, around the clock, lead to."""
    known = np.unique(hours)
    medians = np.array([np.median(values[hours == hour]) for hour in known])
    filled: Floats = np.interp(np.arange(HOURS), known, medians, period=HOURS)
    return filled


def _deviation(values: Floats, slices: NDArray[np.intp]) -> float:
    ranks = RankTable(compute_knots(values)).ranks(values)
    means = spread.slice_means(ranks, slices, int(slices.max()) + 1)
    use = means.pairwise_differences()
    return float(np.std(means.means[use])) if np.count_nonzero(use) > 1 else 0.0
