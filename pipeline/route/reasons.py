"""The reasons of routing decisions, one constant or function per reason, for notifications and logs."""

from collections.abc import Sequence

from pipeline.wording import duration
from schemas.incident import Incident, IncidentStatus, Severity
from schemas.timestamp import format_timestamp

END_NOT_ACCEPTED = "the receiver does not accept the end of incidents"


def active_silence(author: str, until: int, silence_id: str) -> str:
    """A silence covers the incident until a time (Unix ms)."""
    return f"silenced by {author} until {format_timestamp(until)} ({silence_id})"


def over_before_notified(status: IncidentStatus) -> str:
    """The incident is over, and the receiver was never notified of it."""
    return f"{status} before the receiver was notified"


def severity_not_accepted(severities: Sequence[Severity]) -> str:
    """The receiver was never notified of the incident, and does not accept its severity."""
    return f"the receiver accepts only {', '.join(severities)}"


def new_incident(incident: Incident) -> str:
    """The receiver was never notified of the incident."""
    return f"new to the receiver: {incident.severity} {incident.status}"


def severity_change(before: Severity, after: Severity) -> str:
    """The severity changed."""
    return f"severity {before} -> {after}"


def status_change(before: IncidentStatus, after: IncidentStatus, merged_into: str | None) -> str:
    """The status changed."""
    return f"status {before} -> {after}" + (f" into {merged_into}" if merged_into is not None else "")


def suspect_change(before: str, after: str) -> str:
    """The leading suspect changed. An empty name means that there is no suspect."""
    return f"leading suspect {before or 'none'} -> {after or 'none'}"


def overdue_target(reminder: str) -> str:
    """A target became overdue. The reminder in the incident also states the task after the colon."""
    return f"overdue: {reminder.partition(': ')[0]}"


def response(line: str) -> str:
    """A person took over, or a rollback or kill switch was used. The line is from the running log."""
    return line


def no_change(revision: int, severity: Severity, status: IncidentStatus) -> str:
    """Nothing changed since the last revision that was sent to the receiver."""
    return f"nothing new since revision {revision}: {severity} {status}"


def repetition(unchanged_reason: str, repeat_interval_s: float) -> str:
    """Nothing changed, but the incident is still open and the repeat interval has passed."""
    return f"{unchanged_reason}, repeated after {duration(repeat_interval_s)}"
