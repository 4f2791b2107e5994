"""The message about an incident: what a person on call reads in ten seconds, before it is rendered for a service.

All texts are one line of plain text. They contain names from records, so each service must escape them.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pipeline.correlate.causes import clear_suspect
from pipeline.correlate.playbook import phrases
from pipeline.plain_text import plain_text
from pipeline.route import Dispatch
from pipeline.wording import duration, measurement_time, quantity, signal_name
from schemas.incident import CLOSED, Incident, ResponseTarget, SignalEvidence
from schemas.timestamp import date_time, time_on_day
from topologies.messages.links import RUNBOOK, MessageLink, build_links, find_runbook

HEADLINE_LENGTH_MAX = 150
"""Maximum characters of a headline. A header of Slack has at most this length."""

TEXT_LENGTH_MAX = 600
"""Maximum characters of any other text. A longer text ends with an ellipsis."""

SIGNALS_MAX = 3
"""Maximum number of signals. The message states how many more there are."""

STEPS_MAX = 2
"""Maximum number of containment steps."""

TARGETS_MAX = 2
"""Maximum number of response targets."""

SEGMENTS_MAX = 3
"""Maximum number of segments."""

_WITHOUT_VALUE = ("silence", "first_seen")
"""Channels whose drifts are described by their sentence, because their values are not meaningful to people."""

_TARGET_ROLES = {
    "contain": "technical_lead",
    "fix": "technical_lead",
    "first_communication": "communications_lead",
    "next_communication": "communications_lead",
}
"""Roles that meet a response target. The commander meets all others."""


@dataclass(frozen=True, slots=True)
class MessageFact:
    """One labelled line."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class MessageAction:
    """One thing to do, with the command to copy, if there is one."""

    text: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class IncidentMessage:
    """A message about one incident, or about the incidents of a digest, without markup.

    Attributes
    ----------
    headline
        Severity, status and title, at most :data:`HEADLINE_LENGTH_MAX` characters.
    news
        Why the message is sent now, or an empty text if the incident is new to the receiver.
    facts, actions, links
        What happened, what to do in order, and where to read on.
    """

    headline: str
    news: str
    facts: tuple[MessageFact, ...]
    actions: tuple[MessageAction, ...]
    links: tuple[MessageLink, ...]


def write_incident_message(dispatch: Dispatch) -> IncidentMessage:
    """Write the message about one incident revision.

    An open incident is described by its signals, its likely cause, the actions and the next response targets. An
    incident whose signals have recovered, or that is over, is described in the past tense, at its worst. Times have a
    date unless they are on the day of the start. The start, the end and the targets are also given in the time zone of
    the dispatch.
    """
    incident, links = dispatch.incident, build_links(dispatch)
    is_new = dispatch.reason.code == "first_notification"
    return IncidentMessage(
        headline=shorten(f"{incident.severity} {incident.status}: {incident.title}", HEADLINE_LENGTH_MAX),
        news="" if is_new else shorten(dispatch.reason.text),
        facts=tuple(MessageFact(label, shorten(text)) for label, text in _facts(dispatch, links)),
        actions=tuple(_actions(incident)),
        links=links,
    )


def _facts(dispatch: Dispatch, links: Sequence[MessageLink]) -> Iterator[tuple[str, str]]:
    incident, zone = dispatch.incident, ZoneInfo(dispatch.time_zone)
    day = incident.started_at
    start = f"{date_time(day)}{local_time(day, zone)}"
    if incident.status == "merged":
        yield "Merged", f"into {incident.merged_into}, which represents both incidents"
    elif _is_firing(incident):
        yield "What", _describe_signals(incident)
        yield "Since", f"{start}, detected {duration(incident.detection_gap_s)} later"
        yield (
            "Suspected cause",
            phrases.describe_cause(
                clear_suspect(incident.suspects), incident.suspects, day, lambda at: time_on_day(at, day)
            ),
        )
    else:
        yield "What", incident.summary
        if incident.resolved_at is not None:
            lasted = duration((incident.resolved_at - day) / 1000)
            end = f"{time_on_day(incident.resolved_at, day)}{local_time(incident.resolved_at, zone)}"
            yield "Lasted", f"{lasted}, from {start} to {end}"
    scope = [part for part in (incident.environment, incident.provider, *incident.segments[:SEGMENTS_MAX]) if part]
    if scope:
        yield "Scope", ", ".join(scope)
    targets = _next_targets(incident)
    if targets:
        yield "Due", "; ".join(_describe_target(target, dispatch, zone) for target in targets)
    if incident.acknowledged_by and incident.status not in CLOSED:
        yield "Acknowledged", f"by {incident.acknowledged_by}"
    if not any(link.label == RUNBOOK for link in links):
        yield RUNBOOK, find_runbook(incident, dispatch.labels)
    yield "Incident", f"{incident.incident_id}, revision {incident.revision}"


def _is_firing(incident: Incident) -> bool:
    """Return whether the incident is open and a signal is still off."""
    return incident.status not in CLOSED and any(drift.state == "firing" for drift in incident.evidence)


def _describe_signals(incident: Incident) -> str:
    firing = [drift for drift in incident.evidence if drift.state == "firing"]
    described = [_describe_signal(drift, incident.started_at) for drift in firing[:SIGNALS_MAX]]
    more = len(firing) - SIGNALS_MAX
    return "; ".join([*described, *([f"and {more} more"] if more > 0 else [])])


def _describe_signal(drift: SignalEvidence, day: int) -> str:
    if drift.channel in _WITHOUT_VALUE:
        return drift.sentence
    normal, now = (quantity(value, drift.unit, drift.channel) for value in (drift.normal, drift.now))
    measured = measurement_time(drift, day)
    return f"{signal_name(drift)} {normal} -> {now}{f' ({measured})' if measured else ''}"


def _next_targets(incident: Incident) -> list[ResponseTarget]:
    """Return the response targets that are not met, earliest first. After the end, only the review is left."""
    waiting = [target for target in incident.response_targets if target.done_at is None]
    if incident.status in CLOSED:
        waiting = [target for target in waiting if target.name == "review" and incident.status == "resolved"]
    return sorted(waiting, key=lambda target: target.due_at)[:TARGETS_MAX]


def _describe_target(target: ResponseTarget, dispatch: Dispatch, zone: ZoneInfo) -> str:
    incident = dispatch.incident
    holder = getattr(incident, _TARGET_ROLES.get(target.name, "commander")) or incident.acknowledged_by
    name = target.name.replace("_", " ")
    at = f"{time_on_day(target.due_at, incident.started_at)}{local_time(target.due_at, zone)}"
    due = f"{name} by {at}" if target.due_at >= dispatch.decided_at else f"{name} overdue since {at}"
    return f"{due} ({holder or 'nobody assigned'})"


def local_time(at: int, zone: ZoneInfo) -> str:
    """Return a time (Unix ms) in a time zone, in parentheses, with a date if the date differs from that in UTC.

    >>> local_time(1795489920123, ZoneInfo("Europe/Berlin")), local_time(1795489920123, ZoneInfo("America/New_York"))
    (' (04:12 CET)', ' (2026-11-23 22:12 EST)')
    >>> local_time(1795489920123, ZoneInfo("UTC"))
    ''
    """
    moment = datetime.fromtimestamp(at / 1000, UTC)
    local = moment.astimezone(zone)
    if not local.utcoffset():
        return ""
    return f" ({local:%H:%M %Z})" if local.date() == moment.date() else f" ({local:%Y-%m-%d %H:%M %Z})"


def _actions(incident: Incident) -> Iterator[MessageAction]:
    if incident.status == "open":
        yield _command("Acknowledge it", "ack", incident)
    if _is_firing(incident):
        steps = sorted((step for step in incident.containment if step.done_at is None), key=lambda step: step.rank)
        for number, step in enumerate(steps[:STEPS_MAX]):
            is_runbook = step.target == incident.runbook  # which the message already contains
            instruction = "investigate with the runbook" if is_runbook else phrases.describe_step(step)
            text = f"Or {instruction}" if number else f"{instruction[0].upper()}{instruction[1:]}"
            yield MessageAction(shorten(text))
    if incident.status == "acknowledged":
        yield _command("When the harm is contained", "mitigate", incident)
    if incident.status == "resolved" and _next_targets(incident):
        yield _command("Draft the review", "review", incident)


def _command(text: str, subcommand: str, incident: Incident) -> MessageAction:
    return MessageAction(text, f"driftwire incident {subcommand} {shlex.quote(shorten(incident.incident_id))}")


def shorten(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Return a text as one plain line of at most a number of characters."""
    line = plain_text(text)
    return line if len(line) <= length_max else f"{line[: length_max - 1]}…"
