"""Records of every sort for the tests of reading, and fields in a form that can be compared."""

import random
from typing import Any

import numpy as np

from pipeline.detect.intake.fields import Fields
from pipeline.detect.signals.catalogue import CATEGORIES, SIGNALS
from tests.pipeline.detect.streams import START_MS, outcome, record

JUNK = [None, True, False, 0, 1, 0.5, -1, -0.5, 3, 911, 1e15, 1.1e15, 1e300, "1", "true", "", [], [1], {}, {"a": 1}]


def junk_record(rng: random.Random) -> dict[str, Any]:
    """A record whose fields hold anything."""
    each: dict[str, Any] = {"subject": "bot", "timestamp": START_MS}
    for section in ("infrastructure", "output", "data", "safety"):
        if rng.random() < 0.7:
            fields = rng.sample(
                [row.field for row in (*SIGNALS, *CATEGORIES) if row.section == section] + ["unknown"], 3
            )
            each[section] = {field: rng.choice(JUNK) for field in fields}
            if rng.random() < 0.1:
                each[section] = rng.choice(JUNK)
    for section in ("versions", "segment"):
        if rng.random() < 0.4:
            each[section] = {f"l{rng.randrange(12)}": rng.choice(JUNK) for _ in range(10)}
            if rng.random() < 0.1:
                each[section] = rng.choice(JUNK)
    if rng.random() < 0.4:
        each["custom"] = {f"c{rng.randrange(6)}": rng.choice(JUNK) for _ in range(3)}
    return each


def changed_record(rng: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    """A record that looks like another at first sight: as many fields, but one of them is not the same."""
    changed = {name: dict(value) if isinstance(value, dict) else value for name, value in fields.items()}
    holder = rng.choice([changed, *(value for value in changed.values() if isinstance(value, dict))])
    name = rng.choice(list(holder))
    if rng.random() < 0.5:
        holder[name] = rng.choice(JUNK)
    else:
        names = [row.field for row in (*SIGNALS, *CATEGORIES)]
        holder[rng.choice([*names, "custom", "output", "data", "request_id"])] = holder.pop(name)
    return changed


def some_records(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Records of which most look alike, and some do not."""
    records = []
    for number in range(count):
        good = record(rng, number, START_MS)
        kind = rng.choices(("good", "changed", "outcome", "junk"), (20, 3, 1, 1))[0]
        records.append(
            good
            if kind == "good"
            else changed_record(rng, good)
            if kind == "changed"
            else outcome("bot", number, START_MS)
            if kind == "outcome"
            else junk_record(rng)
        )
    return records


def plainly(fields: Fields) -> list[dict[str, Any]]:
    """Fields as one dict a record; a label that is None is as none."""
    faults: list[list[tuple[str, str]]] = [[] for _ in range(len(fields))]
    for row, field, reason in fields.faults:
        faults[row].append((field, reason))
    assert fields.values.shape == (len(fields), len(SIGNALS))
    return [
        {
            "values": {
                signal.name: value for signal, value in zip(SIGNALS, values, strict=True) if not np.isnan(value)
            },
            "first": bool(fields.first[row]),
            "request_id": fields.request_ids[row],
            "key": fields.keys[row],
            "labels": {name: column[row] for name, column in fields.labels.items() if column[row] is not None},
            "custom": fields.custom[row] if fields.custom else None,
            "faults": sorted(faults[row]),
        }
        for row, values in enumerate(fields.values.tolist())
    ]
