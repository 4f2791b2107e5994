"""The channels of a signal: numbers between 0 and 1, one a record, that a detector can watch."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.signals.catalogue import CATEGORIES, SIGNALS, Signal, custom_signal
from schemas.baseline import SignalKind
from schemas.drift import Direction, Tier

ChannelName = Literal["rate", "location", "high_tail", "low_tail", "dispersion"]

VALUE_CHANNELS: tuple[ChannelName, ...] = ("location", "high_tail", "low_tail", "dispersion")
"""Of a value's rank u: u itself, whether u > 0.99, whether u < 0.01, and abs(2u - 1), which falls if all are alike."""

BINARY: frozenset[str] = frozenset({"rate", "high_tail", "low_tail"})
"""Channels that are 0 or 1."""

TAIL = 0.01
"""The share of a baseline that counts as its tail, on either end."""

_BY_NAME = {signal.name: signal for signal in (*SIGNALS, *CATEGORIES)}


def signal_by_name(name: str, kind: SignalKind) -> Signal | None:
    """The signal that a baseline calls ``name``: of the catalogue, or custom; None if there is no such signal.

    >>> signal_named("refused", "rate").failure_mode
    'refusal_spike'
    >>> signal_named("custom.toxicity", "amount").role
    'tickets'
    """
    if name.startswith("custom."):
        return custom_signal(name.removeprefix("custom."), kind)
    signal = _BY_NAME.get(name)
    return signal if signal is not None and signal.kind == kind else None


def channel_names(kind: SignalKind) -> tuple[ChannelName, ...]:
    """The channels of a kind of signal; none for a category."""
    if kind == "category":
        return ()
    return ("rate",) if kind == "rate" else VALUE_CHANNELS


def from_rank(channel: ChannelName, rank: NDArray[np.float64]) -> NDArray[np.float64]:
    """One channel of a value, from its rank; of a rate it is the rate. NaN stays NaN.

    >>> of_rank("high_tail", np.array([0.5, 0.995, np.nan])).tolist()
    [0.0, 1.0, nan]
    """
    if channel in ("rate", "location"):
        return rank
    if channel == "dispersion":
        return np.abs(2.0 * rank - 1.0)
    beyond = rank > 1.0 - TAIL if channel == "high_tail" else rank < TAIL
    return np.where(np.isnan(rank), np.nan, beyond)


def bad_directions(signal: Signal) -> list[tuple[ChannelName, Direction]]:
    """Which way each channel of a signal is bad, in the signal's own direction (a heavier low tail is ``down``).

    Values that are all alike are bad where a model or its data speaks, not where a machine merely runs evenly.

    >>> [name for name, _ in bad_sides(signal_named("latency_ms", "amount"))]
    ['location', 'high_tail']
    """
    sides: list[tuple[ChannelName, Direction]] = []
    up, down = signal.direction in ("up", "both"), signal.direction in ("down", "both")
    if signal.kind == "category":
        return sides
    if signal.kind == "rate":
        return [("rate", side) for side, bad in (("up", up), ("down", down)) if bad]  # type: ignore[misc]
    if up:
        sides += [("location", "up"), ("high_tail", "up")]
    if down:
        sides += [("location", "down"), ("low_tail", "down")]
    if signal.layer != "infrastructure" and signal.kind != "age" and signal.role != "cause":
        sides.append(("dispersion", "down"))
    return sides


def tiers(signal: Signal, channel: ChannelName) -> tuple[Tier, ...]:
    """At which tiers a channel is watched, by its signal's role in the catalogue.

    Where either way is bad, nobody said what an extreme value means: a heavier tail alone is then for a ticket.

    >>> tiers(signal_named("length", "amount"), "location"), tiers(signal_named("length", "amount"), "low_tail")
    (('page', 'ticket'), ('ticket',))
    """
    if signal.role == "cause":
        return ("cause",)
    either_way = signal.direction == "both" and channel in ("high_tail", "low_tail")
    return ("page", "ticket") if signal.role == "pages" and not either_way else ("ticket",)


def mean_rises(channel: ChannelName, side: Direction) -> bool:
    """Whether the channel's mean grows when the signal moves to this side: a low tail grows when it goes down."""
    return side == "up" or channel == "low_tail"


def scale_odds(mean: float, ratio: float) -> float:
    """The mean whose odds are ``ratio`` times those of ``mean``.

    >>> round(odds_times(0.01, 1.5), 5)
    0.01493
    """
    return ratio * mean / (1.0 - mean + ratio * mean)
