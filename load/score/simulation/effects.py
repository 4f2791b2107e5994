"""Touching columns: what a scenario does to the records of a healthy service from its change on."""

import numpy as np
from numpy.typing import NDArray

from load.score.simulation.scenario import Scenario, Touch
from load.world import BOUNDED, Columns

EMBEDDING = "embedding"
"""Told by the stream, record by record: see ``load/score/simulation/stream.py``."""

LABELS = ("finish_reason", "fingerprint", "error_type", "schema_id", "provider_model", "region", "tenant")


def touched(columns: Columns, scenario: Scenario, change_ms: int, random: np.random.Generator) -> Columns:
    """The columns after the touches of a scenario, and with the versions of its canary."""
    since_s = (columns.times_ms - change_ms) / 1000.0
    if not since_s.size or since_s[-1] < -scenario.where.early_s:
        return columns
    values = {name: column.copy() for name, column in columns.values.items()}
    labels = {name: list(column) for name, column in columns.labels.items()}
    versions = list(columns.versions)
    concerned = _concerned(columns, scenario, since_s, random)
    for row in np.flatnonzero(_canary(scenario, concerned, since_s, random)).tolist():
        versions[row] = versions[row] | scenario.where.canary
    for touch in scenario.touch:
        if touch.signal == EMBEDDING:
            continue
        rows = concerned & (random.random(since_s.size) < touch.share)
        if touch.for_s is not None:
            rows &= since_s < touch.for_s
        if touch.signal in LABELS:
            labels[touch.signal] = [
                touch.label if hit else label for hit, label in zip(rows.tolist(), labels[touch.signal], strict=True)
            ]
        else:
            _move(values, touch, rows, since_s, random)
    for name in BOUNDED:
        if name in values:
            values[name] = np.clip(values[name], 0.0, 1.0)
    return Columns(columns.times_ms, columns.first_index, values, versions, labels)


def _canary(
    scenario: Scenario, concerned: NDArray[np.bool_], since_s: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.bool_]:
    """The rows that carry a canary's versions: those that fail, and as many before the change if it served by then."""
    where = scenario.where
    if not where.canary:
        return np.zeros(since_s.size, dtype=bool)
    if not where.early_s:
        return concerned
    early = (since_s >= -where.early_s) & (since_s < 0)
    rows: NDArray[np.bool_] = concerned | (early & (random.random(since_s.size) < where.share))
    return rows


def _concerned(
    columns: Columns, scenario: Scenario, since_s: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.bool_]:
    rows: NDArray[np.bool_] = since_s >= 0
    for name, label in scenario.where.labels.items():
        rows = rows & np.array([own == label for own in columns.labels[name]], dtype=bool)
    if scenario.where.share < 1.0:
        rows = rows & (random.random(since_s.size) < scenario.where.share)
    return rows


def _move(
    values: dict[str, NDArray[np.float64]],
    touch: Touch,
    rows: NDArray[np.bool_],
    since_s: NDArray[np.float64],
    random: np.random.Generator,
) -> None:
    column = values[touch.signal]
    strength = np.clip(since_s / touch.ramp_s, 0.0, 1.0) if touch.ramp_s else np.ones(since_s.size)
    if touch.how == "probability":
        if touch.ramp_s:
            rows = rows & (random.random(since_s.size) < strength)
        moved = (random.random(since_s.size) < touch.amount).astype(np.float64)
        moved[np.isnan(column)] = np.nan
    elif touch.how == "factor":
        moved = column * (1.0 + (touch.amount - 1.0) * strength)
    elif touch.how == "offset":
        moved = column + touch.amount * strength
    elif touch.how == "growth":
        moved = column + touch.amount * np.maximum(since_s, 0.0)
    else:
        moved = np.full(since_s.size, np.nan if touch.how == "absent" else touch.amount)
    values[touch.signal] = np.where(rows, moved, column)
