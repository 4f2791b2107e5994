"""One limit of one signal of a stream: its window, and its drift from the breach to the recovery."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.findings import Finding
from pipeline.detect.fixed_limits.limit_window import LimitReading, LimitWindow
from pipeline.detect.settings import count_updates_due
from pipeline.detect.signal_rule import ValueLimit
from pipeline.detect.signals import Signal
from pipeline.wording import duration, quantity, record_count
from schemas.drift import MINUTE_MS, DriftState, Tier
from schemas.timestamp import LATEST_MS, clock_time


@dataclass(slots=True)
class _OpenBreach:
    """A breach that was found and has not ended. Times are Unix milliseconds.

    ``last_beyond`` is the newest minute at whose end the statistic was beyond the limit.
    """

    started_at: int
    detected_at: int
    last_beyond: int
    sequence: int = 0
    updates_due: int = 0


class FixedLimit:
    """A limit of a signal, evaluated at the end of every minute with records.

    The limit is broken once chance does not explain that the statistic is beyond it. The breach ends once the statistic
    has been within the limit for as long as the window, so it does not flap.

    Parameters
    ----------
    signal
        The signal, as the configuration describes it.
    limit, tier
        The limit, and the tier of its drifts.
    evidence_after_s
        Times after a breach at which it is published again.
    """

    def __init__(self, signal: Signal, limit: ValueLimit, tier: Tier, evidence_after_s: Sequence[float]) -> None:
        self._signal, self._limit, self._tier, self._evidence_after_s = signal, limit, tier, evidence_after_s
        self._window = LimitWindow(limit, is_rate=signal.kind == "rate")
        self._open: _OpenBreach | None = None

    @property
    def key(self) -> list[Any]:
        """What the state of the limit depends on."""
        limit = self._limit
        return [self._signal.name, limit.statistic, limit.side, self._tier, limit.value, limit.over_s]

    @property
    def is_open(self) -> bool:
        """Whether the limit is broken."""
        return self._open is not None

    def reach(self, minute: int) -> list[Finding]:
        """Evaluate the window, if it ended before a minute. Return the findings."""
        ended = self._window.newest
        if ended is None or minute <= ended:
            return []
        reading = self._window.read()
        if reading is None:
            return []
        end_ms = min((ended + 1) * MINUTE_MS, LATEST_MS)
        breach = self._open
        if breach is None:
            if not reading.is_clear:
                return []
            self._open = _OpenBreach(self._window.start_of_breach() * MINUTE_MS, end_ms, ended)
            return [self._finding(self._open, "firing", end_ms, reading)]
        if reading.is_beyond:
            breach.last_beyond = ended
        elif (ended - breach.last_beyond) * MINUTE_MS >= self._limit.over_s * 1000:
            self._open = None
            return [self._finding(breach, "recovered", end_ms, reading)]
        due = count_updates_due(end_ms - breach.detected_at, self._evidence_after_s)
        if due <= breach.updates_due:
            return []
        breach.updates_due = due
        return [self._finding(breach, "evidence", end_ms, reading)]

    def add(self, minute: int, values: NDArray[np.float64]) -> None:
        """Add finite values, shape ``(N,)``, of a minute that :meth:`reach` has reached."""
        self._window.add(minute, values)

    def end(self, at_ms: int) -> list[Finding]:
        """End the breach because the limit is no longer configured."""
        breach, self._open = self._open, None
        return [] if breach is None else [self._finding(breach, "recovered", at_ms, None)]

    def clear(self) -> None:
        """Remove the records after a gap. A breach stays open."""
        self._window.clear()

    def dump(self) -> dict[str, Any]:
        """Return the state with what it depends on."""
        breach = None if self._open is None else [getattr(self._open, field.name) for field in fields(_OpenBreach)]
        return {"key": self.key, "kind": self._signal.kind, "window": self._window.dump(), "open": breach}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self._window.load(state["window"])
        self._open = None if state["open"] is None else _OpenBreach(*state["open"])

    def _finding(self, breach: _OpenBreach, state: DriftState, at_ms: int, reading: LimitReading | None) -> Finding:
        is_rate, value = self._signal.kind == "rate", self._limit.value
        now = value if reading is None else reading.now
        finding = Finding(
            signal=self._signal,
            channel="limit_rate" if is_rate else f"limit_{self._limit.statistic}",
            side=self._limit.side,
            tier=self._tier,
            detector="limit",
            state=state,
            sequence=breach.sequence,
            started_at=breach.started_at,
            detected_at=breach.detected_at,
            updated_at=max(at_ms, breach.detected_at),
            request_id=None,
            normal=value,
            now=now,
            effect=now / value if value else 1.0,
            effect_kind="ratio",
            records=0 if reading is None else reading.records,
            evidence=0.0 if reading is None else reading.measured,
            threshold=value if reading is None else reading.allowed,
            sentence=self._describe(breach, state, at_ms, reading),
        )
        breach.sequence += 1
        return finding

    def _describe(self, breach: _OpenBreach, state: DriftState, at_ms: int, reading: LimitReading | None) -> str:
        signal, limit = self._signal, self._limit
        name = signal.name if signal.kind == "rate" else f"{limit.statistic} of {signal.name}"
        channel = "rate" if signal.kind == "rate" else "location"
        limit_text = quantity(limit.value, signal.unit, channel)
        if reading is None:
            return f"{name} has ended: its limit of {limit_text} is no longer configured"
        now = quantity(reading.now, signal.unit, channel)
        if state == "recovered":
            length = duration(max(0, at_ms - breach.started_at) / 1000)
            return f"{name} returned to {now} after {length}, within the limit of {limit_text}"
        where = f"{'still ' if state == 'evidence' else ''}{'above' if limit.side == 'up' else 'below'}"
        if not reading.is_beyond:
            where = f"back within the limit since a short time, was {'above' if limit.side == 'up' else 'below'}"
        since = f"since {clock_time(breach.started_at)}"
        return (
            f"{name} {now} is {where} the limit of {limit_text} {since}, {record_count(reading.records)}; {self._tier}"
        )
