"""Proximity of an event to the start of an incident, as a factor of a suspect's score."""

from dataclasses import dataclass

from pipeline.correlate.playbook import FailureMode, phrases
from schemas.timestamp import clock_time

HALF_PROXIMITY_S = 300
"""Seconds before the earliest possible start at which proximity is halved. Some changes take effect slowly."""

PROXIMITY_AT_ERROR = 0.9
"""Proximity of a change that precedes the start by exactly the error of the start. Closer changes have a higher proximity."""

PROXIMITY_JUST_AFTER = 0.5
"""Proximity of a change that follows the start by exactly the error of the start."""

PROXIMITY_AFTER = 0.15
"""Proximity of a later change. Such a change is the cause only if the estimated start is wrong."""

ERROR_S_MIN = 5.0
"""Minimum error of an estimated start, in seconds."""

ERROR_PER_GAP = 0.5
"""Error of the start as a share of the time to detection. A late detection makes the start less certain."""


@dataclass(frozen=True, slots=True)
class Onset:
    """Start and detection of an incident (Unix ms), its failure mode, and the maximum error of the start in seconds."""

    started_at: int
    detected_at: int
    mode: FailureMode
    error_s_max: float

    @property
    def error_s(self) -> float:
        """Error of the estimated start, in seconds."""
        gap_s = (self.detected_at - self.started_at) / 1000
        return max(ERROR_S_MIN, min(self.error_s_max, ERROR_PER_GAP * gap_s))

    def proximity(self, at: int) -> float:
        """Return the proximity (0 to 1) of a time (Unix ms) to the start.

        >>> from pipeline.correlate.playbook.failure_modes import MODES
        >>> onset = Onset(1_000_000, 1_120_000, MODES["refusal_spike"], 60)
        >>> [round(onset.proximity(at), 2) for at in (1_000_000, 970_000, 760_000, 1_030_000, 1_100_000)]
        [1.0, 0.95, 0.56, 0.75, 0.15]
        """
        before_s, error_s = (self.started_at - at) / 1000, self.error_s
        if before_s > error_s:
            return PROXIMITY_AT_ERROR / (1 + (before_s - error_s) / HALF_PROXIMITY_S)
        if before_s >= 0:
            return 1 - (1 - PROXIMITY_AT_ERROR) * before_s / error_s
        return 1 + (1 - PROXIMITY_JUST_AFTER) * before_s / error_s if -before_s <= error_s else PROXIMITY_AFTER

    def describe(self, at: int) -> str:
        """Describe a time and its distance from the start."""
        return f"{clock_time(at)}, {phrases.describe_distance(at, self.started_at)}"
