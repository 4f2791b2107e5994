"""A stream that is sampled by outcome is judged by what does not depend on the outcome, and says so."""

import random

import pytest

from pipeline.detect.one_sided_tests import NotTestable
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.detect.stream.outcome_sampling import UNMARKED_MS
from pipeline.detect.stream.stream_state import dump_main_part
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, drive, full_state, message
from tests.pipeline.detect.test_step import drifts_of

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
CHANGE_MS = START_MS + 120_000
END_MS = START_MS + 320_000


def sampled_service(
    seed=1, *, per_s=100, thin=(0.3, 0.02), fields=None, omitted="", failing=range(0), start_ms=START_MS, end_ms=END_MS
):
    """Messages of a steady service with 1 % errors. All errors are kept, and another share of the rest from CHANGE_MS.

    ``fields`` are added to every record, and the section ``omitted`` is left out. Index ages are ten times as high at the requests numbered in ``failing``.
    """
    rng = random.Random(seed)
    messages = []
    for number in range((end_ms - start_ms) * per_s // 1000):
        time_ms = start_ms + number * 1000 // per_s
        is_error = rng.random() < 0.01
        if not is_error and rng.random() >= thin[time_ms >= CHANGE_MS]:
            continue
        content = {
            "subject": "bot",
            "request_id": f"r-{start_ms}-{number}",
            "timestamp": time_ms,
            "infrastructure": {"latency_ms": rng.lognormvariate(6, 0.4) * (1 + 9 * is_error), "error": is_error},
            "data": {"index_age_s": rng.uniform(100, 200) * (10 if number in failing else 1)},
            "segment": {"region": rng.choice(("eu", "us"))},
        }
        content.pop(omitted, None)
        messages.append(message(len(messages), as_json(content | (fields or {})), time_ms))
    return messages


def fired(outputs):
    return {drift.signal for drift in drifts_of(outputs) if drift.state == "firing"}


def paged(outputs):
    return {drift.signal for drift in drifts_of(outputs) if drift.state == "firing" and drift.tier == "page"}


def published(outputs):
    return [Baseline.from_json(output.value) for output in outputs if output.topic == BASELINES]


def test_another_share_of_kept_requests_pages_only_if_the_sampling_is_not_declared():
    undeclared = DetectStep(0, SETTINGS, replay=True).step(sampled_service())
    assert paged(undeclared) == {"error", "latency_ms"}
    step = DetectStep(0, SETTINGS, replay=True)
    declared = step.step(sampled_service(fields={"sampled": "tail"}))
    assert fired(declared) == set()
    [baseline] = published(declared)
    assert baseline.sampled == "tail"
    not_testable = [test for test in step.streams["bot"].monitor.not_testable if test.signal.kind != "age"]
    assert {test.reason for test in not_testable} == {NotTestable.SAMPLED_BY_OUTCOME}
    assert {test.signal.name for test in step.streams["bot"].monitor.tests} == {"index_age_s"}


def test_what_does_not_depend_on_the_outcome_is_still_judged():
    messages = sampled_service(fields={"sampled": "tail"}, thin=(0.3, 0.3), failing=range(14_000, 40_000))
    assert paged(DetectStep(0, SETTINGS, replay=True).step(messages)) == {"index_age_s"}


def test_a_baseline_of_sampled_records_judges_no_rate_of_later_records_without_the_mark():
    step = DetectStep(0, SETTINGS, replay=True)
    [baseline] = published(step.step(sampled_service(fields={"sampled": "tail"})))
    later = DetectStep(0, SETTINGS, replay=True)
    later.control(RawMessage(BASELINES, 0, 0, START_MS, b"k", baseline.to_json()))
    assert fired(later.step(sampled_service(thin=(1.0, 1.0), end_ms=CHANGE_MS))) == set()
    assert later.streams["bot"].sampling.dump() is None


def turning_sampled(omitted=""):
    """A stream whose drifts are open when its first record is marked."""
    before = sampled_service(end_ms=CHANGE_MS + 100_000, omitted=omitted)
    after = sampled_service(seed=2, fields={"sampled": "tail"}, start_ms=CHANGE_MS + 100_000, omitted=omitted)
    return [message(offset, each.value, each.timestamp) for offset, each in enumerate(before + after)]


def test_open_drifts_end_when_a_stream_turns_sampled():
    drifts = drifts_of(DetectStep(0, SETTINGS, replay=True).step(turning_sampled()))
    open_drifts = {drift.drift_id for drift in drifts if drift.state == "firing"}
    ended = [drift for drift in drifts if drift.state == "recovered"]
    assert open_drifts
    assert {drift.drift_id for drift in ended} == open_drifts
    assert {drift.sentence.split(" has ended: ")[1] for drift in ended} == {NotTestable.SAMPLED_BY_OUTCOME}
    assert max(drift.updated_at for drift in drifts) < CHANGE_MS + 130_000


def test_a_stream_without_any_testable_signal_keeps_its_segments_in_its_state():
    messages = turning_sampled(omitted="data")
    step, checkpoint = DetectStep(0, SETTINGS, replay=True), Checkpoint()
    outputs = step.step(messages)
    stream = step.streams["bot"]
    assert list(stream.monitor.tests) == []
    checkpoint.take(step)
    restored = DetectStep(0, SETTINGS, replay=True)
    for offset, output in enumerate(output for output in outputs if output.topic == BASELINES):
        restored.control(RawMessage(BASELINES, 0, offset, START_MS, output.key, output.value))
    checkpoint.restored(restored, random.Random(1))
    assert full_state(restored) == full_state(step)
    [[dimension, values]] = restored.streams["bot"].monitor.dump()["monitor"]["segments"]["dimensions"]
    assert (dimension, sorted(value[0] for value in values["values"])) == ("region", ["eu", "us"])


def test_a_stream_counts_as_sampled_until_a_day_without_a_mark():
    mark = {"sampled": "tail"}
    step = DetectStep(0, SETTINGS, replay=True)
    step.step(sampled_service(thin=(1.0, 1.0), end_ms=CHANGE_MS))
    tests = [test.key for test in step.streams["bot"].monitor.tests]
    step.step(sampled_service(seed=2, thin=(1.0, 1.0), fields=mark, start_ms=CHANGE_MS, end_ms=CHANGE_MS + 10_000))
    state = dump_main_part(step.streams["bot"])["sampled"]
    assert CHANGE_MS - 10_000 < state["since_ms"] <= CHANGE_MS
    unmarked_ms = state["until_ms"] - UNMARKED_MS
    assert CHANGE_MS + 5_000 < unmarked_ms <= CHANGE_MS + 10_000
    for after_ms, is_sampled in ((20_000, True), (UNMARKED_MS - 20_000, True), (UNMARKED_MS + 20_000, False)):
        start_ms = unmarked_ms + after_ms
        step.step(sampled_service(seed=3, start_ms=start_ms, end_ms=start_ms + 10_000, thin=(1.0, 1.0)))
        stream = step.streams["bot"]
        assert stream.sampling.is_active is is_sampled
        assert ([test.key for test in stream.monitor.tests] == tests) is not is_sampled
    assert dump_main_part(stream)["sampled"] is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_batches_and_restarts_change_nothing(seed):
    messages = turning_sampled()
    for index in random.Random(seed).sample(range(len(messages)), 400):
        content = messages[index].value[:-1] + b',"sampling_probability":0.3}'
        messages[index] = message(index, content, messages[index].timestamp)
    unbroken = DetectStep(0, SETTINGS, replay=True)
    expected = unbroken.step(messages)
    assert unbroken.streams["bot"].sampling.is_active
    singly = DetectStep(0, SETTINGS, replay=True)
    assert drive(singly, messages, range(len(messages))) == expected
    assert full_state(singly) == full_state(unbroken)
    rng = random.Random(seed)
    step, checkpoint, outputs, start = DetectStep(0, SETTINGS, replay=True), Checkpoint(), [], 0
    for end in (*sorted(rng.sample(range(1, len(messages)), 40)), len(messages)):
        outputs += step.step(messages[start:end])
        checkpoint.take(step)
        step, start = DetectStep(0, SETTINGS, replay=True), end
        for offset, output in enumerate(output for output in outputs if output.topic == BASELINES):
            step.control(RawMessage(BASELINES, 0, offset, START_MS, output.key, output.value))
        checkpoint.restored(step, rng)
    assert outputs == expected
    assert full_state(step) == full_state(unbroken)


def kept_requests(probability, *, seed=4, before_s=3600, after_s=600, fields=None):
    """Messages of a service with 20 requests a second that loses 60 % of them after an hour."""
    rng = random.Random(seed)
    messages = []
    for second in range(before_s + after_s):
        requests = 20 if second < before_s else 8
        for number in range(requests):
            if rng.random() < probability:
                time_ms = START_MS + second * 1000 + number * 50
                content = {"subject": "bot", "request_id": f"r-{len(messages)}", "timestamp": time_ms}
                content |= {"infrastructure": {"error": False}} | (fields or {})
                messages.append(message(len(messages), as_json(content), time_ms))
    return messages


@pytest.mark.slow
@pytest.mark.parametrize(
    ("probability", "fields"),
    [
        (1.0, {}),
        (0.1, {"sampling_probability": 0.1}),
        (0.1, {"sampling_probability": 0.1, "sampled": "tail"}),
    ],
)
def test_a_loss_of_requests_is_found_with_and_without_sampling(probability, fields):
    settings = SETTINGS.model_copy(update={"ready_after_s": 3000, "ready_records": 200, "ready_records_rate": 200})
    drifts = drifts_of(DetectStep(0, settings, replay=True).step(kept_requests(probability, fields=fields)))
    losses = [drift for drift in drifts if drift.signal == "throughput_ratio" and drift.state == "firing"]
    assert losses
    detected_s = [(drift.detected_at - START_MS) / 1000 for drift in losses]
    assert 3600 < min(detected_s) < 3900


def test_a_loss_of_requests_is_not_judged_if_the_probabilities_are_unknown():
    settings = SETTINGS.model_copy(update={"ready_after_s": 600, "ready_records": 100, "ready_records_rate": 200})
    step = DetectStep(0, settings, replay=True)
    outputs = step.step(kept_requests(0.5, before_s=1200, fields={"sampled": "tail"}))
    assert fired(outputs) == set()
    assert "throughput_ratio" not in {signal.name for signal in step.streams["bot"].columns.signals}
