"""Silences of subjects, which must be much longer than any gap in the baseline. Silences are detected on ticks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.baselines import PackedBaseline
from pipeline.detect.findings.finding import Finding
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, catalogue
from pipeline.wording import duration
from schemas.baseline import Baseline
from schemas.drift import DriftState

LONGEST_GAPS = 3.0
"""Minimum length of a silence, as a multiple of the longest gap of the baseline."""

RECORDS_DUE = 28.0
"""Minimum number of records expected during a silence, at the baseline's lowest rate. With Poisson arrivals, this
number is the log evidence."""

SIGNAL = next(signal for signal in catalogue.EVENTS if signal.name == "silence")


@dataclass(slots=True)
class SilenceTracker:
    """Tracker of the silences of a stream. Times are event times in Unix milliseconds.

    Attributes
    ----------
    since
        Time of the last record while the stream is silent, or 0 otherwise.
    detected_at
        Time at which the silence was detected.
    version
        Version of the baseline at ``detected_at``. Another baseline may be in use when the silence ends.
    is_paused
        True from a gap in the messages to the next record. In between, missing records do not count as silence.
    """

    since: int = 0
    detected_at: int = 0
    version: str = ""
    is_paused: bool = False
    _silent_ms: int | None = None

    def restart(self) -> None:
        """Restart the measurement of the silence, because a record has arrived."""
        self.is_paused = False
        self._silent_ms = None

    def advance(self, elapsed_ms: int) -> int:
        """Count wall-clock time without a record, and return the milliseconds since the last record."""
        # The first call after a record is not counted, because part of its interval precedes the record.
        self._silent_ms = 0 if self._silent_ms is None else self._silent_ms + elapsed_ms
        return self._silent_ms

    @staticmethod
    def threshold_s(baseline: Baseline | PackedBaseline, settings: DetectSettings) -> float:
        """Return the number of seconds without a record after which a subject is silent."""
        due_s = RECORDS_DUE / baseline.quietest_per_s if baseline.quietest_per_s > 0 else 0.0
        return max(settings.silence_min_s, LONGEST_GAPS * baseline.longest_gap_s, due_s)

    def begin(self, last_record_ms: int, now_ms: int, after_s: float, version: str) -> Finding:
        """Begin a silence after the record at ``last_record_ms``, and return its finding."""
        self.since, self.detected_at, self.version = last_record_ms, now_ms, version
        return self._finding("firing", now_ms, after_s)

    def find_silences(
        self, pane_before: int | None, panes: NDArray[np.int64], after_s: float | None, version: str
    ) -> list[Finding]:
        """Return the findings for silences between the records of a block, and for a silence that the records end."""
        if pane_before is None or after_s is None:
            return []
        if not self.since and int(np.diff(panes, prepend=pane_before).max()) * PANE_MS < after_s * 1000:
            return []
        findings: list[Finding] = []
        before_ms = pane_before * PANE_MS
        for pane_ms in (panes * PANE_MS).tolist():
            due_ms = before_ms + round(after_s * 1000)
            if pane_ms >= due_ms and not self.since:
                findings.append(self.begin(before_ms, due_ms, after_s, version))
            # A block can start with records from before the silence, which were buffered when the silence was reported.
            if self.since and pane_ms > self.since:
                findings.append(self.end(pane_ms, after_s))
            before_ms = pane_ms
        return findings

    def excludes(self, pane_before: int, first_pane: int, last_pane: int, after_s: float | None) -> bool:
        """Return whether the records of a block cannot end a silence, and no silence can be between them."""
        longest_ms = (last_pane - min(first_pane, pane_before)) * PANE_MS
        return after_s is None or (not self.since and longest_ms < after_s * 1000)

    def end(self, at_ms: int, after_s: float) -> Finding:
        """End the silence with a record, and return its finding."""
        finding = self._finding("recovered", max(at_ms, self.detected_at), after_s)
        self.since = 0
        return finding

    def dump(self) -> list[Any]:
        """Return the state."""
        return [self.since, self.detected_at, self.version, self.is_paused]

    def load(self, state: list[Any]) -> None:
        """Restore the state that :meth:`dump` returned."""
        self.since, self.detected_at, self.version, self.is_paused = [*state, False][:4]

    def _finding(self, state: DriftState, at_ms: int, after_s: float) -> Finding:
        seconds = (at_ms - self.since) / 1000
        return Finding(
            signal=SIGNAL,
            channel="silence",
            side="up",
            tier="page",
            detector="silence",
            state=state,
            sequence=0 if state == "firing" else 1,
            started_at=self.since,
            detected_at=self.detected_at,
            updated_at=at_ms,
            request_id=None,
            normal=0.0,
            now=1.0 if state == "firing" else 0.0,
            effect=seconds / after_s,
            effect_kind="ratio",
            records=0,
            evidence=seconds,
            threshold=after_s,
            sentence=(
                f"no records for {duration(seconds)}, unusual after {duration(after_s)}; page"
                if state == "firing"
                else f"records resumed after {duration(seconds)}"
            ),
        )
