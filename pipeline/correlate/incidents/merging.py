"""Merged: which incidents are told as one, and what they are together."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pipeline.correlate.incidents.facts import IncidentState
from pipeline.correlate.incidents.merged_view import merge_states, merged_line, parent_log


class MergeIndex:
    """Which of the incidents kept are merged into which. None is merged into itself, however many steps between.

    Parameters
    ----------
    kept
        All of them by id, also those that come and go later.
    """

    def __init__(self, kept: Mapping[str, IncidentState]) -> None:
        self._kept = kept
        self._members: dict[str, set[str]] = {}
        self._into: dict[str, str] = {}

    def merge_into(self, facts: IncidentState, into: str | None) -> None:
        """Merge an incident into another, or take it out of the one that it is in."""
        before = self._into.pop(facts.incident_id, None)
        if before is not None:
            self._members[before].discard(facts.incident_id)
            if not self._members[before]:
                del self._members[before]
        facts.membership.into = into
        if into is not None:
            self._into[facts.incident_id] = into
            self._members.setdefault(into, set()).add(facts.incident_id)

    def members(self, facts: IncidentState) -> list[IncidentState]:
        """What is merged into an incident, in order of id."""
        return [self._kept[each] for each in sorted(self._members.get(facts.incident_id, ())) if each in self._kept]

    def targets(self, facts: IncidentState) -> Iterator[IncidentState]:
        """What an incident is merged into, and what that is merged into in turn."""
        target = self._kept.get(facts.membership.into or "")
        while target is not None:
            yield target
            target = self._kept.get(target.membership.into or "")

    def merged_view(self, facts: IncidentState) -> IncidentState:
        """An incident's facts with those of all that is merged into it."""
        return merge_states(facts, [self.merged_view(each) for each in self.members(facts)])

    def timing(self, facts: IncidentState) -> tuple[int, set[int]]:
        """The clock and the partitions of the whole of an incident: by these it knows what time it is."""
        clock, partitions = facts.clock, facts.partitions
        for each in self.members(facts):
            its_clock, its_partitions = self.timing(each)
            clock, partitions = max(clock, its_clock), partitions | its_partitions
        return clock, partitions

    def publishable(self, facts: IncidentState) -> IncidentState:
        """The whole of an incident with its log: a parent's own, and in a child's the line that says where it went."""
        members = [self.merged_view(each) for each in self.members(facts)]
        whole, membership = merge_states(facts, members), facts.membership
        if membership.scope is not None and whole.tracked:
            return replace(whole, log=[*parent_log(whole, members), *facts.log])
        parent = self._kept.get(membership.into or "")
        if parent is None or membership.by is not None or membership.scope is not None:
            return whole
        # What was still open of it then is open of the parent, and only what a person has seen is left to tell.
        reminders = [each for each in whole.reminders if each.at <= whole.acted_at]
        return replace(whole, log=[*whole.log, merged_line(whole, parent)], reminders=reminders)

    def remaining_members(self, facts: IncidentState) -> tuple[int, int, str]:
        """How long an incident stays when there are too many, the smallest goes first; with the id of the one to drop.

        The oldest resolved goes, and then what has not moved for longest, parents last. What is merged is over when that
        is which it is merged into, and goes with it. A parent that has no subjects any more goes like one resolved, by its own end.
        """
        if self._is_empty(facts):
            return (0, facts.resolved_at or 0, facts.incident_id)
        [*_, last] = [facts, *self.targets(facts)]
        if last.resolved_at is not None:
            return (0, last.resolved_at, last.incident_id)
        return (1 if facts.membership.scope is None else 2, self.merged_view(facts).last_change_at, facts.incident_id)

    def _is_empty(self, facts: IncidentState) -> bool:
        members = self._members.get(facts.incident_id, ())
        return not facts.tracked and all(self._is_empty(self._kept[each]) for each in members if each in self._kept)
