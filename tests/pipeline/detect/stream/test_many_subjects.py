"""The memory of a partition stays flat over any number of subjects that come and go."""

import gc
import random
from pathlib import Path
from resource import getpagesize

from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.detect.stream import streams
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, message, record

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
