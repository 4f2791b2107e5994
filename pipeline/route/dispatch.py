"""The seam between deciding and sending: what route wants sent, and how it went."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from pipeline.step import Input
from schemas.incident import Incident
from schemas.notification import Notification
from schemas.record import SUBJECT_LENGTH_MAX


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One incident revision that one receiver is to be sent.

    ``source`` is the alert that it came with. ``notification_id`` is the idempotency key: what was sent, crashed before
    it was written down and is sent again carries the same one.
    """

    incident: Incident
    receiver: str
    route: str
    reason: str
    source: Input

    @property
    def notification_id(self) -> str:
        """The incident, the revision and the receiver."""
        return notification_id(self.incident, self.receiver)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How sending went: ``sent_at`` is the wall clock (Unix ms) when the receiver took it, None where it did not."""

    outcome: Literal["sent", "failed"]
    reason: str
    attempts: int
    sent_at: int | None = None


def notification_id(incident: Incident, receiver: str) -> str:
    """The idempotency key of an incident revision at a receiver; a hash of it where it would be too long for a label."""
    key = f"{incident.incident_id}:{incident.revision}:{receiver}"
    return key if len(key) <= SUBJECT_LENGTH_MAX else blake2b(key.encode(), digest_size=16).hexdigest()


def notification(
    incident: Incident, receiver: str, route: str, outcome: Literal["sent", "suppressed", "failed"], reason: str
) -> Notification:
    """The audit record of a decision, before anything is known of attempts."""
    return Notification(
        notification_id=notification_id(incident, receiver),
        incident_id=incident.incident_id,
        revision=incident.revision,
        subject=incident.subject,
        severity=incident.severity,
        status=incident.status,
        route=route,
        receiver=receiver,
        outcome=outcome,
        reason=reason,
        decided_at=incident.updated_at,
    )
