import pytest

from pipeline.detect.intake.admission import Admission
from pipeline.detect.intake.decode import parse_batch
from pipeline.detect.intake.originals import Originals
from pipeline.detect.intake.reader import RecordReader
from pipeline.detect.settings import DetectSettings
from schemas.dead_letter import DeadLetter
from tests.pipeline.detect.streams import START_MS, as_json, message


def admit(*fields, replay=False):
    messages = [message(number, as_json(each)) for number, each in enumerate(fields)]
    decoded = parse_batch([each.value for each in messages], bytes_max=10_000)
    admission = Admission(DetectSettings(late_max_s=60, early_max_s=5), replay=replay)
    admitted, letters = admission.admit(
        RecordReader().read(decoded.records), decoded.places, Originals(messages, decoded.arrays)
    )
    return admitted, {
        letter.offset: letter.reason for letter in (DeadLetter.from_json(out.value) for _, out in letters)
    }


def test_a_good_record_goes_on_with_its_subject_and_time():
    admitted, letters = admit({"subject": "bot", "timestamp": START_MS})
    assert letters == {}
    assert (list(admitted.subjects), admitted.run.times_ms.tolist()) == (["bot"], [START_MS])


@pytest.mark.parametrize("subject", ["a", "s" * 200, "größe", "a/b#7", " ", "\x85", "😀" * 200])
def test_any_printable_subject_of_1_to_200_characters_is_good(subject):
    assert admit({"subject": subject, "timestamp": START_MS})[1] == {}


@pytest.mark.parametrize(
    ("distance_ms", "live"),
    [(0, True), (-60_000, True), (-60_001, False), (5000, True), (5001, False), (10**12, False)],
)
def test_live_a_time_lies_near_its_arrival_and_a_replay_asks_nothing(distance_ms, live):
    fields = {"subject": "bot", "timestamp": START_MS + distance_ms}
    assert admit(fields)[1] == ({} if live else {0: "timestamp_out_of_range"})
    assert admit(fields, replay=True)[1] == {}


def test_a_record_has_one_reason_and_the_subject_comes_first():
    assert admit({}, {"subject": ""}, {"subject": "bot"})[1] == {
        0: "subject_missing",
        1: "subject_invalid",
        2: "timestamp_missing",
    }


def test_the_good_ones_of_a_batch_keep_their_order():
    good = [{"subject": f"s{n}", "timestamp": START_MS + n} for n in range(40)]
    admitted, letters = admit(*good[:20], {"subject": 5, "timestamp": START_MS}, *good[20:])
    assert letters == {20: "subject_invalid"}
    assert admitted.subjects == [f"s{n}" for n in range(40)]
    assert admitted.run.times_ms.tolist() == [START_MS + n for n in range(40)]
    assert [place >> 20 for place in admitted.run.places] == [n for n in range(41) if n != 20]
