"""A pending notification, from the decision to send it until the receiver accepts it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.route.group import Group
from pipeline.route.reasons import Reason


@dataclass(slots=True)
class Owed:
    """A notification that a receiver has not accepted yet.

    Attributes
    ----------
    revision
        Revision of the incident. A newer revision replaces it, so the receiver gets the newest state. 0 for a notice.
    number
        Number of the decision on this revision for the receiver, from 0.
    route
        Route that selected the receiver.
    reason
        Reason for sending.
    decided_at
        Time of the decision (Unix ms).
    since
        Time since which a notification of the incident has been pending for the receiver (Unix ms).
    attempts
        Number of attempts that failed since then.
    not_before
        Earliest time of the next attempt (Unix ms).
    problem
        The reason why the last attempt failed, or an empty string.
    is_passed_on
        Whether the fallback receiver was notified instead.
    group
        Group in whose message it is sent, or None if it has a message of its own.
    """

    revision: int
    number: int
    route: str
    reason: Reason
    decided_at: int
    since: int
    attempts: int = 0
    not_before: int = 0
    problem: str = ""
    is_passed_on: bool = False
    group: Group | None = None

    @property
    def is_notice(self) -> bool:
        """Whether it is a notice, and not about an incident."""
        return self.revision == 0

    def replaced_by(self, revision: int, number: int, route: str, reason: Reason, decided_at: int) -> "Owed":
        """Return a newer decision that continues the schedule of this one."""
        return replace(self, revision=revision, number=number, route=route, reason=reason, decided_at=decided_at)

    def dump(self) -> dict[str, Any]:
        """Return the state that :meth:`load` reads."""
        return asdict(self)

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Owed":
        """Restore from :meth:`dump`."""
        # States of older versions have no group.
        return cls(**{**state, "reason": Reason(**state["reason"]), "group": Group.load(state.get("group"))})
