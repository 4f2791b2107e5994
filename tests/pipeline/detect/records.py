"""Records of every kind for the reading tests, and columns in a comparable form."""

import random
from typing import Any

import numpy as np

from pipeline.detect.admission.records import Records
from pipeline.detect.signals.catalogue import CATEGORIES, SIGNALS
from tests.pipeline.detect.streams import START_MS, outcome, record

JUNK = [
    None,
    True,
    False,
    0,
    1,
    0.5,
    -1,
    -0.5,
    3,
    911,
    1e15,
    1.1e15,
    1e300,
    "1",
    "true",
    "",
    [],
    [1],
    ["stop"],
    {},
    {"a": 1},
]


def junk_record(rng: random.Random) -> dict[str, Any]:
    """Return a record whose fields hold anything."""
    fields: dict[str, Any] = {"subject": "bot", "timestamp": START_MS}
    for section in ("infrastructure", "output", "data", "safety"):
        if rng.random() < 0.7:
            names = rng.sample(
                [row.field for row in (*SIGNALS, *CATEGORIES) if row.section == section] + ["unknown"], 3
            )
            fields[section] = {name: rng.choice(JUNK) for name in names}
            if rng.random() < 0.1:
                fields[section] = rng.choice(JUNK)
    for section in ("versions", "segment"):
        if rng.random() < 0.4:
            fields[section] = {f"l{rng.randrange(12)}": rng.choice(JUNK) for _ in range(10)}
            if rng.random() < 0.1:
                fields[section] = rng.choice(JUNK)
    if rng.random() < 0.4:
        fields["sampled"] = rng.choice([*JUNK, "tail"])
        fields["sampling_probability"] = rng.choice([*JUNK, 0.25, 1e-5])
    if rng.random() < 0.4:
        fields["custom"] = {f"c{rng.randrange(6)}": rng.choice(JUNK) for _ in range(3)}
    return fields


def changed_record(rng: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    """Return a record with as many fields as another, one of which differs."""
    changed = {name: dict(value) if isinstance(value, dict) else value for name, value in fields.items()}
    section = rng.choice([changed, *(value for value in changed.values() if isinstance(value, dict))])
    name = rng.choice(list(section))
    if rng.random() < 0.5:
        section[name] = rng.choice(JUNK)
    else:
        names = [row.field for row in (*SIGNALS, *CATEGORIES)]
        section[rng.choice([*names, "custom", "output", "data", "request_id"])] = section.pop(name)
    return changed


def mixed_records(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Return records, most of which have the same fields."""
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


def as_dicts(records: Records) -> list[dict[str, Any]]:
    """Return one dict per record, without labels that are None."""
    faults: list[list[tuple[str, str]]] = [[] for _ in range(len(records))]
    for row, field, reason in records.faults:
        faults[row].append((field, reason))
    assert records.values.shape == (len(records), len(SIGNALS))
    return [
        {
            "values": {
                signal.name: value for signal, value in zip(SIGNALS, values, strict=True) if not np.isnan(value)
            },
            "is_request": bool(records.is_request[row]),
            "request_id": records.request_ids[row],
            "sampling_probability": None
            if records.sampling_probabilities is None or np.isnan(records.sampling_probabilities[row])
            else records.sampling_probabilities[row],
            "converted": sorted(name for name, mask in records.converted.items() if mask[row]),
            "labels": {name: column[row] for name, column in records.labels.items() if column[row] is not None},
            "custom": records.custom_fields[row] if records.custom_fields else None,
            "embedding": records.embeddings[row] if records.embeddings else None,
            "faults": sorted(faults[row]),
            **{
                name: column[row]
                for name in ("subjects", "timestamps", "content_hashes", "positions", "times_ms", "panes")
                if len(column := getattr(records, name))
            },
        }
        for row, values in enumerate(records.values.tolist())
    ]
