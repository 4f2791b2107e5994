"""A field that becomes unusable or disappears in a share of requests is a drift of the data layer, with its cause."""

import itertools
import random

import orjson
import pytest

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.deployment import Deployment
from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.correlate.builders import only
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, drive, full_state, message
from tests.pipeline.detect.test_step import drifts_of

pytestmark = pytest.mark.slow

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
PER_S = 20
BREAK = 4000
BREAK_MS = START_MS + BREAK * 1000 // PER_S
SPARSE = 0.5


def as_message(number, fields):
    time_ms = START_MS + number * 1000 // PER_S
    return message(number, as_json({"timestamp": time_ms, **fields}), time_ms)


def stream(count, break_record, share=1.0, seed=5):
    """Requests of two prompts; ``break_record`` changes a share of the requests of the second prompt."""
    rng = random.Random(seed)
    for number in range(count):
        fields = {
            "subject": "bot",
            "request_id": f"r-{number}",
            "versions": {"prompt": "v41" if number < BREAK else "v42"},
            "infrastructure": {"latency_ms": round(rng.lognormvariate(6, 0.4), 1), "error": rng.random() < 0.01},
            "output": {"length": rng.randrange(50, 900), "refused": rng.random() < 0.01, "finish_reason": "stop"},
            "custom": {"toxicity": rng.random()},
        }
        if rng.random() < SPARSE:
            fields["output"]["confidence"] = round(rng.random(), 3)
        if fields["infrastructure"]["error"]:
            del fields["output"], fields["custom"]
        elif number >= BREAK and rng.random() < share:
            break_record(fields)
        yield as_message(number, fields)


def send_text(fields):
    fields["output"]["refused"] = "by policy 7"


def omit(section, name):
    return lambda fields: fields[section].pop(name, None)


def run(messages, *cuts):
    step = DetectStep(0, SETTINGS, replay=False)
    return step, drifts_of(drive(step, list(messages), cuts))


def baselines_of(outputs):
    return [output for output in outputs if output.topic == BASELINES]


def as_control(value):
    return RawMessage(BASELINES, 0, 0, START_MS, b"k", value)


def data_drifts(drifts):
    return [drift for drift in drifts if drift.layer == "data"]


@pytest.mark.parametrize(
    ("break_record", "fault", "beginning", "phrase"),
    [
        (send_text, "is_text", "output.refused is text in ", "of records in which output.refused is text"),
        (
            omit("output", "refused"),
            "absent",
            "output.refused is absent from ",
            "of records in which output.refused is absent",
        ),
    ],
    ids=["text", "absent"],
)
def test_a_field_that_breaks_in_a_deployment_is_named_with_share_start_and_suspect(
    break_record, fault, beginning, phrase
):
    _, drifts = run(stream(8000, break_record, share=0.31))
    first, *later = data_drifts(drifts)
    assert {drift.drift_id for drift in later} <= {first.drift_id}
    assert (first.signal, first.segment, first.fault) == ("unusable_field", "field=output.refused", fault)
    assert first.sentence.startswith(beginning)
    assert first.now == pytest.approx(0.31, abs=0.1)
    assert abs(first.started_at - BREAK_MS) < 5000
    deployment = Deployment(
        deployment_id="d-42",
        kind="prompt",
        subject="bot",
        from_version="v41",
        to_version="v42",
        timestamp=BREAK_MS - 10_000,
    )
    incident = only(deployment, *data_drifts(drifts))
    assert (incident.failure_mode, incident.severity) == ("unusable_records", "P4")
    assert phrase in incident.summary
    assert "Most likely cause: prompt v41 -> v42" in incident.summary
    assert incident.suspects[0].deployment_id == "d-42"


@pytest.mark.parametrize(
    ("section", "name"), [("output", "length"), ("output", "finish_reason"), ("custom", "toxicity")]
)
def test_any_kind_of_field_can_disappear(section, name):
    drifts = data_drifts(run(stream(6000, omit(section, name)))[1])
    assert {(drift.segment, drift.fault) for drift in drifts} == {(f"field={section}.{name}", "absent")}
    assert drifts[0].now == 1.0


def test_a_field_that_is_sparse_by_nature_is_not_expected():
    assert data_drifts(run(stream(6000, omit("output", "confidence")))[1]) == []


def test_a_short_job_without_a_field_is_not_reported_if_it_ran_while_the_baseline_was_learned():
    settings = SETTINGS.model_copy(update={"ready_after_s": 3600})
    rng, hour_ms, messages = random.Random(8), 3_600_000, []
    for second in range(2 * 3600 + 1800):
        is_job = second % 3600 in range(600, 625)
        for fields in [FIELDS] + [{**FIELDS, "custom": {}}] * is_job:
            request_id = f"r-{rng.getrandbits(64)}"
            time_ms = START_MS - START_MS % hour_ms + second * 1000
            value = as_json({**fields, "request_id": request_id, "timestamp": time_ms})
            messages.append(message(len(messages), value, time_ms))
    step = DetectStep(0, settings, replay=True)
    assert data_drifts(drifts_of(step.step(messages))) == []
    expected = step.streams["bot"].monitor.baseline.expected_fields
    assert "output.length" in expected
    assert "custom.toxicity" not in expected


def test_three_percent_are_not_reported():
    assert data_drifts(run(stream(30_000, omit("output", "refused"), share=0.03))[1]) == []


def test_failed_requests_and_late_outcomes_may_lack_fields():
    def fail(fields):
        fields["infrastructure"]["error"] = True
        del fields["output"], fields["custom"]

    def report_outcome(fields):
        del fields["infrastructure"], fields["custom"]
        fields["output"] = {"thumbs_down": False}

    for break_record in (fail, report_outcome):
        assert data_drifts(run(stream(6000, break_record, share=0.5))[1]) == []


def test_reactions_that_a_file_holds_beside_their_requests_are_not_expected_of_live_requests():
    def with_reaction(messages):
        for number, sent in enumerate(messages):
            fields = orjson.loads(sent.value)
            if number < BREAK and "output" in fields:
                fields["output"] |= {"thumbs_down": False, "hallucinated": False}
            yield as_message(number, fields)

    step, drifts = run(with_reaction(stream(6000, lambda _: None)))
    assert "output.refused" in step.streams["bot"].monitor.baseline.expected_fields
    assert data_drifts(drifts) == []


@pytest.mark.parametrize(
    ("infrastructure", "field", "fault"),
    [
        ({"latency_ms": 9, "error": "timeout"}, "infrastructure.error", "is_text"),
        ({"latency_ms": 9, "error": False, "error_type": {"code": 9}}, "infrastructure.error_type", "is_object"),
    ],
)
def test_requests_whose_error_cannot_be_read_may_lack_fields(infrastructure, field, fault):
    def fail(fields):
        fields["infrastructure"] = infrastructure
        del fields["output"], fields["custom"]

    drifts = data_drifts(run(stream(6000, fail, share=0.5))[1])
    assert {(drift.segment, drift.fault) for drift in drifts} == {(f"field={field}", fault)}


def test_a_field_that_cannot_be_used_is_not_absent_as_well():
    def send_a_number(fields):
        fields["output"] = 7

    drifts = data_drifts(run(stream(6000, send_a_number))[1])
    assert {(drift.segment, drift.fault) for drift in drifts} == {("field=output", "not_an_object")}


def test_batches_and_restarts_change_nothing():
    rng = random.Random(3)
    messages = list(stream(6000, omit("output", "refused"), share=0.3))
    unbroken = DetectStep(0, SETTINGS, replay=False)
    expected = unbroken.step(messages)
    assert data_drifts(drifts_of(expected))
    singly = DetectStep(0, SETTINGS, replay=False)
    assert drive(singly, messages, range(len(messages))) == expected
    assert full_state(singly) == full_state(unbroken)
    cuts = [0, *sorted(rng.sample(range(1, len(messages)), 40)), len(messages)]
    step, checkpoint, outputs = DetectStep(0, SETTINGS, replay=False), Checkpoint(), []
    for start, end in itertools.pairwise(cuts):
        outputs += step.step(messages[start:end])
        checkpoint.take(step)
        step = DetectStep(0, SETTINGS, replay=False)
        for output in baselines_of(outputs):
            step.control(as_control(output.value))
        step = checkpoint.restored(step, rng)
    assert outputs == expected
    assert full_state(step) == full_state(unbroken)


def test_a_new_baseline_ends_the_drift():
    messages = list(stream(6000, omit("output", "refused")))
    step = DetectStep(0, SETTINGS, replay=False)
    drifts = drifts_of(step.step(messages))
    (firing,) = [drift for drift in data_drifts(drifts) if drift.state == "firing"]
    learner = DetectStep(0, SETTINGS, replay=False)
    outputs = learner.step(messages[BREAK:])
    (baseline,) = baselines_of(outputs)
    value = baseline.value.replace(b'"source":"live"', b'"source":"file"')
    ended = data_drifts(drifts_of(step.control(as_control(value))))
    assert [(drift.drift_id, drift.state) for drift in ended] == [(firing.drift_id, "recovered")]
    assert "a new baseline is in use" in ended[0].sentence
    more = [as_message(n, {**FIELDS, "request_id": f"r-{n}"}) for n in range(6000, 7000)]
    assert data_drifts(drifts_of(step.step(more))) == []


FIELDS = {
    "subject": "bot",
    "infrastructure": {"latency_ms": 400, "error": False},
    "output": {"length": 400, "finish_reason": "stop"},
    "custom": {"toxicity": 0.5},
}


def test_relearning_the_fields_ends_the_drift_of_a_field_that_was_removed_on_purpose():
    messages = list(stream(9000, omit("output", "refused")))
    step = DetectStep(0, SETTINGS.model_copy(update={"relearn_after_s": 60.0}), replay=False)
    drifts = drifts_of(step.step(messages[:5000]))
    (firing,) = [drift for drift in data_drifts(drifts) if drift.state == "firing"]
    relearn = Relearn(
        relearn_id="a-1", subject="bot", at=BREAK_MS + 50_000, signals=["unusable_field"], reason="accepted"
    )
    step.control(as_control(relearn.to_json()))
    later = data_drifts(drifts_of(step.step(messages[5000:])))
    changes = [drift for drift in later if drift.state != "evidence"]
    assert [(drift.drift_id, drift.state) for drift in changes] == [(firing.drift_id, "recovered")]
    assert "output.refused" not in step.streams["bot"].monitor.baseline.expected_fields
    assert "refused" in step.streams["bot"].monitor.baseline.signals
