"""The decision of route: whether one receiver is sent one incident revision, with the reason in words."""

from dataclasses import dataclass

from pipeline.route.settings import ReceiverSettings
from pipeline.route.silences import Silence
from schemas.incident import Incident, IncidentStatus, Severity
from schemas.timestamp import format_timestamp

CLOSED: tuple[IncidentStatus, ...] = ("resolved", "merged")
"""The statuses after which nobody has anything left to do."""

REMINDER = "reminder"
"""The event of a line in the running log that says what is overdue."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver was last sent of an incident: enough to know whether the next revision is news to it."""

    revision: int
    severity: Severity
    status: IncidentStatus
    suspect: str
    at: int
    route: str
    reminded_at: int = 0

    @classmethod
    def of(cls, incident: Incident, route: str) -> "Told":
        """What this revision tells."""
        return cls(
            incident.revision,
            incident.severity,
            incident.status,
            leading_suspect(incident),
            incident.updated_at,
            route,
            max((entry.at for entry in incident.log if entry.event == REMINDER), default=0),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """To send or not, and why."""

    send: bool
    reason: str


def decide(
    incident: Incident,
    receiver: ReceiverSettings,
    told: Told | None,
    silence: Silence | None,
    repeat_interval_s: float,
) -> Decision:
    """Decide on one revision for one receiver.

    Parameters
    ----------
    incident
        The revision.
    receiver
        Who is to be told.
    told
        What it was last sent of this incident; None if nothing.
    silence
        The silence that covers the incident now; None if none does.
    repeat_interval_s
        Seconds of event time after which an open incident is sent again though nothing changed.

    Returns
    -------
    Decision
        A receiver that knows of an incident is told of every change of severity, status and leading suspect, even down
        to a severity that it does not take: what it shows must not go stale. It is also told of what is overdue.
    """
    closed = incident.status in CLOSED
    if silence is not None:
        return Decision(
            False, f"silenced by {silence.author} until {format_timestamp(silence.until)} ({silence.silence_id})"
        )
    if told is None:
        if closed:
            return Decision(False, f"{incident.status} before the receiver was told of it")
        if incident.severity not in receiver.severities:
            return Decision(False, f"the receiver takes {', '.join(receiver.severities)} only")
        return Decision(True, f"new to the receiver: {incident.severity} {incident.status}")
    if closed and not receiver.send_resolved:
        return Decision(False, "the receiver does not want to know of the end")
    news = _news(incident, told)
    if news:
        return Decision(True, news)
    known = f"nothing new since revision {told.revision}: {told.severity} {told.status}"
    if not closed and incident.updated_at - told.at >= repeat_interval_s * 1000:
        return Decision(True, f"{known}, repeated after {repeat_interval_s:g} s")
    return Decision(False, known)


def leading_suspect(incident: Incident) -> str:
    """What the first suspect is recognised by; empty without suspects."""
    first = min(incident.suspects, key=lambda suspect: suspect.rank, default=None)
    return "" if first is None else first.deployment_id or f"{first.kind} {first.name}"


def _news(incident: Incident, told: Told) -> str:
    """What the receiver does not know yet; empty if nothing."""
    changes = []
    if incident.severity != told.severity:
        changes.append(f"severity {told.severity} -> {incident.severity}")
    if incident.status != told.status:
        where = f" into {incident.merged_into}" if incident.merged_into is not None else ""
        changes.append(f"status {told.status} -> {incident.status}{where}")
    suspect = leading_suspect(incident)
    if suspect != told.suspect and incident.status not in CLOSED:
        changes.append(f"leading suspect {told.suspect or 'none'} -> {suspect or 'none'}")
    overdue = [entry.text for entry in incident.log if entry.event == REMINDER and entry.at > told.reminded_at]
    # Of a reminder's text what is overdue; what to do about it is in the incident.
    changes += [f"overdue: {text.partition(': ')[0]}" for text in overdue]
    return ", ".join(changes)
