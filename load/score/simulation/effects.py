"""Effects of a scenario on the records of a healthy service after the change."""

import numpy as np
from numpy.typing import NDArray

from load.score.simulation.scenario import Scenario, Touch
from load.world import RecordColumns, World

EMBEDDING = "embedding"
"""Signal name that a scenario uses to change the embeddings. The stream adds the embeddings to the lines."""

LABELS = ("finish_reason", "fingerprint", "error_type", "schema_id", "provider_model", "region", "tenant")


def apply_effects(columns: RecordColumns, scenario: Scenario, at_ms: int, random: np.random.Generator) -> RecordColumns:
    """Return the columns after applying the changes and the canary versions of a scenario.

    Parameters
    ----------
    columns
        Records of a healthy service.
    scenario
        Scenario with the changes.
    at_ms
        Time of the change, in Unix milliseconds.
    random
        Random number generator.
    """
    since_s = (columns.times_ms - at_ms) / 1000.0
    if not since_s.size or since_s[-1] < -scenario.where.early_s:
        return columns
    values = {name: column.copy() for name, column in columns.values.items()}
    labels = {name: list(column) for name, column in columns.labels.items()}
    versions = list(columns.versions)
    affected = _affected_rows(columns, scenario, since_s, random)
    for row in np.flatnonzero(_canary_rows(scenario, affected, since_s, random)).tolist():
        versions[row] = versions[row] | scenario.where.canary
    for touch in scenario.touch:
        if touch.signal == EMBEDDING:
            continue
        rows = affected & (random.random(since_s.size) < touch.share)
        if touch.for_s is not None:
            rows &= since_s < touch.for_s
        if touch.signal in LABELS:
            labels[touch.signal] = [
                touch.label if is_hit else label
                for is_hit, label in zip(rows.tolist(), labels[touch.signal], strict=True)
            ]
        else:
            _apply_touch(values, touch, rows, since_s, random)
    for name in (*World.BOUNDED_SIGNALS, "context_fraction"):
        if name in values:
            values[name] = np.clip(values[name], 0.0, 1.0)
    return RecordColumns(columns.times_ms, columns.first_index, values, versions, labels)


def _canary_rows(
    scenario: Scenario, affected: NDArray[np.bool_], since_s: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the rows that the canary serves: the affected rows, and earlier rows if the canary started early."""
    where = scenario.where
    if not where.canary:
        return np.zeros(since_s.size, dtype=bool)
    if not where.early_s:
        return affected
    early = (since_s >= -where.early_s) & (since_s < 0)
    rows: NDArray[np.bool_] = affected | (early & (random.random(since_s.size) < where.share))
    return rows


def _affected_rows(
    columns: RecordColumns, scenario: Scenario, since_s: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.bool_]:
    rows: NDArray[np.bool_] = since_s >= 0
    for name, wanted in scenario.where.labels.items():
        rows = rows & np.array([label == wanted for label in columns.labels[name]], dtype=bool)
    if scenario.where.share < 1.0:
        rows = rows & (random.random(since_s.size) < scenario.where.share)
    return rows


def _apply_touch(
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
        changed = (random.random(since_s.size) < touch.amount).astype(np.float64)
        changed[np.isnan(column)] = np.nan
    elif touch.how == "factor":
        changed = column * (1.0 + (touch.amount - 1.0) * strength)
    elif touch.how == "offset":
        changed = column + touch.amount * strength
    elif touch.how == "growth":
        changed = column + touch.amount * np.maximum(since_s, 0.0)
    else:
        changed = np.full(since_s.size, np.nan if touch.how == "absent" else touch.amount)
    values[touch.signal] = np.where(rows, changed, column)
