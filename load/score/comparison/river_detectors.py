"""River's detectors and a three-sigma rule on the same values, for comparison."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from river import drift

DETECTORS = {"river_adwin": drift.ADWIN, "river_page_hinkley": drift.PageHinkley}
"""Detectors with default parameters, on raw values."""

STANDARD_ERRORS = 3.0
"""Number of standard errors by which the mean of a minute must deviate for the three-sigma rule to fire."""

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class DetectorAlarms:
    """Rows of a signal at which a detector fired."""

    detector: str
    rows: list[int]

    def count_before(self, row: int) -> int:
        """Return the number of alarms before a row."""
        return sum(1 for alarm in self.rows if alarm < row)

    def delay_after(self, row: int) -> int | None:
        """Return the number of rows from a row to the first alarm at or after it."""
        return next((alarm - row for alarm in self.rows if alarm >= row), None)


def run_detectors(values: NDArray[np.float64]) -> list[DetectorAlarms]:
    """Run all detectors on the finite values of a signal, shape ``(N,)``."""
    return [DetectorAlarms(name, run_detector(name, values)) for name in DETECTORS]


def run_detector(name: str, values: NDArray[np.float64], **parameters: float) -> list[int]:
    """Return the rows at which one detector fires. Parameters that are not given keep their defaults."""
    detector = DETECTORS[name](**parameters)
    rows = []
    update = detector.update
    for row, number in enumerate(values.tolist()):
        update(number)
        if detector.drift_detected:
            rows.append(row)
    return rows


def deviating_minutes(
    values: NDArray[np.float64], times_ms: Sequence[int] | NDArray[np.int64], mean: float, deviation: float
) -> list[int]:
    """Return the minutes, in Unix ms, whose mean is more than three standard errors from the baseline's mean."""
    minutes = np.asarray(times_ms) // MINUTE_MS
    deviating = []
    for minute in np.unique(minutes).tolist():
        in_minute = values[minutes == minute]
        if in_minute.size > 1 and abs(in_minute.mean() - mean) > STANDARD_ERRORS * deviation / in_minute.size**0.5:
            deviating.append(minute * MINUTE_MS)
    return deviating
