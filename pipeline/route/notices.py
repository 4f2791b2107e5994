"""Notices: messages to receivers that are not about one incident: digests and deployments.

A notice is owed until its receiver accepts it, as a notification is. Both share the schedule of the attempts, so they
share the back-off, the rate limit and the state of the receiver. A notice has no fallback.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.dead_letters import NO_OFFSET, dead_letter
from pipeline.limit_use import LimitUse
from pipeline.route import reasons
from pipeline.route.delivery import Delivery, DeliverySchedule, Owed
from pipeline.route.idempotency_key import idempotency_key
from pipeline.route.reasons import Reason
from pipeline.route.settings import RouteSettings
from pipeline.state import PartStore
from pipeline.step import OutputMessage, RawMessage
from schemas.notice import DeploymentChange, Digest, Notice
from schemas.topics import NOTIFICATIONS

NoticeContent = Digest | DeploymentChange


@dataclass(frozen=True, slots=True)
class NoticeDispatch:
    """One notice to send to one receiver.

    ``decided_at`` is the time of the decision (Unix ms). ``time_zone`` is the IANA time zone of the people who read the
    message.
    """

    notice_id: str
    content: NoticeContent
    receiver: str
    reason: Reason
    decided_at: int
    time_zone: str = "UTC"

    @property
    def notification_id(self) -> str:
        """The idempotency key: the notice and the receiver, or a hash of them if the key is too long for a label."""
        return idempotency_key(self.notice_id, self.receiver)

    @property
    def message_id(self) -> str:
        """Key of the message, which is the idempotency key."""
        return self.notification_id

    @property
    def thread_id(self) -> str:
        """Key of the message for its failures."""
        return self.notice_id

    @property
    def owed_keys(self) -> tuple[str, ...]:
        """Keys in the schedule of what is sent in this message."""
        return (_key(self.notice_id),)


@dataclass(slots=True)
class _StoredNotice:
    """A notice that receivers have not accepted yet."""

    content: NoticeContent
    owed: dict[str, Owed]
    in_flight: set[str] = field(default_factory=set)


class Notices:
    """The notices that are owed.

    Parameters
    ----------
    settings
        Receivers and limits.
    schedule
        Schedule of the attempts. A notice has a key of its own in it, see :meth:`find`.
    store
        Store in which changed notices are marked.
    """

    def __init__(self, settings: RouteSettings, schedule: DeliverySchedule, store: PartStore) -> None:
        self._receivers = {receiver.name: receiver for receiver in settings.receivers}
        self._limit = settings.notices_max
        self._schedule = schedule
        self._store = store
        self._notices: dict[str, _StoredNotice] = {}
        self._dropped_count = 0

    def owe(
        self, notice_id: str, content: NoticeContent, receivers: Iterable[str], reason: Reason, now: int
    ) -> list[OutputMessage]:
        """Owe a notice to receivers. Beyond the limit, give up the oldest notices, and return their outcomes.

        A notice with an id that is owed already is ignored.
        """
        if notice_id in self._notices:
            return []
        owed = {receiver: Owed(0, 0, notice_id, reason, now, since=now) for receiver in receivers}
        self._add(notice_id, _StoredNotice(content, owed))
        self._store.mark("notice", notice_id)
        outputs: list[OutputMessage] = []
        for oldest, stored in list(self._notices.items())[: max(0, len(self._notices) - self._limit)]:
            self._dropped_count += 1
            for receiver in sorted(set(stored.owed) - stored.in_flight):
                outputs += self._give_up(oldest, receiver, "not kept, because route.notices_max is exceeded")
        return outputs

    def suppress(
        self, notice_id: str, content: NoticeContent, receivers: Iterable[str], reason: Reason, now: int
    ) -> list[OutputMessage]:
        """Return the outcomes of a notice that is not sent."""
        dispatches = (NoticeDispatch(notice_id, content, receiver, reason, now) for receiver in receivers)
        return [_output(dispatch, "suppressed", reason) for dispatch in dispatches]

    def check(self) -> list[OutputMessage]:
        """Give up what is owed to receivers that were removed from the settings."""
        outputs: list[OutputMessage] = []
        for notice_id, stored in list(self._notices.items()):
            for receiver in [name for name in stored.owed if name not in self._receivers]:
                outputs += self._give_up(notice_id, receiver, "the receiver was removed from the settings")
        return outputs

    def limit_use(self) -> LimitUse:
        """Return the use of the limit."""
        return LimitUse("notices_max", len(self._notices), self._limit, self._dropped_count)

    def all_owed(self) -> Iterator[Mapping[str, Owed]]:
        """Yield what is owed of each notice, by receiver."""
        return (stored.owed for stored in self._notices.values())

    def find(self, key: str) -> str | None:
        """Return the id of the notice with a key in the schedule, or None if the key is that of an incident."""
        notice_id = key.removeprefix(_PREFIX)
        return notice_id if key.startswith(_PREFIX) and notice_id in self._notices else None

    def begin(self, notice_id: str, receiver: str, now: int) -> NoticeDispatch:
        """Begin an attempt that the schedule says is due."""
        stored = self._notices[notice_id]
        owed = stored.owed[receiver]
        stored.in_flight.add(receiver)
        time_zone = self._receivers[receiver].time_zone
        dispatch = NoticeDispatch(notice_id, stored.content, receiver, owed.reason, owed.decided_at, time_zone)
        self._schedule.begin(dispatch, now)
        self._store.mark("receiver", receiver)
        return dispatch

    def record(self, dispatch: NoticeDispatch, delivery: Delivery, now: int) -> list[OutputMessage]:
        """Record the outcome of an attempt. Return the notice, if it ends here, and a dead letter if it failed."""
        notice_id, receiver = dispatch.notice_id, dispatch.receiver
        self._schedule.end(dispatch, delivery, now)
        self._store.mark("receiver", receiver)
        self._store.mark("notice", notice_id)
        stored = self._notices[notice_id]  # nothing is given up during an attempt
        stored.in_flight.discard(receiver)
        owed = stored.owed[receiver]
        if delivery.outcome == "sent":
            self._remove(notice_id, receiver)
            return [_output(dispatch, "sent", owed.reason, owed.attempts + delivery.attempts, delivery.sent_at)]
        if delivery.outcome == "failed":
            owed.attempts += delivery.attempts
            return self._give_up(notice_id, receiver, delivery.reason)
        is_late = now - owed.decided_at >= self._receivers[receiver].give_up_after_s * 1000
        if delivery.outcome == "retry" and is_late:
            return self._give_up(notice_id, receiver, f"{owed.problem}; given up after {owed.attempts} attempts")
        return []

    def newest_decision(self) -> int:
        """Return the newest time of a decision that is owed (Unix ms), or 0."""
        return max((owed.decided_at for stored in self._notices.values() for owed in stored.owed.values()), default=0)

    def dump(self, notice_id: str) -> dict[str, Any] | None:
        """Return the state of one notice, or None if it is no longer owed."""
        stored = self._notices.get(notice_id)
        if stored is None:
            return None
        kind = "digest" if isinstance(stored.content, Digest) else "change"
        return {
            kind: stored.content.to_json().decode(),
            "owed": {receiver: stored.owed[receiver].dump() for receiver in sorted(stored.owed)},
        }

    def load(self, notice_id: str, state: Mapping[str, Any]) -> None:
        """Restore one notice from :meth:`dump`."""
        owed = {receiver: Owed.load(entry) for receiver, entry in state["owed"].items()}
        content: NoticeContent
        if "digest" in state:
            content = Digest.from_json(state["digest"].encode())
        else:
            content = DeploymentChange.from_json(state["change"].encode())
        self._add(notice_id, _StoredNotice(content, owed))

    def _add(self, notice_id: str, stored: _StoredNotice) -> None:
        self._notices[notice_id] = stored
        for receiver, owed in stored.owed.items():
            if receiver in self._receivers:
                self._schedule.add(_key(notice_id), receiver, owed)

    def _remove(self, notice_id: str, receiver: str) -> None:
        stored = self._notices[notice_id]
        del stored.owed[receiver]
        if not stored.owed:
            del self._notices[notice_id]
        self._schedule.remove(_key(notice_id), receiver)
        self._store.mark("notice", notice_id)

    def _give_up(self, notice_id: str, receiver: str, problem: str) -> list[OutputMessage]:
        stored = self._notices[notice_id]
        owed = stored.owed[receiver]
        self._remove(notice_id, receiver)
        dispatch = NoticeDispatch(notice_id, stored.content, receiver, owed.reason, owed.decided_at)
        failed = _output(dispatch, "failed", reasons.failure(problem), owed.attempts)
        # A notice has no message that it came from, so its own record is dead-lettered.
        source = RawMessage(NOTIFICATIONS, 0, NO_OFFSET, owed.decided_at, failed.key, failed.value)
        detail = f"notice {dispatch.notification_id} to {receiver} was not sent: {problem}"
        return [
            failed,
            dead_letter("route", source, "receiver_refused", detail, receiver=dispatch.notification_id),
        ]


_PREFIX = "\0notice:"
"""Start of the key of a notice in the schedule. The id of an incident does not begin so."""


def _key(notice_id: str) -> str:
    return f"{_PREFIX}{notice_id}"


def _output(
    dispatch: NoticeDispatch,
    outcome: Literal["sent", "suppressed", "failed"],
    reason: Reason,
    attempts: int = 0,
    sent_at: int | None = None,
) -> OutputMessage:
    content = dispatch.content
    notice = Notice(
        notification_id=dispatch.notification_id,
        kind="digest" if isinstance(content, Digest) else "deployment",
        name=content.name if isinstance(content, Digest) else content.deployment.deployment_id,
        receiver=dispatch.receiver,
        outcome=outcome,
        reason=reason.text,
        reason_code=reason.code,
        attempts=attempts,
        decided_at=dispatch.decided_at,
        sent_at=sent_at,
        digest=content if isinstance(content, Digest) and not content.is_empty else None,
        change=content if isinstance(content, DeploymentChange) else None,
    )
    return OutputMessage(NOTIFICATIONS, notice.notification_id.encode(), notice.to_json())
