"""Tracked drifts: the drifts of an incident, as last published and as last reported by detect."""

from dataclasses import dataclass
from typing import Any

from schemas.drift import Drift

WORST_RECORDS_MIN = 20
"""Minimum number of records that a report must cover for its value to count as the worst value."""


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
    worst_now
        The value farthest from normal in the direction of the drift, among reports that cover enough records.
    """

    join_order: int
    published: Drift
    newest: Drift
    worst_now: float

    @property
    def at_worst(self) -> Drift:
        """The drift as last published. After its recovery, ``now`` is its worst value."""
        if self.published.state != "recovered":
            return self.published
        return self.published.model_copy(update={"now": self.worst_now})

    def still_shows(self, drift: Drift) -> bool:
        """Return whether the drift, as last published, fires in the same signal and direction as another drift."""
        shown = self.published
        is_same = (shown.subject, shown.signal, shown.side) == (drift.subject, drift.signal, drift.side)
        return is_same and shown.state != "recovered"

    def update(self, report: Drift) -> None:
        """Apply a newer report of the drift."""
        records = report.records - self.newest.records
        self.newest = report
        if report.state == "recovered" or records < WORST_RECORDS_MIN:
            return
        self.worst_now = (max if report.side == "up" else min)(self.worst_now, report.now)

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values."""
        newest = None if self.newest is self.published else self.newest.model_dump(exclude_none=True)
        published = self.published.model_dump(exclude_none=True)
        return {
            "join_order": self.join_order,
            "published": published,
            "newest": newest,
            "worst_now": self.worst_now,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> "TrackedDrift":
        """Restore a state that :meth:`dump` returned."""
        published = Drift.model_validate(state["published"])
        newest = published if state["newest"] is None else Drift.model_validate(state["newest"])
        # A checkpoint of an earlier version does not have the worst value.
        return cls(int(state["join_order"]), published, newest, float(state.get("worst_now", published.now)))
