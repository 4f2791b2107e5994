"""The summary of an incident in the notification log: what a digest tells of it apart from its labels."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.route.reasons import Reason
from schemas.incident import Incident

TITLE_LENGTH_MAX = 200
"""Maximum characters of a stored title. A longer title ends with an ellipsis."""


@dataclass(frozen=True, slots=True)
class LastSuppression:
    """The last time (Unix ms) at which notifications were suppressed for one reason."""

    reason: Reason
    at: int


@dataclass(slots=True)
class IncidentSummary:
    """What a digest tells of an incident.

    Attributes
    ----------
    title
        Title of the newest revision, at most :data:`TITLE_LENGTH_MAX` characters.
    started_at
        Start of the incident (Unix ms), or 0 if it is not known.
    revised_at
        Time at which the newest revision was read (Unix ms).
    suppressions
        Last suppression by an obstacle, by reason code.
    """

    title: str = ""
    started_at: int = 0
    revised_at: int = 0
    suppressions: dict[str, LastSuppression] = field(default_factory=dict)

    def revise(self, incident: Incident, now: int) -> None:
        """Store the values of a revision that was read at a time (Unix ms)."""
        title = incident.title
        self.title = title if len(title) <= TITLE_LENGTH_MAX else f"{title[: TITLE_LENGTH_MAX - 1]}…"
        self.started_at = incident.started_at
        self.revised_at = now

    def suppress(self, reason: Reason, now: int) -> None:
        """Record that an obstacle suppressed a notification at a time (Unix ms)."""
        self.suppressions[reason.code] = LastSuppression(reason, now)

    def reset_times(self, now: int) -> bool:
        """Let no time be later than a time (Unix ms), because the clock has gone back to it. Return whether one was."""
        late = [code for code, last in self.suppressions.items() if last.at > now]
        self.suppressions |= {code: LastSuppression(self.suppressions[code].reason, now) for code in late}
        is_late = bool(late) or self.revised_at > now
        self.revised_at = min(self.revised_at, now)
        return is_late

    def dump(self) -> dict[str, Any]:
        """Return the state that :meth:`load` reads."""
        return asdict(self)

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "IncidentSummary":
        """Restore from :meth:`dump`."""
        suppressions = {
            code: LastSuppression(Reason(**last["reason"]), last["at"]) for code, last in state["suppressions"].items()
        }
        return cls(state["title"], state["started_at"], state["revised_at"], suppressions)
