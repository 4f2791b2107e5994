"""The detect step counts all JSON as records or dead letters, with the same results for any batches."""

import random
import re

import pytest

from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.catalogue import CATEGORIES, SIGNALS
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, as_json, drive, full_state, message, record
from tests.pipeline.detect.test_step import BASELINE, messages_of

NAMES = [row.field for row in (*SIGNALS, *CATEGORIES)] + [
    "subject",
    "timestamp",
    "request_id",
    "environment",
    "provider",
    "provider_model",
    "infrastructure",
    "output",
    "data",
    "safety",
    "custom",
    "versions",
    "segment",
    "embedding",
    "",
    "$array",
    "é",
]
SCALARS = [
    None,
    True,
    False,
    0,
    1,
    -1,
    0.5,
    1e15,
    1e16,
    -1e300,
    2**63,
    5e-324,
    -0.0,
    "",
    "bot",
    "x" * 201,
    "a\nb",
    "2026-11-24T03:12:00Z",
    "1e5",
    "812",
    "True",
    "None",
    ["stop"],
    1_795_489_920,
    1_795_489_920_123_456_789,
    "2026-11-24 03:12:00.5 UTC",
    "\x00",
    "\U0001f600",
]


def anything(rng, depth=0):
    kind = rng.random()
    if depth > 3 or kind < 0.6:
        return rng.choice(SCALARS)
    if kind < 0.7:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(NAMES): anything(rng, depth + 1) for _ in range(rng.randrange(6))}


def broken_record(rng, number):
    """Return a good record with anything in some of its fields, at any level."""
    fields = record(rng, number, START_MS + number * 50)
    for _ in range(rng.randrange(3)):
        section = (
            fields
            if rng.random() < 0.3
            else rng.choice([value for value in fields.values() if isinstance(value, dict)] or [fields])
        )
        if rng.random() < 0.5 and section:
            section[rng.choice(list(section))] = anything(rng)
        else:
            section[rng.choice(NAMES)] = anything(rng)
    return fields


def any_value(rng, number):
    if rng.random() < 0.2:
        return as_json(anything(rng))
    if rng.random() < 0.1:
        return as_json([broken_record(rng, 10**6 + 10 * number + n) for n in range(3)])
    value = as_json(broken_record(rng, number))
    if rng.random() < 0.1:
        at = rng.randrange(len(value))
        value = value[:at] + bytes([rng.randrange(256)]) + value[at + 1 :]
    if rng.random() < 0.1:
        value = re.sub(
            rb"\d+\.\d+", rng.choice([b"NaN", b"-Infinity", b"1e400", b'"\\\\ud800"', b'"\xff"']), value, count=1
        )
    return value


@pytest.mark.slow
@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_any_input_gives_the_same_output_in_any_batches(seed, replay):
    rng = random.Random(seed)
    messages = [message(number, any_value(rng, number), START_MS + number * 50) for number in range(800)]
    results = []
    for batch in (1, 30, 1000):
        step = DetectStep(0, DetectSettings(ready_after_s=30, ready_records=300, ready_records_rate=300), replay=replay)
        if seed % 2:
            step.control(RawMessage(BASELINES, 0, 0, START_MS, None, BASELINE.to_json()))
        outputs = drive(step, messages, range(0, len(messages), batch))
        counts = step.counts()
        assert counts["records"] == sum(counts[name] for name in ("used", "duplicates", "held", "dead_letters"))
        assert counts["used"] > 300
        assert counts["bad_fields"] > 50
        assert counts["converted_fields"] > 10
        results.append((outputs, full_state(step), counts))
    assert results[0] == results[1] == results[2]


def test_only_the_bad_fields_of_ordinary_records_are_dropped():
    step = DetectStep(0, DetectSettings(), replay=False)
    step.step(messages_of(count=1000))
    step.streams["bot"].flush()
    assert {field for field, _ in step.streams["bot"].columns.bad_fields} == {
        "output.length",
        "infrastructure.error_type",
    }
