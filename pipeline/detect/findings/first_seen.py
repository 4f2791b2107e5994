"""First seen: a version, provider model or schema that never served before. It is told once, and is no matter of chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.detect.findings.finding import Finding
from pipeline.detect.signals import Block, Signal, catalogue
from schemas.baseline import Baseline
from schemas.drift import Tier
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.timestamp import clock_time

RECORDS = 20
"""Records that carry a label until it is told: one odd record is none."""

LABELS_MAX = 64
"""Labels of a kind that are remembered; one that did not serve for a day makes room for another.

Of a kind with more in a day, such as a build number for each request, nothing is told any more. As many again may be on
the way to being told; of those the one first seen longest ago makes room.
"""

DAY_PANES = 86_400

KINDS_MAX = 16
"""Kinds that are remembered; of further ones nothing is told."""

TOGETHER_MS = 600_000
"""Milliseconds: a provider's model that appears so near to a version of one's own came with it."""

VERSIONS = next(signal for signal in catalogue.EVENTS if signal.name == "versions")
TOLD: dict[str, Signal] = {row.name: row for row in catalogue.CATEGORIES if row.name in ("provider_model", "schema_id")}


@dataclass(slots=True)
class _Pending:
    """A label on the way to being told."""

    records: int
    first_ms: int


class FirstSeen:
    """Remembers the labels of a unit, and tells of new ones once there is a baseline; before, all that is seen is known."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, int]] = {}
        self._too_many: set[str] = set()
        self._pending: dict[str, dict[str, _Pending]] = {}
        self._version_ms = -TOGETHER_MS
        self._tells = False

    def follow(self, baseline: Baseline) -> None:
        """Know what a baseline has seen, and tell of what is new from now on."""
        self._tells = True
        for kind in TOLD:
            signal = baseline.signals.get(kind)
            for label in sorted((signal and signal.shares) or ()):
                self._know(kind, label, 0)

    def observe(self, block: Block) -> list[Finding]:
        """Take one block; what was first seen in it, or before it and often enough now, if there is a baseline."""
        found: list[Finding] = []
        columns = {f"versions.{kind}": labels for kind, labels in block.versions.items()}
        columns |= {kind: block.categories[kind] for kind in TOLD if kind in block.categories}
        for kind, labels in columns.items():
            found += self._kind(kind, labels, block)
        return found

    def dump(self) -> dict[str, Any]:
        """What :meth:`load` needs."""
        return {
            "known": {kind: sorted(labels.items()) for kind, labels in self._known.items()},
            "too_many": sorted(self._too_many),
            "pending": {
                kind: {label: [each.records, each.first_ms] for label, each in labels.items()}
                for kind, labels in self._pending.items()
            },
            "version_ms": self._version_ms,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._known = {kind: dict(labels) for kind, labels in state["known"].items()}
        self._too_many = set(state["too_many"])
        self._pending = {
            kind: {label: _Pending(*each) for label, each in labels.items()}
            for kind, labels in state["pending"].items()
        }
        self._version_ms = state["version_ms"]

    def _know(self, kind: str, label: str, pane: int) -> None:
        """Remember that a label served at a pane; the baseline's are known to have served at some time."""
        if kind in self._too_many or (kind not in self._known and len(self._known) >= KINDS_MAX):
            return
        known = self._known.setdefault(kind, {})
        known[label] = max(pane, known.get(label, 0))
        if len(known) <= LABELS_MAX:
            return
        oldest = min(known, key=lambda each: (known[each], each))
        del known[oldest if pane - known[oldest] > DAY_PANES else label]
        if label not in known:
            self._too_many.add(kind)
            self._pending.pop(kind, None)
            known.clear()

    def _kind(self, kind: str, labels: Sequence[str | None], block: Block) -> list[Finding]:
        if kind in self._too_many:
            return []
        known, pane = self._known.get(kind, {}), int(block.panes[-1])
        served = [label for label in dict.fromkeys(labels) if label is not None]
        fresh = [label for label in served if label not in known]
        tells = self._tells and bool(known)
        for label in served:
            if label in known or not tells:
                self._know(kind, label, pane)
        if not tells or not fresh:
            return []
        pending = self._pending.setdefault(kind, {})
        found = []
        for label, rows in _rows_by_label(labels, fresh).items():
            if label not in pending:
                if len(pending) >= LABELS_MAX:
                    del pending[min(pending, key=lambda each: (pending[each].first_ms, each))]
                pending[label] = _Pending(0, int(block.times_ms[rows[0]]))
            before, pending[label].records = pending[label].records, pending[label].records + len(rows)
            if pending[label].records >= RECORDS:
                row = rows[RECORDS - before - 1]
                found.append(self._finding(kind, label, pending.pop(label), block, row))
                self._know(kind, label, pane)
        return found

    def _finding(self, kind: str, label: str, seen: _Pending, block: Block, row: int) -> Finding:
        name = kind.removeprefix("versions.")
        is_version = kind not in TOLD
        came_along = abs(seen.first_ms - self._version_ms) <= TOGETHER_MS
        if is_version:
            self._version_ms = seen.first_ms
        detected_at = max(int(block.times_ms[row]), seen.first_ms)
        tier: Tier = "cause" if is_version or (kind == "provider_model" and came_along) else "ticket"
        since = clock_time(seen.first_ms)
        return Finding(
            signal=VERSIONS if is_version else TOLD[kind],
            channel="first_seen",
            side="up",
            tier=tier,
            detector="first_seen",
            state="firing",
            sequence=0,
            started_at=seen.first_ms,
            detected_at=detected_at,
            updated_at=detected_at,
            request_id=block.request_ids[row],
            normal=0.0,
            now=1.0,
            effect=float(RECORDS),
            effect_kind="ratio",
            records=RECORDS,
            evidence=float(RECORDS),
            threshold=float(RECORDS),
            sentence=f"{name} {label} serves since {since} and was never seen before, {RECORDS} records; {tier}",
            segment=f"{name}={label}"[:SUBJECT_LENGTH_MAX],
        )


def _rows_by_label(labels: Sequence[str | None], wanted: Sequence[str]) -> dict[str, list[int]]:
    """In which rows each label that is wanted stands."""
    rows: dict[str, list[int]] = {label: [] for label in wanted}
    for row, label in enumerate(labels):
        if label in rows:
            rows[label].append(row)
    return rows
