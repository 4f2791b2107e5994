"""Derived signals: what no single record says, told record by record, so that all else treats it as any other signal."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.blocks.embeddings import Embeddings
from pipeline.detect.blocks.throughput import Throughput
from pipeline.detect.intake import Fields, Label
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import LabelCounts, catalogue
from schemas.baseline import Baseline

REPETITION_RECORDS = 64
"""Outputs among which an equal one makes an output a repetition."""

SETTLING_RECORDS = 200
"""Records that carry a label until it is settled which one is the usual."""

WATCHED_CATEGORIES = ("finish_reason", "error_type")
"""The categories of which every record tells whether it has the usual label, or one never seen."""

FINGERPRINT = "fingerprint"


class Derived:
    """What a unit's records say together with those before them.

    - ``repeated``: whether an output's fingerprint is among those of the 64 outputs before it.
    - ``finish_reason_usual`` and ``error_type_usual``: whether the label is the usual one, ``.._new`` whether it was
      never seen. Which is usual is settled by the first 200, or by a baseline; what was ever seen, likewise.
    - ``embedding_similarity``: see ``pipeline/detect/blocks/embeddings.py``.
    - ``throughput_ratio``: see ``pipeline/detect/blocks/throughput.py``.

    Parameters
    ----------
    settings
        The limit on labels of a category: of one with more, nothing is told.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self._labels_max = settings.categories_max
        self._fingerprints = _Fingerprints()
        self._mixes: dict[str, _Labels] = {name: _Labels() for name in WATCHED_CATEGORIES}
        self.embeddings = Embeddings()
        self.throughput = Throughput()

    def fill(self, values: NDArray[np.float64], fields: Fields, panes: NDArray[np.int64]) -> Counter[str]:
        """Write the derived signals of records into their columns.

        Parameters
        ----------
        values
            Shape ``(R, WIDTH)``, in the catalogue's order.
        fields, panes
            Of the same records, in the order of arrival.

        Returns
        -------
        Counter
            By reason, how many embeddings are not used.
        """
        unused: Counter[str] = Counter()
        fingerprints = fields.labels.get(FINGERPRINT)
        if fingerprints is not None:
            values[:, catalogue.SIGNAL_INDEX["repeated"]] = self._fingerprints.tell(fingerprints)
        for name, labels in self._mixes.items():
            column = fields.labels.get(name)
            if column is not None:
                usual, new = labels.tell(column, self._labels_max)
                values[:, catalogue.SIGNAL_INDEX[f"{name}_usual"]] = usual
                values[:, catalogue.SIGNAL_INDEX[f"{name}_new"]] = new
        if fields.embeddings is not None:
            values[:, catalogue.SIGNAL_INDEX["embedding_similarity"]], unused = self.embeddings.similarities(
                fields.embeddings
            )
        self.throughput.fill(values[:, catalogue.SIGNAL_INDEX["throughput_ratio"]], panes, fields.first)
        return unused

    def follow(self, baseline: Baseline) -> None:
        """Let a baseline say what is usual and what was seen."""
        for name, labels in self._mixes.items():
            signal = baseline.signals.get(name)
            if signal is not None and signal.shares:
                labels.settle(signal.shares, self._labels_max)
        if baseline.centroid is not None:
            self.embeddings.follow(baseline.centroid)

    def dump(self) -> dict[str, Any]:
        """What :meth:`load` needs to go on as if nothing had happened."""
        return {
            "fingerprints": self._fingerprints.dump(),
            "mixes": {name: labels.dump() for name, labels in self._mixes.items()},
            "embeddings": self.embeddings.dump(),
            "throughput": self.throughput.dump(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._fingerprints.load(state["fingerprints"])
        for name, labels in self._mixes.items():
            labels.load(state["mixes"][name])
        self.embeddings.load(state["embeddings"])
        self.throughput.load(state["throughput"])


class _Fingerprints:
    """The last outputs of a unit, and which of them were the same."""

    def __init__(self) -> None:
        self._count = 0
        self._last: dict[str, int] = {}

    def tell(self, column: Sequence[Label]) -> list[float]:
        """Whether each is a repetition; NaN where there is none."""
        found: list[float] = []
        for label in column:
            if label is None:
                found.append(np.nan)
                continue
            self._count += 1
            found.append(1.0 if self._count - self._last.get(label, -REPETITION_RECORDS) <= REPETITION_RECORDS else 0.0)
            self._last[label] = self._count
        if len(self._last) > 4 * REPETITION_RECORDS:
            self._last = self._recent()
        return found

    def dump(self) -> list[list[Any]]:
        return [[label, self._count - place] for label, place in self._recent().items()]

    def load(self, state: list[list[Any]]) -> None:
        self._count = REPETITION_RECORDS
        self._last = {label: self._count - ago for label, ago in state}

    def _recent(self) -> dict[str, int]:
        """Those that the next output can repeat, the oldest first."""
        recent = [pair for pair in self._last.items() if self._count - pair[1] < REPETITION_RECORDS]
        return dict(sorted(recent, key=lambda pair: pair[1]))


class _Labels:
    """Which label of a category is usual, and which were ever seen."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._known: set[str] = set()
        self._usual: str | None = None
        self._too_many = False
        self._is_followed = False

    def settle(self, shares: dict[str, float], labels_max: int) -> None:
        self._usual = max(shares, key=lambda label: (shares[label], label))
        self._known = set(shares)
        self._counts.clear()
        # A label may be called other, too.
        self._too_many = LabelCounts.OTHER in shares and len(shares) > labels_max
        self._is_followed = True

    def tell(self, column: Sequence[Label], labels_max: int) -> tuple[list[float], list[float]]:
        """Whether each label is the usual one, and whether it is new; NaN where there is none, or nothing is known."""
        start = 0 if self._usual is not None else self._settle_by(column, labels_max)
        nothing = [np.nan] * len(column)
        if start == len(column) or self._too_many:
            return nothing, nothing
        told = column if not start else [None] * start + list(column[start:])
        unknown = set(told) - self._known
        unknown.discard(None)
        end = len(column)
        new = [np.nan if label is None else 0.0 for label in told]
        if unknown:
            end = self._find_new(told, unknown, new, labels_max)
        usual = [np.nan if label is None else 1.0 if label == self._usual else 0.0 for label in told]
        return usual[:end] + nothing[end:], new[:end] + nothing[end:]

    def _find_new(self, column: Sequence[Label], unknown: set[Label], new: list[float], labels_max: int) -> int:
        """Mark labels that are unknown; the row from which on there are too many to tell."""
        for row, label in enumerate(column):
            if label not in unknown:
                continue
            new[row] = 1.0
            if not self._is_followed:
                unknown.discard(label)
                if self._know({label or ""}, labels_max):
                    return row
        return len(column)

    def _know(self, labels: set[str], labels_max: int) -> bool:
        """Know more labels; whether there are too many now."""
        self._known |= labels
        self._too_many = len(self._known) > labels_max
        if self._too_many:
            self._known.clear()
        return self._too_many

    def _settle_by(self, column: Sequence[Label], labels_max: int) -> int:
        """The rows that it still takes to settle what is usual."""
        for row, label in enumerate(column):
            if label is None:
                continue
            self._counts[label] += 1
            if self._counts.total() >= SETTLING_RECORDS:
                self._know(set(self._counts), labels_max)
                self._usual = max(self._counts, key=lambda each: (self._counts[each], each))
                self._counts.clear()
                return row + 1
        return len(column)

    def dump(self) -> dict[str, Any]:
        return {
            "counts": dict(sorted(self._counts.items())),
            "known": sorted(self._known),
            "usual": self._usual,
            "too_many": self._too_many,
            "is_followed": self._is_followed,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._counts, self._known = Counter(state["counts"]), set(state["known"])
        self._usual, self._too_many, self._is_followed = state["usual"], state["too_many"], state["is_followed"]
