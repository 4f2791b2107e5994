"""The store of published baselines, for new streams and for restored streams that refer to them."""

from collections.abc import Container
from dataclasses import dataclass

from schemas.baseline import Baseline
from schemas.relearn import Relearn

VERSIONS_MAX = 64
"""Maximum number of baselines per subject. Before the state is restored, the limit applies to all baselines.
Afterwards, it applies to scheduled baselines."""

RELEARNS_MAX = 16
"""Maximum number of relearn requests per subject before the state is restored."""


@dataclass(frozen=True, slots=True)
class PublishedBaseline:
    """A published baseline. It is stored unparsed to save memory."""

    baseline_version: str
    source: str
    effective_at: int
    value: bytes

    def read(self) -> Baseline:
        """Parse the baseline, which was validated before it was stored."""
        return Baseline.from_json(self.value)


class BaselineStore:
    """Baselines and relearn requests by subject, in order of publication.

    Parameters
    ----------
    subjects_max
        Maximum number of subjects. Beyond this number, a new subject replaces the first subject that has no stream.
    """

    def __init__(self, subjects_max: int) -> None:
        self._subjects_max = subjects_max
        self._baselines: dict[str, list[PublishedBaseline]] = {}
        self._relearns: dict[str, list[Relearn]] = {}
        self._restored = False

    def add(self, baseline: Baseline, value: bytes, in_use: Container[str]) -> None:
        """Store a baseline. ``value`` is its message, and ``in_use`` contains the subjects that have a stream."""
        published = PublishedBaseline(baseline.baseline_version, baseline.source, baseline.effective_at or 0, value)
        if baseline.subject not in self._baselines and len(self._baselines) >= self._subjects_max:
            unused = next((subject for subject in self._baselines if subject not in in_use), None)
            if unused is None:
                return
            del self._baselines[unused]
        stored = self._baselines.get(baseline.subject, [])
        self._baselines[baseline.subject] = (
            _add_needed(stored, published) if self._restored else [*stored, published][-VERSIONS_MAX:]
        )

    def add_relearn(self, relearn: Relearn) -> None:
        """Store a relearn request, unless the state has been restored. Later streams learn newer baselines."""
        if self._restored or (relearn.subject not in self._relearns and len(self._relearns) >= self._subjects_max):
            return
        stored = self._relearns.get(relearn.subject, [])
        self._relearns[relearn.subject] = [*stored, relearn][-RELEARNS_MAX:]

    def relearns_of(self, subject: str) -> list[Relearn]:
        """Return the relearn requests of a subject, oldest first."""
        return self._relearns.get(subject, [])

    def baselines_of(self, subject: str) -> list[PublishedBaseline]:
        """Return the baselines of a subject, oldest first."""
        return self._baselines.get(subject, [])

    def finish_restore(self) -> None:
        """Discard the entries that only a restored stream can use."""
        if self._restored:
            return
        self._restored = True
        self._relearns.clear()
        for subject, stored in self._baselines.items():
            needed: list[PublishedBaseline] = []
            for published in stored:
                needed = _add_needed(needed, published)
            self._baselines[subject] = needed


def _add_needed(stored: list[PublishedBaseline], published: PublishedBaseline) -> list[PublishedBaseline]:
    """Return the baselines that new streams need once another baseline has been published."""
    if published.source == "live" and stored:
        return stored
    if not published.effective_at:
        return [published]
    return [*stored, published][-VERSIONS_MAX:]
