import random

import numpy as np
import pytest

from pipeline.detect.admission.watermark import TICK_MS, Watermark
from schemas.tick import Tick

START_MS = 1_795_489_920_000


def obvious(start_ms, records):
    """Return the watermark after each position, record by record."""
    course, watermark = {}, start_ms
    for position, time_ms in sorted(records):
        watermark = max(watermark, time_ms)
        course[position] = watermark
    return course


def advance(watermark, records):
    positions, times_ms = zip(*records, strict=True)
    return watermark.advance(np.array(times_ms), np.array(positions))


@pytest.mark.parametrize("seed", range(20))
def test_the_watermark_is_the_one_computed_record_by_record(seed):
    rng = random.Random(seed)
    watermark, start_ms = Watermark(0), 0
    for _ in range(3):
        records = [(rng.randrange(60), START_MS + rng.randrange(100_000)) for _ in range(40)]
        course = obvious(start_ms, records)
        watermark.begin_batch()
        # The batch can be pushed in several steps, whose positions follow each other.
        cut = rng.randrange(60)
        steps = [step for step in ([r for r in records if r[0] < cut], [r for r in records if r[0] >= cut]) if step]
        ticks = [tick for step in steps for tick in advance(watermark, step)]
        assert watermark.time_ms == max(course.values())
        reached = start_ms
        for position in range(60):
            reached = course.get(position, reached)
            assert watermark.time_at(position) == reached
        expected, reached = [], start_ms
        for position, time_ms in sorted(course.items()):
            if time_ms // TICK_MS != reached // TICK_MS:
                expected.append((position, time_ms))
            reached = time_ms
        assert [(position, Tick.from_json(tick.value).watermark) for position, tick in ticks] == expected
        due_ms = min(course.values())
        assert watermark.position_reaching(due_ms) == min(p for p, time_ms in course.items() if time_ms >= due_ms)
        start_ms = watermark.time_ms


def test_a_pause_lies_between_two_records_of_a_stream():
    watermark = Watermark(0)
    advance(watermark, [(number, START_MS + number * 1000) for number in range(100)])
    pauses = watermark.find_pauses(START_MS - 30_000, [10, 20, 70], 30_000)
    assert pauses == [(0, START_MS - 30_000, START_MS + 9_000), (2, START_MS + 20_000, START_MS + 69_000)]
    assert watermark.find_pauses(START_MS, [10, 20, 70], 200_000) == []
    assert watermark.find_pauses(START_MS, [], 1) == []


def test_a_tick_has_no_watermark_before_any_record():
    assert Tick.from_json(Watermark(3).tick(wall_ms=START_MS).value) == Tick(partition=3, watermark=None, wall=START_MS)
