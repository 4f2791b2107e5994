"""The latch: what is remembered of a side that fired, until it recovers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.findings.finding import Detector
from pipeline.detect.signals import PANE_MS


@dataclass(slots=True)
class Latch:
    """One side that fired. Times are Unix ms.

    Attributes
    ----------
    evidence
        That of the firing.
    sequence
        Messages sent of this drift.
    due
        Times that its evidence was sent again, or skipped.
    records
        Records with the signal since ``started_at``.
    recent
        Records with the signal since the last message, and the sum of its channel.
    dimension, label
        Of a segment's side, which value of what; empty for the whole subject.
    quiet
        Whether nothing is said of it, because the same is said of the whole subject.
    demote
        Whether its side has paged too often to page on.
    """

    side: int
    detector: Detector
    started_at: int
    detected_at: int
    pane: int
    request_id: str | None
    evidence: float
    records: int
    sequence: int = 0
    due: int = 0
    recent: list[float] = field(default_factory=lambda: [0.0, 0.0])
    dimension: str = ""
    label: str = ""
    quiet: bool = False
    demote: bool = False

    def add(self, tally: NDArray[np.float64]) -> None:
        """Count further records: shape ``(2,)``, as ``recent``."""
        self.records += int(tally[0])
        self.recent = [kept + new for kept, new in zip(self.recent, tally.tolist(), strict=True)]

    def next_due(self, pane: int, after_s: Sequence[float]) -> bool:
        """Whether, at a pane, its evidence is to be sent again: a next time has come, and records since the last message.

        It is asked once a block, and counts the times that have come.
        """
        due = sum((pane - self.pane) * PANE_MS / 1000 >= each for each in after_s)
        if due <= self.due or self.recent[0] < 1:
            return False
        self.due = due
        return True

    def mark_sent(self) -> None:
        """A message of it has been sent."""
        self.sequence += 1
        self.recent = [0.0, 0.0]

    def dump(self) -> dict[str, Any]:
        """The state, as plain values."""
        return asdict(self)
