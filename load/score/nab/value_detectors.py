"""Detectors on the values of one series: driftwire at its defaults, river's detectors, a windowed Gaussian, references."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from load.score.comparison import run_detector
from load.score.nab.labelled_series import LabelledSeries
from load.score.nab.sigmoid_score import count_probation_rows
from pipeline.detect.offline import message_batches, read_drifts
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep

DRIFTWIRE, ALWAYS_FIRE, NEVER_FIRE = "driftwire", "always_fire", "never_fire"

GAUSSIAN_ROWS = 600
"""Rows of the windowed Gaussian: about the probation of a series."""

BATCH_MESSAGES = 2000

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ComparedDetector:
    """Detector with one parameter.

    Attributes
    ----------
    name
        Name in the report.
    parameter
        Name of its parameter.
    default
        Value of the parameter that was fixed in advance: the default of the library, if there is one.
    choices
        Values from which the benchmark's own procedure takes the best one over all series.
    detect
        Returns the rows at which the detector fires, from values and parameter.
    """

    name: str
    parameter: str
    default: float
    choices: tuple[float, ...]
    detect: Callable[[Values, float], list[int]]


def detect_with_adwin(values: Values, delta: float) -> list[int]:
    """Return the rows at which river's ADWIN detects a change."""
    return run_detector("river_adwin", values, delta=delta)


def detect_with_page_hinkley(values: Values, threshold: float) -> list[int]:
    """Return the rows at which river's Page-Hinkley test detects a change."""
    return run_detector("river_page_hinkley", values, threshold=threshold)


def detect_with_gaussian(values: Values, tail_probability: float) -> list[int]:
    """Return the rows at which values become improbable under a normal distribution of the rows before them.

    Rows that stay improbable are one alarm. A window without any deviation makes every other value improbable.
    """
    rows = []
    was_improbable = False
    for row in range(count_probation_rows(values.size), values.size):
        window = values[max(0, row - GAUSSIAN_ROWS) : row]
        distance = abs(float(values[row] - window.mean()))
        deviation = float(window.std())
        tail = float(ndtr(-distance / deviation)) if deviation else float(not distance)
        is_improbable = tail < tail_probability
        if is_improbable and not was_improbable:
            rows.append(row)
        was_improbable = is_improbable
    return rows


COMPARED_DETECTORS = (
    ComparedDetector("river_adwin", "delta", 0.002, (0.002, 1e-3, 1e-4, 1e-6, 1e-9, 1e-15), detect_with_adwin),
    ComparedDetector(
        "river_page_hinkley",
        "threshold",
        50.0,
        (50.0, 500.0, 5e3, 5e4, 1e6, 1e8),
        detect_with_page_hinkley,
    ),
    ComparedDetector(
        "windowed_gaussian",
        "tail probability",
        1e-5,
        (1e-3, 1e-4, 1e-5, 1e-7, 1e-10, 1e-15, 1e-25),
        detect_with_gaussian,
    ),
)
"""Detectors beside driftwire, and the parameters that they may be given."""


def suitable_readiness(series: LabelledSeries) -> dict[str, float]:
    """Return the settings of a baseline that is ready at the end of the probation. Everything else keeps its default."""
    rows = count_probation_rows(len(series.times_ms))
    seconds = (series.times_ms[rows] - series.times_ms[0]) / 1000
    return {"ready_after_s": seconds, "ready_records": rows, "ready_records_rate": rows}


def detect_with_driftwire(series: LabelledSeries, settings: DetectSettings) -> list[int]:
    """Return the rows at which a page or a ticket opens, whatever the signal.

    Parameters
    ----------
    series
        Series that is played as records with one custom signal.
    settings
        Settings whose readiness suits the series.
    """
    step = DetectStep(0, settings, replay=True)
    rows: dict[str, int] = {}
    for batch in message_batches(series.record_lines(), BATCH_MESSAGES):
        for found in read_drifts(step.step(batch)):
            if found.state == "firing" and found.tier != "cause":
                rows.setdefault(found.drift_id, series.find_row(found.detected_at))
    return sorted(rows.values())
