"""Silence: a subject of which no record comes, for longer than it ever was silent. It is decided on ticks."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.detect.catalogue import EVENTS
from pipeline.detect.finding import Finding
from pipeline.detect.settings import DetectSettings
from schemas.baseline import Baseline
from schemas.drift import DriftState

GAPS = 3.0
"""Times the longest gap of the baseline: from there on a gap is no chance."""

EVIDENCE = 28.0
"""Log evidence of a silence: that many records were due of what comes by chance, in the quietest time."""

SIGNAL = next(signal for signal in EVENTS if signal.name == "silence")


def silent_after_s(baseline: Baseline, settings: DetectSettings) -> float:
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
    """

    since: int = 0
    detected_at: int = 0
    sequence: int = field(default=0)

    def look(self, quiet_since: int, now_ms: int, after_s: float) -> Finding | None:
        """What is to be told, if no record came since ``quiet_since`` and it is ``now_ms``."""
        if self.since or now_ms - quiet_since < after_s * 1000:
            return None
        self.since, self.detected_at, self.sequence = quiet_since, now_ms, 0
        return self._finding("firing", now_ms, after_s)

    def end(self, at_ms: int, after_s: float) -> Finding | None:
        """What is to be told of a record, if the unit was silent before it."""
        if not self.since:
            return None
        found = self._finding("recovered", max(at_ms, self.detected_at), after_s)
        self.since = 0
        return found

    def dump(self) -> list[int]:
        """What :meth:`load` needs."""
        return [self.since, self.detected_at, self.sequence]

    def load(self, state: list[Any]) -> None:
        """Take up what :meth:`dump` gave."""
        self.since, self.detected_at, self.sequence = state

    def _finding(self, state: DriftState, at_ms: int, after_s: float) -> Finding:
        seconds = (at_ms - self.since) / 1000
        found = Finding(
            signal=SIGNAL,
            channel="silence",
            side="up",
            tier="page",
            detector="silence",
            state=state,
            sequence=self.sequence,
            started_at=self.since,
            detected_at=self.detected_at,
            updated_at=at_ms,
            request_id=None,
            normal=0.0,
            now=1.0 if state == "firing" else 0.0,
            effect=float(f"{seconds / after_s:.6g}"),
            effect_kind="ratio",
            records=0,
            evidence=float(f"{seconds:.6g}"),
            threshold=float(f"{after_s:.6g}"),
            sentence=(
                f"no record came for {_words(seconds)}, and it was never silent for more than {_words(after_s)}; page"
                if state == "firing"
                else f"records come again after {_words(seconds)}"
            ),
        )
        self.sequence += 1
        return found


def _words(seconds: float) -> str:
    """Seconds as people say them.

    >>> _words(90), _words(5400), _words(100_000)
    ('90 s', '90 min', '27.8 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
