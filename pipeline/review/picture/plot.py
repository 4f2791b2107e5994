"""The picture of a review: the evidence over time, one panel a signal, with what happened as upright lines.

SVG with text as text, on white so that it can be read on any page, without scripts and references to elsewhere. The
same material gives the same bytes.
"""

import math
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from pipeline.review.markdown import moment, plain
from pipeline.review.material import Material
from pipeline.review.minutes import Line, lines, worst
from pipeline.review.picture.layout import Layout, levels
from pipeline.review.picture.marks import Kind, Mark, marks
from pipeline.wording import quantity
from schemas.incident import SignalEvidence
from schemas.timestamp import format_timestamp

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS_MAX = 4
"""Signals that a picture shows, those of the page tier first."""

VERSIONS_MAX = 5
"""Versions that a panel shows beside all records."""

BESIDE_MAX = 4
"""Names of a legend that fit beside a panel's headline."""

_MARKS: dict[Kind, tuple[str, str]] = {
    "start": ("#d55e00", "-"),
    "detected": ("#b8860b", "-"),
    "deployment": ("#7a3e9d", "--"),
    "rollback": ("#00734f", "--"),
    "back": ("#009e73", "-"),
    "resolved": ("#555555", "-"),
}
"""Colour and dashes of each kind of mark: apart for those who see no red or no green, too."""

_ALL, _NORMAL, _OFF = "#222222", "#8a8a8a", "#d55e00"
_VERSIONS = ("#0072b2", "#cc79a7", "#e69f00", "#56b4e9", "#009e73")
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "driftwire",
    "text.parse_math": False,  # a label is text, whatever it holds
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8a8a",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}
_NOTHING = {"Date": None, "Creator": None, "Format": None, "Type": None}


def plot(material: Material) -> bytes:
    """The picture, as SVG in UTF-8."""
    from matplotlib import style  # noqa: PLC0415  slow to import, and only pictures need it
    from matplotlib.figure import Figure  # noqa: PLC0415

    happened = marks(material)
    panels = material.lines[:PANELS_MAX]
    drawn = {line.drift_id: lines(material.messages(line.drift_id)) for line in panels}
    first, last = _span(material, happened, [line for each in drawn.values() for line in each])
    shown = [mark for mark in happened if first <= mark.at <= last]
    places = levels([((mark.at - first) / (last - first), mark.label) for mark in shown])
    layout = Layout(len(panels), 1 + max(places, default=0))
    # What the machine's own settings say of pictures is set aside: the same material gives the same bytes anywhere.
    with style.context(["default", _STYLE], after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's font has what ours has not
        figure = Figure(figsize=(layout.width, layout.height))
        _title(figure.add_axes(layout.title), material)
        axes = [figure.add_axes(layout.panel(place)) for place in range(len(panels))]
        for each, line in zip(axes, panels, strict=True):
            _panel(each, line, drawn[line.drift_id], material)
        _marks(figure.add_axes(layout.labels), axes, list(zip(shown, places, strict=True)), layout)
        for each in (*axes, figure.axes[-1]):
            each.set_xlim(_moment(first), _moment(last))
        _times(axes)
        written = StringIO()
        figure.savefig(written, format="svg", metadata=_NOTHING)
    return _described(written.getvalue(), material, panels).encode()


def _span(material: Material, happened: Sequence[Mark], drawn: Sequence[Line]) -> tuple[int, int]:
    """The first and last moment of the picture: what the lines cover, and what happened within as much time again."""
    incident = material.incident
    times = [at for line in drawn for at in line.times] or [incident.started_at, material.end]
    first, last = min(times), max(*times, incident.detected_at)
    width = max(last - first, 600_000)
    near = [mark.at for mark in happened if first - width / 2 <= mark.at <= last + width]
    first, last = min([first, *near]), max([last, *near])
    edge = max(last - first, 600_000) // 40
    # Room to the right for the label of the last mark.
    return first - edge, last + 8 * edge


def _title(axes: "Axes", material: Material) -> None:
    incident = material.incident
    axes.set_axis_off()
    axes.text(0, 0.62, plain(incident.title)[:90], fontsize=13, fontweight="bold", color=_ALL)
    ended = "" if incident.resolved_at is None else f" {moment(incident.resolved_at)}"
    state = "still open" if material.is_open else f"{incident.status}{ended}"
    said = (
        f"{incident.severity}, {state}; began {moment(incident.started_at)}, detected {moment(incident.detected_at)}; "
        f"{incident.incident_id}"
    )
    axes.text(0, 0.05, plain(said)[:140], fontsize=9, color="#555555")


def _panel(axes: "Axes", line: SignalEvidence, drawn: Sequence[Line], material: Material) -> None:
    """One signal: its lines, what is normal, and the time in which it was off."""
    from matplotlib.ticker import FuncFormatter  # noqa: PLC0415

    silence = line.channel == "silence"
    back = [each.updated_at for each in material.messages(line.drift_id) if each.state == "recovered"]
    off_until = back[-1] if back and line.state == "recovered" else material.end
    axes.axvspan(_moment(line.started_at), _moment(max(off_until, line.detected_at)), color=_OFF, alpha=0.08, lw=0)
    if not silence:
        axes.axhline(line.normal, color=_NORMAL, ls=(0, (4, 3)), lw=1.2, label="normal")
    for place, each in enumerate(drawn[: 1 + VERSIONS_MAX]):
        _draw(axes, each, _ALL if not each.name else _VERSIONS[(place - 1) % len(_VERSIONS)])
    if not drawn:
        note = "nothing of it by minute is left in the messages"
        axes.text(0.5, 0.5, note, transform=axes.transAxes, ha="center", color=_NORMAL)
    axes.set_title(_headline(line, material), loc="left", fontsize=10, fontweight="bold", color=_ALL)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if silence else _tick(value, line)))
    axes.margins(y=0.12)
    if line.normal >= 0:
        axes.set_ylim(bottom=min(0, *axes.get_ylim()) if line.channel == "rate" or silence else None)
        axes.set_ylim(bottom=max(0, axes.get_ylim()[0]))
    axes.grid(axis="y", color="#e4e4e4", lw=0.6)
    axes.set_axisbelow(True)
    names = len(axes.get_legend_handles_labels()[0])
    if names:
        # Beside the headline there is room for a few; more stand inside.
        beside: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.1}
        where = beside if names <= BESIDE_MAX else {"loc": "upper left"}
        axes.legend(**where, borderpad=0.2, fontsize=8, framealpha=1, edgecolor="none", ncols=names, columnspacing=1)


def _headline(line: SignalEvidence, material: Material) -> str:
    if line.channel == "silence":
        return "records a minute"
    name = line.signal if line.channel in ("rate", "location") else f"{line.signal} ({line.channel})"
    state = worst(material.messages(line.drift_id))
    value = line.now if state is None else state.now
    far, normal = (quantity(each, line.unit, line.channel) for each in (value, line.normal))
    return f"{plain(name)[:40]} {line.side}: {far}, normally {normal}"


def _draw(axes: "Axes", line: Line, colour: str) -> None:
    times = [_moment(at) for at in line.times]
    if line.by_minute:
        label = plain(line.name)[:40] or "all records"
        axes.plot(times, line.values, color=colour, lw=2.2 if not line.name else 1.6, label=label)
        lonely = [value if _is_alone(line.values, place) else math.nan for place, value in enumerate(line.values)]
        axes.plot(times, lonely, color=colour, ls="none", marker="o", ms=3)
    else:
        axes.plot(
            times,
            line.values,
            color=colour,
            lw=1.4,
            marker="o",
            ms=4,
            ds="steps-post",
            label="since the start, as reported",
        )


def _is_alone(values: Sequence[float], place: int) -> bool:
    """Whether a value has no neighbour, so that no line would show it."""
    beside = [*values[max(0, place - 1) : place], *values[place + 1 : place + 2]]
    return all(math.isnan(each) for each in beside)


def _tick(value: float, line: SignalEvidence) -> str:
    return f"{100 * value:g} %" if line.channel == "rate" else quantity(value, line.unit, line.channel)


def _marks(labels: "Axes", panels: Sequence["Axes"], placed: Sequence[tuple[Mark, int]], layout: Layout) -> None:
    """The upright lines, from their labels down through all panels."""
    labels.set_axis_off()
    labels.set_zorder(-1)  # below the names and legends of the panels
    labels.set_ylim(0, layout.levels)
    for mark, place in placed:
        colour, dashes = _MARKS[mark.kind]
        at = _moment(mark.at)
        labels.plot([at, at], [-layout.gap_rows, place + 0.85], color=colour, ls=dashes, lw=1.3, clip_on=False)
        labels.annotate(
            mark.label, (at, place + 0.45), (4, 0), textcoords="offset points", va="center", color=colour, fontsize=9
        )
        for axes in panels:
            axes.axvline(at, color=colour, ls=dashes, lw=1.3)


def _times(panels: Sequence["Axes"]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415

    for axes in panels:
        places = AutoDateLocator(tz=UTC, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        words = ConciseDateFormatter(places, tz=UTC, show_offset=False)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(places)
        axes.xaxis.set_major_formatter(words)
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False)
    if panels:
        panels[-1].set_xlabel("time, UTC", fontsize=8, color="#555555", loc="right")


def _moment(at: int) -> Any:
    """A point in time as the library takes it; it names the type of its axes nowhere."""
    return datetime.fromisoformat(format_timestamp(at))


def _described(svg: str, material: Material, panels: Sequence[SignalEvidence]) -> str:
    """The picture without the reference to a document type, and with words for those who do not see it."""
    incident = material.incident
    shown = ", ".join(line.signal for line in panels) or "no signal"
    words = f"{shown} over time, from before the start to {moment(material.end)}. {incident.summary}"
    head, _, rest = svg[svg.index("<svg") :].partition(">")
    title, description = (escape(plain(text)) for text in (incident.title, words))
    return f'{head} role="img">\n <title>{title}</title>\n <desc>{description}</desc>{rest}'
