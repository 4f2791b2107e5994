import base64

import numpy as np
import pytest

from pipeline.detect.intake.event_time_guard import GROUPS_MAX, EventTimeGuard
from pipeline.detect.intake.originals import Originals
from pipeline.detect.intake.reader import RecordReader
from pipeline.detect.intake.run import Run
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
    """A gate with the watermark that its unit would have."""

    def __init__(self):
        self.gate, self.watermark, self.number = EventTimeGuard(SETTINGS), 0, 0
        self.used, self.refused = [], []

    def __call__(self, *times):
        records = [
            {"subject": "bot", "timestamp": time, "output": {"length": self.number + n}} for n, time in enumerate(times)
        ]
        messages = [message(self.number + n, as_json(each)) for n, each in enumerate(records)]
        self.number += len(times)
        places = [n << 20 for n in range(len(times))]
        reader = RecordReader()
        run = Run(reader.read(records).fields, np.array(times, dtype=np.int64), places)
        admitted, outputs = self.gate.admit(run, self.watermark, Originals(messages, set()), reader)
        self.used += [int(length) for length in admitted.fields.values[:, LENGTH]]
        self.refused += [DeadLetter.from_json(output.value) for _, output in outputs]
        self.watermark = max([self.watermark, *admitted.times_ms.tolist()])
        assert self.number == len(self.used) + len(self.refused) + self.gate.held
        assert len(admitted) == len(admitted.fields) == len(admitted.times_ms)
        return self

    @property
    def refused_offsets(self):
        return [letter.offset for letter in self.refused]


def started():
    return Driver()(*range(START_MS, START_MS + 5))


def test_the_first_records_are_used_once_enough_agree():
    drive = Driver()(*range(START_MS, START_MS + 4))
    assert (drive.used, drive.gate.held) == ([], 4)
    drive(START_MS + 100)
    assert (drive.used, drive.gate.held, drive.watermark) == ([0, 1, 2, 3, 4], 0, START_MS + 100)


def test_ordinary_records_pass_with_nothing_held():
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


def test_a_jump_that_enough_records_in_a_row_make_is_believed():
    later = START_MS + DAY
    drive = started()(*range(later, later + 4))
    assert len(drive.used) == 5
    drive(later + 4)
    assert drive.used == list(range(10))
    assert drive.refused == []
    assert drive.watermark == later + 4


def test_records_of_a_jump_and_absurd_ones_mixed_do_not_keep_each_other_out():
    later = START_MS + DAY
    absurd = [YEAR_2200 + n * DAY for n in range(5)]
    drive = started()(*(time for n, far in enumerate(absurd) for time in (far, later + n)))
    assert drive.used == [0, 1, 2, 3, 4, 6, 8, 10, 12, 14]
    assert drive.watermark == later + 4


def test_a_record_too_far_behind_is_refused():
    drive = started()(START_MS - 7 * DAY, START_MS - 7 * DAY + 4, START_MS - 8 * DAY)
    assert drive.used == [0, 1, 2, 3, 4, 6]
    assert drive.refused_offsets == [5, 7]


def test_how_far_behind_a_record_lies_is_measured_from_the_newest_before_it_in_the_same_batch():
    drive = started()(START_MS + HOUR, START_MS + HOUR - 7 * DAY, START_MS - 7 * DAY + HOUR // 2)
    assert drive.used == [0, 1, 2, 3, 4, 5, 6]
    assert drive.refused_offsets == [7]
    assert started()(START_MS - 7 * DAY + HOUR // 2, START_MS + HOUR).used == list(range(7))


def test_what_is_held_is_bounded():
    drive = started()(*(YEAR_2200 + n * DAY for n in range(50)))
    assert drive.gate.held == GROUPS_MAX
    assert len(drive.refused) == 50 - GROUPS_MAX


def test_a_dead_letter_of_a_held_record_holds_its_bytes_and_reason():
    (letter,) = started()(YEAR_2200, START_MS).refused
    expected = as_json({"subject": "bot", "timestamp": YEAR_2200, "output": {"length": 5}})
    assert base64.b64decode(letter.value_base64) == expected
    assert letter.reason == "timestamp_out_of_range"


@pytest.mark.parametrize("at", range(1, 9))
def test_a_restart_forgets_nothing_that_is_held(at):
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
    whole, cut = Driver()(*times), Driver()(*times[:at])
    state = cut.gate.dump()
    cut.gate = EventTimeGuard(SETTINGS)
    cut.gate.load(state)
    cut(*times[at:])
    assert cut.used == whole.used
    assert cut.refused == whole.refused
    assert cut.gate.dump() == whole.gate.dump()
