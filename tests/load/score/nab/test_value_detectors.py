"""Detectors on values: a lasting change and a single outlier in noise, and the readiness of driftwire."""

import numpy as np

from load.score.nab.labelled_series import LabelledSeries
from load.score.nab.value_detectors import (
    COMPARED_DETECTORS,
    detect_with_driftwire,
    detect_with_gaussian,
    suitable_readiness,
)
from tests.load.score.scenarios import SETTINGS

START_MS, INTERVAL_MS = 1_396_310_400_000, 300_000
CHANGE_ROW = 2500


def series(values: np.ndarray) -> LabelledSeries:
    times_ms = [START_MS + row * INTERVAL_MS for row in range(values.size)]
    return LabelledSeries("made/steady.csv", times_ms, values, ())


def noise() -> np.ndarray:
    return np.random.default_rng(8).normal(50.0, 4.0, 4000)


def test_driftwire_is_ready_at_the_end_of_the_probation() -> None:
    readiness = suitable_readiness(series(noise()))
    assert readiness == {"ready_after_s": 600 * 300.0, "ready_records": 600, "ready_records_rate": 600}


def test_driftwire_finds_a_lasting_change_once_and_nothing_before() -> None:
    values = noise()
    values[CHANGE_ROW:] += 20.0
    found = series(values)
    rows = detect_with_driftwire(found, SETTINGS.model_copy(update=suitable_readiness(found)))
    assert rows
    assert CHANGE_ROW < rows[0] < CHANGE_ROW + 50


def test_the_other_detectors_find_a_lasting_change_with_a_parameter_of_theirs() -> None:
    values = noise()
    values[CHANGE_ROW:] += 40.0
    for detector in COMPARED_DETECTORS:
        assert detector.default in detector.choices
        rows = [detector.detect(values, choice) for choice in detector.choices]
        assert any(CHANGE_ROW <= row < CHANGE_ROW + 100 for found in rows for row in found), detector.name


def test_improbable_rows_in_a_row_are_one_alarm_of_the_windowed_gaussian() -> None:
    values = noise()
    values[[CHANGE_ROW, CHANGE_ROW + 1, 3000]] = 150.0
    assert detect_with_gaussian(values, 1e-5) == [CHANGE_ROW, 3000]
    assert detect_with_gaussian(values, 1e-300) == []


def test_a_constant_window_makes_every_other_value_improbable() -> None:
    values = np.zeros(1000)
    values[500] = 0.1
    assert detect_with_gaussian(values, 1e-15) == [500]
