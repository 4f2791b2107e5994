"""The page: the verdict first, then the incidents, the signals, and the data that could not be used."""

from collections.abc import Sequence
from importlib.resources import files

from pipeline.backtest import BacktestResult
from pipeline.correlate.deployments import describe_change
from pipeline.wording import duration, percent
from schemas.timestamp import date_time
from topologies.backtest_page.chart import Chart, ChartMark, draw_timeline
from topologies.backtest_page.elements import element, escape, table
from topologies.backtest_page.incident_section import write_incident
from topologies.backtest_page.signal_section import OPEN_SUBJECTS_MAX, write_subject
from topologies.backtest_page.summary import describe_learning, describe_verdict

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Content security policy of the page: it can load nothing and run nothing."""

MARKS_MAX = 12
"""Maximum number of numbered deployments in the timeline. With more, their lines have no numbers."""

DEPLOYMENTS_MAX = 200
SUBJECTS_MAX = 200
BAD_FIELDS_MAX = 100
"""Maximum number of rows in the page. The page states how many more there are."""


def write_page(result: BacktestResult, sources: Sequence[str], advice: str = "") -> str:
    """Return the page as one HTML document.

    Parameters
    ----------
    result
        Result of the backtest.
    sources
        Names of the files.
    advice
        What to change if nothing was judged. Empty otherwise.
    """
    style = files("topologies.backtest_page").joinpath("page.css").read_text("utf-8")
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>driftwire backtest: {escape(describe_verdict(result))}</title><style>{style}</style>"
    )
    body = element(
        "main",
        _write_head(result, sources),
        element("p", escape(advice), class_="alarm", role="alert") if advice else "",
        _write_tiles(result),
        _write_timeline(result),
        _write_incidents(result),
        _write_subjects(result),
        _write_data(result),
        _write_deployments(result),
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _write_head(result: BacktestResult, sources: Sequence[str]) -> str:
    span = f"{date_time(result.first_ms)} to {date_time(result.last_ms)}"
    return element(
        "header",
        element("p", escape(f"driftwire backtest of {', '.join(sources)}"), class_="brand"),
        element("h1", escape(f"{describe_verdict(result)}.")),
        element(
            "p",
            escape(f"Records from {span}, {duration((result.last_ms - result.first_ms) / 1000)}. ")
            + escape(f"{describe_learning(result)}."),
            class_="note",
        ),
        class_="top",
    )


def _write_tiles(result: BacktestResult) -> str:
    tiles = (
        (f"{len(result.pages):,}", "would have paged", "page" if result.pages else ""),
        (f"{len(result.tickets):,}", "would have become tickets", ""),
        (percent(result.judged_share), "of the values after learning were judged", "" if result.is_judged else "page"),
        (f"{result.records_used:,}", "records used", ""),
        (f"{result.records_unusable:,}", "records unusable", "page" if result.records_unusable else ""),
    )
    return element(
        "ul",
        *(
            element("li", element("b", escape(value)), element("span", escape(name)), class_=f"tile {kind}".strip())
            for value, name, kind in tiles
        ),
        class_="tiles",
    )


def _write_timeline(result: BacktestResult) -> str:
    until_ms = result.learning.until_ms
    spans = [] if until_ms is None else [(result.first_ms, min(until_ms, result.last_ms), "learning")]
    spans += [
        (one.last.started_at, one.last.resolved_at or result.last_ms, "page" if one.is_page else "ticket")
        for one in result.incidents
    ]
    within = [one for one in result.deployments if result.first_ms <= one.timestamp <= result.last_ms]
    marks = [
        ChartMark(one.timestamp, "deployment", number)
        for number, one in enumerate(result.deployments, 1)
        if one in within
    ]
    chart = Chart((result.first_ms, max(result.last_ms, result.first_ms + 1)), (), None, str, spans, marks)
    names = [("learning", "learning period"), ("page", "paging incident"), ("ticket", "ticket")]
    keys = "".join(element("span", escape(name), class_=f"swatch {kind}") for kind, name in names)
    return element(
        "section",
        draw_timeline(chart, "Timeline of the records", has_numbers=len(marks) <= MARKS_MAX),
        element("p", keys, class_="swatches"),
    )


def _write_incidents(result: BacktestResult) -> str:
    if not result.incidents:
        return ""
    articles = [write_incident(number, one, result) for number, one in enumerate(result.incidents, 1)]
    more = (
        element("p", escape(f"and {result.dropped_incidents:,} more incidents"), class_="note")
        if result.dropped_incidents
        else ""
    )
    text = f"{result.dropped_drifts:,} later drift messages are not drawn, so charts can end early."
    drifts = element("p", escape(text), class_="note") if result.dropped_drifts else ""
    return element("section", element("h2", "Incidents"), drifts, *articles, more)


def _write_subjects(result: BacktestResult) -> str:
    if not result.subjects:
        return ""
    with_incident = {one.last.subject for one in result.incidents}
    ordered = sorted(result.subjects, key=lambda one: (one.subject not in with_incident, one.subject))
    shown = ordered[:SUBJECTS_MAX]
    now_from, span = date_time(result.now_from_ms), duration((result.last_ms - result.now_from_ms) / 1000)
    note = (
        f"Normal is the mean of a rate, or the median of a value with its 1 % and 99 % quantiles. Now is the level in the last "
        f"{span}, since {now_from}. The columns pages from and tickets from show the smallest lasting changes that "
        f"nine of ten times are detected within a day: the new mean of a rate, or the shift of all values."
    )
    sections = [write_subject(one, result, is_open=number < OPEN_SUBJECTS_MAX) for number, one in enumerate(shown)]
    more = len(ordered) - len(shown)
    rest = element("p", escape(f"and {more:,} more subjects"), class_="note") if more else ""
    return element("section", element("h2", "Signals"), element("p", escape(note), class_="note"), *sections, rest)


def _write_data(result: BacktestResult) -> str:
    rows = [
        (escape(one.what), escape(one.reason), escape(f"{one.count:,}"), escape(one.detail)) for one in result.unusable
    ]
    fields = [
        ("", escape(bad.what), escape(bad.reason.replace("_", " ")), escape(f"{bad.count:,}"))
        for bad in result.dropped_values
    ]
    fields += [
        (escape(subject.subject), escape(bad.what), escape(bad.reason.replace("_", " ")), escape(f"{bad.count:,}"))
        for subject in result.subjects
        for bad in subject.bad_fields
    ]
    converted = [
        f"{subject.subject}: {name} ({count:,})"
        for subject in result.subjects
        for name, count in subject.converted_fields.items()
    ]
    parts = [element("h2", "Data that could not be used")]
    if not rows and not fields:
        parts.append(element("p", "Every record and every value could be used.", class_="note"))
    if rows:
        parts.append(table(("what", "reason", "count", "first example"), rows))
    if fields:
        parts.append(element("h3", "Values that were dropped from their records"))
        parts.append(table(("subject", "field", "reason", "count"), fields[:BAD_FIELDS_MAX]))
    if len(fields) > BAD_FIELDS_MAX:
        parts.append(element("p", escape(f"and {len(fields) - BAD_FIELDS_MAX} more"), class_="note"))
    if converted:
        more = f" and {len(converted) - BAD_FIELDS_MAX} more" if len(converted) > BAD_FIELDS_MAX else ""
        text = f"Converted from text or from another type: {', '.join(converted[:BAD_FIELDS_MAX])}{more}."
        parts.append(element("p", escape(text), class_="note"))
    late = sum(subject.late for subject in result.subjects)
    if result.duplicates or late:
        text = f"{result.duplicates:,} duplicates were dropped. {late:,} records arrived late and were used."
        parts.append(element("p", escape(text), class_="note"))
    return element("section", *parts)


def _write_deployments(result: BacktestResult) -> str:
    if not result.deployments:
        return ""
    rows = [
        (escape(number), escape(date_time(one.timestamp)), escape(describe_change(one)), escape(one.summary or ""))
        for number, one in enumerate(result.deployments[:DEPLOYMENTS_MAX], 1)
    ]
    more = len(result.deployments) - len(rows)
    rest = element("p", escape(f"and {more:,} more deployments"), class_="note") if more else ""
    return element("section", element("h2", "Deployments"), table(("number", "at", "change", "summary"), rows), rest)
