"""First seen: a version, provider model or schema that never served before. It is told once, and is no matter of chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.detect.block import Block
from pipeline.detect.catalogue import CATEGORIES, EVENTS, Signal
from pipeline.detect.finding import Finding
from schemas.baseline import Baseline
from schemas.drift import Tier
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.timestamp import format_timestamp

RECORDS = 20
"""Records that carry a label until it is told: one odd record is none."""

LABELS_MAX = 64
"""Labels of a kind that are remembered; of a kind with more, such as a build number for each request, nothing is told."""

KINDS_MAX = 16

TOGETHER_MS = 600_000
"""Milliseconds: a provider's model that appears so near to a version of one's own came with it."""

VERSIONS = next(signal for signal in EVENTS if signal.name == "versions")
TOLD: dict[str, Signal] = {row.name: row for row in CATEGORIES if row.name in ("provider_model", "schema_id")}


@dataclass(slots=True)
class _Pending:
    """A label on the way to being told."""

    records: int
    first_ms: int


class FirstSeen:
    """Remembers the labels of a unit, and tells of new ones once there is a baseline; before, all that is seen is known."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}
        self._pending: dict[str, dict[str, _Pending]] = {}
        self._version_ms = -TOGETHER_MS
        self._tells = False

    def follow(self, baseline: Baseline) -> None:
        """Know what a baseline has seen, and tell of what is new from now on."""
        self._tells = True
        for kind in TOLD:
            signal = baseline.signals.get(kind)
            for label in sorted((signal and signal.shares) or ()):
                self._know(kind, label)

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
            "known": {kind: list(labels) for kind, labels in self._known.items()},
            "pending": {
                kind: {label: [each.records, each.first_ms] for label, each in labels.items()}
                for kind, labels in self._pending.items()
            },
            "version_ms": self._version_ms,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self._known = {kind: list(labels) for kind, labels in state["known"].items()}
        self._pending = {
            kind: {label: _Pending(*each) for label, each in labels.items()}
            for kind, labels in state["pending"].items()
        }
        self._version_ms = state["version_ms"]

    def _know(self, kind: str, label: str) -> None:
        if kind not in self._known and len(self._known) >= KINDS_MAX:
            return
        known = self._known.setdefault(kind, [])
        if label not in known:
            known.append(label)
            if len(known) > LABELS_MAX:
                # One more than may be remembered says for ever that there were too many.
                del known[LABELS_MAX + 1 :]

    def _kind(self, kind: str, labels: Sequence[str | None], block: Block) -> list[Finding]:
        known = self._known.get(kind, [])
        if len(known) > LABELS_MAX:
            return []
        fresh = [label for label in dict.fromkeys(labels) if label is not None and label not in known]
        if not fresh:
            return []
        if not self._tells or not known:
            for label in fresh:
                self._know(kind, label)
            return []
        pending = self._pending.setdefault(kind, {})
        found = []
        for label in fresh:
            rows = [row for row, own in enumerate(labels) if own == label]
            if label not in pending:
                if len(pending) >= LABELS_MAX:
                    continue
                pending[label] = _Pending(0, int(block.times_ms[rows[0]]))
            before, pending[label].records = pending[label].records, pending[label].records + len(rows)
            if pending[label].records >= RECORDS:
                row = rows[RECORDS - before - 1]
                found.append(self._finding(kind, label, pending.pop(label), block, row))
                self._know(kind, label)
        return found

    def _finding(self, kind: str, label: str, seen: _Pending, block: Block, row: int) -> Finding:
        name = kind.removeprefix("versions.")
        is_version = kind not in TOLD
        came_along = abs(seen.first_ms - self._version_ms) <= TOGETHER_MS
        if is_version:
            self._version_ms = seen.first_ms
        detected_at = max(int(block.times_ms[row]), seen.first_ms)
        tier: Tier = "cause" if is_version or (kind == "provider_model" and came_along) else "ticket"
        since = format_timestamp(seen.first_ms)[11:19] + "Z"
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
