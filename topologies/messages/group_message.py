"""The message about several incidents of one group: the news, the other open incidents, and what to do about the worst."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pipeline.route import Dispatch
from schemas.incident import CLOSED, Incident, Severity
from schemas.timestamp import date_time
from topologies.messages.message import (
    HEADLINE_LENGTH_MAX,
    IncidentMessage,
    MessageFact,
    shorten,
    write_incident_message,
)

LISTED_MAX = 10
"""Maximum number of new or changed incidents in the list. The message states how many more there are."""

TITLE_LENGTH_MAX = 200
"""Maximum length of an incident's title in the message of a group, in characters."""

_FACTS_OF_WORST = ("Suspected cause", "Scope", "Due", "Runbook")


def write_message(dispatch: Dispatch) -> IncidentMessage:
    """Write the message of a dispatch: about one incident, or about all incidents of its group.

    The message of a group lists the incidents with news, and the other open incidents that the receiver knows. Cause,
    targets, actions and links are those of its most urgent incident.
    """
    if not dispatch.is_about_several:
        return write_incident_message(dispatch)
    worst = dispatch.incidents[0]
    labels = dispatch.labels if worst is dispatch.incident else {}
    message = write_incident_message(replace(dispatch, incident=worst, labels=labels))
    return IncidentMessage(
        headline=shorten(_headline(dispatch), HEADLINE_LENGTH_MAX),
        news=_describe_news(dispatch.members),
        facts=(
            *_list_incidents(dispatch),
            MessageFact("Most urgent", shorten(worst.incident_id)),
            *(fact for fact in message.facts if fact.label in _FACTS_OF_WORST),
        ),
        actions=message.actions,
        links=message.links,
    )


def _headline(dispatch: Dispatch) -> str:
    """Return the highest severity, the status of the group, and the number of its incidents that are open, or over."""
    status = "resolved"
    if dispatch.still_open:
        status = "open" if any(state.status == "open" for state in dispatch.still_open) else "acknowledged"
    severities = [state.severity for state in dispatch.still_open or dispatch.incidents]
    number = f"{len(severities)} incidents" if len(severities) > 1 else "1 incident"
    return f"{severities[0]} {status}: {number} ({dispatch.group})"


def _describe_news(members: Iterable[Dispatch]) -> str:
    """Return how many incidents are new, changed and over, such as ``2 new, 1 over``."""
    counts = Counter(
        "over" if member.incident.status in CLOSED else "new" if _is_new(member) else "changed" for member in members
    )
    return ", ".join(f"{counts[kind]} {kind}" for kind in ("new", "changed", "over") if counts[kind])


def _is_new(dispatch: Dispatch) -> bool:
    return dispatch.reason.code == "first_notification"


def _list_incidents(dispatch: Dispatch) -> Iterator[MessageFact]:
    for member in dispatch.members[:LISTED_MAX]:
        incident = member.incident
        news = "" if _is_new(member) else f"; {member.reason.text}"
        text = f"{_title(incident)}, since {date_time(incident.started_at)}{news}"
        yield MessageFact(f"{incident.severity} {incident.status}", shorten(text))
    more = [member.incident.severity for member in dispatch.members[LISTED_MAX:]]
    if more:
        yield MessageFact("And", f"{_count(more)} more with news")
    if dispatch.group_news is None:
        return
    for incident in dispatch.group_news.unchanged:
        yield MessageFact(f"{incident.severity} still {incident.status}", shorten(_title(incident)))
    others = [state.severity for state in dispatch.group_news.others]
    if others:
        yield MessageFact("And", f"{_count(others)} more without news")


def _title(incident: Incident) -> str:
    return f"{shorten(incident.title, TITLE_LENGTH_MAX)} ({incident.incident_id})"


def _count(severities: Iterable[Severity]) -> str:
    """Return the number of incidents by severity, such as ``2 P1, 10 P3``."""
    counts = Counter(severities)
    return ", ".join(f"{counts[severity]} {severity}" for severity in sorted(counts))
