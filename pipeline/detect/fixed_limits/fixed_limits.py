"""The fixed limits of one stream. They cost nothing if no rule for its subject contains a limit."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.detect.admission import Records
from pipeline.detect.blocks import SignalColumns
from pipeline.detect.findings import Finding
from pipeline.detect.fixed_limits.fixed_limit import FixedLimit
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signal_rule import ValueLimit, find_applied_keys
from pipeline.detect.signals import PANE_MS, Signal, channels
from schemas.drift import MINUTE_MS, Tier

_LOWER_TIERS: dict[str, tuple[Tier, ...]] = {
    "page": ("page", "ticket"),
    "ticket": ("ticket",),
    "cause": ("cause",),
    "off": (),
}


class FixedLimits:
    """The fixed limits of one stream, with or without a baseline.

    Parameters
    ----------
    subject
        The subject of the stream.
    settings
        The rules, and the times at which a breach is published again.
    """

    def __init__(self, subject: str, settings: DetectSettings) -> None:
        self._subject, self._settings = subject, settings
        self._is_configured = any(rule.limits and rule.subjects.match(subject) for rule in settings.signals)
        self._limits: list[tuple[int, Signal, FixedLimit]] = []
        self._known_count = 0
        self._restored: list[dict[str, Any]] = []

    @property
    def is_open(self) -> bool:
        """Whether a limit is broken."""
        return any(limit.is_open for _, _, limit in self._limits) or any(state["open"] for state in self._restored)

    def observe(self, records: Records, columns: SignalColumns, *, is_sampled: bool = False) -> list[Finding]:
        """Compare the records of a block with the limits. Return the findings.

        Parameters
        ----------
        columns
            The columns of the stream, with all signals of the block.
        is_sampled
            Whether the records are sampled by outcome. Signals that depend on the outcome are then not compared.
        """
        if not self._is_configured and not self._restored:
            return []
        self._add_signals(columns.signals, columns.sources)
        findings = self._end_removed(int(records.panes[0]) * PANE_MS)
        if not self._limits:
            return findings
        minutes = records.panes * PANE_MS // MINUTE_MS
        starts = np.flatnonzero(np.diff(minutes, prepend=minutes[0] - 1)).tolist()
        for start, end in zip(starts, [*starts[1:], minutes.size], strict=True):
            minute = int(minutes[start])
            for source, signal, limit in self._limits:
                findings += limit.reach(minute)
                if is_sampled and channels.depends_on_outcome(signal):
                    limit.clear()
                    continue
                values = _find_values(records, source, start, end)
                if values.size:
                    limit.add(minute, values)
        return findings

    def reset(self) -> None:
        """Start all windows again after a gap in the records. Breaches stay open."""
        for _, _, limit in self._limits:
            limit.clear()
        for state in self._restored:
            state["window"] = []

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {"limits": [limit.dump() for _, _, limit in self._limits] + self._restored}

    def load(self, state: dict[str, Any] | None) -> None:
        """Restore the state. Checkpoints of formats before 9 do not contain it."""
        self._restored = [] if state is None else list(state["limits"])

    def _add_signals(self, signals: Sequence[Signal], sources: Sequence[int]) -> None:
        """Add the limits of signals that were carried for the first time."""
        for index in range(self._known_count, len(signals)):
            signal = channels.configure_signal(signals[index], self._subject, self._settings)
            for limit, tier in find_limits(signal, self._subject, self._settings):
                fixed = FixedLimit(signal, limit, tier, self._settings.evidence_after_s)
                for state in self._restored:
                    if state["key"] == fixed.key:
                        fixed.load(state)
                        self._restored.remove(state)
                        break
                self._limits.append((sources[index], signal, fixed))
        self._known_count = len(signals)

    def _end_removed(self, now_ms: int) -> list[Finding]:
        """End the breaches of limits that are no longer configured."""
        restored, self._restored = self._restored, []
        findings: list[Finding] = []
        for state in restored:
            name, statistic, side, tier, value, over_s = state["key"]
            signal = channels.find_signal(name, state["kind"], self._subject, self._settings)
            if signal is not None and state["open"] is not None:
                bound = {"above" if side == "up" else "below": value}
                limit = ValueLimit(statistic=statistic, over_s=over_s, **bound)
                removed = FixedLimit(signal, limit, tier, ())
                removed.load({**state, "window": []})
                findings += removed.end(now_ms)
        return findings


def find_limits(signal: Signal, subject: str, settings: DetectSettings) -> list[tuple[ValueLimit, Tier]]:
    """Return the limits of a signal of a subject, each with its tier, which is at most the one that a rule allows.

    A rate has no percentiles.

    >>> from pipeline.detect.signal_rule import SignalRule
    >>> from pipeline.detect.signals import catalogue
    >>> rule = SignalRule(signal="latency_ms", at_most="ticket", limits=[ValueLimit(statistic="p95", above=5000)])
    >>> [(str(limit), tier) for limit, tier in find_limits(catalogue.SIGNALS[0], "bot", DetectSettings(signals=[rule]))]
    [('p95 above 5000', 'ticket')]
    """
    applied = {key: value for _, key, value in find_applied_keys(settings.signals, subject, signal.name)}
    tiers = _LOWER_TIERS[applied.get("at_most", "page")]
    if not tiers:
        return []
    return [
        (limit, limit.tier if limit.tier in tiers else tiers[0])
        for limit in applied.get("limits", ())
        if limit.statistic == "mean" or signal.kind != "rate"
    ]


def _find_values(records: Records, source: int, start: int, end: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return the finite values of a column in a range of rows, shape ``(N,)``."""
    if source < Records.WIDTH:
        column = records.values[start:end, source]
    elif source - Records.WIDTH < records.custom_values.shape[1]:
        column = records.custom_values[start:end, source - Records.WIDTH]
    else:
        return np.zeros(0)
    return column[np.isfinite(column)]
