"""The bets of a one-sided test. Each of the eight bets assumes a different mean after a change."""

import math

import numpy as np
from numpy.typing import NDArray

BETS = 8
"""Number of bets per test. With more bets, changes of more sizes are detected early, but the cost grows in
proportion."""

STAKE_MAX = 0.95
"""Maximum share of its wealth that a bet can lose with one record."""

VARIANCE_MIN = 1e-4
"""Minimum variance assumed for a channel, which keeps the bets of a constant baseline finite."""

GUESS_LOG_ODDS_MAX = 2.0
"""Log-odds of the mean that the last bet on a rate assumes. The evidence per pane is limited, so assuming a larger
change would not help."""

_MEAN_MIN = 1e-6
"""Minimum distance of a mean from 0 and 1 when its log-odds are computed."""

_FIRST_DISTANCE = 0.45
_FIRST_DISTANCE_MIN = 0.1
"""Distance of the first guess on a rate from the null boundary, in log-odds, and its minimum if it follows the smallest
mean that matters."""

_RANK_DISTANCES = np.geomspace(0.1, 4.0, BETS)
"""Distances of the guesses on a mean rank from the null boundary, in log-odds."""

_SHARE_DISTANCES = np.array([0.6, 2.5])
"""Distances of the guesses on a share from the null boundary, in log-odds."""

_RECOVERY_SHARES = np.linspace(0.3, 1.5, BETS)
"""Positions of the guesses on a recovered mean: 0 is the null boundary, and 1 the baseline's mean, in log-odds."""


def _log_odds(mean: float) -> float:
    inside = min(max(mean, _MEAN_MIN), 1.0 - _MEAN_MIN)
    return math.log(inside / (1.0 - inside))


def _stakes(null: float, guesses: NDArray[np.float64], variance: float, *, binary: bool) -> NDArray[np.float64]:
    means = 1.0 / (1.0 + np.exp(-guesses))
    spread = null * (1.0 - null) if binary else max(variance, VARIANCE_MIN)
    stakes: NDArray[np.float64] = np.minimum((means - null) / spread, STAKE_MAX / null)
    return stakes


def interpolate_odds(mean: float, other: float, share: float) -> float:
    """Interpolate between two means in log-odds, at a fraction (0 to 1) of the distance.

    >>> round(interpolate_odds(0.01, 0.5, 0.5), 3)
    0.091
    """
    log_odds = (1.0 - share) * _log_odds(mean) + share * _log_odds(other)
    return 1.0 / (1.0 + math.exp(-log_odds))


def departure_bets(null: float, variance: float, *, binary: bool, smallest: float | None = None) -> NDArray[np.float64]:
    """Return the stakes of eight bets on a mean above the null boundary, shape ``(8,)``.

    The evidence of a record ``x`` for the stake ``λ`` is ``ln(1 + λ·(x - null))``. If the mean given the past is at
    most ``null``, the expected product of these arguments never grows, so the product is an e-process for any
    distribution. The stake for the guess ``m`` is ``min((m - null) / w, 0.95 / null)``, where ``w`` is
    ``null·(1 - null)`` for a binary channel and the variance otherwise. For a binary channel, the evidence is the
    log-likelihood ratio of ``m`` against ``null``.

    The guesses are spaced geometrically in log-odds beyond the null boundary, so one of them is near a change of any
    size. They start at 0.45 for a binary channel. Otherwise they start at 0.1, because mean ranks show small shifts
    reliably.

    Parameters
    ----------
    null
        The null boundary, between 0 and 1. For a falling test, 1 minus the boundary.
    variance
        Variance of the channel in its baseline. Ignored if ``binary``.
    smallest
        For a binary channel, the smallest mean that matters if it is beyond the null boundary. The first guess is then
        twice as far from the null boundary, in log-odds, so that a smaller mean gives no evidence.

    References
    ----------
    Waudby-Smith, I., and Ramdas, A. 2024. Estimating means of bounded random variables by betting. Journal of the Royal
    Statistical Society B 86(1).

    >>> departure_bets(0.015, 0.0, binary=True).round(1).tolist()
    [0.6, 0.9, 1.6, 2.9, 5.9, 13.9, 34.0, 58.6]
    """
    start = _log_odds(null)
    first = _FIRST_DISTANCE if smallest is None else max(_FIRST_DISTANCE_MIN, 2.0 * (_log_odds(smallest) - start))
    distances = np.geomspace(first, max(0.9, GUESS_LOG_ODDS_MAX - start), BETS) if binary else _RANK_DISTANCES
    return _stakes(null, start + distances, variance, binary=binary)


def share_bets(null: float) -> NDArray[np.float64]:
    """Return the stakes of two bets on a share above the null boundary, shape ``(2,)``, as :func:`departure_bets` does.

    >>> share_bets(0.2).round(2).tolist()
    [0.71, 3.46]
    """
    return _stakes(null, _log_odds(null) + _SHARE_DISTANCES, 0.0, binary=True)


def recovery_bets(null: float, mean: float, variance: float, *, binary: bool) -> NDArray[np.float64]:
    """Return the stakes of eight bets on a recovered mean, shape ``(8,)``. The guesses lie around ``mean``.

    Parameters
    ----------
    null
        The null boundary of the recovery. After a rise, 1 minus the boundary.
    mean
        The baseline's mean, above ``null``. After a rise, 1 minus the mean.
    variance
        Variance of the channel in its baseline. Ignored if ``binary``.
    """
    start = _log_odds(null)
    guesses = start + (_log_odds(mean) - start) * _RECOVERY_SHARES
    return _stakes(null, guesses, variance, binary=binary)


def rate_evidence(
    stakes: NDArray[np.float64], nulls: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the evidence of a record without the event, and the extra evidence of the event, for each stake.

    The result is only meaningful for rates. Stakes that could lose more than the entire wealth are set to zero.
    """
    valid = (stakes * nulls < 1.0) & (stakes * (nulls - 1.0) < 1.0)
    stakes = np.where(valid, stakes, 0.0)
    without_event = np.log(1.0 - stakes * nulls) * weights
    return without_event, np.log(1.0 + stakes * (1.0 - nulls)) * weights - without_event
