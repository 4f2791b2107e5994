"""Derived signals: what no single record says, told record by record, so that all else treats it as any other signal."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.catalogue import SIGNALS
from pipeline.detect.embeddings import Embeddings
from pipeline.detect.fields import Fields, Label
from pipeline.detect.settings import DetectSettings
from pipeline.detect.throughput import Throughput
from schemas.baseline import Baseline

REPETITION_RECORDS = 64
"""Outputs among which an equal one makes an output a repetition."""

SETTLING_RECORDS = 200
"""Records that carry a label until it is settled which one is the usual."""

WATCHED_CATEGORIES = ("finish_reason", "error_type")
"""The categories of which every record tells whether it has the usual label, or one never seen."""

FINGERPRINT = "fingerprint"

_PLACES = {row.name: place for place, row in enumerate(SIGNALS)}


class Derived:
    """What a unit's records say together with those before them.

    - ``repeated``: whether an output's fingerprint is among those of the 64 outputs before it.
    - ``finish_reason_usual`` and ``error_type_usual``: whether the label is the usual one, ``.._new`` whether it was
      never seen. Which is usual is settled by the first 200, or by a baseline; what was ever seen, likewise.
    - ``embedding_similarity``: see ``pipeline/detect/embeddings.py``.
    - ``throughput_ratio``: see ``pipeline/detect/throughput.py``.

    Parameters
    ----------
    settings
        The limit on labels of a category: of one with more, nothing is told.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self._labels_max = settings.categories_max
        self._fingerprints: list[str] = []
        self._mixes: dict[str, _Labels] = {name: _Labels() for name in WATCHED_CATEGORIES}
        self.embeddings = Embeddings()
        self.throughput = Throughput()

    def fill(self, values: NDArray[np.float64], fields: Fields, panes: NDArray[np.int64]) -> None:
        """Write the derived signals of records into their columns.

        Parameters
        ----------
        values
            Shape ``(R, WIDTH)``, in the catalogue's order.
        fields, panes
            Of the same records, in the order of arrival.
        """
        fingerprints = fields.labels.get(FINGERPRINT)
        if fingerprints is not None:
            values[:, _PLACES["repeated"]] = self._repeated(fingerprints)
        for name, labels in self._mixes.items():
            column = fields.labels.get(name)
            if column is not None:
                usual, new = labels.tell(column, self._labels_max)
                values[:, _PLACES[f"{name}_usual"]] = usual
                values[:, _PLACES[f"{name}_new"]] = new
        if fields.embeddings is not None:
            values[:, _PLACES["embedding_similarity"]] = self.embeddings.similarities(fields.embeddings)
        self.throughput.fill(values[:, _PLACES["throughput_ratio"]], panes, fields.first)

    def follow(self, baseline: Baseline) -> None:
        """Let a baseline say what is usual and what was seen."""
        for name, labels in self._mixes.items():
            signal = baseline.signals.get(name)
            if signal is not None and signal.shares:
                labels.settle(signal.shares)
        if baseline.centroid is not None:
            self.embeddings.follow(baseline.centroid)

    def dump(self) -> dict[str, Any]:
        """What :meth:`load` needs to go on as if nothing had happened."""
        return {
            "fingerprints": list(self._fingerprints),
            "mixes": {name: labels.dump() for name, labels in self._mixes.items()},
            "embeddings": self.embeddings.dump(),
            "throughput": self.throughput.dump(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._fingerprints = list(state["fingerprints"])
        for name, labels in self._mixes.items():
            labels.load(state["mixes"][name])
        self.embeddings.load(state["embeddings"])
        self.throughput.load(state["throughput"])

    def _repeated(self, fingerprints: Sequence[Label]) -> NDArray[np.float64]:
        last = {label: place for place, label in enumerate(self._fingerprints)}
        own = len(self._fingerprints)
        found: list[float] = []
        for label in fingerprints:
            if label is None:
                found.append(np.nan)
                continue
            place = last.get(label)
            found.append(1.0 if place is not None and own - place <= REPETITION_RECORDS else 0.0)
            last[label] = own
            own += 1
        known = [label for label in fingerprints if label is not None]
        self._fingerprints = [*self._fingerprints, *known][-REPETITION_RECORDS:]
        return np.array(found)


class _Labels:
    """Which label of a category is usual, and which were ever seen."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._known: set[str] = set()
        self._usual: str | None = None
        self._too_many = False
        self._is_followed = False

    def settle(self, shares: dict[str, float]) -> None:
        self._usual = max(shares, key=lambda label: (shares[label], label))
        self._known = set(shares)
        self._counts.clear()
        self._too_many, self._is_followed = False, True

    def tell(self, column: Sequence[Label], labels_max: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Whether each label is the usual one, and whether it is new; NaN where there is none, or nothing is known."""
        start = self._settle_by(column)
        nothing = np.full(len(column), np.nan)
        if start == len(column) or self._too_many:
            return nothing, nothing
        absent = np.array([label is None for label in column], dtype=bool)
        absent[:start] = True
        usual = np.array([label == self._usual for label in column], dtype=np.float64)
        new = np.zeros(len(column))
        unknown = set(column[start:]) - self._known - {None}
        if unknown:
            for row, label in enumerate(column):
                if row >= start and label in unknown:
                    new[row] = 1.0
                    if not self._is_followed:
                        unknown.discard(label)
                        self._known.add(label or "")
            self._too_many = len(self._known) > labels_max
        usual[absent] = new[absent] = np.nan
        return usual, new

    def _settle_by(self, column: Sequence[Label]) -> int:
        """The rows that it still takes to settle what is usual."""
        if self._usual is not None:
            return 0
        for row, label in enumerate(column):
            if label is None:
                continue
            self._counts[label] += 1
            if self._counts.total() >= SETTLING_RECORDS:
                self._known = set(self._counts)
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
