"""Grouping: keeping the parents that there should be, as incidents come, move and are spoken of."""

from collections.abc import Iterable

from pipeline.correlate.incidents.facts import IncidentState
from pipeline.correlate.incidents.membership import Membership, SharedScope
from pipeline.correlate.incidents.parents import ChildCandidate, ExpectedParent, child_candidate, expected_parents
from pipeline.correlate.incidents.store import IncidentStore
from pipeline.correlate.settings import CorrelateSettings
from schemas.record import SUBJECT_LENGTH_MAX

Key = tuple[SharedScope, str]
"""What is shared, and the kin of the failures."""


class IncidentGrouping:
    """Merges the incidents of many subjects into one parent where they share a cause, and opens that."""

    def __init__(self, settings: CorrelateSettings, incidents: IncidentStore) -> None:
        self._settings = settings
        self._incidents = incidents
        self._candidates: dict[str, ChildCandidate] = {}

    def restore(self) -> None:
        """Learn the incidents that a checkpoint gave back, which are grouped already."""
        for facts in self._incidents:
            self._learn(facts)

    def forget(self, incident_id: str) -> None:
        """An incident has left state."""
        self._candidates.pop(incident_id, None)

    def regroup(self, touched: Iterable[IncidentState]) -> list[IncidentState]:
        """Group anew after some incidents changed; those whose place changed, and the parents that have to be told."""
        dirty: set[Key] = set()
        changed: dict[str, IncidentState] = {}
        for facts in touched:
            for each in (facts, *self._incidents.merged.targets(facts), *self._incidents.merged.members(facts)):
                dirty |= self._learn(each)
        for key in sorted(dirty):
            changed |= {each.incident_id: each for each in self._sweep(key)}
        return [changed[each] for each in sorted(changed)]

    def _learn(self, facts: IncidentState) -> set[Key]:
        """Note what an incident counts as now; what has to be grouped anew."""
        before = self._candidates.pop(facts.incident_id, None)
        whole = self._incidents.merged.merged_view(facts)
        now = None if self._is_held(facts) else child_candidate(facts, whole, self._settings.resolve_after_s)
        if now is not None:
            self._candidates[facts.incident_id] = now
        return set() if now == before else {(each.scope, each.kin) for each in (before, now) if each is not None}

    def _is_held(self, facts: IncidentState) -> bool:
        """Whether a person closed the parent that it is in: what is closed keeps its children and takes no more."""
        return any(
            each.membership.scope is not None and each.closed_by for each in self._incidents.merged.targets(facts)
        )

    def _sweep(self, key: Key) -> list[IncidentState]:
        merged = self._incidents.merged
        parents = [each for each in self._incidents if each.membership.scope == key[0]]
        former = {each.incident_id: merged.members(each) for each in parents}
        candidates = [each for each in self._candidates.values() if (each.scope, each.kin) == key]
        closed = [each.incident_id for each in parents if each.closed_by is not None]
        found = [each for each in expected_parents(candidates, closed, self._settings) if each.children]
        into = {child: each.parent_id for each in found for child in each.children}
        changed = [facts for each in found for facts in self._form(each)]
        for each in sorted(candidates, key=lambda one: one.incident_id):
            facts = self._incidents.get(each.incident_id)
            if facts is not None and facts.membership.into != into.get(each.incident_id):
                merged.merge_into(facts, into.get(each.incident_id))
                changed.append(facts)
        for facts in parents:
            if facts.membership.into is None and facts.resolved_at is None and not merged.members(facts):
                self._empty(
                    facts,
                    next((into[one.incident_id] for one in former[facts.incident_id] if one.incident_id in into), None),
                )
                changed.append(facts)
        return changed

    def _form(self, parent: ExpectedParent) -> list[IncidentState]:
        """Open a parent, or let the one that is open know its children; it, and the children whose log changes by that."""
        children = [self._incidents.get(each) for each in parent.children]
        first = next(each for each in children if each is not None)
        facts = self._incidents.get(parent.parent_id)
        if facts is None:
            facts = IncidentState(
                incident_id=parent.parent_id,
                subject=_shared_subject(parent.scope),
                opened_by=first.opened_by,
                decision=first.decision,
                decided_at=first.decided_at,
                clock=first.clock,
                membership=Membership(scope=parent.scope),
            )
            self._incidents.add(facts)
        if facts.membership.into is not None:
            self._incidents.merged.merge_into(facts, None)
        formed_at = parent.formed_at(self._settings.parent_subjects)
        retold = [] if formed_at == facts.membership.formed_at else self._incidents.merged.members(facts)
        facts.membership.formed_at = formed_at
        new = [each for each in parent.members if each.incident_id in parent.children and self._is_new(each, facts)]
        if facts.mitigated_at is not None and new:
            at = max(each.detected_at for each in new)
            names = ", ".join(sorted({each.subject for each in new})[:5])
            text = f"no longer mitigated: {names} failed too"
            facts.add_log_entry(at, "unmitigated", text, entries_max=self._settings.log_entries_max)
            facts.mark_active(at)
        return [facts, *retold]

    def _is_new(self, child: ChildCandidate, parent: IncidentState) -> bool:
        facts = self._incidents.get(child.incident_id)
        return facts is not None and facts.membership.into != parent.incident_id

    def _empty(self, facts: IncidentState, heir: str | None) -> None:
        """A parent has no children any more: another took them, or people took them out."""
        if heir is not None:
            self._incidents.merged.merge_into(facts, heir)
        elif facts.last_published is not None:
            facts.resolved_at = facts.last_published.updated_at


def _shared_subject(scope: SharedScope) -> str:
    """What stands in the place of the subject where there are many.

    >>> _shared_subject(Scope("provider", "openai"))
    'provider:openai'
    """
    name = "".join(each if each.isprintable() else "?" for each in scope.name)
    return f"{scope.kind}:{name}"[:SUBJECT_LENGTH_MAX]
