"""Types that connect decisions to delivery: notifications to send, and delivery outcomes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Literal, NamedTuple

import orjson

from pipeline.route.group import Group
from pipeline.route.idempotency_key import idempotency_key
from pipeline.route.matchers import Labels
from pipeline.route.reasons import Reason
from pipeline.step import InputMessage, OutputMessage
from schemas.incident import CLOSED, Incident, IncidentStatus, Severity
from schemas.notification import Notification
from schemas.topics import NOTIFICATIONS


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One incident revision to send to one receiver.

    ``source`` is the alert that contained the revision, and ``decided_at`` the time of the decision (Unix ms).
    ``number`` counts the decisions on the same revision for the same receiver from 0. ``reference`` identifies the message
    of the incident at the receiver, if the receiver has returned a reference. ``labels`` are all labels of the incident,
    with those of the configuration; a decision that is only recorded has none. ``time_zone`` is the IANA time zone
    of the people who read the message. ``group`` is the group of the incident at the receiver, if it has one. Of several
    dispatches that are sent in one message, ``group_news`` of the first contains all. ``links`` are the
    templates of further links in the message, by label.
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
    group: Group | None = None
    group_news: "GroupNews | None" = None
    links: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def join(
        cls,
        dispatches: "Iterable[Dispatch]",
        unchanged: Iterable[Incident],
        others: Iterable[tuple[Severity, IncidentStatus]],
        reference: str,
        at: int,
    ) -> "Dispatch":
        """Return dispatches of one group as one message. The fields of :class:`GroupNews` are explained there."""
        members = tuple(sorted(dispatches, key=lambda dispatch: _urgency(dispatch.incident)))
        news = GroupNews(members, tuple(unchanged), tuple(OpenIncident(*state) for state in others), at)
        return replace(members[0], group_news=news, reference=reference)

    @property
    def notification_id(self) -> str:
        """The idempotency key. The key stays the same if a worker crashes after sending and sends again."""
        return notification_id(self.incident, self.receiver, self.number)

    @property
    def message_id(self) -> str:
        """Key of the message: the idempotency key, or a hash of those of all members."""
        if len(self.members) == 1:
            return self.notification_id
        keys = "\n".join(sorted(member.notification_id for member in self.members))
        return f"group-{blake2b(keys.encode(), digest_size=16).hexdigest()}"

    @property
    def thread_id(self) -> str:
        """Key of the alert or thread at the receiver, which all messages about the incident or its group share."""
        if self.group is None:
            return self.incident.incident_id
        key = orjson.dumps([self.group.route, self.group.labels])
        return f"group-{blake2b(key, digest_size=16).hexdigest()}"

    @property
    def owed_keys(self) -> tuple[str, ...]:
        """Keys in the schedule of what is sent in this message: the ids of the incidents."""
        return tuple(member.incident.incident_id for member in self.members)

    @property
    def members(self) -> "tuple[Dispatch, ...]":
        """The dispatches that are sent in this message, most urgent first."""
        return (self,) if self.group_news is None else self.group_news.dispatches

    @property
    def still_open(self) -> "tuple[OpenIncident, ...]":
        """The states of all open incidents that the message is about, the most severe first."""
        others = () if self.group_news is None else self.group_news.others
        states = (OpenIncident(one.severity, one.status) for one in self.incidents if one.status not in CLOSED)
        return tuple(sorted((*states, *others)))

    @property
    def is_about_several(self) -> bool:
        """True if the message is about several incidents."""
        return len(self.incidents) > 1 or bool(self.group_news and self.group_news.others)

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """The incidents that the message lists: open before closed, and the most severe first."""
        unchanged = () if self.group_news is None else self.group_news.unchanged
        news = tuple(member.incident for member in self.members)
        return tuple(sorted((*news, *unchanged), key=_urgency))


class OpenIncident(NamedTuple):
    """Severity and status of an open incident."""

    severity: Severity
    status: IncidentStatus


@dataclass(frozen=True, slots=True)
class GroupNews:
    """What one message says about a group.

    Attributes
    ----------
    dispatches
        The incidents with news, most urgent first.
    unchanged
        The most urgent of the other open incidents that the receiver knows, for a list.
    others
        The states of the rest, as the receiver knows them. They are those beyond the length of the list, those with news
        that is held back, and those whose alert is no longer stored.
    at
        Time of the attempt (Unix ms).
    """

    dispatches: tuple[Dispatch, ...]
    unchanged: tuple[Incident, ...]
    others: tuple[OpenIncident, ...]
    at: int


def _urgency(incident: Incident) -> tuple[bool, str, int, str]:
    """Return the order of incidents in a message: open before closed, then by severity and start."""
    return incident.status in CLOSED, incident.severity, incident.started_at, incident.incident_id


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
        Seconds of pause that the receiver requested. 0 if it requested no pause.
    reference
        Identifier of the message at the receiver, such as a ticket number. The next dispatch of the incident contains
        it. Empty if there is nothing to identify, or if it has not changed.
    """

    outcome: Literal["sent", "retry", "failed", "deferred"]
    reason: str
    attempts: int
    sent_at: int | None = None
    retry_after_s: float = 0.0
    reference: str = ""


def notification_id(incident: Incident, receiver: str, number: int) -> str:
    """Return incident, revision and receiver as one key, or its hash if the key is too long for a label.

    A later decision about the same revision has a different key, because a receiver would ignore a repeat with the same
    key. The number is part of the state, so a worker that crashes after sending uses the same key again.
    """
    revision = f"{incident.revision}.{number}" if number else f"{incident.revision}"
    return idempotency_key(incident.incident_id, revision, receiver)


def notification_output(
    dispatch: Dispatch,
    outcome: Literal["sent", "suppressed", "failed"],
    reason: Reason,
    attempts: int = 0,
    sent_at: int | None = None,
) -> OutputMessage:
    """Return the message with the audit record of a decision. ``sent_at`` is as in :class:`Delivery`."""
    incident = dispatch.incident
    notification = Notification(
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
        group=None if dispatch.group is None else str(dispatch.group),
        attempts=attempts,
        decided_at=dispatch.decided_at,
        sent_at=sent_at,
    )
    return OutputMessage(NOTIFICATIONS, notification.notification_id.encode(), notification.to_json())
