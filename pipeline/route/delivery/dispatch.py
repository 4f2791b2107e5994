"""Types that connect decisions to delivery: notifications to send, and delivery outcomes."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from pipeline.route.matchers import Labels
from pipeline.route.reasons import Reason
from pipeline.step import InputMessage
from schemas.incident import Incident
from schemas.notification import Notification
from schemas.record import SUBJECT_LENGTH_MAX


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One incident revision to send to one receiver.

    ``source`` is the alert that contained the revision, and ``decided_at`` the time of the decision (Unix ms).
    ``number`` counts the decisions on the same revision for the same receiver from 0. ``reference`` identifies the message
    of the incident at the receiver, if the receiver has returned a reference. ``labels`` are all labels of the incident,
    with those of the configuration; a decision that is only recorded has none. ``time_zone`` is the IANA time zone
    of the people who read the message.
    """

    incident: Incident
    receiver: str
    route: str
    reason: Reason
    source: InputMessage
    decided_at: int
    number: int = 0
    reference: str = ""
    labels: Labels = field(default_factory=dict)
    time_zone: str = "UTC"

    @property
    def notification_id(self) -> str:
        """The idempotency key. The key stays the same if a worker crashes after sending and sends again."""
        return notification_id(self.incident, self.receiver, self.number)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of an attempt to send.

    Attributes
    ----------
    outcome
        ``sent`` if the receiver accepted the notification, ``retry`` if a later attempt may succeed, ``failed`` if none
        would, and ``deferred`` if no attempt was made.
    reason
        Why the attempt failed.
    attempts
        Number of attempts: 1, or 0 if no attempt was made.
    sent_at
        Wall-clock time of acceptance (Unix ms), or None.
    retry_after_s
        Seconds that the receiver wants to be left alone. 0 if it requested no pause.
    reference
        What identifies the message at the receiver, such as the number of a ticket. The next dispatch of the incident
        contains it. Empty if there is nothing to identify, or if it has not changed.
    """

    outcome: Literal["sent", "retry", "failed", "deferred"]
    reason: str
    attempts: int
    sent_at: int | None = None
    retry_after_s: float = 0.0
    reference: str = ""


def notification_id(incident: Incident, receiver: str, number: int) -> str:
    """Return incident, revision and receiver as one key, or its hash if the key is too long for a label.

    A later decision on the same revision has a key of its own, because a receiver would ignore a repeat with the same
    key. The number is part of the state, so a worker that crashes after sending uses the same key again.
    """
    revision = f"{incident.revision}.{number}" if number else f"{incident.revision}"
    key = f"{incident.incident_id}:{revision}:{receiver}"
    return key if len(key) <= SUBJECT_LENGTH_MAX else blake2b(key.encode(), digest_size=16).hexdigest()


def build_notification(
    dispatch: Dispatch, outcome: Literal["sent", "suppressed", "failed"], reason: Reason
) -> Notification:
    """Build the audit record of a decision, without attempts."""
    incident = dispatch.incident
    return Notification(
        notification_id=dispatch.notification_id,
        incident_id=incident.incident_id,
        revision=incident.revision,
        subject=incident.subject,
        severity=incident.severity,
        status=incident.status,
        route=dispatch.route,
        receiver=dispatch.receiver,
        outcome=outcome,
        reason=reason.text,
        reason_code=reason.code,
        decided_at=dispatch.decided_at,
    )
