"""Shifts: workload drifts, which never open an incident and may explain one."""

from typing import Any

from pipeline.correlate.bounded_store import BoundedStore
from pipeline.correlate.playbook import failure_modes
from schemas.drift import Drift


def can_explain(drift: Drift) -> bool:
    """Whether a cause-tier drift can be a cause: what users send, or a change that nobody declared.

    Others of that tier, such as the length of answers in tokens, follow from a failure more often than they cause it.
    """
    return drift.tier == "cause" and failure_modes.failure_mode_of(drift).family == "workload"


class WorkloadShifts:
    """The workload drifts that arrived last, at most ``limit`` of them, as they fired."""

    def __init__(self, limit: int) -> None:
        self._kept = BoundedStore[Drift](limit)

    def add(self, drift: Drift) -> list[str] | None:
        """Keep one; the ids of those that made room, or None if it is known already."""
        if self._kept.get(drift.drift_id) is not None:
            return None
        return [key for key, _ in self._kept.add(drift.drift_id, drift)]

    def shifts_of(self, subject: str) -> list[Drift]:
        """Those of a subject."""
        return [drift for drift in self._kept if drift.subject == subject]

    def dump(self, drift_id: str) -> dict[str, Any] | None:
        """The state of one, for JSON; None if it is not kept."""
        drift = self._kept.get(drift_id)
        if drift is None:
            return None
        return {"arrival": self._kept.arrival_number(drift_id), "drift": drift.model_dump(exclude_none=True)}

    def load(self, state: dict[str, Any]) -> None:
        """Take up one that :meth:`dump` gave out."""
        drift = Drift.model_validate(state["drift"])
        self._kept.restore(int(state["arrival"]), drift.drift_id, drift)
