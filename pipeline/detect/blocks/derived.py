"""Derived signals. They are computed from a record and earlier records, and monitored like any other signal."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.detect.admission import Records
from pipeline.detect.blocks.embeddings import EmbeddingSimilarity
from pipeline.detect.blocks.spend import SpendRatio
from pipeline.detect.blocks.throughput import ThroughputRatio, request_weights
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import LabelCounts, catalogue
from pipeline.detect.traffic import RequestCounts
from schemas.baseline import Baseline

REPETITION_RECORDS = 64
"""Number of preceding outputs. An output that is equal to one of them is a repetition."""

SETTLING_RECORDS = 200
"""Number of labelled records after which the usual label of a category is fixed."""

WATCHED_CATEGORIES = ("finish_reason", "error_type")
"""Categories that have a signal for the usual label and a signal for new labels."""

FINGERPRINT = "fingerprint"

_RETRIES = catalogue.SIGNAL_INDEX["retries"]


class DerivedSignals:
    """Derived signals of one stream.

    - ``repeated``: whether an output has the same fingerprint as one of the 64 outputs before it.
    - ``finish_reason_usual`` and ``error_type_usual``: whether the label is the usual label. ``finish_reason_new`` and
      ``error_type_new``: whether the label is new. The first 200 records, or a baseline, determine the usual label and
      the known labels.
    - ``retried``: whether a request needed a retry. Most requests need none, so the rank of ``retries`` hardly moves.
    - ``embedding_similarity``: see ``pipeline/detect/blocks/embeddings.py``.
    - ``throughput_ratio``: see ``pipeline/detect/blocks/throughput.py``.
    - ``spend_ratio``: see ``pipeline/detect/blocks/spend.py``.

    Parameters
    ----------
    settings
        ``categories_max`` limits the labels of a category. A category with more labels has no derived signals.

    Attributes
    ----------
    requests
        The requests per minute.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self._labels_max = settings.categories_max
        self._repetitions = _Repetitions()
        self._categories: dict[str, _Category] = {name: _Category() for name in WATCHED_CATEGORIES}
        self.embeddings = EmbeddingSimilarity()
        self.throughput, self.spend = ThroughputRatio(), SpendRatio()
        self.requests = RequestCounts()

    def fill(self, records: Records) -> None:
        """Write the derived signals of records to ``values``, and a fault for each unusable embedding to ``faults``.

        Parameters
        ----------
        records
            Records with panes, in order of arrival.
        """
        values, labels = records.values, records.labels
        fingerprints = labels.get(FINGERPRINT)
        if fingerprints is not None:
            values[:, catalogue.SIGNAL_INDEX["repeated"]] = self._repetitions.find(fingerprints)
        for name, category in self._categories.items():
            column = labels.get(name)
            if column is not None:
                usual, new = category.compare(column, self._labels_max)
                values[:, catalogue.SIGNAL_INDEX[f"{name}_usual"]] = usual
                values[:, catalogue.SIGNAL_INDEX[f"{name}_new"]] = new
        if records.embeddings is not None:
            similarities, unused = self.embeddings.compare(records.embeddings)
            values[:, catalogue.SIGNAL_INDEX["embedding_similarity"]] = similarities
            if unused:
                faults = ((row, "data.embedding", reason) for row, reason in unused.items())
                records.faults = sorted([*records.faults, *faults])
        if records.may_carry(_RETRIES):
            retries = values[:, _RETRIES]
            is_known = ~np.isnan(retries)
            values[is_known, catalogue.SIGNAL_INDEX["retried"]] = retries[is_known] > 0.0
        weights = request_weights(records)
        self.throughput.fill(records, weights)
        self.spend.fill(records, weights)
        self.requests.add(records.panes, records.is_request, weights)

    def apply_baseline(self, baseline: Baseline) -> None:
        """Use the usual labels, the known labels and the centroid of a baseline."""
        for name, category in self._categories.items():
            signal = baseline.signals.get(name)
            if signal is not None and signal.shares:
                category.apply_shares(signal.shares, self._labels_max)
        if baseline.centroid is not None:
            self.embeddings.apply_centroid(baseline.centroid)

    def restart_rates(self) -> None:
        """Forget the rates of requests and spend, because records before the next record are missing."""
        self.throughput, self.spend = ThroughputRatio(), SpendRatio()
        self.requests = RequestCounts()

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {
            "fingerprints": self._repetitions.dump(),
            "labels_max": self._labels_max,
            "categories": {name: category.dump() for name, category in self._categories.items()},
            "embeddings": self.embeddings.dump(),
            "throughput": self.throughput.dump(),
            "spend": self.spend.dump(),
            "requests": self.requests.dump(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the signals."""
        self._repetitions.load(state["fingerprints"])
        labels_max_before = state.get("labels_max", self._labels_max)
        for name, category in self._categories.items():
            category.load(state["categories"][name])
            category.apply_limit(self._labels_max, labels_max_before)
        self.embeddings.load(state["embeddings"])
        self.throughput.load(state["throughput"])
        if "spend" in state:  # Checkpoints of formats before 7 do not contain it.
            self.spend.load(state["spend"])
        if "requests" in state:  # Checkpoints of formats before 9 do not contain it.
            self.requests.load(state["requests"])


class _Repetitions:
    """The fingerprints of the latest outputs of a stream."""

    def __init__(self) -> None:
        self._count = 0
        self._last_index: dict[str, int] = {}

    def find(self, fingerprints: Sequence[str | None]) -> list[float]:
        """Return whether each output is a repetition, with NaN where there is no fingerprint."""
        is_repetition: list[float] = []
        for fingerprint in fingerprints:
            if fingerprint is None:
                is_repetition.append(np.nan)
                continue
            self._count += 1
            distance = self._count - self._last_index.get(fingerprint, -REPETITION_RECORDS)
            is_repetition.append(1.0 if distance <= REPETITION_RECORDS else 0.0)
            self._last_index[fingerprint] = self._count
        if len(self._last_index) > 4 * REPETITION_RECORDS:
            self._last_index = self._recent()
        return is_repetition

    def dump(self) -> list[list[Any]]:
        return [[fingerprint, self._count - index] for fingerprint, index in self._recent().items()]

    def load(self, state: list[list[Any]]) -> None:
        self._count = REPETITION_RECORDS
        self._last_index = {fingerprint: self._count - distance for fingerprint, distance in state}

    def _recent(self) -> dict[str, int]:
        """Return the fingerprints that the next output can repeat, oldest first."""
        recent = [item for item in self._last_index.items() if self._count - item[1] < REPETITION_RECORDS]
        return dict(sorted(recent, key=lambda item: item[1]))


class _Category:
    """The usual label and the known labels of a category."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._known: set[str] = set()
        self._usual: str | None = None
        self._has_too_many = False
        self._has_baseline = False

    def apply_shares(self, shares: dict[str, float], labels_max: int) -> None:
        self._usual = max(shares, key=lambda label: (shares[label], label))
        self._known = set(shares)
        self._counts.clear()
        # Senders may use the label "other" too, so its presence alone does not mean that there are too many labels.
        self._has_too_many = LabelCounts.OTHER in shares and len(shares) > labels_max
        self._has_baseline = True

    def compare(self, column: Sequence[str | None], labels_max: int) -> tuple[list[float], list[float]]:
        """Return whether each label is the usual label and whether it is new, with NaN where this is unknown."""
        start = 0 if self._usual is not None else self._settle(column, labels_max)
        nothing = [np.nan] * len(column)
        if start == len(column) or self._has_too_many:
            return nothing, nothing
        labels = column if not start else [None] * start + list(column[start:])
        unknown = set(labels) - self._known
        unknown.discard(None)
        end = len(column)
        is_new = [np.nan if label is None else 0.0 for label in labels]
        if unknown:
            end = self._mark_new(labels, unknown, is_new, labels_max)
        is_usual = [np.nan if label is None else 1.0 if label == self._usual else 0.0 for label in labels]
        return is_usual[:end] + nothing[end:], is_new[:end] + nothing[end:]

    def _mark_new(
        self, labels: Sequence[str | None], unknown: set[str | None], is_new: list[float], labels_max: int
    ) -> int:
        """Mark unknown labels as new. Return the first row with too many labels, or the row count if there is none."""
        for row, label in enumerate(labels):
            if label not in unknown:
                continue
            is_new[row] = 1.0
            if not self._has_baseline:
                unknown.discard(label)
                self._add_known({label or ""}, labels_max)
                if self._has_too_many:
                    return row
        return len(labels)

    def _add_known(self, labels: set[str], labels_max: int) -> None:
        self._known |= labels
        self._has_too_many = len(self._known) > labels_max
        if self._has_too_many:
            self._known.clear()

    def _settle(self, column: Sequence[str | None], labels_max: int) -> int:
        """Count labels until the usual label is fixed. Return the number of rows that were needed."""
        for row, label in enumerate(column):
            if label is None:
                continue
            self._counts[label] += 1
            if self._counts.total() >= SETTLING_RECORDS:
                self._add_known(set(self._counts), labels_max)
                self._usual = max(self._counts, key=lambda label: (self._counts[label], label))
                self._counts.clear()
                return row + 1
        return len(column)

    def dump(self) -> dict[str, Any]:
        return {
            "counts": dict(sorted(self._counts.items())),
            "known": sorted(self._known),
            "usual": self._usual,
            "has_too_many": self._has_too_many,
            "has_baseline": self._has_baseline,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._counts, self._known, self._usual = Counter(state["counts"]), set(state["known"]), state["usual"]
        self._has_too_many, self._has_baseline = state["has_too_many"], state["has_baseline"]

    def apply_limit(self, labels_max: int, labels_max_before: int) -> None:
        """Apply another limit to restored labels.

        Under a higher limit, a category that had too many labels can settle again. A baseline lists the
        labels that were counted by name when it was learned, so its labels do not change.
        """
        if self._has_baseline:
            return
        if not self._has_too_many:
            self._add_known(set(), labels_max)
        elif labels_max > labels_max_before:
            self._usual, self._has_too_many = None, False
