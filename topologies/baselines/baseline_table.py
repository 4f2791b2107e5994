"""Baseline as a table: the normal level and the histogram of each signal, and the smallest change that is detected."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.detect.offline import smallest_changes
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline, SignalBaseline
from schemas.timestamp import format_timestamp
from topologies.baseline_wording import describe_changes, describe_normal, format_number
from topologies.console import plain_line

HISTOGRAM_WIDTH = 16
HISTOGRAM_TERMINAL_WIDTH = 100
"""Minimum terminal width for histograms, in characters."""

_BARS = " ▁▂▃▄▅▆▇█"


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
        smallest = [plain_line(describe_changes(signal, tier)) for tier in (pages, tickets)]
        table.add_row(plain_line(name), plain_line(describe_normal(signal)), *histogram, *smallest)
    parts: list[RenderableType] = [head, table, *_profiles(baseline)]
    if baseline.held_back:
        names = ", ".join(baseline.held_back)
        parts.append(
            plain_line(
                f"not renewed, because they have moved since they were accepted: {names}. If this is the new normal, use "
                "driftwire baseline accept"
            )
        )
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
        lowest, highest = format_number(float(medians[low])), format_number(float(medians[high]))
        lines.append(plain_line(f"{name} by hour, UTC: {bars} {lowest} at {low:02}h, {highest} at {high:02}h"))
    return lines


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
