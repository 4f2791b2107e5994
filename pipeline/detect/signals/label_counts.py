"""The mix of a category: how often each label came, with a limit on the labels that are counted by name."""

from collections import Counter
from collections.abc import Iterable

OTHER_LABEL = "other"
"""The label of all labels beyond the limit."""


class LabelCounts:
    """Counts by label; the first labels seen keep their names.

    Parameters
    ----------
    labels_max
        Labels counted by name; further ones count as ``other``.

    >>> mix = Mix(labels_max=2)
    >>> mix.add(["stop", "stop", None, "length", "refusal"])
    >>> mix.counts
    {'stop': 2, 'length': 1, 'other': 1}
    """

    def __init__(self, labels_max: int, counts: dict[str, int] | None = None) -> None:
        self._labels_max = labels_max
        self.counts: dict[str, int] = dict(counts or {})

    def add(self, labels: Iterable[str | None]) -> None:
        """Count labels; None is no label."""
        for label, count in Counter(labels).items():
            if label is None:
                continue
            named = label in self.counts or len(self.counts) - (OTHER_LABEL in self.counts) < self._labels_max
            name = label if named else OTHER_LABEL
            self.counts[name] = self.counts.get(name, 0) + count

    def shares(self) -> dict[str, float]:
        """Shares by label, the most common first; empty if nothing was counted."""
        total = sum(self.counts.values())
        ordered = sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return {label: count / total for label, count in ordered}
