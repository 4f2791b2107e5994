"""Parents: incidents that cover many subjects, because a provider or environment that they share has failed.

Incidents of one failure group whose subjects share a provider (or an environment, if no provider is named) become
children of one parent if incidents of at least ``parent_subjects`` subjects started within ``simultaneous_window_s``.
The parent then also accepts incidents of the group that started up to ``join_window_s`` earlier and were still in
progress, and later incidents while it is open and has changed within the last hour. Once all signals have recovered, it
accepts incidents that start within ``join_window_s``. An outage that has not changed for longer is a known state, so a
failure that starts then is reported separately.

Serving and output are one failure group: a failing provider causes errors in one subject and empty answers in another.
Only page-tier drifts are considered, because tickets can wait, often for days.

The expected parents are computed from all candidates each time, so they do not depend on the order of arrival. For the
same reason, the id of a parent is a hash of the scope, the failure group and the hour of the first start. If an earlier
start arrives late and falls in the previous hour, two ids appear, and one parent is merged into the other.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from pipeline.correlate.incidents import IncidentState, SharedScope
from pipeline.correlate.playbook import Family
from pipeline.correlate.settings import CorrelateSettings

OPEN_REACH_MS = 3_600_000
"""Milliseconds after its last change within which an open parent accepts new incidents."""

ID_CELL_MS = 3_600_000
"""Milliseconds per time slot. Starts in the same slot give a parent the same id."""

FAILURE_GROUPS: Mapping[Family, str] = {
    "serving": "serving",
    "output": "serving",
    "data": "data",
    "safety": "safety",
    "workload": "other",
    "other": "other",
}
"""Failure group by family: failures that one fault of a provider or environment causes in its subjects."""


@dataclass(frozen=True, slots=True)
class ChildCandidate:
    """Incident that may become a child. Times are Unix ms.

    Attributes
    ----------
    first_started_at
        Start of the first page-tier drift.
    resolves_at
        Time at which the incident ends if all its signals stay recovered. None while a signal is firing.
    firing_periods
        Times at which each drift fired and recovered (None while it is firing).
    is_excluded
        Whether a person removed it from its parent. It still counts towards the number of subjects.
    """

    incident_id: str
    subject: str
    scope: SharedScope
    failure_group: str
    first_started_at: int
    detected_at: int
    resolves_at: int | None
    firing_periods: tuple[tuple[int, int | None], ...]
    is_excluded: bool


@dataclass(slots=True)
class ExpectedParent:
    """Expected parent: its id, its scope, and its member incidents."""

    parent_id: str
    scope: SharedScope
    members: list[ChildCandidate]
    firing_periods: list[tuple[int, int | None]] = field(default_factory=list)

    def add(self, candidate: ChildCandidate) -> None:
        """Add a member."""
        self.members.append(candidate)
        self.firing_periods += candidate.firing_periods

    def accepts(self, candidate: ChildCandidate, join_window_s: float) -> bool:
        """Return whether the parent accepts a later candidate, based on its state when the candidate was detected."""
        seen_at, started_at = candidate.detected_at, candidate.first_started_at
        is_open = any(first <= seen_at and (last is None or last > started_at) for first, last in self.firing_periods)
        from_ms = started_at - (OPEN_REACH_MS if is_open else join_window_s * 1000)
        return any(at is not None and from_ms <= at <= seen_at for period in self.firing_periods for at in period)

    @property
    def child_ids(self) -> list[str]:
        """Ids of the incidents that are merged into it."""
        return [member.incident_id for member in self.members if not member.is_excluded]

    def formed_at(self, subjects: int) -> int:
        """Return the time (Unix ms) by which failures of a given number of subjects had been detected."""
        first_detected: dict[str, int] = {}
        for member in self.members:
            known = first_detected.get(member.subject, member.detected_at)
            first_detected[member.subject] = min(member.detected_at, known)
        return sorted(first_detected.values())[:subjects][-1]


def child_candidate(
    incident: IncidentState, merged: IncidentState, settings: CorrelateSettings
) -> ChildCandidate | None:
    """Return an incident as a candidate for a parent, or None if it cannot be a child.

    It cannot be a child if none of its drifts has the page tier, if its subject has no provider or environment, or if a
    person merged or closed it.

    Parameters
    ----------
    incident
        The incident.
    merged
        The same incident combined with its members.
    settings
        The quiet time after which an incident is over.
    """
    membership, scope = incident.membership, shared_scope(incident)
    if membership.scope is not None or membership.merged_by is not None or incident.closed_by is not None:
        return None
    if incident.first_started_at is None or scope is None:
        return None
    recovered_at = merged.recovered_at
    periods = ((drift.detected_at, drift.updated_at if drift.state == "recovered" else None) for drift in merged.drifts)
    return ChildCandidate(
        incident_id=incident.incident_id,
        subject=incident.subject,
        scope=scope,
        failure_group=FAILURE_GROUPS[incident.family],
        first_started_at=incident.first_started_at,
        detected_at=incident.detected_at,
        resolves_at=None if recovered_at is None else recovered_at + round(settings.resolve_after_s * 1000),
        firing_periods=tuple(sorted(periods, key=lambda period: (period[0], period[1] or 0))),
        is_excluded=membership.is_excluded,
    )


def shared_scope(incident: IncidentState) -> SharedScope | None:
    """Return the scope that a subject shares with others: its provider or, without a provider, its environment."""
    provider, environment = incident.common_label("provider"), incident.common_label("environment")
    if provider:
        return SharedScope("provider", provider)
    return SharedScope("environment", environment) if environment else None


def expected_parents(
    candidates: Iterable[ChildCandidate], taken_ids: Collection[str], settings: CorrelateSettings
) -> list[ExpectedParent]:
    """Return the parents that should exist.

    Parameters
    ----------
    candidates
        Candidates of one scope and failure group, in any order.
    taken_ids
        Ids of parents that a person closed. Other parents must not use them.
    settings
        Windows, and the number of subjects that form a parent.
    """
    parents: list[ExpectedParent] = []
    unassigned: list[ChildCandidate] = []
    for candidate in sorted(candidates, key=lambda one: (one.first_started_at, one.incident_id)):
        started_at = candidate.first_started_at
        open_parent = next((one for one in reversed(parents) if one.accepts(candidate, settings.join_window_s)), None)
        if open_parent is not None:
            open_parent.add(candidate)
            continue
        unassigned.append(candidate)
        window_ms = settings.simultaneous_window_s * 1000
        simultaneous = [one for one in unassigned if started_at - one.first_started_at <= window_ms]
        if len({one.subject for one in simultaneous}) < settings.parent_subjects:
            continue
        parent_id = _new_id(simultaneous[0], {*taken_ids, *(one.parent_id for one in parents)})
        parent = ExpectedParent(parent_id, candidate.scope, [])
        formed_from = simultaneous[0].first_started_at
        from_ms = formed_from - settings.join_window_s * 1000
        for one in list(unassigned):
            is_going_on = one.first_started_at >= from_ms and (one.resolves_at or formed_from) >= formed_from
            if one in simultaneous or is_going_on:
                parent.add(one)
                unassigned.remove(one)
        parents.append(parent)
    return parents


def _new_id(first: ChildCandidate, taken_ids: Collection[str]) -> str:
    number = 0
    while True:
        suffix = f"/{number}" if number else ""
        hour = first.first_started_at // ID_CELL_MS
        name = f"{first.scope.kind}/{first.scope.name}/{first.failure_group}/{hour}{suffix}"
        parent_id = "inc-" + blake2b(name.encode(), digest_size=6).hexdigest()
        if parent_id not in taken_ids:
            return parent_id
        number += 1
