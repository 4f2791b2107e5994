"""Sampling by outcome: whether the outcome of a request decides if its record is kept.

Such sampling keeps errors and slow requests and only a share of the others. The mix of the records then depends on the
sampling as much as on the service.
"""

from typing import Any

from pipeline.detect.settings import DAY_S
from pipeline.detect.signals import PANE_MS, Block

UNMARKED_MS = DAY_S * 1000
"""Milliseconds of event time without a marked record after which a stream no longer counts as sampled."""


class OutcomeSampling:
    """Whether a stream is sampled by outcome: from its first marked block until a day without a marked record.

    A stream counts as sampled even if only some of its records are marked, because several services may send them.

    Attributes
    ----------
    since_ms, until_ms
        Event time of the first marked block, and event time at which the stream no longer counts as sampled unless
        another record is marked. Unix milliseconds, None while the stream is not sampled.
    """

    def __init__(self) -> None:
        self.since_ms: int | None = None
        self.until_ms: int | None = None

    @property
    def is_active(self) -> bool:
        """Whether the stream is sampled by outcome."""
        return self.since_ms is not None

    def update(self, block: Block) -> bool:
        """Observe one block. Return whether the stream is now sampled and was not before, or the reverse."""
        was_active, first_ms = self.is_active, int(block.panes[0]) * PANE_MS
        if self.until_ms is not None and first_ms >= self.until_ms:
            self.since_ms = self.until_ms = None
        if block.is_sampled:
            self.since_ms = first_ms if self.since_ms is None else self.since_ms
            self.until_ms = (int(block.panes[-1]) + 1) * PANE_MS + UNMARKED_MS
        return self.is_active != was_active

    def dump(self) -> dict[str, Any] | None:
        """Return the state for :meth:`load`; None while the stream is not sampled."""
        return {"since_ms": self.since_ms, "until_ms": self.until_ms} if self.is_active else None

    def load(self, state: dict[str, Any] | None) -> None:
        """Restore the state. Checkpoints of earlier versions do not contain it."""
        if state is not None:
            self.since_ms, self.until_ms = state["since_ms"], state["until_ms"]
