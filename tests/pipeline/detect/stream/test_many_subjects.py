"""The memory of a partition stays flat over any number of subjects that come and go."""

import gc
import itertools
import random
from pathlib import Path
from resource import getpagesize

import pytest

from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.detect.stream import streams
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, full_state, message, record

SUBJECTS_MAX = 100
COHORTS = 50
GROWTH_BYTES_MAX = 6_000_000


def resident_bytes():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


def send(step, rng, cohort, now_ms):
    """Send a record of a subject that stays, and of as many new subjects as there is room for."""
    first = cohort * SUBJECTS_MAX
    names = ["steady", *(f"service-{first + number}" for number in range(1, SUBJECTS_MAX))]
    records = [as_json(record(rng, first + n, now_ms + n, name)) for n, name in enumerate(names)]
    step.step([message(first + n, value, now_ms + n) for n, value in enumerate(records)])


def test_memory_and_state_stay_flat_over_subjects_that_come_and_go():
    step, checkpoint = DetectStep(0, DetectSettings(subjects_max=SUBJECTS_MAX), replay=False), Checkpoint()
    rng = random.Random(1)
    list(step.restore([]))
    before, packed = 0, 0
    for cohort in range(COHORTS):
        now_ms = START_MS + cohort * 8 * DAY_S * 1000
        send(step, rng, cohort, now_ms)
        checkpoint.take(step)
        step.tick(now_ms + 2 * streams.PACKED_AFTER_MS)
        step.tick(now_ms + 2 * streams.PACKED_AFTER_MS + 1000)
        packed = max(packed, len(step._streams.packed))
        if cohort == 10:
            before = resident_bytes()
    assert packed > 0
    assert step.counts()["dead_letters"] == 0
    assert step.counts()["used"] == COHORTS * SUBJECTS_MAX
    assert len(step.streams) == SUBJECTS_MAX
    assert len({key.partition(b"/")[2] for key in checkpoint.parts}) == SUBJECTS_MAX + 1
    assert resident_bytes() - before < GROWTH_BYTES_MAX


def test_a_new_subject_replaces_a_silent_subject_even_if_all_are_silent():
    step, rng = DetectStep(0, DetectSettings(subjects_max=3), replay=False), random.Random(1)
    for number, day in enumerate((0, 0, 0, 6, 6, 8, 8, 8, 8)):
        now_ms = START_MS + day * DAY_S * 1000 + number
        step.step([message(number, as_json(record(rng, number, now_ms, f"service-{number}")), now_ms)])
    # The rejected records of the sixth day do not advance the watermark of the partition.
    assert set(step.streams) == {"service-5", "service-6", "service-7"}
    assert step.counts()["dead_letters"] == 3


REPLAY_SETTINGS = DetectSettings(subjects_max=3, time_jump_records=4)


def replayed(*records_of):
    """Return messages with a record for each subject and time (days) of a replay."""
    rng, messages = random.Random(1), []
    for number, (subject, day) in enumerate(records_of):
        time_ms = START_MS + round(day * DAY_S * 1000) + number
        messages.append(message(number, as_json(record(rng, number, time_ms, subject)), time_ms))
    return messages


def replay(messages, settings=REPLAY_SETTINGS):
    step = DetectStep(0, settings, replay=True)
    return step, step.step(messages)


FIRST = [(subject, 0) for subject in ("first", "second", "third") for _ in range(4)]


def test_a_replay_replaces_silent_subjects_while_all_are_silent():
    # Three records are refused until the fourth agrees with them. A stream holds its first records until four agree.
    later = [(subject, 8) for _ in range(8) for subject in ("fourth", "fifth", "sixth")]
    step, _ = replay(replayed(*FIRST, *later))
    assert set(step.streams) == {"fourth", "fifth", "sixth"}
    assert all(stream.counts["used"] >= 4 for stream in step.streams.values())
    assert step.counts()["dead_letters"] == 3


def test_few_records_with_wrong_times_replace_no_subject_in_a_replay():
    wrong = [("wrong", 8), ("wrong", 8), ("late", 1), ("wrong", 9), ("wrong", 70_000), ("first", 1)]
    step, _ = replay(replayed(*FIRST, *wrong))
    assert set(step.streams) == {"first", "second", "third"}


@pytest.mark.parametrize("seed", range(4))
def test_replacements_in_a_replay_do_not_depend_on_batches_or_restarts(seed):
    rng, day, records_of = random.Random(seed), 0.0, list(FIRST)
    for number in range(300):
        day += rng.choice((0, 0.001, 0.002)) + (9 if number % 60 == 59 else 0)
        wrong = 400 if rng.random() < 0.03 else 0
        records_of.append((f"s{number // 60}-{rng.randrange(4)}", day + wrong))
    messages = replayed(*records_of)
    unbroken, expected = replay(messages)
    assert unbroken.counts()["used"] > 100
    assert not any(subject in unbroken.streams for subject, _ in FIRST)
    for count in (5, 60, len(messages) - 1):
        cuts = [0, *sorted(rng.sample(range(1, len(messages)), count)), len(messages)]
        step, checkpoint, outputs = DetectStep(0, REPLAY_SETTINGS, replay=True), Checkpoint(), []
        for start, end in itertools.pairwise(cuts):
            outputs += step.step(messages[start:end])
            if rng.random() < 0.3:
                checkpoint.take(step)
                step = checkpoint.restored(DetectStep(0, REPLAY_SETTINGS, replay=True), rng)
        assert outputs == expected
        assert full_state(step) == full_state(unbroken)
        assert step.counts() == unbroken.counts()
