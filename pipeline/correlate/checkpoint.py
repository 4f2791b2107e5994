"""The state in parts: what a checkpoint writes of it, and how it is put together again.

One part an incident, one for the revision of it that readers know, one a drift of it, one a deployment, one a workload
drift, and one for the clocks. So each stays far below the broker's limit on a message, and only what changed is written.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.codec import decode, encode
from pipeline.correlate.causes import WorkloadShifts
from pipeline.correlate.deployments import DeploymentHistory
from pipeline.correlate.incidents import IncidentClocks, IncidentState, IncidentStore, TrackedDrift, facts_state

SETTINGS_HASH = ""
"""Of the checkpoint. No setting changes what the state means, so a changed setting forgets no open incident."""

PART_BYTES_MAX = 900_000
"""Bytes of one part, under the broker's limit of a mebibyte; asserted."""

Loaded = dict[str, list[tuple[str, dict[str, Any]]]]


class CheckpointParts:
    """What of the state changed, by kind and name."""

    def __init__(
        self, clocks: IncidentClocks, deployments: DeploymentHistory, shifts: WorkloadShifts, incidents: IncidentStore
    ) -> None:
        self._clocks = clocks
        self._deployments = deployments
        self._shifts = shifts
        self._incidents = incidents
        self._changed: set[tuple[str, str]] = set()
        self._written: dict[str, dict[str, TrackedDrift]] = {}

    def mark(self, kind: str, *names: str) -> None:
        """Remember that something changed: an ``incident`` with all that belongs to it, or another kind."""
        self._changed |= {(kind, name) for name in names}

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """The parts changed since the last call, in one order; None for one that is gone."""
        changed, self._changed = sorted(self._changed), set()
        for kind, name in changed:
            if kind == "incident":
                yield from self._incident(name)
            else:
                yield _part(kind, name, self._dump(kind, name))

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Take up parts in any order; a line for each that does not fit and is left out."""
        loaded: Loaded = {kind: [] for kind in ("clocks", "deployment", "shift", "drift", "told", "incident")}
        for key, value in parts:
            kind, _, name = key.decode(errors="replace").partition("/")
            try:
                loaded[kind].append((name, decode(value, kind=kind, settings_hash=SETTINGS_HASH)))
            except (KeyError, ValueError) as problem:
                yield _left_out(kind, name, problem)
        takers = {"clocks": self._clocks.load, "deployment": self._deployments.load, "shift": self._shifts.load}
        for kind, take in takers.items():
            for name, state in loaded[kind]:
                try:
                    take(state)
                except (KeyError, TypeError, ValueError) as problem:
                    yield _left_out(kind, name, problem)
        yield from self._take_incidents(loaded)

    def _take_incidents(self, loaded: Loaded) -> Iterator[str]:
        told = dict(loaded["told"])
        drifts: dict[str, list[dict[str, Any]]] = {}
        for _, state in loaded["drift"]:
            drifts.setdefault(str(state.get("incident_id")), []).append(state)
        for name, state in loaded["incident"]:
            try:
                facts = facts_state.load(state, drifts.get(name, []), told.get(name))
            except (KeyError, TypeError, ValueError) as problem:
                yield _left_out("incident", name, problem)
            else:
                self._incidents.add(facts)
                self._written[name] = _copy(facts)

    def _incident(self, name: str) -> Iterator[tuple[bytes, bytes | None]]:
        facts = self._incidents.get(name)
        written = self._written.pop(name, {})
        tracked = {} if facts is None else facts.tracked
        for drift_id in (each for each in written if each not in tracked):
            yield _part("drift", drift_id, None)
        for drift_id, each in tracked.items():
            if written.get(drift_id) != each:
                yield _part("drift", drift_id, {"incident_id": name, **each.dump()})
        if facts is None:
            yield _part("told", name, None)
            yield _part("incident", name, None)
            return
        if facts.last_published is not None:
            yield _part("told", name, facts.last_published.model_dump(exclude_none=True))
        yield _part("incident", name, facts_state.dump(facts))
        self._written[name] = _copy(facts)

    def _dump(self, kind: str, name: str) -> dict[str, Any] | None:
        if kind == "deployment":
            return self._deployments.dump(name)
        return self._shifts.dump(name) if kind == "shift" else self._clocks.dump()


def _part(kind: str, name: str, state: dict[str, Any] | None) -> tuple[bytes, bytes | None]:
    value = None if state is None else encode(state, kind=kind, settings_hash=SETTINGS_HASH)
    assert value is None or len(value) <= PART_BYTES_MAX, (kind, name, len(value))  # noqa: S101
    return f"{kind}/{name}".encode(), value


def _copy(facts: IncidentState) -> dict[str, TrackedDrift]:
    return {
        drift_id: TrackedDrift(each.join_order, each.published, each.newest) for drift_id, each in facts.tracked.items()
    }


def _left_out(kind: str, name: str, problem: Exception) -> str:
    return f"correlate: the state of {kind} {name} cannot be taken up and is left out: {problem}"
