"""The checkpoint of correlate: its state in parts.

Each incident, published revision, drift of an incident, deployment and workload shift is one part, and the clocks are
another part. Parts are small, and only changed parts are written.
"""

from collections.abc import Iterable, Iterator
from copy import copy
from functools import partial

from pipeline.correlate.causes import WorkloadShifts
from pipeline.correlate.deployments import DeploymentHistory
from pipeline.correlate.incidents import IncidentClocks, IncidentState, IncidentStore
from pipeline.state import Part, PartKind, PartStore, State
from schemas.incident import Incident

PART_KINDS = (
    PartKind("clocks", owner="partition"),
    PartKind("deployment", owner="deployment"),
    PartKind("shift", owner="shift"),
    PartKind("drift", owner="drift"),
    PartKind("published", owner="incident"),
    PartKind("incident", owner="incident"),
)
"""Kinds of the parts. They do not depend on settings, so a change of settings does not drop open incidents."""


class CheckpointParts:
    """The parts of correlate's state."""

    def __init__(
        self, clocks: IncidentClocks, deployments: DeploymentHistory, shifts: WorkloadShifts, incidents: IncidentStore
    ) -> None:
        self._clocks = clocks
        self._deployments = deployments
        self._shifts = shifts
        self._incidents = incidents
        self._store = PartStore(PART_KINDS)
        self._stored_drifts: dict[str, dict[str, object]] = {}
        self._stored_revisions: dict[str, Incident] = {}

    def mark(self, kind: str, *names: str) -> None:
        """Mark parts of a kind as changed. An ``incident`` includes its drifts and its published revision."""
        self._store.mark(kind, *names)

    def mark_all(self) -> None:
        """Mark all parts in the checkpoint as changed."""
        self._store.mark_all("clocks", "deployment", "shift", "incident")
        self._stored_drifts.clear()
        self._stored_revisions.clear()

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the parts that changed since the last call, by key. A value of None removes the part."""
        return self._store.changed(self._dump)

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Restore parts in any order, and yield a warning for each discarded part."""
        self._store.read(parts)
        for kind, load in (("clocks", self._clocks.load), ("shift", self._shifts.load)):
            for part in self._store.parts(kind):
                self._store.load(part, load)
        for part in self._store.parts("deployment"):
            self._store.load(part, partial(self._load_deployment, part.name))
        self._restore_incidents()
        yield from self._store.finish_restore()

    def _load_deployment(self, name: str, state: State) -> None:
        key = self._deployments.load(state)
        if key != name:  # Earlier versions named the part by the id alone. Write it again under its key.
            self.mark("deployment", name, key)

    def _restore_incidents(self) -> None:
        drifts: dict[str, list[State]] = {}
        for part in self._store.parts("drift"):
            self._store.load(part, lambda state: drifts.setdefault(str(state.get("incident_id")), []).append(state))
        revisions: list[State] = []
        for part in self._store.parts("incident"):
            revisions.clear()
            self._store.load(Part("published", part.name), revisions.append)
            published = revisions[0] if revisions else None
            self._store.load(part, partial(self._load_incident, drifts.get(part.name, []), published))

    def _load_incident(self, drifts: list[State], published: State | None, state: State) -> None:
        incident = IncidentState.load(state, drifts, published)
        self._incidents.add(incident)
        self._stored_drifts[incident.incident_id] = _copy_drifts(incident)
        if incident.last_published is not None:
            self._stored_revisions[incident.incident_id] = incident.last_published

    def _dump(self, kind: str, name: str) -> Iterable[tuple[Part, State | None]]:
        match kind:
            case "incident":
                return self._dump_incident(name)
            case "deployment":
                return [(Part(kind, name), self._deployments.dump(name))]
            case "shift":
                return [(Part(kind, name), self._shifts.dump(name))]
            case _:
                return [(Part(kind, name), self._clocks.dump())]

    def _dump_incident(self, name: str) -> Iterator[tuple[Part, State | None]]:
        incident = self._incidents.get(name)
        stored = self._stored_drifts.pop(name, {})
        tracked = {} if incident is None else incident.tracked
        for drift_id in stored:
            if self._incidents.find_by_drift(drift_id) is None:  # another incident may track it now
                yield Part("drift", drift_id), None
        for drift_id, drift in tracked.items():
            if stored.get(drift_id) != drift:
                yield Part("drift", drift_id), {"incident_id": name, **drift.dump()}
        stored_revision = self._stored_revisions.pop(name, None)
        if incident is None:
            yield Part("published", name), None
            yield Part("incident", name), None
            return
        published = incident.last_published
        if published is not None:
            self._stored_revisions[name] = published
            if published is not stored_revision:
                yield Part("published", name), published.model_dump(exclude_none=True)
        yield Part("incident", name), incident.dump()
        self._stored_drifts[name] = _copy_drifts(incident)


def _copy_drifts(incident: IncidentState) -> dict[str, object]:
    return {drift_id: copy(drift) for drift_id, drift in incident.tracked.items()}
