"""What a backtest found, in a few lines for a terminal and as JSON for a build server."""

from collections.abc import Iterable
from typing import Any

from pipeline.backtest import BacktestIncident, BacktestResult
from pipeline.wording import percent
from schemas.drift import Tier
from schemas.incident import Incident, SignalEvidence
from schemas.timestamp import date_time, format_timestamp, time_on_day

INCIDENT_LINES_MAX = 20
"""Maximum number of incidents in the lines. The last line states how many more there are."""

NOT_JUDGED_LINES_MAX = 5
"""Maximum number of lines about what was not judged."""


def describe_verdict(result: BacktestResult) -> str:
    """Return what would have happened, as one sentence."""
    pages, tickets = len(result.pages), len(result.tickets)
    if not result.is_judged:
        if result.incidents:  # of data that could not be used
            return (
                f"No signal was judged, but driftwire would have paged {_times(pages)} and raised {_tickets(tickets)}"
            )
        return "Nothing was judged, so this says nothing about the records"
    if not pages and not tickets:
        return "driftwire would have paged nobody and raised no ticket"
    return f"driftwire would have paged {_times(pages)} and raised {_tickets(tickets)}"


def describe_learning(result: BacktestResult) -> str:
    """Return how the baselines were chosen, as one sentence."""
    if result.learning.until_ms is None:
        return "All records were judged by the given baselines"
    until = time_on_day(result.learning.until_ms, result.first_ms)
    return f"The baseline was learned until {until} ({result.learning.reason}). All later records were judged"


def render_summary(result: BacktestResult) -> list[str]:
    """Return the lines for a terminal."""
    lines = [
        f"{describe_verdict(result)}.",
        f"{describe_learning(result)}.",
        f"{result.records_used:,} records used, {result.records_unusable:,} unusable, {result.duplicates:,} duplicates.",
        f"{percent(result.judged_share)} of the values after learning were judged.",
        *_list_not_judged(result),
    ]
    for one in result.incidents[:INCIDENT_LINES_MAX]:
        suspect = first_suspect(one.shown)
        cause = f"; suspect: {suspect}" if suspect else ""
        kind = "page  " if one.is_page else "ticket"
        lines.append(f"  {kind}  {one.severity}  {date_time(one.shown.detected_at)}  {one.shown.title}{cause}")
    more = len(result.incidents) - INCIDENT_LINES_MAX + result.dropped_incidents
    if more > 0:
        lines.append(f"  and {more:,} more")
    return lines


def _list_not_judged(result: BacktestResult) -> list[str]:
    """Return what was not judged and why, unless nothing at all was judged."""
    if not result.is_judged:
        return []
    lines = []
    for subject in result.subjects:
        names: dict[str, list[str]] = {}
        for row in subject.signals:
            if row.not_judged and not subject.problem:
                names.setdefault(row.not_judged, []).append(row.signal.name)
        lines += [f"{subject.subject}: {subject.problem}"] if subject.problem else []
        lines += [f"{subject.subject}: {', '.join(signals)}: {reason}" for reason, signals in names.items()]
    more = len(lines) - NOT_JUDGED_LINES_MAX
    rest = [f"  and {more:,} more, which the report lists"] if more > 0 else []
    return [f"  not judged: {line}" for line in lines[:NOT_JUDGED_LINES_MAX]] + rest


def incidents_json(result: BacktestResult) -> dict[str, Any]:
    """Return the result for ``--json``. Times are RFC 3339."""
    return {
        "incidents": [_incident_json(one) for one in result.incidents],
        "judged_share": round(result.judged_share, 4),
        "records_used": result.records_used,
        "records_unusable": result.records_unusable,
    }


def first_suspect(incident: Incident) -> str | None:
    """Return the name of the first suspect with its versions, or None."""
    suspect = min(incident.suspects, key=lambda suspect: suspect.rank, default=None)
    return None if suspect is None else suspect.name


def _incident_json(one: BacktestIncident) -> dict[str, Any]:
    incident = one.shown
    return {
        "subject": incident.subject,
        "severity": one.severity,
        "failure_mode": incident.failure_mode,
        "title": incident.title,
        "started_at": format_timestamp(incident.started_at),
        "detected_at": format_timestamp(incident.detected_at),
        "first_suspect": first_suspect(incident),
        "paged": one.is_page,
        "signals": [{"signal": signal, "tier": tier} for signal, tier in _tiers(incident.evidence).items()],
    }


def _tiers(evidence: Iterable[SignalEvidence]) -> dict[str, Tier]:
    """Return the highest tier of each signal."""
    tiers: dict[str, Tier] = {}
    for line in evidence:
        if tiers.get(line.signal) != "page":
            tiers[line.signal] = line.tier
    return tiers


def _times(count: int) -> str:
    return {0: "nobody", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _tickets(count: int) -> str:
    return {0: "no ticket", 1: "one ticket"}.get(count, f"{count} tickets")
