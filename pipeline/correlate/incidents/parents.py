"""Parents: when incidents of many subjects are one, because what the subjects share has failed.

Incidents of one kin whose subjects share a provider (where none is named, an environment) become children of one
parent, when those of ``parent_subjects`` different subjects began within ``simultaneous_window_s``. Then the parent
takes what else of that kin began up to ``join_window_s`` earlier and was still going on, and what begins while it is
open, as long as it has changed within the last hour; once all is quiet, what begins within ``join_window_s``. An outage
that has been the same for longer is a state, and what begins then is news.

Serving and output are one kin: a provider that fails shows as errors in one subject and as empty answers in the next.
Safety, data and the rest are kins of their own. Only what pages counts: tickets wait anyway, often for days.

Which parents there are is computed from all candidates each time, so it does not depend on their order of arrival. A
parent's id is made of what is shared, the kin and the hour of the first start, for the same reason. Where an earlier
start arrives late and lies in the hour before, readers see two ids: one of the parents is merged into the other.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from pipeline.correlate.incidents.facts import IncidentState
from pipeline.correlate.incidents.membership import SharedScope
from pipeline.correlate.playbook import Family
from pipeline.correlate.settings import CorrelateSettings

OPEN_REACH_MS = 3_600_000
"""Milliseconds after its last change in which an open parent takes what begins."""

ID_CELL_MS = 3_600_000
"""Milliseconds of starts that give a parent the same id."""

KIN: Mapping[Family, str] = {
    "serving": "serving",
    "output": "serving",
    "data": "data",
    "safety": "safety",
    "workload": "other",
    "other": "other",
}
"""By family, the kin: what one cause in a provider or an environment brings about in different subjects."""


@dataclass(frozen=True, slots=True)
class ChildCandidate:
    """An incident that may be a child. Times are Unix ms; a span is a drift's, from its firing to its recovery.

    ``apart``: it counts, but a person took it out.
    """

    incident_id: str
    subject: str
    scope: SharedScope
    kin: str
    began: int
    detected_at: int
    rested_at: int | None
    spans: tuple[tuple[int, int | None], ...]
    apart: bool


@dataclass(slots=True)
class ExpectedParent:
    """A parent that there should be: its id, and the incidents that are its children."""

    parent_id: str
    scope: SharedScope
    members: list[ChildCandidate]
    spans: list[tuple[int, int | None]] = field(default_factory=list)

    def add(self, candidate: ChildCandidate) -> None:
        """Take a candidate as a child."""
        self.members.append(candidate)
        self.spans += candidate.spans

    def takes(self, candidate: ChildCandidate, join_window_s: float) -> bool:
        """Whether a candidate belongs to it that began after its first children, by what was known when that was seen."""
        seen_ms, began = candidate.detected_at, candidate.began
        is_open = any(first <= seen_ms and (last is None or last > began) for first, last in self.spans)
        from_ms = began - (OPEN_REACH_MS if is_open else join_window_s * 1000)
        return any(at is not None and from_ms <= at <= seen_ms for span in self.spans for at in span)

    @property
    def children(self) -> list[str]:
        """The ids of the incidents that are merged into it."""
        return [each.incident_id for each in self.members if not each.apart]

    def formed_at(self, subjects: int) -> int:
        """When so many subjects had been detected."""
        first: dict[str, int] = {}
        for each in self.members:
            first[each.subject] = min(each.detected_at, first.get(each.subject, each.detected_at))
        return sorted(first.values())[:subjects][-1]


def child_candidate(facts: IncidentState, whole: IncidentState, resolve_after_s: float) -> ChildCandidate | None:
    """What an incident counts as; None if it can be no child: it pages nobody, shares nothing, or a person decided.

    Parameters
    ----------
    facts
        Of the incident.
    whole
        The same with what is merged into it.
    resolve_after_s
        After its recovery it is over.
    """
    membership, scope = facts.membership, shared_scope(facts)
    if membership.scope is not None or membership.by is not None or facts.closed_by is not None:
        return None
    if facts.first_started_at is None or scope is None:
        return None
    back = whole.recovered_at
    return ChildCandidate(
        incident_id=facts.incident_id,
        subject=facts.subject,
        scope=scope,
        kin=KIN[facts.family],
        began=facts.first_started_at,
        detected_at=facts.detected_at,
        rested_at=None if back is None else back + round(resolve_after_s * 1000),
        spans=tuple(
            sorted(
                ((each.detected_at, each.updated_at if each.state == "recovered" else None) for each in whole.drifts),
                key=lambda span: (span[0], span[1] or 0),
            )
        ),
        apart=membership.kept_apart,
    )


def shared_scope(facts: IncidentState) -> SharedScope | None:
    """What a subject shares with others: its provider, or where none is named its environment."""
    provider, environment = facts.common_label("provider"), facts.common_label("environment")
    if provider:
        return SharedScope("provider", provider)
    return SharedScope("environment", environment) if environment else None


def expected_parents(
    candidates: Iterable[ChildCandidate], taken: Collection[str], settings: CorrelateSettings
) -> Iterator[ExpectedParent]:
    """The parents that there should be, of candidates of one scope and kin.

    Parameters
    ----------
    candidates
        In any order.
    taken
        Ids that no parent can have: of those that a person closed.
    settings
        Windows, and how many subjects make a parent.
    """
    found: list[ExpectedParent] = []
    loose: list[ChildCandidate] = []
    for each in sorted(candidates, key=lambda one: (one.began, one.incident_id)):
        open_parent = next((one for one in reversed(found) if one.takes(each, settings.join_window_s)), None)
        if open_parent is not None:
            open_parent.add(each)
            continue
        loose.append(each)
        near = [one for one in loose if each.began - one.began <= settings.simultaneous_window_s * 1000]
        if len({one.subject for one in near}) < settings.parent_subjects:
            continue
        parent_id = _new_id(near[0], {*taken, *(one.parent_id for one in found)})
        parent = ExpectedParent(parent_id, each.scope, [])
        from_ms = near[0].began - settings.join_window_s * 1000
        for one in list(loose):
            if one in near or (one.began >= from_ms and (one.rested_at or near[0].began) >= near[0].began):
                parent.add(one)
                loose.remove(one)
        found.append(parent)
    return iter(found)


def _new_id(first: ChildCandidate, taken: Collection[str]) -> str:
    number = 0
    while True:
        again = f"/{number}" if number else ""
        named = f"{first.scope.kind}/{first.scope.name}/{first.kin}/{first.began // ID_CELL_MS}{again}"
        parent_id = "inc-" + blake2b(named.encode(), digest_size=6).hexdigest()
        if parent_id not in taken:
            return parent_id
        number += 1
