"""The chart of a review: the evidence over time, one panel per signal, with events as vertical lines.

The SVG has selectable text, and its white background keeps it readable on any page. It has no scripts and no external
references. The same material gives the same bytes.
"""

import math
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from pipeline.plain_text import plain_text
from pipeline.review.drift_history import DriftLine
from pipeline.review.material import Material
from pipeline.review.picture.layout import PictureLayout, assign_rows
from pipeline.review.picture.marks import Mark, MarkKind, find_marks
from pipeline.wording import normal_phrase, quantity
from schemas.incident import SignalEvidence
from schemas.timestamp import date_time, format_timestamp

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS_MAX = 4
"""Maximum number of signals in a chart, page tier first."""

VERSIONS_MAX = 5
"""Maximum number of versions in a panel, in addition to the line for all records."""

LEGEND_MAX = 4
"""Maximum number of legend names that fit beside the headline of a panel."""

_SPAN_MIN_MS = 600_000
"""Minimum time span of a chart, in milliseconds."""

_MARKS: dict[MarkKind, tuple[str, str]] = {
    "start": ("#d55e00", "-"),
    "detected": ("#b8860b", "-"),
    "deployment": ("#7a3e9d", "--"),
    "rollback": ("#00734f", "--"),
    "recovered": ("#009e73", "-"),
    "resolved": ("#555555", "-"),
}
"""Colour and dashes per kind of mark. They are also distinct for colour-blind readers."""

_ALL, _NORMAL, _OFF = "#222222", "#8a8a8a", "#d55e00"
_VERSIONS = ("#0072b2", "#cc79a7", "#e69f00", "#56b4e9", "#009e73")
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "driftwire",
    "text.parse_math": False,  # labels come from senders and are plain text
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8a8a",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def draw_picture(material: Material) -> bytes:
    """Draw the chart as SVG in UTF-8."""
    from matplotlib import style  # noqa: PLC0415  slow to import, and only charts need it
    from matplotlib.figure import Figure  # noqa: PLC0415

    every_mark = find_marks(material)
    signals = material.signals[:PANELS_MAX]
    lines = {signal.drift_id: material.history(signal).lines for signal in signals}
    first, last = _span(material, every_mark, [line for of_signal in lines.values() for line in of_signal])
    marks = [mark for mark in every_mark if first <= mark.at <= last]
    rows = assign_rows([((mark.at - first) / (last - first), mark.label) for mark in marks])
    layout = PictureLayout(len(signals), 1 + max(rows, default=0))
    # Ignore the machine's matplotlib settings, so the same material gives the same bytes everywhere.
    with style.context(["default", _STYLE], after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's font may have it
        figure = Figure(figsize=(layout.width, layout.height))
        _draw_title(figure.add_axes(layout.title), material)
        panels = [figure.add_axes(layout.panel(index)) for index in range(len(signals))]
        for axes, signal in zip(panels, signals, strict=True):
            _draw_panel(axes, signal, lines[signal.drift_id], material)
        _draw_marks(figure.add_axes(layout.labels), panels, list(zip(marks, rows, strict=True)), layout)
        for axes in (*panels, figure.axes[-1]):
            axes.set_xlim(_to_date(first), _to_date(last))
        _label_times(panels)
        svg = StringIO()
        figure.savefig(svg, format="svg", metadata=_NO_METADATA)
    return _add_description(svg.getvalue(), material, signals).encode()


def _span(material: Material, marks: Sequence[Mark], lines: Sequence[DriftLine]) -> tuple[int, int]:
    """Return the start and end of the chart's time axis, which covers the lines and nearby marks."""
    incident = material.incident
    times = [at for line in lines for at in line.times] or [incident.started_at, material.end]
    first, last = min(times), max(*times, incident.detected_at)
    width = max(last - first, _SPAN_MIN_MS)
    near = [mark.at for mark in marks if first - width / 2 <= mark.at <= last + width]
    first, last = min([first, *near]), max([last, *near])
    margin = max(last - first, _SPAN_MIN_MS) // 40
    # Leave room on the right for the label of the last mark.
    return first - margin, last + 8 * margin


def _draw_title(axes: "Axes", material: Material) -> None:
    incident = material.incident
    axes.set_axis_off()
    axes.text(0, 0.62, plain_text(incident.title)[:90], fontsize=13, fontweight="bold", color=_ALL)
    resolved = "" if incident.resolved_at is None else f" {date_time(incident.resolved_at)}"
    status = "still open" if material.is_open else f"{incident.status}{resolved}"
    subtitle = (
        f"{incident.severity}, {status}; started {date_time(incident.started_at)}, "
        f"detected {date_time(incident.detected_at)}; {incident.incident_id}"
    )
    axes.text(0, 0.05, plain_text(subtitle)[:140], fontsize=9, color="#555555")


def _draw_panel(axes: "Axes", signal: SignalEvidence, lines: Sequence[DriftLine], material: Material) -> None:
    """Draw one signal: its lines, its normal value, and the period in which it was outside its baseline."""
    from matplotlib.ticker import FuncFormatter  # noqa: PLC0415

    is_silence = signal.channel == "silence"
    recovered_at = material.history(signal).recovered_at
    off_until = recovered_at if recovered_at is not None and signal.state == "recovered" else material.end
    axes.axvspan(
        _to_date(signal.started_at), _to_date(max(off_until, signal.detected_at)), color=_OFF, alpha=0.08, lw=0
    )
    if not is_silence:
        axes.axhline(signal.normal, color=_NORMAL, ls=(0, (4, 3)), lw=1.2, label="normal")
    for index, line in enumerate(lines[: 1 + VERSIONS_MAX]):
        _draw_line(axes, line, _ALL if not line.version else _VERSIONS[(index - 1) % len(_VERSIONS)])
    if not lines:
        note = "the messages have no data per minute"
        axes.text(0.5, 0.5, note, transform=axes.transAxes, ha="center", color=_NORMAL)
    axes.set_title(_headline(signal, material), loc="left", fontsize=10, fontweight="bold", color=_ALL)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if is_silence else _format_tick(value, signal))
    )
    axes.margins(y=0.12)
    if signal.normal >= 0:
        axes.set_ylim(bottom=min(0, *axes.get_ylim()) if signal.channel == "rate" or is_silence else None)
        axes.set_ylim(bottom=max(0, axes.get_ylim()[0]))
    axes.grid(axis="y", color="#e4e4e4", lw=0.6)
    axes.set_axisbelow(True)
    names = len(axes.get_legend_handles_labels()[0])
    if names:
        # There is room for a few names beside the headline. A longer legend is inside the panel.
        beside: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.1}
        position = beside if names <= LEGEND_MAX else {"loc": "upper left"}
        axes.legend(**position, borderpad=0.2, fontsize=8, framealpha=1, edgecolor="none", ncols=names, columnspacing=1)


def _headline(signal: SignalEvidence, material: Material) -> str:
    if signal.channel == "silence":
        return "records per minute"
    name = signal.signal if signal.channel in ("rate", "location") else f"{signal.signal} ({signal.channel})"
    worst = material.history(signal).worst
    value = quantity(signal.now if worst is None else worst.now, signal.unit, signal.channel)
    normal = normal_phrase(signal.normal, signal.unit, signal.channel)
    return f"{plain_text(name)[:40]} {signal.side}: {value}, {normal}"


def _draw_line(axes: "Axes", line: DriftLine, colour: str) -> None:
    times = [_to_date(at) for at in line.times]
    if not line.is_by_minute:
        label = "since the start, as reported"
        axes.plot(times, line.values, color=colour, lw=1.4, marker="o", ms=4, ds="steps-post", label=label)
        return
    label = plain_text(line.version)[:40] or "all records"
    axes.plot(times, line.values, color=colour, lw=2.2 if not line.version else 1.6, label=label)
    isolated = [value if _is_isolated(line.values, index) else math.nan for index, value in enumerate(line.values)]
    axes.plot(times, isolated, color=colour, ls="none", marker="o", ms=3)


def _is_isolated(values: Sequence[float], index: int) -> bool:
    """Return whether a value has no neighbouring value. A line would not show such a value."""
    neighbours = [*values[max(0, index - 1) : index], *values[index + 1 : index + 2]]
    return all(math.isnan(value) for value in neighbours)


def _format_tick(value: float, signal: SignalEvidence) -> str:
    return f"{100 * value:g} %" if signal.channel == "rate" else quantity(value, signal.unit, signal.channel)


def _draw_marks(
    labels: "Axes", panels: Sequence["Axes"], marks: Sequence[tuple[Mark, int]], layout: PictureLayout
) -> None:
    """Draw the vertical lines, from the rows of their labels down through all panels."""
    labels.set_axis_off()
    labels.set_zorder(-1)  # below the names and legends of the panels
    labels.set_ylim(0, layout.label_rows)
    for mark, row in marks:
        colour, dashes = _MARKS[mark.kind]
        at = _to_date(mark.at)
        labels.plot([at, at], [-layout.gap_rows, row + 0.85], color=colour, ls=dashes, lw=1.3, clip_on=False)
        labels.annotate(
            mark.label, (at, row + 0.45), (4, 0), textcoords="offset points", va="center", color=colour, fontsize=9
        )
        for axes in panels:
            axes.axvline(at, color=colour, ls=dashes, lw=1.3)


def _label_times(panels: Sequence["Axes"]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415

    for axes in panels:
        locator = AutoDateLocator(tz=UTC, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        formatter = ConciseDateFormatter(locator, tz=UTC, show_offset=False)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(formatter)
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False)
    if panels:
        panels[-1].set_xlabel("time, UTC", fontsize=8, color="#555555", loc="right")


def _to_date(at: int) -> Any:
    """Convert Unix ms to dates for matplotlib. ``Any``, because matplotlib does not declare the type of an axis."""
    return datetime.fromisoformat(format_timestamp(at))


def _add_description(svg: str, material: Material, signals: Sequence[SignalEvidence]) -> str:
    """Add a title and a description for screen readers. Remove the document type, which is an external reference."""
    incident = material.incident
    names = ", ".join(signal.signal for signal in signals) or "no signal"
    text = f"{names} over time, from before the start to {date_time(material.end)}. {incident.summary}"
    head, _, rest = svg[svg.index("<svg") :].partition(">")
    title, description = (escape(plain_text(part)) for part in (incident.title, text))
    return f'{head} role="img">\n <title>{title}</title>\n <desc>{description}</desc>{rest}'
