"""A few records of a stream wait for those after them. Nothing that is published may depend on it."""

import random

import numpy as np
import pytest

from pipeline.detect.admission import Records
from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.blocks import Buffer, DeferredRecords
from pipeline.detect.blocks.deferred import PANES_MAX
from pipeline.detect.losses import share_test
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.topics import BASELINES, DRIFTS
from tests.pipeline.detect.records import as_dicts, mixed_records
from tests.pipeline.detect.streams import START_MS, as_json, message, record

SETTINGS = DetectSettings(ready_after_s=60, ready_records=300, ready_records_rate=200)


def batch(count, *, seed=1, rare=True):
    """Records 100 ms apart."""
    rng = random.Random(seed)
    objects = mixed_records(rng, count) if rare else [{"output": {"length": n}} for n in range(count)]
    records = RecordReader().read(objects)
    records.subjects = records.timestamps = ()
    records.positions = list(range(count))
    records.times_ms = START_MS + np.arange(count) * 100
    records.content_hashes = np.arange(count)
    records.carried = frozenset(np.flatnonzero(~np.isnan(records.values).all(axis=0)).tolist())
    return records


def offer(waiting, records, start, stop, settings=SETTINGS):
    newest_ms = int(records.times_ms[stop - 1])
    return waiting.offer(records, start, stop, waiting.watermark, newest_ms, Buffer(settings))


@pytest.mark.parametrize("rare", [True, False])
def test_waiting_records_are_returned_in_order_with_those_that_follow(rare):
    first, second = batch(9, rare=rare), batch(9, seed=2, rare=rare)
    waiting = DeferredRecords()
    assert offer(waiting, first, 2, 5)
    assert offer(waiting, first, 7, 8)
    assert (len(waiting), waiting.first_pane) == (4, (START_MS + 200) // 1000)
    taken = waiting.take((second, 1, 3))
    expected = [*as_dicts(first.cut(2, 5)), *as_dicts(first.cut(7, 8)), *as_dicts(second.cut(1, 3))]
    assert as_dicts(taken) == expected
    assert np.array_equal(taken.content_hashes, [2, 3, 4, 7, 1, 2])
    assert len(waiting) == 0
    assert taken.carried is None or taken.carried == first.carried | second.carried
    assert not np.shares_memory(taken.values, first.values)


def test_records_do_not_wait_if_they_may_complete_a_block():
    records = batch(64, rare=False)
    assert offer(DeferredRecords(), records, 0, 39)
    assert not offer(DeferredRecords(), records, 0, 41)  # four seconds after the first record
    many = batch(64, rare=False)
    many.times_ms = np.full(64, START_MS)
    assert offer(DeferredRecords(), many, 0, 63)
    assert not offer(DeferredRecords(), many, 0, 64)


def test_records_do_not_wait_until_a_test_of_losses_could_fire():
    assert round(1 / share_test.CAP_SHARE) >= PANES_MAX
    records = batch(120, rare=False)
    records.times_ms = START_MS + np.arange(120) * 1000
    slow = DetectSettings(flush_after_s=600, flush_records=512)
    assert offer(DeferredRecords(), records, 0, PANES_MAX, slow)
    assert not offer(DeferredRecords(), records, 0, PANES_MAX + 1, slow)


def ready_step(subject="bot"):
    """A step with a baseline for one subject, and the records that follow."""
    rng = random.Random(5)
    learning = DetectStep(0, SETTINGS, replay=True)
    messages = [
        message(n, as_json(record(rng, n, START_MS - 200_000 + n * 300, subject)), START_MS - 200_000 + n * 300)
        for n in range(600)
    ]
    (baseline,) = (output.value for output in learning.step(messages) if output.topic == BASELINES)
    step = DetectStep(0, SETTINGS, replay=False)
    assert step.control(RawMessage(BASELINES, 0, 0, START_MS, b"k", baseline)) == []
    return step, [
        message(n, as_json(record(rng, n, START_MS + n * 500, subject)), START_MS + n * 500) for n in range(40)
    ]


def test_a_few_records_wait_and_are_counted_when_somebody_asks():
    step, messages = ready_step()
    assert step.step(messages[:3]) == []
    (stream,) = step._streams.live.values()
    assert (len(stream.deferred), stream.counts["used"]) == (3, 0)
    assert stream.watermark == START_MS + 1000
    assert step.counts()["used"] == 3
    assert len(stream.deferred) == 0
    step.step(messages[3:12])
    assert len(stream.deferred) == 0  # they complete a block


def silence_after(step, *, is_dumped):
    """Return the number of ticks after which the subject is reported as silent."""
    wall_ms = START_MS + 2000
    for number in range(1000):
        wall_ms += 1000
        if step.tick(wall_ms)[1:]:
            return number
        if is_dumped and number == 5:
            assert list(step.changed())
    return None


def test_a_checkpoint_does_not_interrupt_a_silence_that_follows_waiting_records():
    ticks = []
    for is_dumped in (False, True):
        step, messages = ready_step()
        step.step(messages[:3])
        assert len(step._streams.live["bot"].deferred) == 3
        ticks.append(silence_after(step, is_dumped=is_dumped))
    assert ticks[0] == ticks[1] is not None


def test_records_of_a_subject_that_falls_silent_do_not_keep_their_batch():
    step, messages = ready_step()
    step.step(messages[:2])
    stream = step._streams.live["bot"]
    others = [message(n, as_json({"subject": "other", "timestamp": START_MS + n * 1000})) for n in range(100, 110)]
    assert len(stream.deferred) == 2
    step.step(others)
    assert (len(stream.deferred), stream.counts["used"]) == (0, 2)


def test_waiting_records_belong_to_the_checkpoint():
    step, messages = ready_step()
    step.step(messages[:3])
    parts = [(key, value) for key, value in step.changed() if value is not None]
    restored = DetectStep(0, SETTINGS, replay=False)
    assert step._streams.live["bot"].counts["used"] == 3
    list(restored.restore(parts))
    assert restored.streams["bot"].counts["used"] == 3


def test_a_drift_of_losses_is_the_same_wherever_batches_end():
    outputs = []
    for size in (1, 3, 40):
        step, _ = ready_step()
        rng = random.Random(9)
        sent = []
        for n in range(300):
            fields = record(rng, n, START_MS + n * 500)
            fields["infrastructure"]["latency_ms"] = "slow" if n > 40 else 500
            sent.append(message(n, as_json(fields), START_MS + n * 500))
        drifts = []
        for start in range(0, len(sent), size):
            drifts += [output.value for output in step.step(sent[start : start + size]) if output.topic == DRIFTS]
        outputs.append(drifts)
    assert any(b"unusable_field" in value for value in outputs[0])
    assert outputs[0] == outputs[1] == outputs[2]


def test_no_records_are_no_slice():
    assert len(Records.join([(batch(3), 1, 1)])) == 0
