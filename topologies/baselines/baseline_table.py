"""A baseline as a table for people: what is normal, a picture of it, and the smallest change that would be seen."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.detect.offline import SmallestChange, smallest_changes
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import channels
from schemas.baseline import Baseline, SignalBaseline
from schemas.timestamp import format_timestamp

MIX_LABELS_MAX = 3
"""Labels of a category's mix that are shown, the most frequent first."""

PICTURE_WIDTH = 16
PICTURES_FROM = 100
"""Characters of a terminal from which on there is room for pictures."""

_BARS = " ▁▂▃▄▅▆▇█"

_NONE = "-"


def baseline_table(baseline: Baseline, settings: DetectSettings, width: int) -> RenderableType:
    """The baseline with a row for each signal; rates in percent, values in their unit; pictures where there is room."""
    head = Text(
        f"{baseline.subject}, version {baseline.baseline_version} ({baseline.source}): {baseline.records} records from "
        f"{format_timestamp(baseline.learned_from)} to {format_timestamp(baseline.learned_to)}"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("signal", min_width=max((len(name) for name in baseline.signals), default=0))
    table.add_column("normal")
    if width >= PICTURES_FROM:
        table.add_column("how it is spread", no_wrap=True)
    table.add_column("pages from", overflow="fold")
    table.add_column("tickets from", overflow="fold")
    changes = smallest_changes(baseline, settings)
    for name, signal in baseline.signals.items():
        own = [change for change in changes if change.signal == name]
        # A cause never pages: what it would take to be called one stands where a ticket's would.
        pages = [change for change in own if change.tier == "page"]
        tickets = [change for change in own if change.tier != "page"]
        table.add_row(
            Text(name), _normal(signal), *([Text(_picture(signal))] if width >= PICTURES_FROM else []),
            *(_changes(name, signal, side) for side in (pages, tickets)),
        )  # fmt: skip
    parts: list[RenderableType] = [head, table, *_profiles(baseline)]
    if baseline.dropped_slices:
        times = ", ".join(format_timestamp(at) for at in baseline.dropped_slices)
        parts.append(Text(f"left out, because it was unlike the rest: the time from {times}"))
    return Group(*parts)


def _profiles(baseline: Baseline) -> list[Text]:
    """A line for each signal that is judged by the hour: its medians, and the hours of the least and the most."""
    lines = []
    for name, signal in baseline.signals.items():
        if signal.profile is None:
            continue
        medians = np.asarray(signal.profile.medians, dtype=np.float64)
        low, high = int(medians.argmin()), int(medians.argmax())
        places = (medians - medians[low]) / ((medians[high] - medians[low]) or 1.0) * (len(_BARS) - 2)
        bars = "".join(_BARS[1 + round(place)] for place in places.tolist())
        least, most = _number(float(medians[low])), _number(float(medians[high]))
        lines.append(Text(f"{name} by hour, UTC: {bars} {least} at {low:02}h, {most} at {high:02}h"))
    return lines


def _normal(signal: SignalBaseline) -> Text:
    """The mean of a rate, the median of a value and its 1 % and 99 %, the commonest labels of a mix."""
    if signal.shares is not None:
        shares = sorted(signal.shares.items(), key=lambda share: (-share[1], share[0]))
        more = f", {len(shares) - MIX_LABELS_MAX} more" if len(shares) > MIX_LABELS_MAX else ""
        return Text(", ".join(f"{label} {share:.0%}" for label, share in shares[:MIX_LABELS_MAX]) + more)
    if signal.kind == "rate":
        return Text(_percent(signal.channels["rate"].mean))
    if signal.knots is None:
        return Text(_NONE if signal.mean is None else _number(signal.mean))
    last = len(signal.knots) - 1
    low, middle, high = (_number(signal.knots[round(share * last)]) for share in (0.01, 0.5, 0.99))
    return Text(f"{middle} ({low} to {high})")


def _picture(signal: SignalBaseline) -> str:
    """A histogram of a value between its 1 % and 99 %, or the share of a rate as a bar.

    >>> from schemas.baseline import SignalBaseline
    >>> _picture(SignalBaseline(kind="amount", count=1, knots=[float(each) for each in range(513)]))
    '████████████████'
    """
    if signal.knots is not None:
        knots = np.asarray(signal.knots, dtype=np.float64)
        low, high = knots[round(0.01 * (knots.size - 1))], knots[round(0.99 * (knots.size - 1))]
        if high <= low:
            return "all alike"
        shares, _ = np.histogram(knots, bins=PICTURE_WIDTH, range=(low, high))
        # The ends hold what lies beyond them too, and are no peaks.
        highest = max(1, int(shares[1:-1].max(initial=1)))
        return "".join(_BARS[min(len(_BARS) - 1, -(-int(share) * (len(_BARS) - 1) // highest))] for share in shares)
    if signal.kind == "rate":
        filled = round(signal.channels["rate"].mean * PICTURE_WIDTH)
        return "█" * filled + "·" * (PICTURE_WIDTH - filled)
    return ""


def _changes(name: str, signal: SignalBaseline, changes: list[SmallestChange]) -> Text:
    known = channels.signal_by_name(name, signal.kind)
    unit = f" {known.unit}" if known is not None and known.unit else ""
    words = []
    for change in sorted(changes, key=lambda each: each.direction, reverse=True):
        if change.size is None:
            words.append(f"{change.direction}: cannot judge, {change.reason}")
        elif signal.kind == "rate":
            words.append(f"{'above' if change.direction == 'up' else 'below'} {_percent(change.size)}")
        else:
            words.append(f"{'+' if change.size >= 0 else ''}{_number(change.size)}{unit}")
    return Text(", ".join(words) or _NONE)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
