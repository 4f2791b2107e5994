"""A change of shape among many quiet streams, whose blocks are observed in one pass."""

import numpy as np
import orjson
import pytest

from pipeline.detect.baselines import baseline_version
from pipeline.detect.fleet import quiet_blocks
from pipeline.detect.settings import DetectSettings
from pipeline.detect.shape import ShapeDrifts
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.topics import BASELINES, DRIFTS
from tests.pipeline.detect.shape.test_shape_drifts import DAY_S, SEEDS, cache_off, columns, learn
from tests.pipeline.detect.streams import START_MS, as_json, drive, full_state, message

SUBJECTS = ("a", "b", "c", "d")
MINUTES = 15


def prepared_step(subjects):
    step = DetectStep(0, DetectSettings(), replay=False)
    for offset, subject in enumerate(subjects):
        baseline = learn(SEEDS[0]).model_copy(update={"subject": subject, "source": "file", "expected_fields": []})
        baseline = baseline.model_copy(update={"baseline_version": baseline_version(baseline)})
        assert step.control(RawMessage(BASELINES, 0, offset, START_MS, b"k", baseline.to_json())) == []
    return step


def sent(subject, seed, *, is_failing):
    """The records of a subject by time, of which those after three minutes fail."""
    times_s, values = columns(seed, DAY_S, DAY_S + MINUTES * 60)
    if is_failing:
        cache_off(values, times_s >= DAY_S + 180, np.random.default_rng(seed))
    for row, time_s in enumerate(times_s.tolist()):
        record = {
            "subject": subject,
            "request_id": f"{subject}-{row}",
            "timestamp": round(START_MS + time_s * 1000),
            "infrastructure": {"latency_ms": round(float(values["latency_ms"][row]), 2)},
            "output": {"length": float(values["length"][row]), "steps": float(values["steps"][row])},
        }
        yield record["timestamp"], record


@pytest.mark.slow
def test_a_change_of_shape_that_is_found_in_one_pass_is_the_one_that_is_found_alone(monkeypatch):
    monkeypatch.setattr(quiet_blocks, "STREAMS_MIN", 1)
    found = []
    add_counts = ShapeDrifts.add_counts

    def spy(shapes, *values):
        findings = add_counts(shapes, *values)
        found.extend(findings)
        return findings

    monkeypatch.setattr(ShapeDrifts, "add_counts", spy)
    records = [
        each
        for seed, subject in enumerate(SUBJECTS, 200)
        for each in sent(subject, seed, is_failing=subject in ("a", "c"))
    ]
    messages = [
        message(offset, as_json(record), time_ms)
        for offset, (time_ms, record) in enumerate(sorted(records, key=lambda each: each[0]))
    ]
    together = prepared_step(SUBJECTS)
    outputs = drive(together, messages, range(100, len(messages), 100))
    assert [(finding.signal.name, finding.channel, finding.state) for finding in found] == 2 * [
        ("latency_ms", "shape", "firing")
    ]
    state = full_state(together)
    for subject in SUBJECTS:
        alone = prepared_step([subject])
        own = drive(alone, [each for each in messages if orjson.loads(each.value)["subject"] == subject])
        drifts = [
            [
                output.value
                for output in each
                if output.topic == DRIFTS and orjson.loads(output.value)["subject"] == subject
            ]
            for each in (outputs, own)
        ]
        assert drifts[0] == drifts[1]
        assert bool(drifts[0]) == (subject in ("a", "c"))
        own_state = {part: content for part, content in full_state(alone).items() if part.startswith(f"{subject}/")}
        assert own_state
        assert {part: state[part] for part in own_state} == own_state
