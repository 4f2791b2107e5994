import base64

import numpy as np
import pytest

from pipeline.detect.admission.decode import record_position
from pipeline.detect.admission.event_time_guard import GROUPS_MAX, EventTimeGuard
from pipeline.detect.admission.originals import Originals
from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.catalogue import SIGNALS
from schemas.dead_letter import DeadLetter
from tests.pipeline.detect.streams import START_MS, as_json, message

HOUR = 3_600_000
DAY = 24 * HOUR
YEAR_2200 = 7_258_118_400_000
LENGTH = [row.name for row in SIGNALS].index("length")
SETTINGS = DetectSettings(time_jump_records=5)


class Driver:
    """A guard, with the watermark that its stream would have."""

    def __init__(self):
        self.guard, self.watermark, self.number = EventTimeGuard(SETTINGS), 0, 0
        self.used, self.refused = [], []

    def __call__(self, *times):
        records = [
            {"subject": "bot", "timestamp": time, "output": {"length": self.number + n}} for n, time in enumerate(times)
        ]
        messages = [message(self.number + n, as_json(record)) for n, record in enumerate(records)]
        self.number += len(times)
        reader = RecordReader()
        arrived = reader.read(records)
        arrived.times_ms = np.array(times, dtype=np.int64)
        arrived.positions = [record_position(n) for n in range(len(times))]
        admitted, outputs = self.guard.admit(arrived, self.watermark, Originals(messages, set()), reader)
        self.used += [int(length) for length in admitted.values[:, LENGTH]]
        self.refused += [DeadLetter.from_json(output.value) for _, output in outputs]
        self.watermark = max([self.watermark, *admitted.times_ms.tolist()])
        assert self.number == len(self.used) + len(self.refused) + self.guard.held_count
        assert len(admitted) == len(admitted.positions) == len(admitted.times_ms)
        return self

    @property
    def refused_offsets(self):
        return [letter.offset for letter in self.refused]


def started():
    return Driver()(*range(START_MS, START_MS + 5))


def test_the_first_records_are_used_when_enough_of_them_agree():
    drive = Driver()(*range(START_MS, START_MS + 4))
    assert (drive.used, drive.guard.held_count) == ([], 4)
    drive(START_MS + 100)
    assert (drive.used, drive.guard.held_count, drive.watermark) == ([0, 1, 2, 3, 4], 0, START_MS + 100)


def test_ordinary_records_are_never_held():
    drive = started()(START_MS + HOUR, START_MS, START_MS + 2 * HOUR, START_MS - 6 * DAY)
    assert drive.used == list(range(9))
    assert drive.refused == []


def test_an_absurd_first_record_does_not_decide():
    drive = Driver()(YEAR_2200, START_MS, START_MS + 1, YEAR_2200, START_MS + 2, START_MS + 3, START_MS + 4)
    assert drive.used == [1, 2, 4, 5, 6]
    assert sorted(drive.refused_offsets) == [0, 3]
    assert drive.watermark == START_MS + 4


def test_a_single_jump_ahead_is_refused_by_the_next_ordinary_record():
    drive = started()(START_MS + HOUR + 5, START_MS + 6)
    assert drive.used == [0, 1, 2, 3, 4, 6]
    assert drive.refused_offsets == [5]
    assert drive.watermark == START_MS + 6


def test_a_jump_of_enough_records_in_a_row_is_accepted():
    later = START_MS + DAY
    drive = started()(*range(later, later + 4))
    assert len(drive.used) == 5
    drive(later + 4)
    assert drive.used == list(range(10))
    assert drive.refused == []
    assert drive.watermark == later + 4


def test_absurd_records_between_those_of_a_jump_do_not_stop_it():
    later = START_MS + DAY
    absurd = [YEAR_2200 + n * DAY for n in range(5)]
    drive = started()(*(time for n, far in enumerate(absurd) for time in (far, later + n)))
    assert drive.used == [0, 1, 2, 3, 4, 6, 8, 10, 12, 14]
    assert drive.watermark == later + 4


def test_a_record_too_far_behind_is_refused():
    drive = started()(START_MS - 7 * DAY, START_MS - 7 * DAY + 4, START_MS - 8 * DAY)
    assert drive.used == [0, 1, 2, 3, 4, 6]
    assert drive.refused_offsets == [5, 7]


def test_lateness_is_measured_from_the_newest_record_before_in_the_same_batch():
    drive = started()(START_MS + HOUR, START_MS + HOUR - 7 * DAY, START_MS - 7 * DAY + HOUR // 2)
    assert drive.used == [0, 1, 2, 3, 4, 5, 6]
    assert drive.refused_offsets == [7]
    assert started()(START_MS - 7 * DAY + HOUR // 2, START_MS + HOUR).used == list(range(7))


def test_held_records_are_bounded():
    drive = started()(*(YEAR_2200 + n * DAY for n in range(50)))
    assert drive.guard.held_count == GROUPS_MAX
    assert len(drive.refused) == 50 - GROUPS_MAX


def test_a_dead_letter_of_a_held_record_holds_its_bytes_and_reason():
    (letter,) = started()(YEAR_2200, START_MS).refused
    expected = as_json({"subject": "bot", "timestamp": YEAR_2200, "output": {"length": 5}})
    assert base64.b64decode(letter.value_base64) == expected
    assert letter.reason == "timestamp_out_of_range"


@pytest.mark.parametrize("at", range(1, 9))
def test_a_restore_keeps_every_held_record(at):
    times = [
        YEAR_2200,
        START_MS,
        START_MS + 1,
        YEAR_2200,
        START_MS + 2,
        START_MS + 3,
        START_MS + 4,
        START_MS + 5,
        YEAR_2200,
    ]
    uninterrupted, cut = Driver()(*times), Driver()(*times[:at])
    state = cut.guard.dump()
    cut.guard = EventTimeGuard(SETTINGS)
    cut.guard.load(state)
    cut(*times[at:])
    assert cut.used == uninterrupted.used
    assert cut.refused == uninterrupted.refused
    assert cut.guard.dump() == uninterrupted.guard.dump()
