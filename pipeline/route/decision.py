"""The decision whether one receiver is sent one incident revision, with the reason."""

from dataclasses import dataclass

from pipeline.route import reasons
from pipeline.route.settings import ReceiverSettings
from pipeline.route.silences import Silence
from schemas.incident import CLOSED, Incident, IncidentStatus, Severity

REMINDER = "reminder"
"""Event of a running-log line about an overdue target."""


@dataclass(frozen=True, slots=True)
class LastSent:
    """The revision that a receiver was last sent, reduced to the fields that the next decision needs."""

    revision: int
    severity: Severity
    status: IncidentStatus
    suspect: str
    at: int
    route: str
    reminded_at: int = 0

    @classmethod
    def from_incident(cls, incident: Incident, route: str) -> "LastSent":
        """Summarise a revision."""
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
class RouteDecision:
    """Decision whether to send, with the reasons."""

    send: bool
    reason: str


def decide_notification(
    incident: Incident,
    receiver: ReceiverSettings,
    last_sent: LastSent | None,
    silence: Silence | None,
    repeat_interval_s: float,
) -> RouteDecision:
    """Decide whether one receiver is sent one revision.

    Parameters
    ----------
    incident
        The revision.
    receiver
        The receiver.
    last_sent
        The revision of this incident that the receiver was last sent, or None.
    silence
        The silence that covers the incident now, or None.
    repeat_interval_s
        Seconds of event time after which an open incident is sent again although nothing changed.

    Returns
    -------
    RouteDecision
        A receiver that was sent an incident is sent every change of severity, status and leading suspect, even down to
        a severity that it does not accept, so that its state is never outdated. It is also sent reminders of
        overdue targets.
    """
    is_closed = incident.status in CLOSED
    if silence is not None:
        return RouteDecision(False, reasons.active_silence(silence.author, silence.until, silence.silence_id))
    if last_sent is None:
        if is_closed:
            return RouteDecision(False, reasons.over_before_notified(incident.status))
        if incident.severity not in receiver.severities:
            return RouteDecision(False, reasons.severity_not_accepted(receiver.severities))
        return RouteDecision(True, reasons.new_incident(incident))
    if is_closed and not receiver.send_resolved:
        return RouteDecision(False, reasons.END_NOT_ACCEPTED)
    changes = _changes(incident, last_sent)
    if changes:
        return RouteDecision(True, ", ".join(changes))
    unchanged = reasons.no_change(last_sent.revision, last_sent.severity, last_sent.status)
    if not is_closed and incident.updated_at - last_sent.at >= repeat_interval_s * 1000:
        return RouteDecision(True, reasons.repetition(unchanged, repeat_interval_s))
    return RouteDecision(False, unchanged)


def leading_suspect(incident: Incident) -> str:
    """Return a string that identifies the first suspect. The string is empty without suspects."""
    first = min(incident.suspects, key=lambda suspect: suspect.rank, default=None)
    return "" if first is None else first.deployment_id or f"{first.kind} {first.name}"


def _changes(incident: Incident, last_sent: LastSent) -> list[str]:
    """Return the reasons to send: the changes that the receiver has not been sent yet."""
    changes = []
    if incident.severity != last_sent.severity:
        changes.append(reasons.severity_change(last_sent.severity, incident.severity))
    if incident.status != last_sent.status:
        changes.append(reasons.status_change(last_sent.status, incident.status, incident.merged_into))
    suspect = leading_suspect(incident)
    if suspect != last_sent.suspect and incident.status not in CLOSED:
        changes.append(reasons.suspect_change(last_sent.suspect, suspect))
    changes += [
        reasons.overdue_target(entry.text)
        for entry in incident.log
        if entry.event == REMINDER and entry.at > last_sent.reminded_at
    ]
    return changes
