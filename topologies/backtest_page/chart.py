"""Charts as HTML with inline SVG: the drawing stretches with the page, and the text keeps its size.

The chart of a review is one picture with a fixed width. It cannot be read on a phone or in dark mode.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from schemas.timestamp import clock_time, date_minute
from topologies.backtest_page.elements import element, escape

WIDTH, HEIGHT = 1000, 100
"""Size of the drawing in its own units. The page sets the size on the screen."""

POINTS_MAX = 600
"""Maximum number of points of a line."""

SPARKLINE_POINTS_MAX = 120
"""Maximum number of points of a line without axes."""

CHIP_GAP = 0.055
"""Minimum distance of two numbers in one row, as a share of the width of a narrow screen."""

MARGIN = 0.08
"""Share of the height that stays free above and below the lines."""

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ChartLine:
    """A line: its name, or empty for all records, times in Unix ms, and values. NaN interrupts the line."""

    name: str
    times_ms: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class ChartMark:
    """A vertical line with a number. ``kind`` selects its colour."""

    at_ms: int
    kind: str
    number: int


@dataclass(frozen=True, slots=True)
class Chart:
    """The content of a chart.

    Attributes
    ----------
    span
        First and last time, in Unix ms.
    normal
        The normal level, or None.
    spans
        Periods with a background: first time, last time and kind.
    format_value
        Function that formats a value of the vertical axis.
    """

    span: tuple[int, int]
    lines: Sequence[ChartLine]
    normal: float | None
    format_value: Callable[[float], str]
    spans: Sequence[tuple[int, int, str]] = ()
    marks: Sequence[ChartMark] = field(default=())
    is_share: bool = False


def draw_chart(chart: Chart, label: str) -> str:
    """Return a chart with axes, for a screen reader described by ``label``."""
    low, high = _range(chart)
    first, last = chart.span
    middle = (first + last) // 2
    times = "".join(element("span", escape(_format_time(at, chart.span))) for at in (first, middle, last))
    values = "".join(element("span", escape(chart.format_value(value))) for value in (high, (high + low) / 2, low))
    chips, rows = _draw_chips(chart)
    plot = element("div", chips, _draw_svg(chart, low, high, label), class_="plot")
    axes = (element("div", values, class_="y"), plot, element("div", times, class_="x"))
    return element("div", *axes, class_="chart", style=f"--rows:{rows}")


def draw_sparkline(chart: Chart, label: str) -> str:
    """Return a chart without axes, for a row of a table."""
    low, high = _range(chart)
    return element("div", _draw_svg(chart, low, high, label, SPARKLINE_POINTS_MAX), class_="spark")


def draw_timeline(chart: Chart, label: str, *, has_numbers: bool) -> str:
    """Return a chart without a vertical axis: periods and marks alone. The marks may have no numbers."""
    times = "".join(element("span", escape(_format_time(at, chart.span))) for at in chart.span)
    chips, rows = _draw_chips(chart) if has_numbers else ("", 0)
    plot = element("div", chips, _draw_svg(chart, 0, 1, label), class_="plot")
    return element("div", plot, element("div", times, class_="x"), class_="chart timeline", style=f"--rows:{rows}")


def _range(chart: Chart) -> tuple[float, float]:
    """Return the ends of the vertical axis, which covers the lines and the normal level."""
    values = [value for line in chart.lines for value in line.values if math.isfinite(value)]
    values += [] if chart.normal is None else [chart.normal]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low >= 0 and low < high / 2:
        low = 0.0
    if high <= low:
        high = low + (abs(low) or 1.0)
    if chart.is_share and high > 0.9:
        low, high = (low, 1.0) if low < 1.0 else (0.0, 1.0)
    return low, high


def _draw_svg(chart: Chart, low: float, high: float, label: str, points_max: int = POINTS_MAX) -> str:
    first, last = chart.span

    def x(at: float) -> float:
        share = (at - first) / max(1, last - first)
        return round(WIDTH * min(1.0, max(0.0, share)), 1)

    def y(value: float) -> float:
        if not math.isfinite(value):
            return math.nan
        share = (value - low) / (high - low)
        return round(HEIGHT * (1 - MARGIN - (1 - 2 * MARGIN) * min(1.0, max(0.0, share))), 1)

    parts = []
    for begin, end, kind in chart.spans:
        if end >= first and begin <= last:
            width = max(2.0, x(end) - x(begin))
            parts.append(f'<rect class="{kind}" x="{x(begin)}" y="0" width="{width:.1f}" height="{HEIGHT}"/>')
    if chart.normal is not None:
        level = y(chart.normal)
        parts.append(f'<path class="normal" d="M0 {level}H{WIDTH}"/>')
    # Versions come first, so that the line for all records is on top.
    for index, line in reversed(list(enumerate(chart.lines))):
        data = _path([(x(at), y(value)) for at, value in _downsample(line, points_max)])
        parts.append(f'<path class="line line{index}" d="{data}"/>')
    parts += [f'<path class="mark {mark.kind}" d="M{x(mark.at_ms)} 0V{HEIGHT}"/>' for mark in chart.marks]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img">'
        f"<title>{escape(label)}</title>{''.join(parts)}</svg>"
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Return the path of a line. An isolated point becomes a short dash."""
    data, pen_is_down = [], False
    for index, (across, down) in enumerate(points):
        if math.isnan(down):
            pen_is_down = False
            continue
        data.append(f"{'L' if pen_is_down else 'M'}{across:g} {down:g}")
        is_alone = not pen_is_down and (index + 1 == len(points) or math.isnan(points[index + 1][1]))
        if is_alone:
            data.append("h1")
        pen_is_down = True
    return "".join(data)


def _downsample(line: ChartLine, points_max: int) -> list[tuple[int, float]]:
    """Return at most ``points_max`` points: the means of equal groups of consecutive points."""
    size = -(-len(line.times_ms) // points_max)
    if size <= 1:
        return list(zip(line.times_ms, line.values, strict=True))
    points = []
    for start in range(0, len(line.times_ms), size):
        group = [value for value in line.values[start : start + size] if math.isfinite(value)]
        value = math.fsum(group) / len(group) if group else math.nan
        points.append((line.times_ms[start], value))
    return points


def _draw_chips(chart: Chart) -> tuple[str, int]:
    """Return the numbers above the marks, in as many rows as they need, and the number of rows."""
    first, last = chart.span
    ends: list[float] = []
    chips = []
    for mark in sorted(chart.marks, key=lambda mark: (mark.at_ms, mark.number)):
        share = min(1.0, max(0.0, (mark.at_ms - first) / max(1, last - first)))
        row = next((row for row, end in enumerate(ends) if share - end >= CHIP_GAP), len(ends))
        ends[row : row + 1] = [share]
        style = f"--at:{100 * share:.2f}%;--row:{row}"
        chips.append(element("span", escape(mark.number), class_=f"chip {mark.kind}", style=style))
    return "".join(chips), len(ends)


def _format_time(at: int, span: tuple[int, int]) -> str:
    return clock_time(at) if span[1] - span[0] < _DAY_MS else date_minute(at)
