"""Silences of subjects: missing records that the baseline does not explain. Live silences are detected on ticks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import PackedBaseline
from pipeline.detect.findings.finding import Finding
from pipeline.detect.findings.silence_rule import SilenceDue, SilenceRule, longest_s
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Signal, catalogue, channels
from pipeline.wording import duration, number
from schemas.baseline import Baseline
from schemas.drift import DriftState, Tier

SIGNAL = next(signal for signal in catalogue.EVENTS if signal.name == "silence")

_CAPPED: dict[str, Tier] = {"tickets": "ticket", "cause": "cause"}
"""Tier of each silence if a rule allows no page."""


class _OpenSilence(NamedTuple):
    """A drift of the current silence: its tier, the time at which it was detected, and how long a silence may last."""

    tier: Tier
    detected_at: int
    after_s: float


@dataclass(slots=True)
class SilenceTracker:
    """Tracker of the silences of a stream. Times are event times in Unix milliseconds.

    A silence that is first a ticket and then a page has a drift for each. Both end with it, and are one incident.

    Attributes
    ----------
    since
        Time of the last record while the stream is silent, or 0 otherwise.
    version
        Version of the baseline when the silence was detected. Another baseline may be in use when the silence ends.
    is_paused
        True from a gap in the messages to the next record. In between, missing records do not count as silence.
    silent_ms
        Wall-clock milliseconds without a record, or None before the first tick after a record.
    rule
        When a silence is found. None without a baseline, and while the stream is packed.
    """

    since: int = 0
    version: str = ""
    is_paused: bool = False
    silent_ms: int | None = None
    rule: SilenceRule | None = None
    _signal: Signal = SIGNAL
    _open: list[_OpenSilence] = field(default_factory=list)
    _due: tuple[int, SilenceDue] | None = None

    def restart(self) -> None:
        """Restart the measurement of the silence, because a record has arrived."""
        self.is_paused = False
        self.silent_ms = self._due = None

    def follow(self, baseline: Baseline, settings: DetectSettings) -> float:
        """Use the rule of a baseline. Return the seconds without a record before which no silence is found."""
        self._signal = channels.configure_event(SIGNAL, baseline.subject, settings)
        self.rule, self._due = SilenceRule.from_baseline(baseline, settings), None
        return self.rule.least_s

    @staticmethod
    def least_s(baseline: PackedBaseline, settings: DetectSettings) -> float:
        """Return seconds without a record before which no silence is found, without reading the baseline."""
        if baseline.has_hours:
            return settings.silence_min_s
        return longest_s(baseline.longest_gap_s, baseline.quietest_per_s, settings)

    def advance(self, elapsed_ms: int) -> int:
        """Count wall-clock time without a record, and return the milliseconds since the last record."""
        # The first call after a record is not counted, because part of its interval precedes the record.
        self.silent_ms = 0 if self.silent_ms is None else self.silent_ms + elapsed_ms
        return self.silent_ms

    def may_report(self, silent_ms: int) -> bool:
        """Return whether a silence of this length may cause a finding that has not been reported."""
        if self.is_paused or self._has_highest:
            return False
        if self._due is None:
            return True
        from_ms, due = self._due
        return from_ms + silent_ms >= (due.page_ms if self.since else due.first_ms)

    def find_due(
        self, last_ms: int, from_ms: int, count_requests: Callable[[], float], *, shift_max_ms: int = 0
    ) -> SilenceDue | None:
        """Return when a silence is found, or None without a baseline.

        Parameters
        ----------
        last_ms, from_ms
            Time of the last record, and time from which the silence is measured.
        count_requests
            Returns the requests of the hour up to the last record.
        shift_max_ms
            Milliseconds by which ``from_ms`` may differ from that of the call before without a new computation.
        """
        if self.rule is None:
            return None
        if self._due is None or abs(self._due[0] - from_ms) > shift_max_ms:
            self._due = from_ms, self.rule.find_due(last_ms, from_ms, count_requests())
        return self._due[1]

    def rule_due(self, last_ms: int, requests: float) -> SilenceDue | None:
        """Return when a silence after a record is found, without storing it. See :meth:`SilenceRule.find_due`."""
        return None if self.rule is None else self.rule.find_due(last_ms, last_ms, requests)

    def report(
        self, due: SilenceDue, *, last_ms: int, from_ms: int, reached_ms: int, version: str, now_ms: int | None = None
    ) -> list[tuple[int, Finding]]:
        """Report a silence that has reached a time, once per tier. Return each finding with the time at which it was due.

        Parameters
        ----------
        last_ms, from_ms
            Time of the last record, and time from which the silence is measured.
        version
            Version of the baseline.
        now_ms
            Time of detection. If None, it is the time at which the silence was due.
        """
        found: list[tuple[int, Finding]] = []
        steps: list[tuple[Tier, int | None, float]] = [
            ("ticket", due.ticket_ms, due.ticket_requests),
            ("page", due.page_ms, due.page_requests),
        ]
        for tier, due_ms, requests in steps:
            if due_ms is None or reached_ms < due_ms or self._has_highest or (tier == "ticket" and self.since):
                continue
            if not self.since:
                self.since, self.version = last_ms, version
            at_ms = max(due_ms if now_ms is None else now_ms, last_ms)
            opened = _OpenSilence(_CAPPED.get(self._signal.role, tier), at_ms, (due_ms - from_ms) / 1000)
            self._open.append(opened)
            found.append((due_ms, self._finding(opened, "firing", at_ms, requests)))
        return found

    def find_silences(
        self,
        pane_before: int | None,
        panes: NDArray[np.int64],
        after_s: float | None,
        version: str,
        find_due: Callable[[int], SilenceDue | None],
    ) -> list[Finding]:
        """Return the findings for silences between the records of a block, and for a silence that the records end.

        Parameters
        ----------
        after_s
            Seconds before which no silence is found. None without a baseline.
        find_due
            Returns when a silence is found, from the time of its last record.
        """
        if pane_before is None or after_s is None:
            return []
        if not self.since and int(np.diff(panes, prepend=pane_before).max()) * PANE_MS < after_s * 1000:
            return []
        findings: list[Finding] = []
        before_ms = pane_before * PANE_MS
        for pane_ms in (panes * PANE_MS).tolist():
            if pane_ms - before_ms >= after_s * 1000 and not self.since:
                due = find_due(before_ms)
                if due is not None:
                    reported = self.report(
                        due, last_ms=before_ms, from_ms=before_ms, reached_ms=pane_ms, version=version
                    )
                    findings += [finding for _, finding in reported]
            # A block can start with records from before the silence, which were buffered when the silence was reported.
            if self.since and pane_ms > self.since:
                findings += self.end(pane_ms)
            before_ms = pane_ms
        return findings

    def excludes(self, pane_before: int, first_pane: int, last_pane: int, after_s: float | None) -> bool:
        """Return whether the records of a block cannot end a silence, and no silence can be between them."""
        longest_ms = (last_pane - min(first_pane, pane_before)) * PANE_MS
        return after_s is None or (not self.since and longest_ms < after_s * 1000)

    def end(self, at_ms: int) -> list[Finding]:
        """End the silence with a record, and return its findings."""
        findings = [self._finding(opened, "recovered", max(at_ms, opened.detected_at)) for opened in self._open]
        self.since = 0
        self._open = []
        return findings

    def dump(self) -> list[Any]:
        """Return the state."""
        first_at = self._open[0].detected_at if self._open else 0
        return [self.since, first_at, self.version, self.is_paused, [list(opened) for opened in self._open]]

    def load(self, state: list[Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self.since, detected_at, self.version, *rest = state
        self.is_paused = bool(rest and rest[0])
        # Before format 9, each silence was one page.
        older = [("page", detected_at, (detected_at - self.since) / 1000)] if self.since else []
        self._open = [_OpenSilence(*opened) for opened in (rest[1] if len(rest) > 1 else older)]
        self._due = None

    @property
    def _has_highest(self) -> bool:
        """Whether the silence has a drift of the highest tier, or a rule allows none."""
        if self._signal.role == "off":
            return True
        return bool(self._open) and (self._open[-1].tier == "page" or self._signal.role != "pages")

    def _finding(self, opened: _OpenSilence, state: DriftState, at_ms: int, requests: float = 0.0) -> Finding:
        seconds = (at_ms - self.since) / 1000
        return Finding(
            signal=self._signal,
            channel="silence",
            side="up",
            tier=opened.tier,
            detector="silence",
            state=state,
            sequence=0 if state == "firing" else 1,
            started_at=self.since,
            detected_at=opened.detected_at,
            updated_at=at_ms,
            request_id=None,
            normal=0.0,
            now=1.0 if state == "firing" else 0.0,
            effect=seconds / opened.after_s if opened.after_s else 1.0,
            effect_kind="ratio",
            records=0,
            evidence=seconds,
            threshold=opened.after_s,
            sentence=(
                _describe(seconds, opened, requests, is_capped=self._signal.role != "pages")
                if state == "firing"
                else f"records resumed after {duration(seconds)}"
            ),
        )


def _describe(seconds: float, opened: _OpenSilence, requests: float, *, is_capped: bool) -> str:
    if not requests:
        return f"no records for {duration(seconds)}, unusual after {duration(opened.after_s)}; {opened.tier}"
    typical = f"in which about {number(requests)} requests are typical"
    reason = ", because it began in a quiet time" if opened.tier == "ticket" and not is_capped else ""
    return f"no records for {duration(seconds)}, {typical}; {opened.tier}{reason}"
