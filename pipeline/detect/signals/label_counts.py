"""Label counts of a category, with a limit on the number of labels that are counted by name."""

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar


class LabelCounts:
    """Number of records per label. The first labels are counted by name, and all other labels as ``other``.

    Parameters
    ----------
    labels_max
        Maximum number of labels that are counted by name.

    >>> label_counts = LabelCounts(labels_max=2)
    >>> label_counts.add(["stop", "stop", None, "length", "refusal"])
    >>> label_counts.counts
    {'stop': 2, 'length': 1, 'other': 1}
    """

    OTHER: ClassVar = "other"
    """Name under which all labels beyond the limit are counted."""

    def __init__(self, labels_max: int, counts: dict[str, int] | None = None) -> None:
        self._labels_max = labels_max
        self.counts: dict[str, int] = dict(counts or {})

    def add(self, labels: Iterable[str | None]) -> None:
        """Count labels. None is skipped."""
        for label, count in Counter(labels).items():
            if label is None:
                continue
            named = label in self.counts or len(self.counts) - (self.OTHER in self.counts) < self._labels_max
            name = label if named else self.OTHER
            self.counts[name] = self.counts.get(name, 0) + count

    def shares(self) -> dict[str, float]:
        """Return the share of each label, most common first; empty if nothing was counted."""
        total = sum(self.counts.values())
        ordered = sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return {label: count / total for label, count in ordered}
