"""Nearness: how near in time to the start of an incident something was, as a share of certainty."""

from dataclasses import dataclass

from pipeline.correlate.playbook import FailureMode, phrases
from schemas.timestamp import clock_time

HALF_PROXIMITY_S = 300
"""Seconds before the start, its error left out, at which a change is half as near: a slow one takes time to show."""

WITHIN_ERROR = 0.9
"""Nearness at the error of the start before it: within the error the nearer one is still the likelier."""

JUST_AFTER = 0.5
"""Nearness at the error of the start after it."""

AFTER_START = 0.15
"""Nearness of a change further after the start: not the cause, unless the start is estimated badly."""

ERROR_S_MIN = 5.0
"""Seconds: no start is known better."""

ERROR_OF_GAP = 0.5
"""Share of the time until the detection: what took long to be seen has a start that is known less well."""


@dataclass(frozen=True, slots=True)
class Onset:
    """When an incident began and was seen, what failed, and the most by which the start may be off, in seconds."""

    started_at: int
    detected_at: int
    mode: FailureMode
    error_s_max: float

    @property
    def error_s(self) -> float:
        """How far the start may be off, seconds."""
        gap_s = (self.detected_at - self.started_at) / 1000
        return max(ERROR_S_MIN, min(self.error_s_max, ERROR_OF_GAP * gap_s))


def proximity(at: int, onset: Onset) -> float:
    """How near to the start a change was, 0 to 1.

    >>> from pipeline.correlate.playbook.failure_modes import MODES
    >>> onset = Onset(1_000_000, 1_120_000, MODES["refusal_spike"], 60)
    >>> [round(nearness(at, onset), 2) for at in (1_000_000, 970_000, 760_000, 1_030_000, 1_100_000)]
    [1.0, 0.95, 0.56, 0.75, 0.15]
    """
    before_s, error_s = (onset.started_at - at) / 1000, onset.error_s
    if before_s > error_s:
        return WITHIN_ERROR / (1 + (before_s - error_s) / HALF_PROXIMITY_S)
    if before_s >= 0:
        return 1 - (1 - WITHIN_ERROR) * before_s / error_s
    return 1 + (1 - JUST_AFTER) * before_s / error_s if -before_s <= error_s else AFTER_START


def describe_time(at: int, onset: Onset) -> str:
    """A time with its distance from the start, in words."""
    return f"{clock_time(at)}, {phrases.describe_distance(at, onset.started_at)}"
