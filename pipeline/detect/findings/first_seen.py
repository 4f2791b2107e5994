"""First-seen labels: versions, provider models and schemas that are new in a stream.

A label is reported once. This is not a statistical test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.detect.findings.finding import Finding
from pipeline.detect.signals import Block, Signal, catalogue
from schemas.baseline import Baseline
from schemas.drift import Tier
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.timestamp import clock_time

RECORDS_MIN = 20
"""Minimum number of records with a label before it is reported. A label with fewer records may be a mistake."""

DAY_PANES = 86_400

KINDS_MAX = 16
"""Maximum number of remembered kinds. Further kinds are not reported."""

SAME_CHANGE_MS = 600_000
"""Milliseconds within which a new provider model and a new version are attributed to the same change."""

VERSIONS = next(signal for signal in catalogue.EVENTS if signal.name == "versions")
REPORTED_CATEGORIES: dict[str, Signal] = {
    signal.name: signal for signal in catalogue.CATEGORIES if signal.name in ("provider_model", "schema_id")
}


@dataclass(slots=True)
class _Pending:
    """A label that does not have enough records yet."""

    records: int
    first_ms: int


class FirstSeen:
    """Tracker of the labels of a stream, which reports new labels.

    Without a baseline, every label is remembered and none is reported.

    Parameters
    ----------
    labels_max
        Maximum number of remembered labels per kind. A new label replaces a label that has not been seen for a day. A
        kind with more labels in a day, such as a build number per request, is no longer reported. The same number of
        labels can be pending. A new pending label replaces the oldest pending label.
    """

    def __init__(self, labels_max: int) -> None:
        self._labels_max = labels_max
        self._known: dict[str, dict[str, int]] = {}
        self._crowded_kinds: set[str] = set()
        self._pending: dict[str, dict[str, _Pending]] = {}
        self._last_version_ms = -SAME_CHANGE_MS
        self._has_baseline = False

    def follow(self, baseline: Baseline) -> None:
        """Remember the labels of a baseline, and start to report new labels."""
        self._has_baseline = True
        for kind in REPORTED_CATEGORIES:
            signal = baseline.signals.get(kind)
            for label in sorted((signal and signal.shares) or ()):
                self._remember(kind, label, 0)

    def observe(self, block: Block) -> list[Finding]:
        """Observe one block. Return a finding for each new label that now has enough records."""
        findings: list[Finding] = []
        columns = {f"versions.{kind}": labels for kind, labels in block.versions.items()}
        columns |= {kind: block.categories[kind] for kind in REPORTED_CATEGORIES if kind in block.categories}
        for kind, labels in columns.items():
            findings += self._observe_kind(kind, labels, block)
        return findings

    @staticmethod
    def distinct_labels(
        versions: Mapping[str, set[str | None]], categories: Mapping[str, Sequence[str | None]]
    ) -> dict[str, set[str | None]]:
        """Return the distinct labels of a block by kind, given its distinct versions and its categories."""
        labels = {f"versions.{kind}": distinct for kind, distinct in versions.items()}
        return labels | {kind: set(categories[kind]) for kind in REPORTED_CATEGORIES if kind in categories}

    def has_all(self, labels_by_kind: Mapping[str, set[str | None]], pane: int) -> bool:
        """Return whether all labels of a block up to a pane are known, so there is nothing to report or to count.

        The first labels of a kind are remembered, as :meth:`observe` does.
        """
        if not self._has_baseline:
            return False
        for kind, labels in labels_by_kind.items():
            known = self._known.get(kind)
            if not known:
                for label in labels:
                    if label is not None:
                        self._remember(kind, label, pane)
                known = self._known.get(kind)
            if not known or kind in self._crowded_kinds:
                return False
            for label in labels:
                if label is not None and label not in known:
                    return False
        return True

    def refresh(self, labels_by_kind: Mapping[str, set[str | None]], pane: int) -> None:
        """Remember that known labels were seen in a block that ends in a pane."""
        for kind, labels in labels_by_kind.items():
            known = self._known[kind]
            for label in labels:
                if label is not None and known[label] < pane:
                    known[label] = pane

    def count_labels(self) -> tuple[int, int]:
        """Return the largest number of remembered labels of a kind, and the number of kinds with too many labels."""
        return max(map(len, self._known.values()), default=0), len(self._crowded_kinds)

    def dump(self) -> dict[str, Any]:
        """Return the state without the flag for a baseline, which :meth:`follow` sets again."""
        return {
            "known": {kind: sorted(labels.items()) for kind, labels in self._known.items()},
            "crowded_kinds": sorted(self._crowded_kinds),
            "pending": {
                kind: {label: [pending.records, pending.first_ms] for label, pending in labels.items()}
                for kind, labels in self._pending.items()
            },
            "last_version_ms": self._last_version_ms,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self._known = {kind: dict(labels) for kind, labels in state["known"].items()}
        self._crowded_kinds = set(state["crowded_kinds"])
        self._pending = {
            kind: {label: _Pending(*pending) for label, pending in labels.items()}
            for kind, labels in state["pending"].items()
        }
        self._last_version_ms = state["last_version_ms"]

    def _remember(self, kind: str, label: str, pane: int) -> None:
        """Remember the pane in which a label was seen. Pass 0 for a label from the baseline."""
        if kind in self._crowded_kinds or (kind not in self._known and len(self._known) >= KINDS_MAX):
            return
        known = self._known.setdefault(kind, {})
        known[label] = max(pane, known.get(label, 0))
        if len(known) <= self._labels_max:
            return
        oldest = min(known, key=lambda known_label: (known[known_label], known_label))
        del known[oldest if pane - known[oldest] > DAY_PANES else label]
        if label not in known:
            self._crowded_kinds.add(kind)
            self._pending.pop(kind, None)
            known.clear()

    def _observe_kind(self, kind: str, labels: Sequence[str | None], block: Block) -> list[Finding]:
        if kind in self._crowded_kinds:
            return []
        known, pane = self._known.get(kind, {}), int(block.panes[-1])
        distinct = [label for label in dict.fromkeys(labels) if label is not None]
        new = [label for label in distinct if label not in known]
        reports_new = self._has_baseline and bool(known)
        for label in distinct:
            if label in known or not reports_new:
                self._remember(kind, label, pane)
        if not reports_new or not new:
            return []
        pending = self._pending.setdefault(kind, {})
        findings = []
        for label, rows in _rows_by_label(labels, new).items():
            if label not in pending:
                if len(pending) >= self._labels_max:
                    del pending[min(pending, key=lambda waiting: (pending[waiting].first_ms, waiting))]
                pending[label] = _Pending(0, int(block.times_ms[rows[0]]))
            records_before = pending[label].records
            pending[label].records += len(rows)
            if pending[label].records >= RECORDS_MIN:
                row = rows[RECORDS_MIN - records_before - 1]
                findings.append(self._finding(kind, label, pending.pop(label).first_ms, block, row))
                self._remember(kind, label, pane)
        return findings

    def _finding(self, kind: str, label: str, first_ms: int, block: Block, row: int) -> Finding:
        name = kind.removeprefix("versions.")
        is_version = kind not in REPORTED_CATEGORIES
        follows_version = abs(first_ms - self._last_version_ms) <= SAME_CHANGE_MS
        if is_version:
            self._last_version_ms = first_ms
        detected_at = max(int(block.times_ms[row]), first_ms)
        tier: Tier = "cause" if is_version or (kind == "provider_model" and follows_version) else "ticket"
        return Finding(
            signal=VERSIONS if is_version else REPORTED_CATEGORIES[kind],
            channel="first_seen",
            side="up",
            tier=tier,
            detector="first_seen",
            state="firing",
            sequence=0,
            started_at=first_ms,
            detected_at=detected_at,
            updated_at=detected_at,
            request_id=block.request_ids[row],
            normal=0.0,
            now=1.0,
            effect=float(RECORDS_MIN),
            effect_kind="ratio",
            records=RECORDS_MIN,
            evidence=float(RECORDS_MIN),
            threshold=float(RECORDS_MIN),
            sentence=f"{name} {label} was first seen at {clock_time(first_ms)}, {RECORDS_MIN} records; {tier}",
            segment=f"{name}={label}"[:SUBJECT_LENGTH_MAX],
        )


def _rows_by_label(labels: Sequence[str | None], wanted: Sequence[str]) -> dict[str, list[int]]:
    """Return the rows of each of the given labels."""
    rows: dict[str, list[int]] = {label: [] for label in wanted}
    for row, label in enumerate(labels):
        if label in rows:
            rows[label].append(row)
    return rows
