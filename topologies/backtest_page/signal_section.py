"""The section of one subject: a row per signal with its levels and the smallest detected changes."""

from pipeline.backtest import BacktestResult, SignalResult, SubjectResult
from pipeline.detect.offline import SmallestChange
from pipeline.wording import duration, quantity
from schemas.timestamp import date_time
from topologies.backtest_page.chart import Chart, ChartLine, draw_sparkline
from topologies.backtest_page.elements import element, escape, table
from topologies.baseline_wording import NONE, describe_changes, describe_normal

OPEN_SUBJECTS_MAX = 3
"""Maximum number of subjects whose tables are open when the page is opened."""

_HEAD = ("signal", "over time", "normal", "now", "pages from", "tickets from", "not judged because")


def write_subject(subject: SubjectResult, result: BacktestResult, *, is_open: bool) -> str:
    """Return the section of a subject."""
    judged = sum(not row.not_judged for row in subject.signals)
    facts = f"{subject.records:,} records, {judged} of {len(subject.signals)} signals judged"
    head = element("summary", element("b", escape(subject.subject)), element("span", escape(facts), class_="facts"))
    parts = [head]
    if subject.problem:
        parts.append(element("p", escape(f"Nothing was judged: {subject.problem}."), class_="warning"))
    if subject.baseline is not None:
        begin, end = subject.baseline.learned_from, subject.baseline.learned_to
        text = (
            f"The baseline was learned from {subject.baseline.records:,} records, {date_time(begin)} to "
            f"{date_time(end)} ({duration((end - begin) / 1000)})."
        )
        parts.append(element("p", escape(text), class_="note"))
    rows = [_write_row(row, subject, result) for row in subject.signals]
    # The last column has the reasons, if there are any.
    columns = len(_HEAD) if any(row.not_judged for row in subject.signals) else len(_HEAD) - 1
    parts.append(table(_HEAD[:columns], [row[:columns] for row in rows], class_="signals"))
    attributes = {"open": "open"} if is_open else {}
    return element("details", *parts, class_="subject", **attributes)


def _write_row(row: SignalResult, subject: SubjectResult, result: BacktestResult) -> tuple[str, ...]:
    channel = "rate" if row.signal.kind == "rate" else "location"
    now = NONE if row.now is None else quantity(row.now, "", channel)
    unit = element("small", escape(row.signal.unit)) if row.signal.unit else ""
    visible = [change for change in row.changes if change.size is not None]
    pages = _describe_changes(row, [change for change in visible if change.tier == "page"])
    tickets = _describe_changes(row, [change for change in visible if change.tier != "page"])
    if row.signal.role == "cause" and tickets != NONE:
        tickets = f"never alerts; used to explain other signals from {tickets}"
    return (
        element("span", escape(row.signal.name), class_="name") + unit,
        _draw_row(row, subject, result),
        escape(NONE if row.baseline is None else describe_normal(row.baseline)),
        element("span", escape(now), class_="number"),
        escape(pages),
        escape(tickets),
        element("span", escape(row.not_judged), class_="reason") if row.not_judged else "",
    )


def _describe_changes(row: SignalResult, changes: list[SmallestChange]) -> str:
    return NONE if row.baseline is None else describe_changes(row.baseline, changes)


def _draw_row(row: SignalResult, subject: SubjectResult, result: BacktestResult) -> str:
    if not row.times_ms:
        return ""
    until_ms = result.learning.until_ms
    off = [
        (drift.started_at, incident.last.resolved_at or result.last_ms, "off")
        for incident in result.incidents
        if incident.last.subject == subject.subject
        for drift in incident.last.evidence
        if drift.signal == row.signal.name
    ]
    chart = Chart(
        span=(result.first_ms, result.last_ms),
        lines=[ChartLine("", row.times_ms, row.levels)],
        normal=row.normal,
        format_value=str,
        spans=[*([] if until_ms is None else [(result.first_ms, until_ms, "learning")]), *off],
        is_share=row.signal.kind == "rate",
    )
    return draw_sparkline(chart, f"{row.signal.name} over time")
