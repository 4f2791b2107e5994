"""The same messages give the same outputs and state, regardless of batches and restarts."""

import itertools
import random

import pytest

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.state import Part
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.topics import BASELINES, DEAD_LETTERS, DRIFTS
from tests.hostile import kinds
from tests.pipeline.detect.streams import (
    START_MS,
    Checkpoint,
    as_json,
    drive,
    full_state,
    message,
    outcome,
    record,
)

pytestmark = pytest.mark.slow

SETTINGS = DetectSettings(
    ready_after_s=60, ready_records=400, ready_records_rate=300, duplicate_window=64, outcome_window=64
)
KINDS = [kind.value for kind in kinds(START_MS) if kind.value is None or len(kind.value) < 10_000]


def stream(seed, count=2600):
    """Three subjects with different traffic, one of which fails, with late, duplicate, bad and absurd records."""
    rng = random.Random(seed)
    values = []
    time_ms = START_MS
    for number in range(count):
        time_ms += rng.choice((5, 20, 60, 60, 400))
        if rng.random() < 0.002:
            time_ms += rng.choice((20_000, 2 * 3_600_000))
        subject = rng.choices(("bot", "search", "rare"), (10, 4, 0.2))[0]
        refused = 0.6 if subject == "bot" and number > count * 0.6 else 0.01
        own_ms = time_ms - rng.choice((0, 0, 0, 200, 3000))
        fields = record(rng, number, own_ms, subject, refused)
        fields["versions"] = {"prompt": rng.choice(("v41", "v42")), "model": "m1"}
        value = as_json(fields)
        values.append(value)
        if rng.random() < 0.04:
            values.append(value)
        if rng.random() < 0.05:
            values.append(as_json(outcome(subject, max(0, number - rng.randrange(80)), time_ms + 100)))
        if rng.random() < 0.05:
            values.append(rng.choice(KINDS))
        if rng.random() < 0.02:
            absurd = rng.choice((time_ms + 30 * 86_400_000, time_ms - 30 * 86_400_000, 7_258_118_400_000))
            values.append(as_json(record(rng, number, absurd, subject)))
        if rng.random() < 0.02:
            values.append(as_json([record(rng, 10_000_000 + number * 10 + n, time_ms, subject) for n in range(5)]))
    return [message(offset, value, time_ms) for offset, value in enumerate(values)]


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_batches_and_restarts_change_nothing(seed, replay):
    messages = stream(seed)
    rng = random.Random(1000 + seed)
    unbroken = DetectStep(0, SETTINGS, replay=replay)
    expected = unbroken.step(messages)
    state = full_state(unbroken)
    topics = {output.topic for output in expected}
    assert {BASELINES, DEAD_LETTERS, DRIFTS} <= topics
    assert any(b'"type":"drift"' in output.value for output in expected)

    singly = DetectStep(0, SETTINGS, replay=replay)
    assert drive(singly, messages, range(len(messages))) == expected
    assert full_state(singly) == state

    for batches in (3, 100):
        cuts = [0, *sorted(rng.sample(range(1, len(messages)), batches)), len(messages)]
        step, checkpoint, outputs, published = DetectStep(0, SETTINGS, replay=replay), Checkpoint(), [], []
        for start, end in itertools.pairwise(cuts):
            new = step.step(messages[start:end])
            outputs += new
            published += [output for output in new if output.topic == BASELINES]
            if rng.random() < 0.5:
                checkpoint.take(step)
                step = restarted(checkpoint, published, rng, replay)
        assert outputs == expected
        assert full_state(step) == state
        assert step.counts() == unbroken.counts()
        assert step.judged_share() == unbroken.judged_share() > 0


def restarted(checkpoint, published, rng, replay):
    step = DetectStep(0, SETTINGS, replay=replay)
    for offset, output in enumerate(published):
        assert step.control(RawMessage(BASELINES, 0, offset, START_MS, output.key, output.value)) == []
    return checkpoint.restored(step, rng)


def test_an_output_names_the_baseline_that_was_published():
    outputs = DetectStep(0, SETTINGS, replay=True).step(stream(1))
    (version,) = {
        Baseline.from_json(output.value).baseline_version
        for output in outputs
        if output.topic == BASELINES and output.key.startswith(b"bot/")
    }
    drifts = [output for output in outputs if b'"type":"drift"' in output.value and b'"subject":"bot"' in output.value]
    drifts = [output for output in drifts if b'"failure_mode":"unusable_records"' not in output.value]
    assert drifts
    assert all(f'"baseline_version":"{version}"'.encode() in output.value for output in drifts)


def kinds_of(checkpoint, subject):
    parts = [Part.from_key(key)[0] for key in checkpoint.parts]
    return {part.kind for part in parts if part.name == subject}


def test_parts_that_are_no_longer_needed_are_removed_from_the_checkpoint():
    messages = stream(4)
    step, checkpoint = DetectStep(0, SETTINGS, replay=True), Checkpoint()
    for start in range(0, 600, 100):
        step.step(messages[start : start + 100])
        checkpoint.take(step)
    assert "learner" in kinds_of(checkpoint, "bot")
    for start in range(600, len(messages), 100):
        step.step(messages[start : start + 100])
        checkpoint.take(step)
    assert "learner" not in kinds_of(checkpoint, "bot")
    assert "monitor" in kinds_of(checkpoint, "bot")


def test_an_unchanged_state_writes_nothing():
    step = DetectStep(0, SETTINGS, replay=True)
    step.step(stream(5)[:200])
    assert list(step.changed())
    assert list(step.changed()) == []
