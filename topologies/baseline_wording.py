"""Baselines in words: the normal level of a signal, and the smallest changes that are detected."""

from collections.abc import Iterable

from pipeline.detect.offline import SmallestChange
from pipeline.detect.settings import DAY_S
from pipeline.detect.signals import channels
from pipeline.wording import number, percent, quantity
from schemas.baseline import SignalBaseline

MIX_LABELS_MAX = 3
"""Maximum number of labels shown per category, the most frequent first."""

ROUNDING = 1e-9
"""Largest shift of a value, relative to its largest value, that is shown as any change: most values are equal."""

NONE = "-"
"""Text for a value that does not exist."""


def describe_normal(signal: SignalBaseline) -> str:
    """Return the mean of a rate, the median and two extreme quantiles of a value, or the top labels of a category."""
    if signal.shares is not None:
        shares = sorted(signal.shares.items(), key=lambda share: (-share[1], share[0]))
        more = f", {len(shares) - MIX_LABELS_MAX} more" if len(shares) > MIX_LABELS_MAX else ""
        return ", ".join(f"{label} {percent(share)}" for label, share in shares[:MIX_LABELS_MAX]) + more
    if signal.kind == "rate":
        return percent(signal.channels["rate"].mean)
    if signal.knots is None:
        return NONE if signal.mean is None else number(signal.mean)
    last = len(signal.knots) - 1
    low, middle, high = (number(signal.knots[round(share * last)]) for share in (0.01, 0.5, 0.99))
    return f"{middle} ({low} to {high})"


def describe_changes(signal: SignalBaseline, changes: Iterable[SmallestChange]) -> str:
    """Describe the smallest changes of one signal: the new mean of a rate, the shift of all values, or a limit.

    A change that is not detected within a day is followed by the days within which it is.
    """
    rounding = ROUNDING * (max(map(abs, signal.knots or ()), default=0.0) or 1.0)
    parts = []
    for change in sorted(changes, key=lambda change: change.direction, reverse=True):
        if change.size is None:
            name = "longest age" if change.channel == channels.OVERDUE else change.direction
            parts.append(f"{name}: not testable, {change.reason}")
            continue
        if change.channel == channels.OVERDUE:
            parts.append(f"above {quantity(change.size, change.unit, change.channel)}")
        elif signal.kind == "rate":
            parts.append(f"{'above' if change.direction == 'up' else 'below'} {_percent(change.size)}")
        elif abs(change.size) <= rounding:
            parts.append(f"any {'rise' if change.direction == 'up' else 'fall'}")
        else:
            unit = f" {change.unit}" if change.unit else ""
            parts.append(f"{'+' if change.size >= 0 else ''}{format_number(change.size)}{unit}")
        if change.within_s > DAY_S:
            parts[-1] += f" in {change.within_s // DAY_S} days"
    return ", ".join(parts) or NONE


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def format_number(value: float) -> str:
    """Format a number with three significant digits, or as an integer from 1,000."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
