"""The means of a channel that a change smaller than the smallest that matters can cause. They become part of the band.

In sequential analysis, these means are the indifference zone: neither decision is wrong there.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import RankTables
from pipeline.detect.signals import Signal, channels
from pipeline.detect.signals.catalogue import SmallestEffect
from schemas.baseline import SignalBaseline

POINTS = 2048
"""Number of values, evenly spaced by rank, that stand for the values of a baseline."""

_RANKS = (np.arange(POINTS) + 0.5) / POINTS


class _MovedRanks(NamedTuple):
    """Ranks of the values of a baseline, shape ``(POINTS,)``: as they are, and after each value moved as far as it may."""

    normal: NDArray[np.float64]
    down: NDArray[np.float64]
    up: NDArray[np.float64]
    inward: NDArray[np.float64]
    outward: NDArray[np.float64]


@lru_cache(8)
def _move_ranks(effect: SmallestEffect, quantiles: tuple[float, ...]) -> _MovedRanks:
    """Return the ranks of the values of a baseline. The channels of a signal are asked for one after the other."""
    knots = np.asarray(quantiles)
    values = np.interp(_RANKS, np.linspace(0.0, 1.0, knots.size), knots)
    if effect.kind == "smallest_relative_change":
        moves = effect.size * np.abs(values)
    elif effect.kind == "smallest_change":
        moves = np.full(POINTS, effect.size)
    else:
        moves = np.full(POINTS, RankTables.shift_for_mean_rank(knots, effect.size / (1.0 + effect.size)))
    low, high = values - moves, values + moves
    median = float(np.median(values))
    outward = np.where(values < median, low, high)
    table = RankTables([knots.tolist()])
    moved = (values, low, high, np.clip(median, low, high), outward)
    return _MovedRanks(*(table.ranks(column[:, None])[:, 0] for column in moved))


def find_indifferent_means(
    signal: Signal, learned: SignalBaseline, channel: str, mean: float
) -> tuple[float, float] | None:
    """Return the smallest and the largest mean of a channel that do not matter, or None if every change matters.

    The smallest change of a rate is a change of its mean. The smallest change of a value is how far each value may move: the
    means are the extremes that a channel has if every value of the baseline moves by that much at most. The odds ratio of a
    value is Agresti's generalized odds ratio: the odds that a value now is above a value of the baseline.

    Parameters
    ----------
    signal
        The signal, with its smallest change.
    learned
        Its baseline, with knots if it is a value.
    channel, mean
        Name of the channel, and its mean in the baseline. The channel ``overdue`` has a limit instead.

    References
    ----------
    Agresti, A. 1980. Generalized odds ratios for ordinal data. Biometrics 36(1).

    >>> from pipeline.detect.signals.catalogue import SmallestEffect
    >>> from dataclasses import replace
    >>> error = replace(channels.signal_by_name("error", "rate"), smallest=SmallestEffect("smallest_change", 0.02))
    >>> find_indifferent_means(error, SignalBaseline(kind="rate", count=1000), "rate", 0.25)
    (0.23, 0.27)
    """
    effect = signal.smallest
    if effect is None or channel == channels.OVERDUE:
        return None
    if learned.kind == "rate":
        if effect.kind == "smallest_odds_ratio":
            return channels.scale_odds(mean, 1.0 / effect.size), channels.scale_odds(mean, effect.size)
        size = effect.size * mean if effect.kind == "smallest_relative_change" else effect.size
        return mean - size, mean + size
    moved = _move_ranks(effect, tuple(learned.knots or ()))
    normal, *others = (float(channels.from_rank(channel, ranks).mean()) for ranks in moved)  # type: ignore[arg-type]
    return mean + min(normal, *others) - normal, mean + max(normal, *others) - normal


def find_indifferent_share(
    signal: Signal, learned: SignalBaseline, number: int, share: float
) -> tuple[float, float] | None:
    """Return the smallest and the largest share of a rank bin that do not matter, as :func:`find_indifferent_means` does."""
    effect = signal.smallest
    if effect is None:
        return None
    moved = _move_ranks(effect, tuple(learned.knots or ()))
    normal, lowest, highest = (
        channels.find_bins(ranks, np.ones(POINTS)) for ranks in (moved.normal, moved.down, moved.up)
    )
    now = float(np.mean(normal == number))
    always = float(np.mean((lowest == number) & (highest == number)))
    possible = float(np.mean((lowest <= number) & (highest >= number)))
    return share - (now - always), share + (possible - now)
