"""Derived signals follow a baseline from the same record on, wherever the batch ends in which it was learned."""

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

SETTINGS = DetectSettings(ready_after_s=60, ready_records=400, ready_records_rate=300, relearn_after_s=30)
RECORDS = 2600
SHIFT = 1600


def stream(seed):
    """A subject with outputs, labels, embeddings and versions that become others once a baseline was learned."""
    rng = random.Random(seed)
    messages, time_ms = [], START_MS
    for number in range(RECORDS):
        time_ms += rng.choice((5, 20, 60, 60, 400))
        late = number > 0.35 * RECORDS
        each = record(rng, number, time_ms)
        each["output"]["fingerprint"] = f"f{rng.randrange(400)}"
        each["output"]["finish_reason"] = rng.choices(("stop", "tool", "length"), (70, 4, 30 if late else 0))[0]
        first = 1.0 if number < SHIFT else rng.gauss(0, 1)
        each["data"]["embedding"] = [first, *(rng.gauss(0, 0.2) for _ in range(7))]
        each["versions"] = {"prompt": "v41" if number < SHIFT else "v42"}
        each["provider_model"] = "gpt-a" if number < SHIFT else "gpt-b"
        messages.append(message(number, as_json(each), time_ms))
    return messages


def relearned(messages):
    """That all signals are to be learned anew from the shift on."""
    at = messages[SHIFT].timestamp
    content = Relearn(relearn_id="r", subject="bot", at=at, signals=[], reason="accepted")
    return RawMessage(BASELINES, 0, 99, at, b"r", content.to_json())


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_usual_changes_at_the_same_record_whatever_the_batches(seed, replay):
    messages = stream(seed)
    whole = DetectStep(0, SETTINGS, replay=replay)
    expected = whole.step(messages)
    assert any(b'"type":"drift"' in output.value for output in expected)
    rng = random.Random(seed)
    for cuts in (range(RECORDS), rng.sample(range(RECORDS), 20)):
        step = DetectStep(0, SETTINGS, replay=replay)
        assert drive(step, messages, cuts) == expected
        assert full_state(step) == full_state(whole)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_learned_anew_is_usual_from_the_same_record_on_whatever_the_batches_and_restarts(seed):
    messages = stream(seed)
    anew = relearned(messages)
    whole = DetectStep(0, SETTINGS, replay=True)
    expected = whole.step(messages[:SHIFT]) + whole.control(anew) + whole.step(messages[SHIFT:])
    assert sum(output.topic == BASELINES for output in expected) == 2

    singly = DetectStep(0, SETTINGS, replay=True)
    outputs = drive(singly, messages[:SHIFT], range(SHIFT)) + singly.control(anew)
    assert outputs + drive(singly, messages[SHIFT:], range(RECORDS - SHIFT)) == expected
    assert full_state(singly) == full_state(whole)

    rng = random.Random(seed)
    step, checkpoint, outputs, start = DetectStep(0, SETTINGS, replay=True), Checkpoint(), [], 0
    for end in sorted({*rng.sample(range(1, RECORDS), 30), SHIFT, RECORDS}):
        outputs += step.step(messages[start:end])
        if end == SHIFT:
            outputs += step.control(anew)
        checkpoint.take(step)
        step = DetectStep(0, SETTINGS, replay=True)
        for offset, output in enumerate(each for each in outputs if each.topic == BASELINES):
            step.control(RawMessage(BASELINES, 0, offset, START_MS, output.key, output.value))
        if end >= SHIFT:
            step.control(anew)
        step = checkpoint.restored(step, rng)
        start = end
    assert outputs == expected
    assert full_state(step) == full_state(whole)
