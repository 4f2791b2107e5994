"""Baseline as a table: the normal level and the histogram of each signal, and the smallest change that is detected."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.detect.offline import SmallestChange, smallest_changes
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import channels
from pipeline.wording import number, percent
from schemas.baseline import Baseline, SignalBaseline
from schemas.timestamp import format_timestamp
from topologies.console import plain_line

MIX_LABELS_MAX = 3
"""Maximum number of labels shown per category, the most frequent first."""

HISTOGRAM_WIDTH = 16
HISTOGRAM_TERMINAL_WIDTH = 100
"""Minimum terminal width for histograms, in characters."""

_BARS = " ▁▂▃▄▅▆▇█"

_NONE = "-"


def render_baseline(baseline: Baseline, settings: DetectSettings, width: int) -> RenderableType:
    """Return a table with one row per signal. Rates are percentages, and histograms appear on wide terminals."""
    head = plain_line(
        f"{baseline.subject}, version {baseline.baseline_version} ({baseline.source}): {baseline.records} records from "
        f"{format_timestamp(baseline.learned_from)} to {format_timestamp(baseline.learned_to)}"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("signal", min_width=max((len(name) for name in baseline.signals), default=0))
    table.add_column("normal")
    if width >= HISTOGRAM_TERMINAL_WIDTH:
        table.add_column("distribution", no_wrap=True)
    table.add_column("pages from", overflow="fold")
    table.add_column("tickets from", overflow="fold")
    changes = smallest_changes(baseline, settings)
    for name, signal in baseline.signals.items():
        signal_changes = [change for change in changes if change.signal == name]
        # A cause never pages. Its smallest change is shown in the tickets column.
        pages = [change for change in signal_changes if change.tier == "page"]
        tickets = [change for change in signal_changes if change.tier != "page"]
        histogram = [plain_line(_histogram(signal))] if width >= HISTOGRAM_TERMINAL_WIDTH else []
        smallest = [_changes(name, signal, tier_changes) for tier_changes in (pages, tickets)]
        table.add_row(plain_line(name), _normal(signal), *histogram, *smallest)
    parts: list[RenderableType] = [head, table, *_profiles(baseline)]
    if baseline.dropped_slices:
        times = ", ".join(format_timestamp(at) for at in baseline.dropped_slices)
        parts.append(plain_line(f"time slices excluded because they differ from the rest: {times}"))
    return Group(*parts)


def _profiles(baseline: Baseline) -> list[Text]:
    """Return one line per signal that has a profile: its hourly medians, their minimum and their maximum."""
    lines = []
    for name, signal in baseline.signals.items():
        if signal.profile is None:
            continue
        medians = np.asarray(signal.profile.medians, dtype=np.float64)
        low, high = int(medians.argmin()), int(medians.argmax())
        levels = (medians - medians[low]) / ((medians[high] - medians[low]) or 1.0) * (len(_BARS) - 2)
        bars = "".join(_BARS[1 + round(level)] for level in levels.tolist())
        lowest, highest = _number(float(medians[low])), _number(float(medians[high]))
        lines.append(plain_line(f"{name} by hour, UTC: {bars} {lowest} at {low:02}h, {highest} at {high:02}h"))
    return lines


def _normal(signal: SignalBaseline) -> Text:
    """Return the mean of a rate, the median and two extreme quantiles of a value, or the top labels of a category."""
    if signal.shares is not None:
        shares = sorted(signal.shares.items(), key=lambda share: (-share[1], share[0]))
        more = f", {len(shares) - MIX_LABELS_MAX} more" if len(shares) > MIX_LABELS_MAX else ""
        return plain_line(", ".join(f"{label} {percent(share)}" for label, share in shares[:MIX_LABELS_MAX]) + more)
    if signal.kind == "rate":
        return plain_line(percent(signal.channels["rate"].mean))
    if signal.knots is None:
        return plain_line(_NONE if signal.mean is None else number(signal.mean))
    last = len(signal.knots) - 1
    low, middle, high = (number(signal.knots[round(share * last)]) for share in (0.01, 0.5, 0.99))
    return plain_line(f"{middle} ({low} to {high})")


def _histogram(signal: SignalBaseline) -> str:
    """Return a histogram of a value between its 1 % and 99 % quantiles, or the share of a rate as a bar.

    >>> from schemas.baseline import SignalBaseline
    >>> _histogram(SignalBaseline(kind="amount", count=1, knots=[float(knot) for knot in range(513)]))
    '████████████████'
    """
    if signal.knots is not None:
        knots = np.asarray(signal.knots, dtype=np.float64)
        low, high = knots[round(0.01 * (knots.size - 1))], knots[round(0.99 * (knots.size - 1))]
        if high <= low:
            return "all equal"
        shares, _ = np.histogram(knots, bins=HISTOGRAM_WIDTH, range=(low, high))
        # The first and last bins also contain the values outside the range, so they do not count as peaks.
        highest = max(1, int(shares[1:-1].max(initial=1)))
        return "".join(_BARS[min(len(_BARS) - 1, -(-int(share) * (len(_BARS) - 1) // highest))] for share in shares)
    if signal.kind == "rate":
        filled = round(signal.channels["rate"].mean * HISTOGRAM_WIDTH)
        return "█" * filled + "·" * (HISTOGRAM_WIDTH - filled)
    return ""


def _changes(name: str, signal: SignalBaseline, changes: list[SmallestChange]) -> Text:
    known = channels.signal_by_name(name, signal.kind)
    unit = f" {known.unit}" if known is not None and known.unit else ""
    parts = []
    for change in sorted(changes, key=lambda change: change.direction, reverse=True):
        if change.size is None:
            parts.append(f"{change.direction}: not testable, {change.reason}")
        elif signal.kind == "rate":
            parts.append(f"{'above' if change.direction == 'up' else 'below'} {_percent(change.size)}")
        else:
            parts.append(f"{'+' if change.size >= 0 else ''}{_number(change.size)}{unit}")
    return plain_line(", ".join(parts) or _NONE)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
