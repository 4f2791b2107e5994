"""A drift of an incident: as readers know it, and as detect last reported it."""

from dataclasses import dataclass
from typing import Any

from schemas.drift import Drift


@dataclass(slots=True)
class TrackedDrift:
    """One drift: as readers know it, and as it was last reported.

    The two differ while only the numbers changed. Evidence that no one needs to act on waits here, and is told with the
    next thing that matters; so what readers see does not depend on when a late deployment made the incident be told again.
    ``place`` counts the drifts of an incident in the order in which they joined.
    """

    place: int
    published: Drift
    newest: Drift

    def dump(self) -> dict[str, Any]:
        """The state, for JSON."""
        newest = None if self.newest is self.published else self.newest.model_dump(exclude_none=True)
        return {"place": self.place, "shown": self.published.model_dump(exclude_none=True), "newest": newest}

    @classmethod
    def load(cls, state: dict[str, Any]) -> "TrackedDrift":
        """Take up a state that :meth:`dump` gave out."""
        shown = Drift.model_validate(state["shown"])
        newest = shown if state["newest"] is None else Drift.model_validate(state["newest"])
        return cls(int(state["place"]), shown, newest)
