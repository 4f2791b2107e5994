"""The store of published baselines for streams that do not exist yet. A stream keeps the baselines that it needs."""

from pipeline.detect.baselines.packed_baseline import PackedBaseline
from schemas.baseline import PARTITION_SOURCES
from schemas.relearn import Relearn

VERSIONS_MAX = 64
"""Maximum number of baselines per subject. Before the state is restored, the limit applies to all baselines.
Afterwards, it applies to scheduled baselines."""

RELEARNS_MAX = 16
"""Maximum number of relearn requests per subject before the state is restored."""


class BaselineStore:
    """Baselines and relearn requests by subject, in order of publication.

    Parameters
    ----------
    subjects_max
        Maximum number of subjects. Beyond this number, a new subject replaces the first subject.

    Attributes
    ----------
    dropped_count
        Number of subjects that were replaced, and of relearn requests without room.
    """

    def __init__(self, subjects_max: int) -> None:
        self._subjects_max = subjects_max
        self._baselines: dict[str, list[PackedBaseline]] = {}
        self._relearns: dict[str, list[Relearn]] = {}
        self._restored = False
        self.dropped_count = 0

    def add(self, baseline: PackedBaseline) -> None:
        """Store a baseline of a subject without a stream. Only a restored stream can use one of its partition."""
        if self._restored and baseline.source in PARTITION_SOURCES:
            return
        if baseline.subject not in self._baselines and len(self._baselines) >= self._subjects_max:
            del self._baselines[next(iter(self._baselines))]
            self.dropped_count += 1
        stored = self._baselines.get(baseline.subject, [])
        self._baselines[baseline.subject] = (
            _add_needed(stored, baseline) if self._restored else [*stored, baseline][-VERSIONS_MAX:]
        )

    def baselines_of(self, subject: str) -> list[PackedBaseline]:
        """Return the baselines of a subject, oldest first."""
        return self._baselines.get(subject, [])

    def remove(self, subject: str) -> None:
        """Remove the baselines of a subject, because its stream has them."""
        self._baselines.pop(subject, None)

    def add_relearn(self, relearn: Relearn) -> None:
        """Store a relearn request, unless the state has been restored. Later streams learn newer baselines."""
        if self._restored:
            return
        if relearn.subject not in self._relearns and len(self._relearns) >= self._subjects_max:
            self.dropped_count += 1
            return
        stored = self._relearns.get(relearn.subject, [])
        self._relearns[relearn.subject] = [*stored, relearn][-RELEARNS_MAX:]

    def relearns_of(self, subject: str) -> list[Relearn]:
        """Return the relearn requests of a subject, oldest first."""
        return self._relearns.get(subject, [])

    def finish_restore(self) -> None:
        """Discard the entries that only a restored stream can use."""
        if self._restored:
            return
        self._restored = True
        self._relearns.clear()
        for subject, stored in self._baselines.items():
            needed: list[PackedBaseline] = []
            for published in stored:
                needed = _add_needed(needed, published)
            self._baselines[subject] = needed


def _add_needed(stored: list[PackedBaseline], published: PackedBaseline) -> list[PackedBaseline]:
    """Return the baselines that new streams need once another baseline has been published."""
    if published.source in PARTITION_SOURCES or (published.source == "live" and stored):
        return stored
    if not published.effective_at:
        return [published]
    return [*stored, published][-VERSIONS_MAX:]
