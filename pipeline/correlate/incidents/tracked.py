"""Tracked drifts: the drifts of an incident, as last published and as last reported by detect."""

from dataclasses import dataclass
from typing import Any

from schemas.drift import Drift


@dataclass(slots=True)
class TrackedDrift:
    """One drift of an incident: as last published, and as last reported by detect.

    The two differ if only numbers have changed since the last revision. Such numbers are published with the next change
    that needs action. Published numbers therefore do not depend on the time at which a late deployment caused another
    revision.

    Attributes
    ----------
    join_order
        Position of the drift in the order in which drifts joined the incident, from 1.
    published
        The drift as last published.
    newest
        The drift as last reported.
    """

    join_order: int
    published: Drift
    newest: Drift

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values."""
        newest = None if self.newest is self.published else self.newest.model_dump(exclude_none=True)
        published = self.published.model_dump(exclude_none=True)
        return {"join_order": self.join_order, "published": published, "newest": newest}

    @classmethod
    def load(cls, state: dict[str, Any]) -> "TrackedDrift":
        """Restore a state that :meth:`dump` returned."""
        published = Drift.model_validate(state["published"])
        newest = published if state["newest"] is None else Drift.model_validate(state["newest"])
        return cls(int(state["join_order"]), published, newest)
