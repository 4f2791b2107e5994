"""Apply the changes of an event to the records of the assistant."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from load.score.assistant.events import Change, Where
from load.world import RecordColumns, noise

BOUNDED = ("confidence", "gpu_utilization", "null_fraction", "context_fraction", "injection_score")
"""Signals with values from 0 to 1."""


def apply_changes(
    columns: RecordColumns, where: Where, changes: Sequence[Change], event_ms: int, random: np.random.Generator
) -> RecordColumns:
    """Return the records after the changes of an event at ``event_ms``, in Unix milliseconds."""
    since_min = (columns.times_ms - event_ms) / 60_000.0
    if not since_min.size or since_min[-1] < 0 or not changes:
        return columns
    values = {name: column.copy() for name, column in columns.values.items()}
    labels = {name: list(column) for name, column in columns.labels.items()}
    affected = _affected_rows(columns, where, since_min, random)
    versions = list(columns.versions)
    if where.versions:
        changed: dict[int, dict[str, str]] = {}
        for row in np.flatnonzero(affected).tolist():
            old = versions[row]
            versions[row] = changed.setdefault(id(old), old | where.versions)
    for change in changes:
        rows = affected & (random.random(since_min.size) < change.share)
        strength = change.strength(since_min)
        if change.how == "label":
            for row in np.flatnonzero(rows & (strength > 0)).tolist():
                labels[change.signal][row] = change.label
        else:
            values[change.signal] = _change_values(values[change.signal], change, rows, strength, since_min, random)
    for name in BOUNDED:
        values[name] = np.clip(values[name], 0.0, 1.0)
    return RecordColumns(columns.times_ms, columns.first_index, values, versions, labels)


def _affected_rows(
    columns: RecordColumns, where: Where, since_min: noise.Floats, random: np.random.Generator
) -> NDArray[np.bool_]:
    rows: NDArray[np.bool_] = (since_min >= 0) & (random.random(since_min.size) < where.share)
    if where.tenant:
        rows = rows & np.array([tenant == where.tenant for tenant in columns.labels["tenant"]], dtype=bool)
    if where.from_model:
        rows = rows & (columns.values["cached"] == 0)
    for name, limit in where.above.items():
        rows = rows & (columns.values[name] > limit)
    return rows


def _change_values(
    column: noise.Floats,
    change: Change,
    rows: NDArray[np.bool_],
    strength: noise.Floats,
    since_min: noise.Floats,
    random: np.random.Generator,
) -> noise.Floats:
    if change.how == "probability":
        rows = rows & (random.random(column.size) < strength)
        changed = (random.random(column.size) < change.amount).astype(float)
        changed[np.isnan(column)] = np.nan
    elif change.how == "factor":
        changed = column * (1.0 + (change.amount - 1.0) * strength)
    elif change.how == "offset":
        changed = column + change.amount * strength
    elif change.how == "spread":
        changed = column + change.amount * strength * np.where(random.random(column.size) < 0.5, -1.0, 1.0)
    elif change.how == "per_hour":
        changed = column + change.amount * strength * np.maximum(since_min - change.after_min, 0.0) / 60.0
    else:
        rows = rows & (strength > 0)
        replaced = {"constant": np.full(column.size, change.amount), "absent": np.full(column.size, np.nan)}
        changed = np.minimum(column, change.amount) if change.how == "cap" else replaced[change.how]
    return np.where(rows, changed, column)
