"""The notification: the outcome of sending an incident to a receiver, or the reason for not sending it."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.incident import IncidentStatus, Severity
from schemas.message import Message, Natural, Position, Text, Version
from schemas.record import Label, Subject
from schemas.timestamp import Timestamp
from schemas.unit import Unit

ReasonCode = Literal[
    "first_notification",
    "severity_changed",
    "status_changed",
    "suspect_changed",
    "response",
    "overdue",
    "escalated",
    "repeat_interval",
    "silence_ended",
    "inhibition_ended",
    "mute_ended",
    "active_time_began",
    "fallback",
    "silenced",
    "inhibited",
    "muted",
    "outside_active_time",
    "severity_not_accepted",
    "end_not_accepted",
    "closed_before_notified",
    "no_change",
    "superseded",
    "escalation_ended",
    "receiver_failed",
    "digest_due",
    "digest_empty",
    "deployed",
]
"""Codes of the reasons for sending, suppressing and failing. ``docs/routes.md`` explains them."""

AttemptCount = Annotated[Natural, Unit("{attempts}")]


class Notification(Message):
    """One decision of route and its outcome."""

    version: Version = 1
    notification_id: Label = Field(
        description="Idempotency key: incident, revision and receiver. "
        "A later decision about the same revision has a number after the revision."
    )
    incident_id: Label = Field(description="Incident that the decision is about.")
    revision: Position = Field(description="Revision of the incident that the decision is about.")
    subject: Subject = Field(description="Subject of the incident.")
    severity: Severity = Field(description="Severity in this revision.")
    status: IncidentStatus = Field(description="Status in this revision.")
    route: Label = Field(description="Route in the configuration that selected the receiver.")
    receiver: Label = Field(description="Receiver in the configuration.")
    outcome: Literal["sent", "suppressed", "failed"] = Field(
        description="Whether the notification was sent, was withheld, or could not be sent."
    )
    reason: Text = Field(description="The reason as a sentence.")
    reason_code: ReasonCode | None = Field(
        default=None, description="Code of the reason, from a closed set. Absent in messages of older versions."
    )
    group: Text | None = Field(
        default=None,
        description="Group of the incident at the receiver, by its labels. Absent if it has a message of its own.",
    )
    attempts: AttemptCount = Field(default=0, description="Number of attempts to send.")
    decided_at: Timestamp = Field(
        description="Time of the decision: the wall clock, or the newest event time in a replay."
    )
    sent_at: Timestamp | None = Field(
        default=None, description="Wall-clock time at which the receiver accepted the notification."
    )
