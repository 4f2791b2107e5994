"""A loss of requests through the whole detect step: batches, restarts, gaps, sampled and late records, and incidents."""

import itertools
import random

import numpy as np
import pytest

from pipeline.detect.fleet import quiet_blocks
from pipeline.detect.offline import learn_history
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.baseline import Traffic
from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.correlate.builders import only
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, drive, full_state, message, record
from tests.pipeline.detect.test_step import drifts_of
from tests.pipeline.detect.worlds import learned, normal_world

pytestmark = pytest.mark.slow

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
BASELINE = learned(normal_world(1, 5000), SETTINGS).model_copy(
    update={
        "longest_gap_s": 10.0,
        "quietest_per_s": 1.0,
        "traffic": Traffic(requests_per_minute=[60.0] * 24, dispersion=1.0),
    }
)
BEGIN_MS = START_MS + 600_000
MINUTE_MS = 60_000
SUBJECTS = ("bot", "search", "agent", "review", "summary")


def step_of(*subjects, replay=False):
    step = DetectStep(0, SETTINGS, replay=replay)
    for offset, subject in enumerate(subjects or ("bot",)):
        baseline = BASELINE.model_copy(update={"subject": subject})
        step.control(RawMessage(BASELINES, 0, offset, START_MS, b"key", baseline.to_json()))
    return step


def records_of(counts, subject="bot", seed=1001, *, late_ms=0, **fields):
    """Records at random times of each minute, as fields with their arrival."""
    rng = random.Random(f"{subject} {seed}")
    sent = []
    for minute, count in enumerate(counts):
        times = sorted(rng.randrange(MINUTE_MS) for _ in range(count))
        for time in times:
            at_ms = BEGIN_MS + minute * MINUTE_MS + time
            sent.append((at_ms + rng.randrange(late_ms + 1), record(rng, len(sent), at_ms, subject) | fields))
    return sent


def messages_of(*sent):
    arrivals = sorted(itertools.chain(*sent), key=lambda one: one[0])
    return [message(offset, as_json(fields), at_ms) for offset, (at_ms, fields) in enumerate(arrivals)]


def request_drifts(outputs):
    return [drift for drift in drifts_of(outputs) if drift.signal == "request_rate"]


LOSS = [60] * 45 + [20] * 30 + [60] * 20
"""Requests per minute: a loss of two thirds for half an hour."""


def test_a_loss_is_a_ticket_and_one_incident_with_its_numbers():
    outputs = step_of().step(messages_of(records_of(LOSS)))
    drifts = request_drifts(outputs)
    assert [drift.state for drift in drifts] == ["firing", "evidence", "evidence", "recovered"]
    first = drifts[0]
    assert first.detected_at <= BEGIN_MS + 55 * MINUTE_MS
    assert (first.tier, first.failure_mode, first.unit) == ("ticket", "throughput_loss", "requests/s")
    assert "requests fell to 0.333 per second, normally 1 at this hour (33 %)" in first.sentence
    incident = only(*[drift for drift in drifts if drift.state == "firing"])
    assert incident.failure_mode == "throughput_loss"
    assert incident.severity == "P4"
    assert "receives 0.333 requests/s" in incident.summary


@pytest.mark.parametrize("replay", [True, False])
def test_batches_and_restarts_change_nothing(replay):
    messages = messages_of(records_of(LOSS))
    unbroken = step_of(replay=replay)
    expected = unbroken.step(messages)
    assert request_drifts(expected)
    singly = step_of(replay=replay)
    assert drive(singly, messages, range(len(messages))) == expected
    assert full_state(singly) == full_state(unbroken)
    rng = random.Random(5)
    step, checkpoint, outputs = step_of(replay=replay), Checkpoint(), []
    cuts = [0, *sorted(rng.sample(range(1, len(messages)), 30)), len(messages)]
    for start, end in itertools.pairwise(cuts):
        outputs += step.step(messages[start:end])
        checkpoint.take(step)
        step = checkpoint.restored(step_of(replay=replay), rng)
    assert outputs == expected
    assert full_state(step) == full_state(unbroken)


def test_the_loss_of_a_stream_among_others_is_the_same_as_alone(monkeypatch):
    monkeypatch.setattr(quiet_blocks, "STREAMS_MIN", 1)
    sent = {subject: records_of(LOSS if subject == "bot" else [60] * len(LOSS), subject) for subject in SUBJECTS}
    messages = messages_of(*sent.values())
    together = step_of(*SUBJECTS)
    outputs = drive(together, messages, range(0, len(messages), 500))
    assert {drift.subject for drift in request_drifts(outputs)} == {"bot"}
    state = full_state(together)
    for subject in SUBJECTS:
        alone = step_of(subject)
        drifts = drifts_of(alone.step(messages_of(sent[subject])))
        assert drifts == [drift for drift in drifts_of(outputs) if drift.subject == subject]
        assert {part: state[part] for part in full_state(alone) if part != "dead_letters"} == {
            part: content for part, content in full_state(alone).items() if part != "dead_letters"
        }


def test_a_gap_in_the_input_is_no_loss_and_the_time_after_it_is_tested():
    messages = messages_of(records_of([60] * 45 + [5] * 20 + [60] * 45 + [15] * 20))
    step = step_of()
    before = [one for one in messages if one.timestamp < BEGIN_MS + 45 * MINUTE_MS]
    after = [one for one in messages if one.timestamp >= BEGIN_MS + 65 * MINUTE_MS]
    assert request_drifts(step.step(before) + step.on_gap()) == []
    drifts = request_drifts(step.step(after))
    assert drifts[0].started_at >= BEGIN_MS + 108 * MINUTE_MS


def test_a_silence_is_no_loss_of_requests():
    outputs = step_of(replay=True).step(messages_of(records_of([60] * 45 + [0] * 90 + [60] * 45)))
    assert request_drifts(outputs) == []
    assert "silence" in {drift.signal for drift in drifts_of(outputs)}


def test_sampled_records_count_as_the_requests_that_they_represent():
    """Sampling one request in four is no loss, and a loss of sampled requests is found."""
    healthy = records_of([60] * 45)
    thinner = [
        (at_ms + 45 * MINUTE_MS, fields | {"timestamp": at_ms + 45 * MINUTE_MS, "request_id": f"s-{number}"})
        for number, (at_ms, fields) in enumerate(records_of([15] * 45, sampling_probability=0.25))
    ]
    assert request_drifts(step_of().step(messages_of(healthy, thinner))) == []
    lost = records_of([15] * 60 + [2] * 40, sampling_probability=0.25)
    assert request_drifts(step_of().step(messages_of(lost)))
    unknown = [(at_ms, fields | {"sampled": "tail"}) for at_ms, fields in records_of([60] * 45 + [15] * 40)]
    assert request_drifts(step_of().step(messages_of(unknown))) == []


def test_records_that_arrive_up_to_half_a_minute_late_are_no_loss():
    assert request_drifts(step_of().step(messages_of(records_of([60] * 90, late_ms=30_000)))) == []


def test_late_outcomes_are_not_requests():
    """Two outcomes per request do not hide the loss of the requests."""
    sent = records_of([60] * 45 + [20] * 30)
    outcomes = [
        (
            at_ms + 5000,
            {
                "subject": "bot",
                "request_id": fields["request_id"],
                "timestamp": at_ms + 5000,
                "output": {"thumbs_down": False},
            },
        )
        for at_ms, fields in sent
    ]
    drifts = request_drifts(step_of().step(messages_of(sent, outcomes)))
    assert drifts
    assert drifts[0].now == pytest.approx(1 / 3, abs=0.02)


def test_an_accepted_rate_is_relearned_and_muted():
    step = step_of()
    messages = messages_of(records_of([60] * 45 + [20] * 150))
    cut = next(index for index, one in enumerate(messages) if one.timestamp >= BEGIN_MS + 60 * MINUTE_MS)
    assert request_drifts(step.step(messages[:cut]))[0].state == "firing"
    relearn = Relearn(
        relearn_id="r-1", subject="bot", at=BEGIN_MS + 60 * MINUTE_MS, signals=["request_rate"], reason="accepted"
    )
    assert step.control(RawMessage(BASELINES, 0, 9, relearn.at, b"key", relearn.to_json())) == []
    drifts = request_drifts(step.step(messages[cut:]))
    assert [drift.state for drift in drifts] == ["recovered"]
    assert "a new baseline is in use" in drifts[0].sentence


def test_a_day_of_records_teaches_the_requests_of_each_hour():
    rng = np.random.default_rng(1001)
    per_minute = np.where(np.arange(1500) // 60 % 24 < 12, 6, 2)
    times = [
        START_MS // 3_600_000 * 3_600_000 + minute * MINUTE_MS + int(offset)
        for minute, count in enumerate(rng.poisson(per_minute))
        for offset in np.sort(rng.integers(0, MINUTE_MS, count))
    ]
    values = [as_json(record(random.Random(number), number, time)) for number, time in enumerate(times)]
    traffic = learn_history(values, SETTINGS).baselines["bot"].traffic
    begin = START_MS // 3_600_000 % 24
    assert traffic is not None
    assert traffic.requests_per_minute[(begin + 6) % 24] == pytest.approx(6, abs=0.9)
    assert traffic.requests_per_minute[(begin + 18) % 24] == pytest.approx(2, abs=0.6)
    assert 1 <= traffic.dispersion < 3
    half_a_day = learn_history(values[: len(values) // 2], SETTINGS).baselines["bot"]
    assert half_a_day.traffic is None
