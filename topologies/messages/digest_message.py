"""The message of a digest: one line per incident, before it is rendered for a service."""

from collections.abc import Iterator
from typing import cast
from zoneinfo import ZoneInfo

from pipeline.route import NoticeDispatch
from schemas.notice import Digest, DigestIncident, DigestSection
from schemas.timestamp import date_time
from topologies.messages.message import (
    HEADLINE_LENGTH_MAX,
    IncidentMessage,
    MessageAction,
    MessageFact,
    local_time,
    shorten,
)

LINES_MAX = 15
"""Maximum number of incidents per section. The message states how many more there are."""

LINE_LENGTH_MAX = 200
"""Maximum characters of a line."""

TITLE_LENGTH_MAX = 80
"""Maximum length of an incident's title, in characters."""


def write_digest(dispatch: NoticeDispatch, lines_max: int = LINES_MAX) -> IncidentMessage:
    """Write the message of a digest: first the suppressed incidents, then the P3 and the P4 incidents.

    Parameters
    ----------
    dispatch
        The digest. The start of an incident is also given in the time zone of the dispatch.
    lines_max
        Maximum number of incidents per section. Higher values make a longer message.
    """
    digest, zone = cast(Digest, dispatch.content), ZoneInfo(dispatch.time_zone)
    counts = [
        f"{digest.p4.total} P4",
        f"{digest.stale_p3.total} P3 open for longer than a day",
        f"{digest.suppressed.total} suppressed",
    ]
    since = f"{date_time(digest.since)}{local_time(digest.since, zone)}"
    return IncidentMessage(
        headline=shorten(f"Digest {digest.name}: {', '.join(counts)}", HEADLINE_LENGTH_MAX),
        news="",
        facts=(
            MessageFact("Since", since),
            *_section("Suppressed", digest.suppressed, zone, lines_max),
            *_section("P3 open for longer than a day", digest.stale_p3, zone, lines_max),
            *_section("P4", digest.p4, zone, lines_max),
        ),
        actions=(MessageAction("Show all incidents", "driftwire incidents"),),
        links=(),
    )


def _section(label: str, section: DigestSection, zone: ZoneInfo, lines_max: int) -> Iterator[MessageFact]:
    listed = section.incidents[:lines_max]
    for incident in listed:
        yield MessageFact(label, _describe(incident, zone))
    if section.total > len(listed):
        yield MessageFact(label, f"and {section.total - len(listed)} more")


def _describe(incident: DigestIncident, zone: ZoneInfo) -> str:
    start = f"{date_time(incident.started_at)}{local_time(incident.started_at, zone)}"
    reasons = "; ".join(suppression.reason for suppression in incident.suppressions)
    state = f"{incident.severity} {incident.status}" if reasons else incident.status
    text = f"{shorten(incident.title, TITLE_LENGTH_MAX)} ({state}, began {start}, "
    text += f"{shorten(incident.incident_id, TITLE_LENGTH_MAX)})"
    return shorten(f"{text}: {reasons}" if reasons else text, LINE_LENGTH_MAX)
