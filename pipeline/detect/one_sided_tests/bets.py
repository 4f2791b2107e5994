"""The bets of a side: how much evidence one record is, for each of eight guesses of how far the mean has moved."""

import math

import numpy as np
from numpy.typing import NDArray

BETS = 8
"""Guesses a side; more see more sizes of a change well, and cost in proportion."""

STAKE_MAX = 0.95
"""Share of the evidence that one record may take away at most."""

VARIANCE_MIN = 1e-4
"""A channel's variance counts as this at least, so that a constant baseline gives finite bets."""

FARTHEST = 2.0
"""Log-odds of the farthest guess for a rate: what is more would fire no sooner, since a pane is capped."""

_NEVER = 1e-6
"""A mean of exactly 0 or 1 counts as this near to it, where its log-odds are needed."""


def _log_odds(mean: float) -> float:
    inside = min(max(mean, _NEVER), 1.0 - _NEVER)
    return math.log(inside / (1.0 - inside))


def _stakes(null: float, guesses: NDArray[np.float64], variance: float, *, binary: bool) -> NDArray[np.float64]:
    means = 1.0 / (1.0 + np.exp(-guesses))
    spread = null * (1.0 - null) if binary else max(variance, VARIANCE_MIN)
    stakes: NDArray[np.float64] = np.minimum((means - null) / spread, STAKE_MAX / null)
    return stakes


def interpolate_odds(mean: float, other: float, share: float) -> float:
    """The mean that lies a share of the way from one to another, in log-odds.

    >>> round(between(0.01, 0.5, 0.5), 3)
    0.091
    """
    place = (1.0 - share) * _log_odds(mean) + share * _log_odds(other)
    return 1.0 / (1.0 + math.exp(-place))


def departure_bets(null: float, variance: float, *, binary: bool) -> NDArray[np.float64]:
    """Bets that a mean is above ``null``: the evidence of a record x is ln(1 + bet * (x - null)).

    For every stream whose mean given the past is at most ``null``, exp(evidence) is expected not to grow, whatever
    its shape (betting scores: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
    betting"). The guesses are spaced geometrically in log-odds beyond the edge, so that a change of any size lies near
    one: those of a rate from 0.45, those of a value from 0.1, since a mean of ranks can move by little and be sure.

    Parameters
    ----------
    null
        The largest mean that is no news, between 0 and 1. For a side that falls: one less the smallest.
    variance
        Of the channel in its baseline; ignored where ``binary``.

    >>> bets_beyond(0.015, 0.0, binary=True).round(1).tolist()
    [0.6, 0.9, 1.6, 2.9, 5.9, 13.9, 34.0, 58.6]
    """
    start = _log_odds(null)
    beyond = np.geomspace(0.45, max(0.9, FARTHEST - start), BETS) if binary else np.geomspace(0.1, 4.0, BETS)
    return _stakes(null, start + beyond, variance, binary=binary)


def recovery_bets(null: float, mean: float, variance: float, *, binary: bool) -> NDArray[np.float64]:
    """Bets that a mean which had left its band is back: the guesses lie near ``mean``.

    Parameters
    ----------
    null
        The mean that is no recovery yet; of a side that had risen, one less it.
    mean
        The baseline's mean, mirrored likewise: it lies above ``null``.
    """
    start = _log_odds(null)
    guesses = start + (_log_odds(mean) - start) * np.linspace(0.3, 1.5, BETS)
    return _stakes(null, guesses, variance, binary=binary)


def rate_evidence(
    stakes: NDArray[np.float64], nulls: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The evidence of a record that is no event, and what it is more if it is one; shapes as ``stakes``.

    What is no rate has no use for them, and where its stake could lose more than there is they are those of no bet.
    """
    fits = (stakes * nulls < 1.0) & (stakes * (nulls - 1.0) < 1.0)
    stakes = np.where(fits, stakes, 0.0)
    none = np.log(1.0 - stakes * nulls) * weights
    return none, np.log(1.0 + stakes * (1.0 - nulls)) * weights - none
