"""The channels of a signal: numbers between 0 and 1, one per record, that a detector can monitor."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.settings import DetectSettings
from pipeline.detect.signal_rule import SignalRule, find_applied_keys
from pipeline.detect.signals.catalogue import CATEGORIES, SIGNALS, Role, Signal, SmallestEffect, custom_signal
from schemas.baseline import SignalKind
from schemas.drift import Direction, Tier

ChannelName = Literal["rate", "location", "high_tail", "low_tail", "dispersion", "overdue"]

VALUE_CHANNELS: tuple[ChannelName, ...] = ("location", "high_tail", "low_tail", "dispersion")
"""Channels of a value with rank u: u, u > 0.99, u < 0.01, and abs(2u - 1), which falls if values become constant."""

OVERDUE: ChannelName = "overdue"
"""Channel of an age: 1 if it is above the limit that follows from the longest age of the baseline, and otherwise 0. It is
computed from the age itself, because its daily profile and its rank do not show how far it is above all known ages."""

BINARY: frozenset[str] = frozenset({"rate", "high_tail", "low_tail", "overdue"})
"""Channels with the values 0 and 1."""

TAIL_SHARE = 0.01
"""Share of the baseline's values in a tail."""

RANK_EDGES = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0)
"""Ranks at which the bins begin and end. The outer bins are narrow, because failures often move one end of a distribution:
a cache that is off, or a limit that cuts its tail."""

BINS = len(RANK_EDGES) - 1
"""Number of bins. Bin ``BINS`` is that of records without the signal."""

_STEPS = 50
_BIN_OF_STEP = np.searchsorted(np.array(RANK_EDGES[1:-1]) * _STEPS - 0.5, np.arange(_STEPS + 1)).astype(np.intp)
"""Bin of each fiftieth of the ranks. All edges are multiples of a fiftieth."""

_ROLES: dict[str, Role] = {"page": "pages", "ticket": "tickets", "cause": "cause", "off": "off"}
_FIELDS = {"bad_direction": "direction", "failure_mode": "failure_mode", "unit": "unit"}

_BY_NAME = {signal.name: signal for signal in (*SIGNALS, *CATEGORIES)}


def signal_by_name(name: str, kind: SignalKind) -> Signal | None:
    """Return the catalogue or custom signal with a name and kind, or None if it does not exist.

    >>> signal_by_name("refused", "rate").failure_mode
    'refusal_spike'
    >>> signal_by_name("custom.toxicity", "amount").role
    'tickets'
    """
    if name.startswith("custom."):
        return custom_signal(name.removeprefix("custom."), kind)
    signal = _BY_NAME.get(name)
    return signal if signal is not None and signal.kind == kind else None


def configure_signal(signal: Signal, subject: str, settings: DetectSettings) -> Signal:
    """Return a signal of a subject as the rules in ``detect.signals`` describe it.

    >>> settings = DetectSettings(signals=[SignalRule(signal="custom.*", bad_direction="up", at_most="page")])
    >>> toxicity = configure_signal(custom_signal("toxicity", "amount"), "bot", settings)
    >>> toxicity.direction, toxicity.role
    ('up', 'pages')
    """
    if not settings.signals:
        return signal
    changes: dict[str, Any] = {}
    for _, key, value in find_applied_keys(settings.signals, subject, signal.name):
        if key in SignalRule.SMALLEST:
            changes["smallest"] = SmallestEffect(key, value)
        elif key == "at_most":
            changes["role"] = _ROLES[value]
        elif key in _FIELDS:
            changes[_FIELDS[key]] = value
    return replace(signal, **changes) if changes else signal


def configure_event(signal: Signal, subject: str, settings: DetectSettings) -> Signal:
    """Return an event of a subject with the failure mode of the rules, and with their highest tier if that is lower.

    >>> from pipeline.detect.signals.catalogue import EVENTS
    >>> silence = next(event for event in EVENTS if event.name == "silence")
    >>> configure_event(silence, "bot", DetectSettings(signals=[SignalRule(signal="*", at_most="ticket")])).role
    'tickets'
    """
    configured = configure_signal(signal, subject, settings)
    role = min(signal.role, configured.role, key=tuple(_ROLES.values())[::-1].index)
    return replace(signal, role=role, failure_mode=configured.failure_mode)


def find_signal(name: str, kind: SignalKind, subject: str, settings: DetectSettings) -> Signal | None:
    """Return the signal of a subject with a name and kind, with the rules applied, or None if it does not exist."""
    signal = signal_by_name(name, kind)
    return None if signal is None else configure_signal(signal, subject, settings)


def channel_names(kind: SignalKind) -> tuple[ChannelName, ...]:
    """Return the channels of a kind of signal. A category has no channels."""
    if kind == "category":
        return ()
    if kind == "age":
        return (*VALUE_CHANNELS, OVERDUE)
    return ("rate",) if kind == "rate" else VALUE_CHANNELS


def from_rank(channel: ChannelName, rank: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute a channel of a value from its rank. For a rate, pass the rate itself. NaN stays NaN.

    >>> from_rank("high_tail", np.array([0.5, 0.995, np.nan])).tolist()
    [0.0, 1.0, nan]
    """
    if channel in ("rate", "location"):
        return rank
    if channel == "dispersion":
        return np.abs(2.0 * rank - 1.0)
    in_tail = rank > 1.0 - TAIL_SHARE if channel == "high_tail" else rank < TAIL_SHARE
    return np.where(np.isnan(rank), np.nan, in_tail)


def bad_directions(signal: Signal) -> list[tuple[ChannelName, Direction]]:
    """Return the bad directions of each channel, expressed as directions of the signal. A heavier low tail is ``down``.

    A value that becomes constant is a bad sign in outputs and data, but may be normal in infrastructure and traffic. An age that is
    overdue is a bad sign, and one that was reset early is not.

    >>> [name for name, _ in bad_directions(signal_by_name("latency_ms", "amount"))]
    ['location', 'high_tail']
    """
    directions: list[tuple[ChannelName, Direction]] = []
    up, down = signal.direction in ("up", "both"), signal.direction in ("down", "both")
    if signal.kind == "category":
        return directions
    if signal.kind == "rate":
        return [("rate", direction) for direction, bad in (("up", up), ("down", down)) if bad]  # type: ignore[misc]
    if up:
        directions += [("location", "up"), ("high_tail", "up")]
    if down:
        directions += [("location", "down"), ("low_tail", "down")]
    if signal.layer not in ("infrastructure", "derived") and signal.kind != "age" and signal.role != "cause":
        directions.append(("dispersion", "down"))
    if signal.kind == "age":
        directions.append((OVERDUE, "up"))
    return directions


def tiers(signal: Signal, channel: ChannelName) -> tuple[Tier, ...]:
    """Return the tiers at which a channel is monitored, based on the role of its signal.

    If both directions of a signal are bad, the meaning of its extreme values is unknown, so its tails do not page.

    >>> length = signal_by_name("length", "amount")
    >>> tiers(length, "location"), tiers(length, "low_tail")
    (('page', 'ticket'), ('ticket',))
    """
    if signal.role == "off":
        return ()
    if signal.role == "cause":
        return ("cause",)
    tail_of_both = signal.direction == "both" and channel in ("high_tail", "low_tail")
    return ("page", "ticket") if signal.role == "pages" and not tail_of_both else ("ticket",)


def depends_on_outcome(signal: Signal) -> bool:
    """Return whether a signal is not comparable if records are sampled by outcome.

    Such sampling keeps errors and slow requests, and only a share of the others. A different share changes the mix of
    the records, and with it every signal that differs between these requests. These signals do not change:

    - ages, because the age of an index or feature is the same for all requests of a moment;
    - ``probe_blocked``, because a probe that is not blocked is a failure, whatever share of the others is kept;
    - ``throughput_ratio`` and ``spend_ratio``, because they are computed only if the records carry their sampling
      probabilities.

    >>> depends_on_outcome(_BY_NAME["error"]), depends_on_outcome(_BY_NAME["index_age_s"])
    (True, False)
    """
    return signal.kind != "age" and signal.name not in ("probe_blocked", "throughput_ratio", "spend_ratio")


def mean_rises(channel: ChannelName, direction: Direction) -> bool:
    """Return whether a channel's mean rises if the signal moves in this direction. A fall raises the low tail."""
    return direction == "up" or channel == "low_tail"


def scale_odds(mean: float, ratio: float) -> float:
    """Return the mean whose odds are ``ratio`` times those of ``mean``.

    >>> round(scale_odds(0.01, 1.5), 5)
    0.01493
    """
    return ratio * mean / (1.0 - mean + ratio * mean)


def find_bins(ranks: NDArray[np.float64], present: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the bin of each rank, in the same shape.

    Parameters
    ----------
    ranks
        Ranks from 0 to 1.
    present
        1 where the record carries the signal, and otherwise 0. The rank is then ignored.

    >>> find_bins(np.array([0.0, 0.019, 0.02, 0.5, 1.0, 0.5]), np.array([1, 1, 1, 1, 1, 0.0])).tolist()
    [0, 0, 1, 4, 7, 8]
    """
    bins = _BIN_OF_STEP.take((ranks * _STEPS).astype(np.intp))
    np.copyto(bins, BINS, where=present == 0.0)
    return bins


def count_bins(
    bins: NDArray[np.intp], groups: NDArray[np.intp] | None = None, group_count: int = 1
) -> NDArray[np.intp]:
    """Count the bins of each column.

    Parameters
    ----------
    bins
        Shape ``(R, V)``, from :func:`find_bins`.
    groups
        Shape ``(R,)``: the group of each row. None if there is one group.

    Returns
    -------
    numpy.ndarray
        Shape ``(group_count, V, BINS)``.

    >>> count_bins(np.array([[0, 8], [0, 7]])).tolist()
    [[[2, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]]]
    """
    columns, width = bins.shape[1], BINS + 1
    cells = bins + np.arange(columns) * width
    if groups is not None:
        cells += (groups * (columns * width))[:, None]
    counts = np.bincount(cells.ravel(), minlength=group_count * columns * width)
    return counts.reshape(group_count, columns, width)[:, :, :BINS]
