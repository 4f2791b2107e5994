"""How a channel spreads over a baseline: variance, autocorrelation time, deviation between slices, slices that stand out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AUTOCORRELATION_MAX = 50.0
"""Records: the longest autocorrelation time that 64 records in a row can show."""

AUTOCORRELATION_MIN = 1.3
"""Records: a shorter one is not told from none."""

OUTLYING = 5.0
"""Robust standard deviations from the median at which a slice stands out."""

OUTLYING_SHARE_MAX = 0.1
"""If more of a signal's slices than this stand out, that is how the signal is, and none is dropped."""

FULL_SLICE = 0.2
"""A slice with fewer records than this share of the median slice's says little, and is not compared."""

CHANCE_ERRORS = 2.0
"""Standard errors of the variance between slices that may be chance."""

_MAD_TO_DEVIATION = 1.4826


@dataclass(frozen=True, slots=True)
class SliceMeans:
    """Means of a channel by slice: ``(S,)`` each; ``counts`` is how many records lie behind a mean."""

    means: NDArray[np.float64]
    counts: NDArray[np.float64]

    def pairwise_differences(self) -> NDArray[np.bool_]:
        """Which slices hold enough records to be compared."""
        some = self.counts > 0
        if not some.any():
            return some
        enough: NDArray[np.bool_] = self.counts >= max(1.0, FULL_SLICE * float(np.median(self.counts[some])))
        return enough


def slice_means(values: NDArray[np.float64], slices: NDArray[np.intp], count: int) -> SliceMeans:
    """Means of ``values`` by their slice, of ``count`` slices.

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
    surer: float = 0.0,
) -> float:
    """How many records in a row carry as much news as one independent record, 1 to 50.

    By batch means: bursts are runs of consecutive records within a slice, and their means vary more than those of
    independent records would, by this factor.

    Parameters
    ----------
    values, slices, bursts
        Shape ``(N,)``: a channel, and of each record the slice and the burst (numbered through) that it is of.
    variance
        Of ``values``.
    surer
        Standard errors to add, for what a baseline has few of: it is then rather too long than too short.
    """
    if variance <= 0.0 or values.size < 2:
        return 1.0
    _, own, sizes = np.unique(bursts, return_inverse=True, return_counts=True)
    burst_means = np.bincount(own, weights=values) / sizes
    home = np.zeros(sizes.size, dtype=np.intp)
    home[own] = slices
    around = slice_means(values, slices, int(slices.max()) + 1).means[home]
    degrees = sizes.size - np.unique(home).size
    if degrees < 1:
        return 1.0
    excess = sizes * (burst_means - around) ** 2 / variance
    time = float(excess.sum() / degrees + surer * excess.std() * excess.size**0.5 / degrees)
    return 1.0 if time < AUTOCORRELATION_MIN else min(time, AUTOCORRELATION_MAX)


def slice_deviation(slices: SliceMeans, variance: float, time: float) -> float:
    """Standard deviation of the means of slices, less what chance alone gives them.

    It is 0 where chance alone might well have given as much: of rare events, a deviation taken from noise would be many
    times the tolerance. Outlying slices should have been left out before: the estimate is then robust without losing
    sensitivity.
    """
    use = slices.pairwise_differences()
    if np.count_nonzero(use) < 2:
        return 0.0
    means, counts = slices.means[use], slices.counts[use]
    between, chance = float(np.var(means, ddof=1)), float(np.mean(time * variance / counts))
    by_chance = CHANCE_ERRORS * chance * (2.0 / (means.size - 1)) ** 0.5
    return float(np.sqrt(between - chance)) if between - chance > by_chance else 0.0


def outlying_slices(slices: SliceMeans, variance: float, time: float, *, binary: bool) -> NDArray[np.bool_]:
    """Which slices stand out from the others, as a failure within a baseline does; a daily cycle does not.

    Rates are compared on the arcsine scale, on which chance is as large for rare events as for others.
    """
    none = np.zeros(slices.means.size, dtype=bool)
    use = slices.pairwise_differences()
    if np.count_nonzero(use) < 4:
        return none
    if binary:
        places = 2.0 * np.arcsin(np.sqrt(np.clip(slices.means, 0.0, 1.0)))
        chance = time / np.maximum(slices.counts, 1.0)
    else:
        places = slices.means
        chance = time * variance / np.maximum(slices.counts, 1.0)
    distance = np.abs(places - np.median(places[use]))
    robust = _MAD_TO_DEVIATION * float(np.median(distance[use]))
    found: NDArray[np.bool_] = use & (distance > OUTLYING * np.sqrt(robust**2 + chance) + 1e-12)
    return found if np.count_nonzero(found) <= max(1.0, OUTLYING_SHARE_MAX * np.count_nonzero(use)) else none


def half_difference(slices: SliceMeans, variance: float, time: float, deviation: float) -> float:
    """The second half's mean less the first's, in standard errors; 0 if a half is empty."""
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
