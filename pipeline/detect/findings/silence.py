"""Silence: a subject of which no record comes, for longer than it ever was silent. It is decided on ticks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.findings.finding import Finding
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, catalogue
from pipeline.wording import duration
from schemas.baseline import Baseline
from schemas.drift import DriftState

GAPS = 3.0
"""Times the longest gap of the baseline: from there on a gap is no chance."""

EVIDENCE = 28.0
"""Log evidence of a silence: that many records were due of what comes by chance, in the quietest time."""

SIGNAL = next(signal for signal in catalogue.EVENTS if signal.name == "silence")


def silence_threshold_s(baseline: Baseline, settings: DetectSettings) -> float:
    """Seconds without a record from which on a subject is silent."""
    due = EVIDENCE / baseline.quietest_per_s if baseline.quietest_per_s > 0 else 0.0
    return max(settings.silence_min_s, GAPS * baseline.longest_gap_s, due)


@dataclass(slots=True)
class Silence:
    """Of one unit: whether it is silent, and since when. Times are Unix ms of event time.

    Attributes
    ----------
    since
        The time of its last record while it is silent; 0 while it is not.
    detected_at
        When that was seen.
    version
        Of the baseline by which it was: the next one may be there before it ends.
    """

    since: int = 0
    detected_at: int = 0
    version: str = ""

    def begin(self, quiet_since: int, now_ms: int, after_s: float, version: str) -> Finding:
        """What is to be told when no record came since ``quiet_since`` and it is ``now_ms``."""
        self.since, self.detected_at, self.version = quiet_since, now_ms, version
        return self._finding("firing", now_ms, after_s)

    def find_silence(self, before: int, panes: NDArray[np.int64], after_s: float, version: str) -> list[Finding]:
        """What is to be told of records at some panes, the one before them at the pane ``before``."""
        if not self.since and int(np.diff(panes, prepend=before).max()) * PANE_MS < after_s * 1000:
            return []
        found: list[Finding] = []
        before_ms = before * PANE_MS
        for pane_ms in (panes * PANE_MS).tolist():
            due_ms = before_ms + round(after_s * 1000)
            if pane_ms >= due_ms and not self.since:
                found.append(self.begin(before_ms, due_ms, after_s, version))
            # Of a block, the records before a silence come first: they were buffered when it was told.
            if self.since and pane_ms > self.since:
                found.append(self.end(pane_ms, after_s))
            before_ms = pane_ms
        return found

    def end(self, at_ms: int, after_s: float) -> Finding:
        """What is to be told of the record that ends it."""
        found = self._finding("recovered", max(at_ms, self.detected_at), after_s)
        self.since = 0
        return found

    def dump(self) -> list[Any]:
        """What :meth:`load` needs."""
        return [self.since, self.detected_at, self.version]

    def load(self, state: list[Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self.since, self.detected_at, self.version = state

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
                f"no record came for {duration(seconds)}, which is unusual from {duration(after_s)} on; page"
                if state == "firing"
                else f"records come again after {duration(seconds)}"
            ),
        )
