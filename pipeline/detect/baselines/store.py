"""The baselines kept of every subject, for a unit that appears later or whose state names one of them."""

from collections.abc import Container
from dataclasses import dataclass

from schemas.baseline import Baseline
from schemas.relearn import Relearn

VERSIONS_MAX = 64
"""Baselines of one subject kept while a state that may name any of them is still to come."""


RELEARNS_MAX = 16
"""Relearns of one subject that are kept likewise."""


@dataclass(frozen=True, slots=True)
class PublishedBaseline:
    """One baseline as it came: the parsed one takes several times the memory."""

    baseline_version: str
    source: str
    effective_at: int
    value: bytes

    def read(self) -> Baseline:
        """The baseline; it was read before, so it can be."""
        return Baseline.from_json(self.value)


class BaselineStore:
    """Baselines by subject, in the order in which they came.

    Parameters
    ----------
    subjects_max
        Subjects; at another one the first that has no unit is forgotten.
    """

    def __init__(self, subjects_max: int) -> None:
        self._subjects_max = subjects_max
        self._by_subject: dict[str, list[PublishedBaseline]] = {}
        self._relearns: dict[str, list[Relearn]] = {}
        self._settled = False

    def add(self, baseline: Baseline, value: bytes, in_use: Container[str]) -> None:
        """Keep one more."""
        kept = PublishedBaseline(baseline.baseline_version, baseline.source, baseline.effective_at or 0, value)
        if baseline.subject not in self._by_subject and len(self._by_subject) >= self._subjects_max:
            unused = next((subject for subject in self._by_subject if subject not in in_use), None)
            if unused is None:
                return
            del self._by_subject[unused]
        before = self._by_subject.get(baseline.subject, [])
        self._by_subject[baseline.subject] = _with(before, kept) if self._settled else [*before, kept][-VERSIONS_MAX:]

    def add_relearn(self, relearn: Relearn) -> None:
        """Keep one more, until the state has been taken up: who appears later has a newer normal anyway."""
        if self._settled or (relearn.subject not in self._relearns and len(self._relearns) >= self._subjects_max):
            return
        before = self._relearns.get(relearn.subject, [])
        self._relearns[relearn.subject] = [*before, relearn][-RELEARNS_MAX:]

    def relearns_of(self, subject: str) -> list[Relearn]:
        """Those of a subject, oldest first."""
        return self._relearns.get(subject, [])

    def baselines_of(self, subject: str) -> list[PublishedBaseline]:
        """Those of a subject, oldest first."""
        return self._by_subject.get(subject, [])

    def finish_restore(self) -> None:
        """Forget all that no unit can need any more: the state has been taken up."""
        if self._settled:
            return
        self._settled = True
        self._relearns.clear()
        for subject, kept in self._by_subject.items():
            needed: list[PublishedBaseline] = []
            for each in kept:
                needed = _with(needed, each)
            self._by_subject[subject] = needed


def _with(before: list[PublishedBaseline], kept: PublishedBaseline) -> list[PublishedBaseline]:
    """What a new unit needs once one more has come."""
    if kept.source == "live" and before:
        return before
    if not kept.effective_at:
        return [kept]
    return [*before, kept][-VERSIONS_MAX:]
