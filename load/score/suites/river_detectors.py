"""What river's own detectors, and simpler rules still, say of the same records: the rows beside ours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from river import drift

from load.world import Floats

DETECTORS = {"river_adwin": drift.ADWIN, "river_page_hinkley": drift.PageHinkley}
"""At their defaults, fed raw values."""

SIGMAS = 3.0


@dataclass(slots=True)
class Alarms:
    """The rows of one signal at which a detector fired."""

    detector: str
    rows: list[int]

    def before(self, row: int) -> int:
        """How many were before a row."""
        return sum(1 for each in self.rows if each < row)

    def after(self, row: int) -> int | None:
        """Rows from one row to the first alarm at or after it."""
        return next((each - row for each in self.rows if each >= row), None)


def alarms(values: Floats) -> list[Alarms]:
    """What each detector says of one signal.

    Parameters
    ----------
    values
        Shape ``(N,)``, finite.
    """
    return [Alarms(name, alarms_of(name, values)) for name in DETECTORS]


def alarms_of(name: str, values: Floats) -> list[int]:
    """The rows at which one detector fires."""
    detector = DETECTORS[name]()
    rows = []
    update = detector.update
    for row, number in enumerate(values.tolist()):
        update(number)
        if detector.drift_detected:
            rows.append(row)
    return rows


def three_sigma(values: Floats, times_ms: Sequence[int] | np.ndarray, mean: float, deviation: float) -> list[int]:
    """The minutes whose mean lies three standard errors off the baseline's, as Unix milliseconds."""
    minutes = np.asarray(times_ms) // 60_000
    found = []
    for minute in np.unique(minutes).tolist():
        own = values[minutes == minute]
        if own.size > 1 and abs(own.mean() - mean) > SIGMAS * deviation / own.size**0.5:
            found.append(minute * 60_000)
    return found
