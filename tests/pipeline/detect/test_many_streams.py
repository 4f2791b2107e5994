"""The step observes the blocks of many streams in one pass. Each stream must get what it gets by itself."""

import random

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.detect.fleet import quiet_blocks
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.topics import BASELINES, DRIFTS
from tests.pipeline.detect.streams import START_MS, as_json, drive, full_state, message, record

SETTINGS = DetectSettings(
    ready_after_s=60,
    ready_records=300,
    ready_records_rate=200,
    segments=("region", "tenant", "prompt"),
    segment_settle_records=40,
    segment_values_max=4,
    adwin_records=20,
)
SUBJECTS = tuple(f"s{number}" for number in range(7))


def learned_baselines():
    """One baseline per subject. Subjects differ in signals, kinds of signals and levels."""
    step = DetectStep(0, SETTINGS, replay=True)
    rng = random.Random(3)
    outputs = []
    for number, subject in enumerate(SUBJECTS):
        messages = []
        for index in range(500):
            time_ms = START_MS - 200_000 + index * 300
            messages.append(message(index, as_json(sent(rng, index, time_ms, subject, number)), time_ms))
        outputs += DetectStep(0, SETTINGS, replay=True).step(messages)
    assert step.streams == {}
    return [output.value for output in outputs if output.topic == BASELINES]


def sent(rng, index, time_ms, subject, kind, *, fault=None):
    """A record whose fields depend on the kind of its subject, and on a fault."""
    fields = record(rng, index, time_ms, subject, refused=0.9 if fault == "refusals" else 0.02)
    if kind % 3 == 1:
        del fields["data"]
    if kind % 3 == 2:
        fields["safety"] = {"filter_triggered": rng.random() < 0.05, "injection_score": round(rng.random(), 3)}
    if kind % 3 == 0:
        # The indexes of the subjects are renewed every 10, 13 and 16 seconds.
        age_s = time_ms % (10_000 + 1000 * kind) / 1000
        fields["data"]["index_age_s"] = age_s + (1000 if fault == "overdue" else 0)
    if kind % 2:
        fields["infrastructure"]["output_tokens"] = round(rng.uniform(1, 300), 2)
    if fault == "slow":
        fields["infrastructure"]["latency_ms"] = 9000 + rng.random()
    fields["segment"] = {"region": rng.choice(("eu", "us")), "tenant": rng.choice(("a", "b", "c"))}
    fields["versions"] = {"prompt": "v2" if fault == "deployment" and rng.random() < 0.5 else "v1", "model": "m"}
    if fault == "tenants":
        fields["segment"]["tenant"] = f"t{rng.randrange(9)}"
    if fault == "sampled":
        fields["sampled"] = "by_outcome"
    return fields


BASELINE_VALUES = learned_baselines()


def prepared_step(*subjects):
    step = DetectStep(0, SETTINGS, replay=False)
    for offset, value in enumerate(BASELINE_VALUES[SUBJECTS.index(subject)] for subject in subjects or SUBJECTS):
        assert step.control(RawMessage(BASELINES, 0, offset, START_MS, b"k", value)) == []
    return step


@st.composite
def traffic(draw):
    """Messages of several streams with faults, pauses, late and repeated records, and where batches end."""
    seed = draw(st.integers(0, 2**32))
    rng = random.Random(seed)
    faults = {
        subject: draw(
            st.sampled_from(
                (None, None, None, "refusals", "slow", "deployment", "tenants", "late", "rare", "sampled", "overdue")
            )
        )
        for subject in SUBJECTS
    }
    busy = draw(st.sampled_from((1, 6)))
    messages, time_ms = [], START_MS
    for index in range(draw(st.integers(200, 900))):
        time_ms += rng.choice((5, 20, 120, 250)) if rng.random() < 0.995 else rng.choice((6_000, 130_000))
        number = rng.choices(range(len(SUBJECTS)), [busy, *[1] * (len(SUBJECTS) - 1)])[0]
        subject = SUBJECTS[number]
        fault = faults[subject] if index > 150 else None
        if fault == "rare" and rng.random() < 0.9:
            continue
        late_ms = rng.choice((0, 900, 2500)) if fault == "late" else 0
        value = as_json(sent(rng, index, time_ms - late_ms, subject, number, fault=fault))
        messages += [message(len(messages), value, time_ms)] * (2 if rng.random() < 0.01 else 1)
    cuts = draw(st.lists(st.integers(0, len(messages)), max_size=12))
    return messages, cuts


def subject_of(value):
    return orjson.loads(value)["subject"]


def drifts_of(outputs, subject):
    return [
        output.value
        for output in outputs
        if output.topic == DRIFTS and orjson.loads(output.value).get("subject") == subject
    ]


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(traffic())
def test_each_stream_gets_what_it_gets_by_itself(case):
    messages, cuts = case
    together = prepared_step()
    with pytest.MonkeyPatch.context() as patch:
        # Every block that can be observed in a batch is observed in a batch, even if it is the only one.
        patch.setattr(quiet_blocks, "STREAMS_MIN", 1)
        outputs = drive(together, messages, cuts)
    state = full_state(together)
    for subject in SUBJECTS:
        alone = prepared_step(subject)
        own_outputs = drive(alone, [each for each in messages if subject_of(each.value) == subject])
        assert drifts_of(outputs, subject) == drifts_of(own_outputs, subject), subject
        own_state = full_state(alone)
        for part, content in own_state.items():
            if part.startswith(f"{subject}/"):
                assert state[part] == content, part


def quiet_messages(count, *, fault_from=None, fault="refusals", late_every=None):
    rng = random.Random(5)
    messages = []
    for index in range(count):
        number = index % len(SUBJECTS)
        is_failing = fault_from is not None and index >= fault_from and not number
        time_ms = START_MS + index * 70 - (1500 if late_every and index % late_every == 0 else 0)
        value = as_json(sent(rng, index, time_ms, SUBJECTS[number], number, fault=fault if is_failing else None))
        messages.append(message(index, value, time_ms))
    return messages


def sizes_of_batches(monkeypatch, messages):
    """The sizes of the batches in which blocks are observed, and the number of blocks that are observed alone."""
    monkeypatch.setattr(quiet_blocks, "STREAMS_MIN", 1)
    sizes, alone = [], []
    observe_batch, observe = quiet_blocks._observe_batch, quiet_blocks.Stream.observe_records
    monkeypatch.setattr(
        quiet_blocks,
        "_observe_batch",
        lambda quiet, limits: sizes.append(len(quiet)) or observe_batch(quiet, limits),
    )
    monkeypatch.setattr(
        quiet_blocks.Stream,
        "observe_records",
        lambda stream, rows: alone.append(stream.subject) or observe(stream, rows),
    )
    drive(prepared_step(), messages, range(200, len(messages), 200))
    return sizes, len(alone)


def test_the_blocks_of_quiet_streams_are_observed_in_one_pass(monkeypatch):
    sizes, alone = sizes_of_batches(monkeypatch, quiet_messages(3500))
    assert sum(sizes) > 20 * alone


def test_blocks_with_late_records_are_observed_in_one_pass(monkeypatch):
    sizes, alone = sizes_of_batches(monkeypatch, quiet_messages(3500, late_every=11))
    assert sum(sizes) > 20 * alone


def test_an_age_that_is_overdue_among_quiet_streams_is_reported(monkeypatch):
    monkeypatch.setattr(quiet_blocks, "STREAMS_MIN", 1)
    step = prepared_step()
    outputs = drive(step, quiet_messages(4000, fault_from=2000, fault="overdue"), range(200, 4000, 200))
    drifts = [orjson.loads(output.value) for output in outputs if output.topic == DRIFTS]
    fired = {(drift["subject"], drift["signal"], drift["channel"]) for drift in drifts if drift["state"] == "firing"}
    assert ("s0", "index_age_s", "overdue") in fired
    assert {subject for subject, *_ in fired} == {"s0"}


def test_a_stream_that_fails_among_quiet_streams_is_reported(monkeypatch):
    monkeypatch.setattr(quiet_blocks, "STREAMS_MIN", 1)
    step = prepared_step()
    outputs = drive(step, quiet_messages(4000, fault_from=2000), range(200, 4000, 200))
    pages = [orjson.loads(output.value) for output in outputs if output.topic == DRIFTS]
    fired = {
        (page["subject"], page["signal"]) for page in pages if page.get("state") == "firing" and not page["segment"]
    }
    assert ("s0", "refused") in fired
    assert {subject for subject, _ in fired} == {"s0"}
