"""Derived signals use a learned baseline from the same record, wherever the batches end."""

import random

import pytest

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import (
    START_MS,
    Checkpoint,
    as_json,
    drive,
    full_state,
    message,
    record,
)

pytestmark = pytest.mark.slow

SETTINGS = DetectSettings(ready_after_s=60, ready_records=400, ready_records_rate=300, relearn_after_s=30)
RECORDS = 2600
SHIFT = 1600


def stream(seed):
    """Return a stream whose outputs, labels, embeddings and versions change after a baseline was learned."""
    rng = random.Random(seed)
    messages, time_ms = [], START_MS
    for number in range(RECORDS):
        time_ms += rng.choice((5, 20, 60, 60, 400))
        late = number > 0.35 * RECORDS
        fields = record(rng, number, time_ms)
        fields["output"]["fingerprint"] = f"f{rng.randrange(400)}"
        fields["output"]["finish_reason"] = rng.choices(("stop", "tool", "length"), (70, 4, 30 if late else 0))[0]
        first = 1.0 if number < SHIFT else rng.gauss(0, 1)
        fields["data"]["embedding"] = [first, *(rng.gauss(0, 0.2) for _ in range(7))]
        fields["versions"] = {"prompt": "v41" if number < SHIFT else "v42"}
        fields["provider_model"] = "gpt-a" if number < SHIFT else "gpt-b"
        messages.append(message(number, as_json(fields), time_ms))
    return messages


def relearn_message(messages):
    """Return the message that relearns all signals from the shift."""
    at = messages[SHIFT].timestamp
    content = Relearn(relearn_id="r", subject="bot", at=at, signals=[], reason="accepted")
    return RawMessage(BASELINES, 0, 99, at, b"r", content.to_json())


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_baseline_applies_from_the_same_record_in_any_batches(seed, replay):
    messages = stream(seed)
    at_once = DetectStep(0, SETTINGS, replay=replay)
    expected = at_once.step(messages)
    assert any(b'"type":"drift"' in output.value for output in expected)
    rng = random.Random(seed)
    for cuts in (range(RECORDS), rng.sample(range(RECORDS), 20)):
        step = DetectStep(0, SETTINGS, replay=replay)
        assert drive(step, messages, cuts) == expected
        assert full_state(step) == full_state(at_once)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_relearned_baseline_applies_from_the_same_record_in_any_batches_and_restores(seed):
    messages = stream(seed)
    relearn = relearn_message(messages)
    at_once = DetectStep(0, SETTINGS, replay=True)
    expected = at_once.step(messages[:SHIFT]) + at_once.control(relearn) + at_once.step(messages[SHIFT:])
    assert sum(output.topic == BASELINES for output in expected) == 2

    one_by_one = DetectStep(0, SETTINGS, replay=True)
    outputs = drive(one_by_one, messages[:SHIFT], range(SHIFT)) + one_by_one.control(relearn)
    assert outputs + drive(one_by_one, messages[SHIFT:], range(RECORDS - SHIFT)) == expected
    assert full_state(one_by_one) == full_state(at_once)

    rng = random.Random(seed)
    step, checkpoint, outputs, start = DetectStep(0, SETTINGS, replay=True), Checkpoint(), [], 0
    for end in sorted({*rng.sample(range(1, RECORDS), 30), SHIFT, RECORDS}):
        outputs += step.step(messages[start:end])
        if end == SHIFT:
            outputs += step.control(relearn)
        checkpoint.take(step)
        step = DetectStep(0, SETTINGS, replay=True)
        for offset, output in enumerate(output for output in outputs if output.topic == BASELINES):
            step.control(RawMessage(BASELINES, 0, offset, START_MS, output.key, output.value))
        if end >= SHIFT:
            step.control(relearn)
        step = checkpoint.restored(step, rng)
        start = end
    assert outputs == expected
    assert full_state(step) == full_state(at_once)
