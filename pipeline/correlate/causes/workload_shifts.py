"""Workload shifts: drifts that never open an incident but may explain one."""

from typing import Any

from pipeline.correlate.bounded_store import BoundedStore
from pipeline.correlate.playbook import failure_modes
from schemas.drift import Drift


class WorkloadShifts:
    """Store of the workload drifts that arrived last, at most ``limit``, each in its firing state."""

    def __init__(self, limit: int) -> None:
        self._drifts = BoundedStore[Drift](limit)
        self._subjects: dict[str, dict[str, Drift]] = {}

    def __len__(self) -> int:
        return len(self._drifts)

    @staticmethod
    def can_explain(drift: Drift) -> bool:
        """Return whether a cause-tier drift can be a cause: a change in user inputs, or an undeclared change.

        Other drifts of that tier, such as a drift of the number of answer tokens, are more often effects of a failure
        than its cause.
        """
        return drift.tier == "cause" and failure_modes.failure_mode_of(drift).family == "workload"

    def add(self, drift: Drift) -> list[tuple[str, Drift]] | None:
        """Store a drift. Return the drifts that were dropped to make room, with their ids, or None if the drift was already stored."""
        if self._drifts.get(drift.drift_id) is not None:
            return None
        self._subjects.setdefault(drift.subject, {})[drift.drift_id] = drift
        dropped = self._drifts.add(drift.drift_id, drift)
        for drift_id, old in dropped:
            del self._subjects[old.subject][drift_id]
            if not self._subjects[old.subject]:
                del self._subjects[old.subject]
        return dropped

    def shifts_of(self, subject: str) -> list[Drift]:
        """Return the drifts of a subject."""
        return list(self._subjects.get(subject, {}).values())

    def dump(self, drift_id: str) -> dict[str, Any] | None:
        """Return the state of one drift, for JSON, or None if it is not stored."""
        drift = self._drifts.get(drift_id)
        if drift is None:
            return None
        return {"arrival": self._drifts.arrival_number(drift_id), "drift": drift.model_dump(exclude_none=True)}

    def load(self, state: dict[str, Any]) -> None:
        """Restore one drift from the state that :meth:`dump` returned."""
        drift = Drift.model_validate(state["drift"])
        self._drifts.restore(int(state["arrival"]), drift.drift_id, drift)
        self._subjects.setdefault(drift.subject, {})[drift.drift_id] = drift
