"""The schedule of the attempts to send: a queue per receiver, back-off, a circuit breaker and a rate limit.

No receiver delays another, and no notification that a receiver cannot accept delays the others for long. After a failed
attempt, a notification waits for a delay that doubles. After failures of different notifications, the receiver itself
counts as unavailable: one notification at a time tests it, the one with the fewest attempts first, and when it accepts
one, all others are due at once.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from pipeline.due_times import DueTimes, LowestRank
from pipeline.route.delivery.dispatch import Delivery
from pipeline.route.delivery.owed import Owed
from pipeline.route.group import Group
from pipeline.route.receiver_settings import ReceiverSettings

RETRY_DELAY_S = 1.0
"""Seconds before the second attempt. Each later delay is twice as long. Up to one half is subtracted, so that many
notifications are not sent at the same time."""

RETRY_AFTER_MAX_S = 3600.0
"""Maximum length of a pause that a receiver requests, in seconds. Higher values respect longer pauses."""

BATCH_MAX = 20
"""Maximum number of notifications that are sent to a receiver before their outcomes are recorded. Higher values send
faster, but more is sent again after a crash."""

UNAVAILABLE_AFTER = 2
"""Number of different notifications that must fail in a row before a receiver counts as unavailable."""

MINUTE_MS = 60_000


class DueMessage(NamedTuple):
    """A message that is due: its receiver, the keys of what is owed, and their group if they have one."""

    receiver: str
    keys: tuple[str, ...]
    group: Group | None


class Attempt(Protocol):
    """An attempt to send one message. ``thread_id`` is the key of the message for its failures."""

    @property
    def receiver(self) -> str: ...
    @property
    def owed_keys(self) -> tuple[str, ...]: ...
    @property
    def thread_id(self) -> str: ...


@dataclass(slots=True)
class _Queue:
    """The pending notifications of one receiver by key and by group, and the state of the receiver.

    The key of a notification is the id of its incident. A notice has a key of its own. ``numbers`` are the positions in
    the order in which keys were added. ``delays`` has the keys that wait after a failed attempt, and ``ready`` the others,
    without those of groups, as of ``checked_at`` (Unix ms).
    """

    owed: dict[str, Owed] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    next_number: int = 0
    ready: LowestRank[tuple[bool, int, int, int]] = field(init=False)
    delays: DueTimes = field(default_factory=DueTimes)
    checked_at: int = 0
    groups: dict[Group, dict[str, Owed]] = field(default_factory=dict)
    in_flight: set[str] = field(default_factory=set)
    failures: int = 0
    last_failed: str = ""
    problem: str = ""
    not_before: int = 0
    attempt_times: deque[int] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.ready = LowestRank(self._rank)

    def find_ready(self, count: int, now: int) -> list[str]:
        """Return the keys without a group whose attempts are due at a time (Unix ms), at most ``count`` in order."""
        self.checked_at = now
        for key in self.delays.take(now):
            self.ready.mark(key)
        return self.ready.lowest(count)

    def _rank(self, key: str) -> tuple[bool, int, int, int] | None:
        owed = self.owed.get(key)
        if owed is None or owed.group is not None:
            return None
        if owed.not_before > self.checked_at:
            self.delays.set(key, owed.not_before)
            return None
        return owed.is_notice, owed.attempts, owed.since, self.numbers[key]


class DeliverySchedule:
    """The queues of all receivers.

    Parameters
    ----------
    receivers
        Settings of the receivers by name.
    group_due_at
        Function that returns the time at which the message of a group at a receiver is due (Unix ms), from the time
        since which it is owed.
    has_clock
        Whether time passes without messages. Without it, nothing is limited per minute, and no group waits.
    """

    def __init__(
        self,
        receivers: Mapping[str, ReceiverSettings],
        group_due_at: Callable[[str, Group, int], int],
        *,
        has_clock: bool,
    ) -> None:
        self._receivers = receivers
        self._group_due_at = group_due_at
        self._has_clock = has_clock
        self._queues = {name: _Queue() for name in receivers}

    def add(self, key: str, receiver: str, owed: Owed) -> None:
        """Add a notification, or replace the one that is owed to the receiver under the same key."""
        queue = self._queues[receiver]
        before = queue.owed.get(key)
        if before is not None and before.group != owed.group:
            self.remove(key, receiver)
        queue.owed[key] = owed
        if key not in queue.numbers:
            queue.numbers[key] = queue.next_number
            queue.next_number += 1
        queue.ready.mark(key)
        if owed.group is not None:
            queue.groups.setdefault(owed.group, {})[key] = owed

    def remove(self, key: str, receiver: str) -> None:
        """Remove a notification that is no longer owed. A receiver that was removed from the settings has none."""
        queue = self._queues.get(receiver)
        owed = None if queue is None else queue.owed.pop(key, None)
        if queue is None or owed is None:
            return
        del queue.numbers[key]
        queue.ready.mark(key)
        if owed.group is not None:
            members = queue.groups[owed.group]
            del members[key]
            if not members:
                del queue.groups[owed.group]

    def find_due(self, now: int, busy: Collection[str] = ()) -> list[DueMessage]:
        """Return the messages that are due at a time (Unix ms).

        Receivers in ``busy`` and receivers with attempts in flight have none. The oldest decision comes first, and notices
        come last.
        """
        due = [
            message
            for receiver, queue in self._queues.items()
            if queue.owed and receiver not in busy and not queue.in_flight and now >= queue.not_before
            for message in self._find_due_in(receiver, queue, now)
        ]
        return sorted(due, key=self._order)

    def is_waiting_for_group(self, receiver: str, owed: Owed, now: int) -> bool:
        """Return whether a notification waits for the message of its group alone, because no attempt was due yet."""
        if owed.group is None:
            return False
        return self._is_waiting(receiver, owed.group, self._queues[receiver].groups[owed.group].values(), now)

    def begin(self, attempt: Attempt, now: int) -> None:
        """Record that an attempt begins (Unix ms)."""
        queue = self._queues[attempt.receiver]
        queue.in_flight.update(attempt.owed_keys)
        queue.attempt_times.append(now)

    def end(self, attempt: Attempt, delivery: Delivery, now: int) -> None:
        """Record the outcome of an attempt at a time (Unix ms), and schedule the next attempts."""
        queue = self._queues[attempt.receiver]
        queue.in_flight.difference_update(attempt.owed_keys)
        if delivery.outcome == "deferred":
            if queue.attempt_times:  # there are none if the clock has gone back meanwhile
                queue.attempt_times.pop()
        elif delivery.outcome == "retry":
            self._record_failure(attempt, queue, delivery, now)
        else:
            if queue.failures >= UNAVAILABLE_AFTER:
                # A notification that failed more often than the receiver in a row has a problem of its own.
                for key, owed in queue.owed.items():
                    if owed.attempts <= queue.failures:
                        owed.not_before = 0
                        queue.ready.mark(key)
            queue.failures, queue.last_failed, queue.problem, queue.not_before = 0, "", "", 0

    def find_problem(self, receiver: str) -> str:
        """Return the reason why the last attempt to send to a receiver failed, or an empty string if it succeeded."""
        return self._queues[receiver].problem

    def reset_times(self, now: int) -> None:
        """Make all attempts due, because the clock has gone back to a time (Unix ms)."""
        for queue in self._queues.values():
            queue.not_before = 0
            queue.attempt_times = deque(at for at in queue.attempt_times if at <= now)
            for key, owed in queue.owed.items():
                queue.ready.mark(key)
                owed.not_before = 0
                owed.since, owed.decided_at = min(owed.since, now), min(owed.decided_at, now)

    def dump(self, receiver: str) -> dict[str, Any] | None:
        """Return the last attempts for a receiver with a limit, and its pause, for :meth:`load`, or None."""
        queue = self._queues.get(receiver)
        if queue is None:
            return None
        has_limit = self._receivers[receiver].messages_per_minute is not None
        state = {"attempts": list(queue.attempt_times) if has_limit else [], "not_before": queue.not_before}
        return state if any(state.values()) else None

    def load(self, receiver: str, state: Mapping[str, Any]) -> None:
        """Restore a receiver from :meth:`dump`."""
        queue = self._queues[receiver]
        queue.attempt_times = deque(int(at) for at in state["attempts"])
        queue.not_before = int(state["not_before"])

    def _order(self, message: DueMessage) -> tuple[bool, int]:
        owed = [self._queues[message.receiver].owed[key] for key in message.keys]
        return owed[0].is_notice, min(one.decided_at for one in owed)

    def _find_due_in(self, receiver: str, queue: _Queue, now: int) -> list[DueMessage]:
        while queue.attempt_times and queue.attempt_times[0] <= now - MINUTE_MS:
            queue.attempt_times.popleft()
        limit = 1 if queue.failures else BATCH_MAX
        per_minute = self._receivers[receiver].messages_per_minute
        if per_minute is not None and self._has_clock:
            limit = min(limit, per_minute - len(queue.attempt_times))
        if limit <= 0:
            return []
        ready = ((key, queue.owed[key]) for key in queue.find_ready(limit, now))
        due = [(owed.is_notice, owed.attempts, owed.since, DueMessage(receiver, (key,), None)) for key, owed in ready]
        for group, members in queue.groups.items():
            owed_of_group = members.values()
            is_delayed = any(owed.not_before > now for owed in owed_of_group)
            if not is_delayed and not self._is_waiting(receiver, group, owed_of_group, now):
                attempts = max(owed.attempts for owed in owed_of_group)
                due.append((False, attempts, _since(owed_of_group), DueMessage(receiver, tuple(members), group)))
        due.sort(key=lambda item: item[:3])  # a notice waits, or many deployments would delay a page
        return list(_limit_notifications(message for *_, message in due[:limit]))

    def _is_waiting(self, receiver: str, group: Group, owed: Collection[Owed], now: int) -> bool:
        """Return whether a group waits for its time. Once it is retried, it no longer waits."""
        if not self._has_clock or any(one.attempts for one in owed):
            return False
        return now < self._group_due_at(receiver, group, _since(owed))

    def _record_failure(self, attempt: Attempt, queue: _Queue, delivery: Delivery, now: int) -> None:
        receiver, key = attempt.receiver, attempt.thread_id
        if not queue.failures or queue.last_failed != key:
            queue.failures += 1
        queue.last_failed, queue.problem = key, delivery.reason
        limit_s = self._receivers[receiver].retry_interval_max_s
        pause_s = min(RETRY_AFTER_MAX_S, delivery.retry_after_s)
        queue.not_before = now + int(1000 * max(pause_s, _delay_s(queue.failures, limit_s, receiver)))
        for owed_key in attempt.owed_keys:
            owed = queue.owed.get(owed_key)
            if owed is not None:
                owed.attempts += 1
                owed.problem = delivery.reason
                queue.ready.mark(owed_key)
                owed.not_before = now + int(1000 * max(pause_s, _delay_s(owed.attempts, limit_s, key)))


def _limit_notifications(messages: Iterable[DueMessage]) -> Iterator[DueMessage]:
    """Yield messages with at most :data:`BATCH_MAX` notifications together, but at least one message."""
    count = 0
    for message in messages:
        count += len(message.keys)
        if BATCH_MAX < count != len(message.keys):
            return
        yield message


def _since(owed: Iterable[Owed]) -> int:
    return min(one.since for one in owed)


def _delay_s(failures: int, limit_s: float, key: str) -> float:
    """Return the delay after a number of failures, reduced by up to one half depending on the key.

    >>> [round(_delay_s(failures, 60, "inc-1"), 2) for failures in (1, 2, 3, 20)]
    [0.54, 1.12, 3.82, 57.11]
    """
    digest = blake2b(f"{failures} {key}".encode(), digest_size=4).digest()
    share = int.from_bytes(digest, "big") / 2**32
    return min(limit_s, RETRY_DELAY_S * 2.0 ** min(failures - 1, 30)) * (1 - share / 2)
