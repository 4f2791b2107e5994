"""A baseline as a table for people: what is normal, and the smallest change that would be seen."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.detect.channels import signal_named
from pipeline.detect.sensitivity import Smallest, smallest_changes
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline, SignalBaseline
from schemas.timestamp import format_timestamp

MIX_LABELS_MAX = 3
"""Labels of a category's mix that are shown, the most frequent first."""

_NONE = "-"


def baseline_table(baseline: Baseline, settings: DetectSettings) -> RenderableType:
    """The baseline with a row for each signal; rates in percent, values in their unit."""
    head = Text(
        f"{baseline.subject}, version {baseline.baseline_version} ({baseline.source}): {baseline.records} records from "
        f"{format_timestamp(baseline.learned_from)} to {format_timestamp(baseline.learned_to)}"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("signal", overflow="fold")
    table.add_column("kind")
    for name in ("records", "mean", "p50", "p99"):
        table.add_column(name, justify="right")
    table.add_column("pages from", overflow="fold")
    table.add_column("tickets from", overflow="fold")
    changes = smallest_changes(baseline, settings)
    for name, signal in baseline.signals.items():
        own = [change for change in changes if change.signal == name]
        # A cause never pages: what it would take to be called one stands where a ticket's would.
        pages = [change for change in own if change.tier == "page"]
        tickets = [change for change in own if change.tier != "page"]
        table.add_row(
            Text(name), signal.kind, str(signal.count), *_normal(signal),
            *(_changes(name, signal, side) for side in (pages, tickets)),
        )  # fmt: skip
    parts: list[RenderableType] = [head, table]
    if baseline.dropped_slices:
        times = ", ".join(format_timestamp(at) for at in baseline.dropped_slices)
        parts.append(Text(f"left out, because it was unlike the rest: the time from {times}"))
    return Group(*parts)


def _normal(signal: SignalBaseline) -> tuple[Text, str, str]:
    if signal.shares is not None:
        shares = sorted(signal.shares.items(), key=lambda share: (-share[1], share[0]))
        shown = ", ".join(f"{label} {share:.0%}" for label, share in shares[:MIX_LABELS_MAX])
        return Text(shown), _NONE, _NONE
    if signal.kind == "rate":
        return Text(_percent(signal.channels["rate"].mean)), _NONE, _NONE
    mean = _NONE if signal.mean is None else _number(signal.mean)
    if signal.knots is None:
        return Text(mean), _NONE, _NONE
    last = len(signal.knots) - 1
    return Text(mean), _number(signal.knots[round(0.5 * last)]), _number(signal.knots[round(0.99 * last)])


def _changes(name: str, signal: SignalBaseline, changes: list[Smallest]) -> Text:
    known = signal_named(name, signal.kind)
    unit = f" {known.unit}" if known is not None and known.unit else ""
    words = []
    for change in sorted(changes, key=lambda each: each.side, reverse=True):
        if change.by is None:
            words.append(f"{change.side}: cannot judge, {change.reason}")
        elif signal.kind == "rate":
            words.append(f"{'above' if change.side == 'up' else 'below'} {_percent(change.by)}")
        else:
            words.append(f"{'+' if change.by >= 0 else ''}{_number(change.by)}{unit}")
    return Text(", ".join(words) or _NONE)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
