"""The section of one incident: its card, its charts, and who would have been notified."""

from collections.abc import Sequence

from pipeline.backtest import BacktestIncident, BacktestResult, SignalResult
from pipeline.review import Mark, Material, find_marks
from pipeline.wording import quantity, signal_name
from schemas.incident import SignalEvidence
from schemas.timestamp import date_time, time_on_day
from topologies.backtest_page.chart import Chart, ChartLine, ChartMark, draw_chart
from topologies.backtest_page.elements import element, escape, table
from topologies.console import card_rows, evidence_rows

CHARTS_MAX = 4
"""Maximum number of charts of an incident, page tier first."""

EVIDENCE_MAX = 20
"""Maximum number of rows of evidence. The section states how many more there are."""

VERSIONS_MAX = 4
"""Maximum number of versions in a chart."""

POINTS_MIN = 24
"""Minimum number of points of a line over all records. With fewer, the minutes of the drift messages are drawn."""

LEAD_MS = 1_800_000
"""Minimum milliseconds between the start of a chart and the start of the incident."""

_EVIDENCE_HEAD = ("signal", "normal", "value", "effect", "since", "measured")


def write_incident(number: int, incident: BacktestIncident, result: BacktestResult) -> str:
    """Return the section of an incident."""
    shown = incident.shown
    consequence = "would have paged" if incident.is_page else "would have become a ticket"
    head = element(
        "header",
        element("span", escape(incident.severity), class_=f"badge {incident.severity}"),
        element("h3", escape(shown.title), id=f"incident-{number}"),
        element("p", escape(f"{consequence} at {date_time(shown.detected_at)}"), class_="consequence"),
    )
    parts = [head, element("p", escape(shown.summary), class_="summary"), _write_charts(incident, result)]
    parts.append(_write_card(incident))
    ordered = evidence_rows(shown)
    rows = [tuple(map(escape, row.cells)) for row in ordered[:EVIDENCE_MAX]]
    parts.append(table(_EVIDENCE_HEAD, rows, class_="evidence"))
    if len(ordered) > EVIDENCE_MAX:
        parts.append(element("p", escape(f"and {len(ordered) - EVIDENCE_MAX} more"), class_="note"))
    parts.append(_write_notifications(incident))
    kind = "page" if incident.is_page else "ticket"
    return element("article", *parts, class_=f"incident {kind}", aria_labelledby=f"incident-{number}")


def _write_card(incident: BacktestIncident) -> str:
    """Return the labelled lines of the card. A line without a label continues the one above."""
    grouped: list[tuple[str, list[str]]] = []
    for label, text in card_rows(incident.shown):
        if label or not grouped:
            grouped.append((label, []))
        grouped[-1][1].append(escape(text.plain))
    last = incident.last
    if last.resolved_at is not None:
        grouped.append(("resolved", [escape(time_on_day(last.resolved_at, last.started_at))]))
    elif incident.is_open:
        grouped.append(("state", [escape(f"{last.status} at the end of the records")]))
    grouped.append(("runbook", [escape(last.runbook)]))
    items = [element("dt", escape(label)) + element("dd", "<br>".join(lines)) for label, lines in grouped]
    return element("dl", *items, class_="card")


def _write_charts(incident: BacktestIncident, result: BacktestResult) -> str:
    material = incident.material
    if material is None:
        return ""
    first, last = _find_span(material, result)
    marks = [mark for mark in find_marks(material) if first <= mark.at <= last]
    numbered = [ChartMark(mark.at, mark.kind, number) for number, mark in enumerate(marks, 1)]
    figures = [
        _write_chart(signal, material, result, (first, last), numbered) for signal in material.signals[:CHARTS_MAX]
    ]
    return element("div", *figures, class_="charts") + _write_legend(marks) if figures else ""


def _find_span(material: Material, result: BacktestResult) -> tuple[int, int]:
    """Return the first and last time of the charts: the incident, half an hour or more before it, and a part after."""
    started = material.incident.started_at
    end = material.recovered_at or (result.last_ms if material.is_open else material.end)
    length = max(end - started, LEAD_MS // 2)
    first = max(result.first_ms, started - max(LEAD_MS, length // 2))
    return first, max(first + 1, min(result.last_ms, end + length // 4))


def _write_chart(
    signal: SignalEvidence,
    material: Material,
    result: BacktestResult,
    span: tuple[int, int],
    marks: Sequence[ChartMark],
) -> str:
    lines = _find_lines(signal, material, result, span)
    recovered_at = material.history(signal).recovered_at if signal.state == "recovered" else None
    off_until = recovered_at or (span[1] if material.is_open else material.end)
    is_silence = signal.channel == "silence"

    def show(value: float) -> str:
        return f"{value:,.0f}" if is_silence else quantity(value, signal.unit, signal.channel)

    def show_tick(value: float) -> str:
        # The axis has room for the units of durations only.
        unit = signal.unit if signal.unit in ("s", "ms") else ""
        return show(value) if is_silence else quantity(value, unit, signal.channel)

    chart = Chart(
        span=span,
        lines=lines,
        normal=None if is_silence else signal.normal,
        format_value=show_tick,
        spans=[(signal.started_at, off_until, "off")],
        marks=marks,
        is_share=signal.channel == "rate",
    )
    name = "records per minute" if is_silence else signal_name(signal)
    worst = material.history(signal).worst
    values = "" if is_silence else f"{show(signal.normal)} → {show(signal.now if worst is None else worst.now)}"
    caption = element(
        "figcaption", element("b", escape(name)), element("span", escape(values), class_="values"), _name_lines(lines)
    )
    return element("figure", caption, draw_chart(chart, f"{name} over time: {values}"))


def _find_lines(
    signal: SignalEvidence, material: Material, result: BacktestResult, span: tuple[int, int]
) -> list[ChartLine]:
    """Return the line for all records, then a line per version that served beside others."""
    history = material.history(signal).lines
    by_minute = [
        ChartLine(line.version, line.times, line.values)
        for line in history
        if line.times and line.times[-1] >= span[0] and line.times[0] <= span[1]
    ]
    versions = [line for line in by_minute if line.name][:VERSIONS_MAX]
    whole = _find_level(signal, material.incident.subject, result)
    if whole is not None and signal.channel != "silence" and not any(signal.segments):
        points = [point for point in zip(whole.times_ms, whole.levels, strict=True) if span[0] <= point[0] <= span[1]]
        if len(points) >= POINTS_MIN:
            return [ChartLine("", [at for at, _ in points], [value for _, value in points]), *versions]
    return by_minute[: 1 + VERSIONS_MAX]


def _find_level(signal: SignalEvidence, subject: str, result: BacktestResult) -> SignalResult | None:
    for known in result.subjects:
        if known.subject == subject:
            return next((row for row in known.signals if row.signal.name == signal.signal), None)
    return None


def _name_lines(lines: Sequence[ChartLine]) -> str:
    """Return a legend of the versions, if there are any."""
    if not any(line.name for line in lines):
        return ""
    names = [
        element("span", escape(line.name or "all records"), class_=f"key key{index}")
        for index, line in enumerate(lines)
    ]
    return element("span", *names, class_="keys")


def _write_legend(marks: Sequence[Mark]) -> str:
    items = [
        element("li", element("span", escape(number), class_=f"chip {mark.kind}"), element("span", escape(mark.label)))
        for number, mark in enumerate(marks, 1)
    ]
    return element("ul", *items, class_="marks")


def _write_notifications(incident: BacktestIncident) -> str:
    """Return the decisions of route, if routes are configured."""
    if not incident.notifications:
        return ""
    day = incident.first.started_at
    rows = [
        (
            escape(time_on_day(one.decided_at, day)),
            escape(one.receiver),
            escape("notified" if one.outcome == "sent" else one.outcome),
            escape(one.reason),
        )
        for one in incident.notifications
        if one.reason_code != "no_change"
    ]
    return element("h4", "Who would have been notified") + table(("at", "receiver", "outcome", "why"), rows)
