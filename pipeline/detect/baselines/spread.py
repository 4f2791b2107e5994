"""Variation of a channel within a baseline: autocorrelation time, deviation between slices, outlying slices, and shape."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.signals import channels
from schemas.baseline import SignalBaseline, ValueShape

if TYPE_CHECKING:
    from pipeline.detect.baselines.baseline import LearnedColumn

AUTOCORRELATION_MAX = 50.0
"""Longest autocorrelation time, in records, that bursts of 64 records can reveal."""

AUTOCORRELATION_MIN = 1.3
"""Shortest autocorrelation time, in records. Records with a lower estimate count as independent, with a time of 1."""

OUTLIER_DEVIATIONS = 5.0
"""Number of robust standard deviations from the median beyond which a slice is an outlier."""

OUTLIER_SHARE_MAX = 0.1
"""Maximum share of a signal's slices that may be outliers. If more slices deviate, their deviation is normal and none
is dropped."""

COMPARABLE_SHARE_MIN = 0.2
"""Minimum size of a slice that is compared with other slices, as a share of the median number of records."""

HOURS = 24
"""Hours of a day."""

RECURRING_ERRORS = 2.5
"""Number of standard errors by which a time of the day must differ from the mean, or chance explains the difference."""

BAND_DEVIATIONS = 3.0
"""Number of deviations between slices in a band. The band thereby contains the time of the day that differs most."""

TIMES_PER_HOUR = 2
"""Number of times per hour at which the hours begin that are compared. What comes every day at the same time, such as a nightly
batch, need not begin with an hour."""

CHANCE_ERRORS = 2.0
"""Number of standard errors within which the variance between slices is attributed to chance."""

_MAD_TO_DEVIATION = 1.4826
"""Factor that converts the median absolute deviation of normally distributed values to their standard deviation."""


SHAPE_TIMES = tuple(f"shape-{index}" for index in range(channels.BINS))
"""Names of the known autocorrelation times of the bins."""

TIME_STANDARD_ERRORS = 2.0
"""Number of standard errors added to the autocorrelation time of a bin, up to the longest time of all bins, because the
outer bins have few values."""


@dataclass(frozen=True, slots=True)
class SliceMeans:
    """Mean and number of records per slice, both of shape ``(S,)``."""

    means: NDArray[np.float64]
    counts: NDArray[np.float64]

    def comparable(self) -> NDArray[np.bool_]:
        """Return a mask of the slices that have enough records to be compared, shape ``(S,)``."""
        nonempty = self.counts > 0
        if not nonempty.any():
            return nonempty
        records_min = max(1.0, COMPARABLE_SHARE_MIN * float(np.median(self.counts[nonempty])))
        comparable: NDArray[np.bool_] = self.counts >= records_min
        return comparable


def slice_means(values: NDArray[np.float64], slices: NDArray[np.intp], count: int) -> SliceMeans:
    """Return the mean of ``values`` in each of ``count`` slices.

    >>> slice_means(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 1]), 2).means.tolist()
    [2.0, 5.0]
    """
    counts = np.bincount(slices, minlength=count).astype(np.float64)
    sums = np.bincount(slices, weights=values, minlength=count)
    return SliceMeans(sums / np.maximum(counts, 1.0), counts)


def autocorrelation_time(
    values: NDArray[np.float64],
    slices: NDArray[np.intp],
    bursts: NDArray[np.intp],
    variance: float,
    *,
    standard_errors: float = 0.0,
) -> float:
    """Estimate how many consecutive records carry as much information as one independent record, from 1 to 50.

    The estimate uses the method of batch means. Bursts are runs of consecutive records within a slice. The
    autocorrelation time is the variance of their means around the slice mean, divided by the variance that independent
    records would give.

    Parameters
    ----------
    values, slices, bursts
        Shape ``(N,)``: a channel, and the slice and burst of each record. Bursts are numbered consecutively.
    variance
        Variance of ``values``.
    standard_errors
        Standard errors to add to the estimate. Use a higher value for channels with few events, where overestimating is
        safer than underestimating.

    References
    ----------
    Conway, R. W. 1963. Some tactical problems in digital simulation. Management Science 10(1).

    >>> pairs = np.repeat(np.random.default_rng(1).normal(size=4096), 2)
    >>> rows = np.arange(pairs.size)
    >>> round(autocorrelation_time(pairs, rows // 512, rows // 64, float(np.var(pairs))), 1)
    2.1
    """
    if values.size < 2:
        return 1.0
    return _Bursts.group(slices, bursts).find_time(values, variance, standard_errors)


@dataclass(frozen=True, slots=True)
class _Bursts:
    """Bursts: the burst and the slice of each value, shape ``(N,)``, and the size and the slice of each burst."""

    burst_indexes: NDArray[np.intp]
    value_slices: NDArray[np.intp]
    sizes: NDArray[np.intp]
    slices: NDArray[np.intp]

    @classmethod
    def group(cls, slices: NDArray[np.intp], bursts: NDArray[np.intp]) -> "_Bursts":
        _, indexes, sizes = np.unique(bursts, return_inverse=True, return_counts=True)
        burst_slices = np.zeros(sizes.size, dtype=np.intp)
        burst_slices[indexes] = slices
        return cls(indexes, slices, sizes, burst_slices)

    def find_time(self, values: NDArray[np.float64], variance: float, standard_errors: float) -> float:
        if variance <= 0.0:
            return 1.0
        sizes, burst_slices = self.sizes, self.slices
        burst_means = np.bincount(self.burst_indexes, weights=values) / sizes
        means_around = slice_means(values, self.value_slices, int(self.value_slices.max()) + 1).means[burst_slices]
        degrees = sizes.size - np.unique(burst_slices).size
        if degrees < 1:
            return 1.0
        ratios = sizes * (burst_means - means_around) ** 2 / variance
        time = float(ratios.sum() / degrees + standard_errors * ratios.std() * ratios.size**0.5 / degrees)
        return 1.0 if time < AUTOCORRELATION_MIN else min(time, AUTOCORRELATION_MAX)


def short_autocorrelation_time(values: NDArray[np.float64], slices: NDArray[np.intp], spacing: float) -> float:
    """Estimate the autocorrelation time, from 1 to 50 records, from a few values per slice.

    It is that of a process in which the correlation falls geometrically: ``(1 + r) / (1 - r)``, where ``r`` is the
    correlation of neighbouring records: that of neighbouring values around the mean of their slice, to the power of
    ``1 / spacing``. Two standard errors, and the bias of few values, are added to the correlation.

    Parameters
    ----------
    values, slices
        Shape ``(N,)``: a channel, and the slice of each value, ascending.
    spacing
        Mean number of records between two values, at least 1.

    References
    ----------
    Kendall, M. G. 1954. Note on bias in the estimation of autocorrelation. Biometrika 41(3/4).

    >>> noise = np.random.default_rng(1).normal(size=8000)
    >>> round(short_autocorrelation_time(noise, np.arange(8000) // 32, 1.0), 1)
    1.0
    >>> round(short_autocorrelation_time(np.cumsum(noise), np.arange(8000) // 32, 1.0)) > 5
    True
    """
    if values.size < 2:
        return 1.0
    rest = values - slice_means(values, slices, int(slices.max()) + 1).means[slices]
    total = float((rest**2).sum())
    is_neighbour = slices[1:] == slices[:-1]
    neighbours = int(np.count_nonzero(is_neighbour))
    if total <= 0.0 or not neighbours:
        return 1.0
    bias = np.unique(slices).size / values.size
    correlation = float((rest[1:] * rest[:-1])[is_neighbour].sum()) / total + bias + 2.0 * neighbours**-0.5
    correlation = max(correlation, 0.0) ** (1.0 / spacing)
    time = (1.0 + correlation) / (1.0 - correlation) if correlation < 1.0 else AUTOCORRELATION_MAX
    return 1.0 if time < AUTOCORRELATION_MIN else min(time, AUTOCORRELATION_MAX)


def last_day(hours: SliceMeans) -> tuple[float, float, float]:
    """Return the mean and the records of the last day, and the deviation between days. Days end with the last hour.

    The deviation is computed from the differences between consecutive days, so a trend adds little to it.

    References
    ----------
    Von Neumann, J., Kent, R. H., Bellinson, H. R., and Hart, B. I. 1941. The mean square successive difference. Annals
    of Mathematical Statistics 12(2).

    >>> trend = SliceMeans(np.repeat([0.1, 0.2, 0.3, 0.4], 24), np.full(96, 10.0))
    >>> [round(number, 3) for number in last_day(trend)]
    [0.4, 240.0, 0.071]
    """
    missing = -hours.counts.size % HOURS
    counts, sums = (
        np.pad(column, (missing, 0)).reshape(-1, HOURS).sum(axis=1)
        for column in (hours.counts, hours.counts * hours.means)
    )
    has_records = counts > 0
    means = sums[has_records] / counts[has_records]
    deviation = float(np.sqrt(np.mean(np.diff(means) ** 2) / 2.0)) if means.size > 1 else 0.0
    return float(means[-1]), float(counts[has_records][-1]), deviation


def slice_deviation(slices: SliceMeans, variance: float, time: float) -> float:
    """Return the standard deviation of the slice means, minus the variation that chance explains.

    It is ``sqrt(between - chance)``, or 0 if ``between - chance`` is within two standard errors of chance. For rare
    events, a deviation estimated from noise would be many times the tolerance. Drop outlying slices first to keep the
    estimate both robust and sensitive.

    Parameters
    ----------
    slices
        Mean of the channel per slice.
    variance, time
        Variance of the channel, and its autocorrelation time in records.
    """
    comparable = slices.comparable()
    if np.count_nonzero(comparable) < 2:
        return 0.0
    means, counts = slices.means[comparable], slices.counts[comparable]
    between, chance = float(np.var(means, ddof=1)), float(np.mean(time * variance / counts))
    chance_limit = CHANCE_ERRORS * chance * (2.0 / (means.size - 1)) ** 0.5
    return float(np.sqrt(between - chance)) if between - chance > chance_limit else 0.0


def recurring_deviation(
    sums: NDArray[np.float64], counts: NDArray[np.float64], times: NDArray[np.intp], variance: float, time: float
) -> float:
    """Return a third of the difference between the mean and the hour of the day that differs most from it.

    A standard error is added to the difference, but it is 0 if chance explains it. A band of three deviations then contains
    what happens every day at that time. Hours begin at every time of the day.

    Parameters
    ----------
    sums, counts, times
        Shape ``(N,)``: sums of a channel over some records, their number, and their time of the day: the number of the hour,
        or of the half hour.
    variance, time
        Variance of the channel, and its autocorrelation time in records.
    """
    timed_counts, timed_sums = np.bincount(times, weights=counts), np.bincount(times, weights=sums)
    if timed_counts.size > HOURS:
        timed_counts, timed_sums = timed_counts + np.roll(timed_counts, -1), timed_sums + np.roll(timed_sums, -1)
    found = timed_counts > 0
    if np.count_nonzero(found) < HOURS:
        return 0.0
    distances = np.abs(timed_sums[found] / timed_counts[found] - float(sums.sum() / counts.sum()))
    errors = np.sqrt(time * variance / timed_counts[found])
    is_real = distances > RECURRING_ERRORS * errors
    return float(np.max((distances + errors)[is_real], initial=0.0)) / BAND_DEVIATIONS


def value_deviation(
    numbers: NDArray[np.float64], slices: SliceMeans, times: NDArray[np.intp] | None, variance: float, time: float
) -> float:
    """Return the larger one of the deviations between slices and between times of the day.

    Parameters
    ----------
    numbers, times
        Shape ``(N,)``: a channel of the stored values, and their times of the day. None if they are not known.
    """
    deviation = slice_deviation(slices, variance, time)
    if times is None:
        return deviation
    return max(deviation, recurring_deviation(numbers, np.ones(numbers.size), times, variance, time))


def outlying_slices(slices: SliceMeans, variance: float, time: float, *, binary: bool) -> NDArray[np.bool_]:
    """Return a mask of the outlying slices, shape ``(S,)``. A failure causes outliers, but a daily cycle does not.

    Rates are compared on the arcsine scale, where the sampling variance does not depend on the rate.
    """
    none = np.zeros(slices.means.size, dtype=bool)
    comparable = slices.comparable()
    if np.count_nonzero(comparable) < 4:
        return none
    if binary:
        levels = 2.0 * np.arcsin(np.sqrt(np.clip(slices.means, 0.0, 1.0)))
        chance = time / np.maximum(slices.counts, 1.0)
    else:
        levels = slices.means
        chance = time * variance / np.maximum(slices.counts, 1.0)
    distance = np.abs(levels - np.median(levels[comparable]))
    robust = _MAD_TO_DEVIATION * float(np.median(distance[comparable]))
    outlying: NDArray[np.bool_] = comparable & (distance > OUTLIER_DEVIATIONS * np.sqrt(robust**2 + chance) + 1e-12)
    outliers_max = max(1.0, OUTLIER_SHARE_MAX * np.count_nonzero(comparable))
    return outlying if np.count_nonzero(outlying) <= outliers_max else none


def half_difference(slices: SliceMeans, variance: float, time: float, deviation: float) -> float:
    """Return the mean of the second half minus the mean of the first, in standard errors, or 0 if a half is empty."""
    middle = slices.means.size // 2
    halves = []
    for half in (slice(None, middle), slice(middle, None)):
        counts = slices.counts[half]
        if counts.sum() <= 0:
            return 0.0
        mean = float(np.average(slices.means[half], weights=counts))
        error = time * variance / float(counts.sum()) + deviation**2 / np.count_nonzero(counts)
        halves.append((mean, error))
    (first, first_error), (second, second_error) = halves
    error = first_error + second_error
    return 0.0 if error <= 0.0 else float((second - first) / error**0.5)


def learn_shape(
    column: "LearnedColumn", ranks: NDArray[np.float64], times_of_day: NDArray[np.intp] | None
) -> ValueShape:
    """Return the shape of a column with at least one value.

    Parameters
    ----------
    column
        The stored values and their slices.
    ranks
        Shape ``(N,)``: the rank of each stored value.
    times_of_day
        Shape ``(N,)``: the time of the day of each stored value, as for :func:`recurring_deviation`, or None.
    """
    bins = channels.find_bins(ranks, np.ones(ranks.size))
    is_inside = [(bins == index).astype(np.float64) for index in range(channels.BINS)]
    shares = [float(inside.mean()) for inside in is_inside]
    grouped = None if SHAPE_TIMES[0] in column.known_times else _Bursts.group(column.slices, column.bursts)
    first, times = (
        [
            column.known_times[name] if grouped is None else grouped.find_time(inside, float(np.var(inside)), errors)
            for name, inside in zip(SHAPE_TIMES, is_inside, strict=True)
        ]
        for errors in (0.0, TIME_STANDARD_ERRORS)
    )
    times = [min(max(first), time) for time in times]
    deviations = [
        value_deviation(
            inside,
            slice_means(inside, column.slices, column.counts.size),
            times_of_day,
            share * (1.0 - share),
            column.chance_time(time),
        )
        for inside, share, time in zip(is_inside, shares, times, strict=True)
    ]
    return ValueShape(shares=shares, autocorrelation_times=times, slice_deviations=deviations)


def known_shape_times(signal: SignalBaseline) -> dict[str, float]:
    """Return the autocorrelation times of the bins by name, for a renewal, which has too few values to measure them."""
    if signal.shape is not None:
        return dict(zip(SHAPE_TIMES, signal.shape.autocorrelation_times, strict=True))
    location = signal.channels.get("location")
    return {} if location is None else dict.fromkeys(SHAPE_TIMES, location.autocorrelation_time)
