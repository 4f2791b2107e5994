import random
from itertools import pairwise

import pytest

from pipeline.detect.findings.silence import SilenceTracker
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.drift import Drift
from schemas.relearn import Relearn
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, drive, message, record
from tests.pipeline.detect.worlds import learned, normal_world

SETTINGS = DetectSettings(ready_after_s=60, ready_records=1000, ready_records_rate=500)
BASELINE = learned(normal_world(1, 5000), SETTINGS)
SECOND = 1000
MINUTE = 60 * SECOND
LATER_MS = START_MS + 10 * MINUTE


def step_of(*subjects, replay=False, **changes):
    step = DetectStep(0, SETTINGS, replay=replay)
    for offset, subject in enumerate(subjects or ("bot",)):
        baseline = BASELINE.model_copy(update={"subject": subject, "longest_gap_s": 0, "quietest_per_s": 1, **changes})
        step.control(RawMessage(BASELINES, 0, offset, START_MS, b"key", baseline.to_json()))
    return step


def records_at(*times_s, subject="bot", seed=1):
    """One record at each time, in seconds after the beginning."""
    rng = random.Random(seed)
    return [
        message(
            number,
            as_json(record(rng, number, LATER_MS + round(time_s * SECOND), subject)),
            LATER_MS + round(time_s * SECOND),
        )
        for number, time_s in enumerate(times_s)
    ]


def silences(outputs):
    drifts = [Drift.from_json(output.value) for output in outputs if b'"signal":"silence"' in output.value]
    return [(drift.subject, drift.state, *(_s(at) for at in (drift.started_at, drift.updated_at))) for drift in drifts]


def _s(at):
    return (at - LATER_MS) / SECOND


def run_live(step, messages, until_s, *, stopped=()):
    """The silences that a live worker finds. It ticks every second except while it is stopped."""
    outputs = []
    waiting = list(messages)
    for second in range(until_s):
        now = LATER_MS + second * SECOND
        if second in stopped:
            continue
        due = [message for message in waiting if message.timestamp <= now]
        waiting = waiting[len(due) :]
        outputs += step.step(due) if due else []
        outputs += step.tick(now)
    return silences(outputs)


def test_a_subject_that_stops_is_reported_silent_after_two_minutes_and_once():
    assert run_live(step_of(), records_at(*range(60)), 600) == [("bot", "firing", 59.0, 179.0)]


def test_it_recovers_with_the_next_records_though_some_were_buffered_before():
    drifts = run_live(step_of(), records_at(*range(60), *range(400, 420)), 500)
    assert drifts == [("bot", "firing", 59.0, 179.0), ("bot", "recovered", 59.0, 400.0)]


def test_every_silence_is_reported():
    drifts = run_live(step_of(), records_at(*range(10), *range(200, 210), *range(400, 420)), 500)
    assert [state for _, state, _, _ in drifts] == ["firing", "recovered"] * 2


@pytest.mark.parametrize("gap_s", [60, 110])
def test_a_short_gap_is_not_a_silence(gap_s):
    assert run_live(step_of(), records_at(*range(60), *range(60 + gap_s, 300)), 300) == []


def test_a_subject_that_sends_every_hour_is_not_silent_in_between():
    step = step_of(longest_gap_s=3600)
    times = range(0, 6 * 3600, 3600)
    assert run_live(step, records_at(*times), 5 * 3600 + 100) == []


def test_a_subject_without_a_baseline_is_never_silent():
    assert run_live(DetectStep(0, SETTINGS, replay=False), records_at(*range(60)), 600) == []


def test_a_subject_that_never_sent_a_record_is_not_silent():
    assert run_live(step_of("bot", "search"), records_at(*range(300)), 300) == []


def test_a_subject_that_stops_is_reported_while_another_goes_on():
    messages = sorted(
        [*records_at(*range(400)), *records_at(*range(100), subject="search")],
        key=lambda sent_message: (sent_message.timestamp, sent_message.offset),
    )
    assert run_live(step_of("bot", "search"), messages, 400) == [("search", "firing", 99.0, 219.0)]


def test_time_in_which_the_worker_was_stopped_is_not_silence():
    assert run_live(step_of(), records_at(*range(600)), 600, stopped=range(100, 500)) == []


def test_a_backlog_is_not_a_silence():
    step = step_of("bot", "search")
    waiting = [*records_at(*range(0, 3600, 2)), *records_at(3590, subject="search")]
    outputs = []
    step.step(records_at(0, subject="search"))
    for second in range(200):
        outputs += step.step(waiting[second * 9 : second * 9 + 9])
        outputs += step.tick(LATER_MS + 3600 * SECOND + second * SECOND)
    assert silences(outputs) == []


def test_after_a_gap_in_the_messages_a_silence_starts_with_a_record():
    step = step_of()
    assert run_live(step, records_at(*range(60)), 60) == []
    step.on_gap()
    checkpoint = Checkpoint()
    checkpoint.take(step)
    step = checkpoint.restored(step_of(), random.Random(1))
    outputs = []
    for second in range(60, 2_000):
        outputs += step.tick(LATER_MS + second * SECOND)
    assert silences(outputs) == []
    later = records_at(*range(60), *range(2_000, 2_060))[60:]
    for second in range(2_000, 2_300):
        due = [message for message in later if message.timestamp == LATER_MS + second * SECOND]
        outputs += (step.step(due) if due else []) + step.tick(LATER_MS + second * SECOND)
    assert silences(outputs) == [("bot", "firing", 2_059.0, 2_179.0)]


@pytest.mark.parametrize(("has_gap", "expected"), [(False, ["firing", "recovered"]), (True, [])])
def test_messages_that_are_missing_are_neither_a_silence_nor_a_loss_of_throughput(has_gap, expected):
    step = step_of(replay=True)
    outputs = step.step(records_at(*range(1_000)))
    assert len(step.streams["bot"].derived.throughput.dump()["history"]) > 50
    if has_gap:
        outputs += step.on_gap()
        assert step.streams["bot"].derived.throughput.dump()["history"] == []
    outputs += step.step(records_at(*range(1_000), *range(4_000, 4_100))[1_000:])
    assert [state for _, state, _, _ in silences(outputs)] == expected


def test_the_drift_has_its_threshold_and_its_length():
    outputs = []
    step = step_of()
    step.step(records_at(0))
    for second in range(200):
        outputs += step.tick(LATER_MS + second * SECOND)
    (drift,) = [Drift.from_json(output.value) for output in outputs if b'"signal":"silence"' in output.value]
    assert (drift.tier, drift.detector, drift.failure_mode) == ("page", "silence", "silence")
    assert drift.threshold == 120
    assert "no records for 2 min" in drift.sentence


@pytest.mark.parametrize(
    ("gap_s", "quietest_per_s", "expected"),
    [(0, 0, 120), (10, 1, 120), (3600, 1, 10_800), (10, 0.01, 2800)],
)
def test_the_threshold_depends_on_the_baseline(gap_s, quietest_per_s, expected):
    baseline = BASELINE.model_copy(update={"longest_gap_s": gap_s, "quietest_per_s": quietest_per_s})
    assert SilenceTracker().follow(baseline, SETTINGS) == expected


class TestOfAReplay:
    def both(self, ends_s=100, returns_s=()):
        times = [*range(ends_s), *returns_s]
        return sorted(
            [*records_at(*range(600)), *records_at(*times, subject="search")],
            key=lambda sent_message: (sent_message.timestamp, sent_message.offset),
        )

    def test_a_subject_that_never_comes_back_is_reported_by_the_watermark_of_its_partition(self):
        step = step_of("bot", "search", replay=True)
        assert silences(step.step(self.both())) == [("search", "firing", 99.0, 219.0)]

    def test_it_recovers(self):
        drifts = silences(step_of("bot", "search", replay=True).step(self.both(returns_s=range(500, 520))))
        assert drifts == [("search", "firing", 99.0, 219.0), ("search", "recovered", 99.0, 500.0)]

    def test_a_gap_in_all_subjects_is_reported_once_records_come_again(self):
        drifts = silences(step_of(replay=True).step(records_at(*range(60), *range(1000, 1060))))
        assert [state for _, state, _, _ in drifts] == ["firing", "recovered"]

    def test_a_subject_whose_clock_is_slow_is_not_silent(self):
        rng = random.Random(3)
        slow = [
            message(number, as_json(record(rng, number, LATER_MS + (number - 600) * SECOND, "search")), LATER_MS)
            for number in range(600)
        ]
        messages = [sent_message for pair in zip(records_at(*range(600)), slow, strict=True) for sent_message in pair]
        assert silences(step_of("bot", "search", replay=True).step(messages)) == []

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(4))
    def test_batches_and_restarts_change_nothing(self, seed):
        rng = random.Random(seed)
        messages = self.both(returns_s=[*range(300, 330), *range(500, 510)])
        expected = step_of("bot", "search", replay=True).step(messages)
        assert len(silences(expected)) == 4
        singly = step_of("bot", "search", replay=True)
        assert drive(singly, messages, range(len(messages))) == expected
        step, checkpoint, outputs = step_of("bot", "search", replay=True), Checkpoint(), []
        for start, end in pairwise([0, *sorted(rng.sample(range(len(messages)), 20)), len(messages)]):
            outputs += step.step(messages[start:end])
            checkpoint.take(step)
            step = checkpoint.restored(step_of("bot", "search", replay=True), rng)
        assert outputs == expected


def test_a_live_silence_outlasts_a_restart():
    step, checkpoint = step_of(), Checkpoint()
    assert len(run_live(step, records_at(*range(10)), 200)) == 1
    checkpoint.take(step)
    step = checkpoint.restored(step_of(), random.Random(1))
    outputs = []
    for second in range(200, 500):
        outputs += step.tick(LATER_MS + second * SECOND)
    outputs += step.step(records_at(*range(10), *range(500, 510))[10:])
    assert silences(outputs) == [("bot", "recovered", 9.0, 500.0)]


def silence_ids_over_a_change(change):
    """The drift ids of a silence during which a control message comes."""
    step = step_of()
    outputs = step.step(records_at(*range(10)))
    for second in range(10, 200):
        outputs += step.tick(LATER_MS + second * SECOND)
    outputs += step.control(change)
    outputs += step.step(records_at(*range(10), *range(500, 510))[10:])
    drifts = [Drift.from_json(output.value) for output in outputs if b'"signal":"silence"' in output.value]
    assert [drift.state for drift in drifts] == ["firing", "recovered"]
    assert [drift.sequence for drift in drifts] == [0, 1]
    return {drift.drift_id for drift in drifts}


def test_a_silence_has_one_id_though_another_baseline_came_in_between():
    another = BASELINE.model_copy(update={"subject": "bot", "baseline_version": "another", "source": "file"})
    assert len(silence_ids_over_a_change(RawMessage(BASELINES, 0, 9, START_MS, b"key", another.to_json()))) == 1


def test_a_silence_ends_while_all_signals_are_relearned():
    relearn = Relearn(relearn_id="r", subject="bot", at=LATER_MS + MINUTE, signals=[], reason="accepted")
    assert len(silence_ids_over_a_change(RawMessage(BASELINES, 0, 9, START_MS, b"key", relearn.to_json()))) == 1
