"""Streams without recent records are packed. Their results are the same as without packing, to the last digit."""

import random

import pytest

from pipeline import state as pipeline_state
from pipeline.codec import decode, encode
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.detect.stream import streams
from schemas.drift import Drift
from schemas.topics import BASELINES, DRIFTS
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, full_state, message, outcome, record

SETTINGS = DetectSettings(ready_after_s=60, ready_records=300, ready_records_rate=200, silence_min_s=20)
SUBJECTS = ("bot", "search", "ranker")


class Live:
    """A live step with a checkpoint after each second."""

    def __init__(self, settings=SETTINGS):
        self.step, self.checkpoint = DetectStep(0, settings, replay=False), Checkpoint()
        assert list(self.step.restore([])) == []
        self.settings, self.outputs = settings, []

    def second(self, values, now_ms, offset):
        times = [now_ms + number for number in range(len(values))]
        self.outputs += self.step.step(
            [
                message(offset + n, as_json(value), time)
                for n, (value, time) in enumerate(zip(values, times, strict=True))
            ]
        )
        self.checkpoint.take(self.step)
        self.outputs += self.step.tick(now_ms + 999)

    def restart(self, rng):
        self.checkpoint.take(self.step)
        published = {output.key: output for output in self.outputs if output.topic == "driftwire.baselines"}
        self.step = DetectStep(0, self.settings, replay=False)
        for offset, output in enumerate(published.values()):
            self.step.control(message(offset, output.value, START_MS, output.key))
        self.checkpoint.restored(self.step, rng)

    @property
    def packed(self):
        return set(self.step._streams.packed)


def traffic(seed, seconds=420):
    """Records of three subjects, some of which are silent for long stretches, and one of which degrades."""
    rng, number = random.Random(seed), 0
    silent = {subject: sorted(rng.sample(range(120, 420), 4)) for subject in SUBJECTS}
    for second in range(seconds):
        values = []
        for subject in SUBJECTS:
            first, last, third, fourth = silent[subject]
            if first <= second < last or third <= second < fourth:
                continue
            for _ in range(8):
                time_ms = START_MS + second * 1000 + len(values)
                refused = 0.6 if subject == "bot" and second > 300 else 0.01
                values.append(record(rng, number, time_ms, subject, refused))
                if rng.random() < 0.02:
                    values.append(outcome(subject, max(0, number - 30), time_ms))
                number += 1
        yield START_MS + second * 1000, number * 2, values


@pytest.mark.parametrize("seed", [1, 2])
def test_streams_that_are_packed_give_the_same_outputs_and_the_same_state(seed, monkeypatch):
    never, always = Live(), Live()
    unpacked = 0
    for now_ms, offset, values in traffic(seed):
        monkeypatch.setattr(streams, "PACKED_AFTER_MS", 1 << 60)
        never.second(values, now_ms, offset)
        monkeypatch.setattr(streams, "PACKED_AFTER_MS", 2000)
        before = always.packed
        always.second(values, now_ms, offset)
        unpacked += len(before - always.packed)
        packed = always.packed
        assert list(always.step.measure()) == list(never.step.measure())
        assert always.packed == packed
    drifts = [Drift.from_json(output.value) for output in never.outputs if output.topic == DRIFTS and output.key]
    assert {drift.signal for drift in drifts} >= {"silence", "refused"}
    assert unpacked >= 3
    assert always.outputs == never.outputs
    assert full_state(always.step) == full_state(never.step)


def test_a_restart_unpacks_each_stream_at_its_next_record(monkeypatch):
    steady, restarted, rng = Live(), Live(), random.Random(5)
    monkeypatch.setattr(streams, "PACKED_AFTER_MS", 1 << 60)
    for second, (now_ms, offset, values) in enumerate(traffic(3, seconds=360)):
        if second in (40, 110, 200, 310):
            restarted.restart(rng)
            assert restarted.packed == set(SUBJECTS)
        restarted.second(values, now_ms, offset)
        steady.second(values, now_ms, offset)
    # A restart begins the measurement of a silence again, so only its drifts can differ.
    outputs, expected = (
        [output for output in live.outputs if b'"signal":"silence"' not in (output.value or b"")]
        for live in (restarted, steady)
    )
    assert [output for output in outputs if output.topic != DRIFTS or output.key] == [
        output for output in expected if output.topic != DRIFTS or output.key
    ]


def test_the_parts_of_packed_streams_are_written_again_if_the_checkpoint_topic_is_new():
    live, rng = Live(), random.Random(7)
    for now_ms, offset, values in traffic(4, seconds=80):
        live.second(values, now_ms, offset)
    live.restart(rng)
    assert live.packed == set(SUBJECTS)
    complete = dict(live.checkpoint.parts)
    live.step.mark_all()
    live.checkpoint.parts.clear()
    live.checkpoint.take(live.step)
    assert live.checkpoint.parts == complete
    assert live.packed == set(SUBJECTS)


def test_large_parts_of_packed_streams_stay_in_chunks_that_kafka_accepts(monkeypatch):
    monkeypatch.setattr(pipeline_state, "CHUNK_BYTES_MAX", 400)
    monkeypatch.setattr(streams, "PACKED_AFTER_MS", 2000)
    live, rng = Live(), random.Random(7)
    for now_ms, offset, values in traffic(4, seconds=80):
        live.second(values, now_ms, offset)
    for second in range(5):
        live.second([], START_MS + (100 + second) * 1000, 10**6)
    assert live.packed == set(SUBJECTS)
    before = full_state(live.step)
    live.step.mark_all()
    live.checkpoint.parts.clear()
    live.checkpoint.take(live.step)
    assert len(live.checkpoint.parts) > 50
    assert max(map(len, live.checkpoint.parts.values())) <= 400
    live.restart(rng)
    assert full_state(live.step) == before


def test_a_packed_stream_whose_state_is_damaged_begins_again_with_a_warning(caplog):
    live, rng = Live(), random.Random(7)
    for now_ms, offset, values in traffic(4, seconds=80):
        live.second(values, now_ms, offset)
    live.checkpoint.take(live.step)
    key = b"statistics/bot"
    live.checkpoint.parts[key] = live.checkpoint.parts[key][:-20]
    live.restart(rng)
    live.checkpoint.parts[key] = b"?"
    assert live.step.streams["bot"].counts["used"] > 0
    assert "statistics/bot is discarded" in caplog.text
    live.checkpoint.take(live.step)
    assert live.checkpoint.parts[key].startswith(b'{"format"')


def test_a_packed_stream_that_cannot_be_read_begins_again_with_its_baseline(caplog):
    live, rng = Live(), random.Random(7)
    for now_ms, offset, values in traffic(4, seconds=80):
        live.second(values, now_ms, offset)
    version = live.step.streams["bot"].baseline_version
    live.checkpoint.take(live.step)
    key = b"stream/bot"
    state = decode(live.checkpoint.parts[key], kind="stream")
    live.checkpoint.parts[key] = encode(state | {"first_seen": {}}, kind="stream")
    live.restart(rng)
    assert live.packed == set(SUBJECTS)
    live.second([record(rng, 10**6, now_ms + 1000, "bot")], now_ms + 1000, 10**6)
    assert "stream/bot is discarded" in caplog.text
    assert version is not None
    assert live.step.streams["bot"].baseline_version == version
    assert live.step.streams["bot"].counts["used"] == 1


def test_a_relearn_request_and_a_baseline_reach_a_packed_stream():
    live, rng = Live(), random.Random(9)
    for now_ms, offset, values in traffic(4, seconds=80):
        live.second(values, now_ms, offset)
    live.restart(rng)
    baseline = next(output for output in live.outputs if output.topic == "driftwire.baselines" and b"bot" in output.key)
    value = baseline.value.replace(b'"source":"live"', b'"source":"file"').replace(
        b'"baseline_version":"', b'"baseline_version":"x'
    )
    live.step.control(message(9, value, START_MS, b"k"))
    assert live.packed == {"search", "ranker"}
    assert live.step.streams["bot"].baseline_version.startswith("x")


def test_a_stream_without_its_baseline_begins_again_if_a_bad_message_has_replaced_it(caplog):
    live, rng = Live(), random.Random(7)
    for now_ms, offset, values in traffic(4, seconds=80):
        live.second(values, now_ms, offset)
    published = {output.key: output.value for output in live.outputs if output.topic == BASELINES}
    live.step = DetectStep(0, SETTINGS, replay=False)
    for offset, (key, value) in enumerate(published.items()):
        stored = value[:-10] if key.startswith(b"bot/") else value
        live.step.control(message(offset, stored, START_MS, key), is_covered=True)
    live.checkpoint.restored(live.step, rng)
    versions = {subject: stream.baseline_version for subject, stream in live.step.streams.items()}
    assert versions["bot"] is None
    assert None not in (versions["search"], versions["ranker"])
    assert "is not among the published baselines" in caplog.text
