"""The reasons of routing decisions: a code from a closed set, for metrics, and a sentence, for people and logs.

Source: Alertmanager's ``NotifyReason``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.wording import duration
from schemas.incident import Incident, IncidentStatus, Severity
from schemas.notification import ReasonCode
from schemas.timestamp import format_timestamp


@dataclass(frozen=True, slots=True)
class Reason:
    """The reason of one decision."""

    code: ReasonCode
    text: str


END_NOT_ACCEPTED = Reason("end_not_accepted", "the receiver does not accept the end of incidents")
DIGEST_EMPTY = Reason("digest_empty", "there is nothing in the digest")
DEPLOYED = Reason("deployed", "it was deployed")


def active_silence(author: str, until: int, silence_id: str) -> Reason:
    """A silence covers the incident until a time (Unix ms)."""
    return Reason("silenced", f"silenced by {author} until {format_timestamp(until)} ({silence_id})")


def open_source(source: str) -> Reason:
    """An inhibition rule applies, because another incident is open."""
    return Reason("inhibited", f"inhibited by {source}, which is open")


def mute_time(interval: str) -> Reason:
    """The route is muted by a time interval."""
    return Reason("muted", f"muted by the time interval {interval}")


def outside_active_times(intervals: Sequence[str]) -> Reason:
    """The route is active only in time intervals, and the time is outside all of them."""
    return Reason("outside_active_time", f"outside the active times {', '.join(intervals)}")


def over_before_notified(status: IncidentStatus) -> Reason:
    """The incident is over, and the receiver was never notified of it."""
    return Reason("closed_before_notified", f"{status} before the receiver was notified")


def severity_not_accepted(severities: Sequence[Severity]) -> Reason:
    """The receiver was never notified of the incident, and does not accept its severity."""
    return Reason("severity_not_accepted", f"the receiver accepts only {', '.join(severities)}")


def new_incident(incident: Incident) -> Reason:
    """The receiver was never notified of the incident."""
    return Reason("first_notification", f"new to the receiver: {incident.severity} {incident.status}")


def severity_change(before: Severity, after: Severity) -> Reason:
    """The severity changed."""
    return Reason("severity_changed", f"severity {before} -> {after}")


def status_change(before: IncidentStatus, after: IncidentStatus, merged_into: str | None) -> Reason:
    """The status changed."""
    target = f" into {merged_into}" if merged_into is not None else ""
    return Reason("status_changed", f"status {before} -> {after}{target}")


def suspect_change(before: str, after: str) -> Reason:
    """The leading suspect changed. An empty name means that there is no suspect."""
    return Reason("suspect_changed", f"leading suspect {before or 'none'} -> {after or 'none'}")


def overdue_target(reminder: str) -> Reason:
    """A target became overdue. The reminder in the incident also states the task after the colon."""
    return Reason("overdue", f"overdue: {reminder.partition(': ')[0]}")


def response(line: str) -> Reason:
    """A person took over, or a rollback or kill switch was used. The line is from the running log."""
    return Reason("response", line)


def escalated(after_s: float, incident: Incident) -> Reason:
    """Nobody acknowledged the incident in time, so the receiver is notified too."""
    return Reason("escalated", f"not acknowledged within {duration(after_s)}: {incident.severity} {incident.status}")


def no_change(revision: int, severity: Severity, status: IncidentStatus) -> Reason:
    """Nothing changed since the last revision that was sent to the receiver."""
    return Reason("no_change", f"nothing new since revision {revision}: {severity} {status}")


def repetition(unchanged: Reason, repeat_interval_s: float) -> Reason:
    """Nothing changed, but the incident is still open and the repeat interval has passed."""
    return Reason("repeat_interval", f"{unchanged.text}, repeated after {duration(repeat_interval_s)}")


_ENDED: dict[ReasonCode, ReasonCode] = {
    "silenced": "silence_ended",
    "inhibited": "inhibition_ended",
    "muted": "mute_ended",
    "outside_active_time": "active_time_began",
}


def end_of_obstacle(obstacle: Reason, news: Reason) -> Reason:
    """The obstacle that held back the notification is gone."""
    return Reason(_ENDED[obstacle.code], f"{news.text}; delayed, because it was {obstacle.text}")


def over_while_owed(status: IncidentStatus, problem: str) -> Reason:
    """The incident is over, and the receiver could not be notified while it was open."""
    return Reason("status_changed", f"{status} before the receiver was notified{f': {problem}' if problem else ''}")


def superseded(revision: int) -> Reason:
    """A newer decision on the incident replaces one that was not sent yet."""
    return Reason("superseded", f"not sent before the newer state of revision {revision}")


def escalation_ended(incident: Incident) -> Reason:
    """Somebody has acted, or the incident no longer matches, before the receiver of an escalation was notified."""
    return Reason("escalation_ended", f"the escalation ended before it was sent: {incident.severity} {incident.status}")


def fallback(receiver: str, problem: str) -> Reason:
    """Another receiver could not be notified, and this receiver is its fallback."""
    return Reason("fallback", f"instead of {receiver}: {problem}")


def due_digest(day: str) -> Reason:
    """The digest of a day is due."""
    return Reason("digest_due", f"the digest of {day} is due")


def failure(text: str) -> Reason:
    """The receiver did not accept the notification."""
    return Reason("receiver_failed", text)


def combine(changes: Sequence[Reason]) -> Reason:
    """Return several changes as one reason. The code is that of the first change."""
    return Reason(changes[0].code, ", ".join(change.text for change in changes))
