"""The decision whether to send an incident revision to a receiver, with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.route import reasons
from pipeline.route.delivery import Owed
from pipeline.route.group import Group
from pipeline.route.reasons import Reason
from pipeline.route.receiver_settings import ReceiverSettings
from schemas.incident import CLOSED, Incident, IncidentStatus, LogEntry, Severity

REMINDER = "reminder"
"""Event name of running-log lines about overdue targets."""

RESPONSES = ("acknowledge", "assign", "rollback", "kill_switch")
"""Event names of running-log lines about people who took over, and about deployments that contained the harm."""


@dataclass(frozen=True, slots=True)
class LastSent:
    """The last revision sent to a receiver, reduced to the fields that the next decision needs.

    ``at`` is the time of the decision, and ``number`` counts the decisions on the same revision from 0. ``responses``
    identifies the lines about the response in its log. It is None in a state of an earlier version. ``reference`` identifies
    the message at the receiver, if the receiver has returned a reference. ``group`` is the group of the incident at the
    receiver, if it has one.
    """

    revision: int
    severity: Severity
    status: IncidentStatus
    suspect: str
    at: int
    route: str
    reminded_at: int = 0
    number: int = 0
    responses: str | None = None
    reference: str = ""
    group: Group | None = None

    @classmethod
    def from_incident(
        cls, incident: Incident, route: str, *, at: int, number: int = 0, group: Group | None = None
    ) -> "LastSent":
        """Summarise a revision."""
        return cls(
            incident.revision,
            incident.severity,
            incident.status,
            leading_suspect(incident),
            at,
            route,
            max((entry.at for entry in incident.log if entry.event == REMINDER), default=0),
            number,
            " ".join(_key(entry) for entry in incident.log if entry.event in RESPONSES),
            group=group,
        )

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "LastSent":
        """Restore from a state with the same fields. States of older versions have no group."""
        return cls(**{**state, "group": Group.load(state.get("group"))})

    @property
    def order(self) -> tuple[int, int]:
        """Order in which revisions are decided."""
        return self.revision, self.number


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """Decision whether to send, with the reason."""

    send: bool
    reason: Reason


def decide_notification(
    incident: Incident,
    receiver: ReceiverSettings,
    last_sent: LastSent | None,
    repeat_interval_s: float,
    at: int,
    owed: Owed | None = None,
) -> RouteDecision:
    """Decide whether to send a revision to a receiver, apart from silences, inhibition and time intervals.

    Parameters
    ----------
    incident
        The revision.
    receiver
        The receiver.
    last_sent
        The last revision of this incident that was sent to the receiver, or None.
    repeat_interval_s
        Seconds after which an open incident is sent again even if nothing changed.
    at
        Time of the decision (Unix ms).
    owed
        What the receiver is owed of the incident. A receiver with a pending notification of an incident is also
        notified of its end. A fallback is notified even if it does not accept the severity.

    Returns
    -------
    RouteDecision
        Once an incident has been sent to a receiver, every change of severity, status and leading suspect is sent too,
        even if the receiver does not accept the new severity, so that its state is never outdated. Reminders of overdue
        targets, people who take over, rollbacks and uses of a kill switch are also reasons to send.
    """
    is_closed = incident.status in CLOSED
    if is_unknown(last_sent) and owed is not None and owed.reason.code == "fallback" and not is_closed:
        return RouteDecision(True, owed.reason)
    if last_sent is None:
        if is_closed and owed is not None and receiver.send_resolved:
            return RouteDecision(True, reasons.over_while_owed(incident.status, owed.problem))
        if is_closed:
            return RouteDecision(False, reasons.over_before_notified(incident.status))
        if incident.severity not in receiver.severities:
            return RouteDecision(False, reasons.severity_not_accepted(receiver.severities))
        return RouteDecision(True, reasons.new_incident(incident))
    if is_closed and not receiver.send_resolved:
        return RouteDecision(False, reasons.END_NOT_ACCEPTED)
    changes = _changes(incident, last_sent)
    if changes:
        return RouteDecision(True, reasons.combine(changes))
    unchanged = reasons.no_change(last_sent.revision, last_sent.severity, last_sent.status)
    if not is_closed and at - last_sent.at >= repeat_interval_s * 1000:
        return RouteDecision(True, reasons.repetition(unchanged, repeat_interval_s))
    return RouteDecision(False, unchanged)


def is_unknown(last_sent: LastSent | None) -> bool:
    """Return whether a receiver with this last revision has not been told that the incident is open."""
    return last_sent is None or last_sent.status in CLOSED


def leading_suspect(incident: Incident) -> str:
    """Return a string that identifies the first suspect, or an empty string if there are no suspects."""
    first = min(incident.suspects, key=lambda suspect: suspect.rank, default=None)
    return "" if first is None else first.deployment_id or f"{first.kind} {first.name}"


def _changes(incident: Incident, last_sent: LastSent) -> list[Reason]:
    """Return the reasons to send: the changes since the last revision that was sent to the receiver."""
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
    if last_sent.responses is not None and incident.status not in CLOSED:
        known = last_sent.responses.split()
        changes += [
            reasons.response(entry.text)
            for entry in incident.log
            if entry.event in RESPONSES and _key(entry) not in known
        ]
    return changes


def _key(entry: LogEntry) -> str:
    return f"{entry.event}@{entry.at}"
