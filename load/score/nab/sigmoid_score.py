"""The score of the Numenta Anomaly Benchmark, from its description (Lavin and Ahmad 2015), standard profile.

Each row of a series is before, inside or after the labelled windows. Its *position* is its distance from the right edge
of a window, in lengths of the window: -1 at the first row, 0 at the edge, 1 one length later. The scaled sigmoid of the
position is the credit of an alarm: early alarms get almost 1, alarms long after the window almost -1.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

FOUND_WEIGHT, MISSED_WEIGHT, FALSE_ALARM_WEIGHT = 1.0, 1.0, 0.11
"""Weights of the standard profile: A_TP, A_FN and A_FP."""

STEEPNESS = 5.0

PROBATION_SHARE, PROBATION_ROWS_MAX = 0.15, 750
"""Share of a series in which alarms do not count because detectors learn, and the rows of this share of 5,000 rows."""


class LabelledWindow(NamedTuple):
    """Rows of a labelled window. Both ends are inclusive."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Number of rows."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class SigmoidScore:
    """Score of a detector on one or more series.

    Attributes
    ----------
    windows, windows_found
        Number of labelled windows, and of those with an alarm.
    false_alarms
        Number of alarms outside all windows.
    points
        Weighted sum of the credits of alarms and of missed windows.
    """

    windows: int = 0
    windows_found: int = 0
    false_alarms: int = 0
    points: float = 0.0

    def __add__(self, other: "SigmoidScore") -> "SigmoidScore":
        return SigmoidScore(
            self.windows + other.windows,
            self.windows_found + other.windows_found,
            self.false_alarms + other.false_alarms,
            self.points + other.points,
        )

    @property
    def normalised(self) -> float | None:
        """The score on a scale on which 0 is no alarm, and 100 one alarm at the first row of each window.

        None without windows. False alarms can make it negative.
        """
        if not self.windows:
            return None
        null = -MISSED_WEIGHT * self.windows
        perfect = FOUND_WEIGHT * scaled_sigmoid(-1.0) * self.windows
        return 100.0 * (self.points - null) / (perfect - null)


def scaled_sigmoid(position: float) -> float:
    """Return the credit of an alarm at a position, between 1 (early) and -1 (far from any window).

    >>> round(scaled_sigmoid(-1.0), 4), scaled_sigmoid(0.0), round(scaled_sigmoid(1.0), 4)
    (0.9866, 0.0, -0.9866)
    """
    return 0.0 - math.tanh(STEEPNESS * position / 2.0)


def count_probation_rows(rows: int) -> int:
    """Return the number of rows at the start of a series in which alarms do not count.

    >>> count_probation_rows(4032), count_probation_rows(20_000)
    (604, 750)
    """
    return min(int(PROBATION_SHARE * rows), PROBATION_ROWS_MAX)


def score_alarms(alarms: Iterable[int], windows: Sequence[LabelledWindow], rows: int) -> SigmoidScore:
    """Score the alarms of one series.

    Parameters
    ----------
    alarms
        Rows at which the detector fired. Only the first one in a window counts.
    windows
        Labelled windows in order, without overlap.
    rows
        Number of rows of the series.
    """
    probation = count_probation_rows(rows)
    windows = [window for window in windows if window.last >= probation]
    found: set[LabelledWindow] = set()
    false_alarms = 0
    points = 0.0
    for row in sorted(row for row in set(alarms) if row >= probation):
        window = next((window for window in reversed(windows) if window.first <= row), None)
        if window is None or row > window.last:
            false_alarms += 1
            points += FALSE_ALARM_WEIGHT * _false_alarm_credit(row, window)
        elif window not in found:
            found.add(window)
            points += FOUND_WEIGHT * scaled_sigmoid((row - window.last - 1) / window.length)
    points -= MISSED_WEIGHT * (len(windows) - len(found))
    return SigmoidScore(len(windows), len(found), false_alarms, points)


def _false_alarm_credit(row: int, preceding: LabelledWindow | None) -> float:
    """Return the credit of an alarm outside all windows: less is lost soon after a window."""
    return -1.0 if preceding is None else scaled_sigmoid((row - preceding.last) / preceding.length)
