import pytest

from pipeline.detect.admission.admission import Admission
from pipeline.detect.admission.decode import message_index
from pipeline.detect.settings import DetectSettings
from schemas.dead_letter import DeadLetter
from tests.pipeline.detect.streams import START_MS, as_json, message


def admit(*fields, replay=False):
    messages = [message(number, as_json(record)) for number, record in enumerate(fields)]
    batch = Admission(DetectSettings(late_max_s=60, early_max_s=5), replay=replay).admit(messages)
    letters = [DeadLetter.from_json(output.value) for _, output in batch.dead_letters]
    assert batch.record_count == len(messages) == len(batch.records) + len(letters)
    return batch.records, {letter.offset: letter.reason for letter in letters}


def test_a_good_record_is_admitted_with_its_subject_and_time():
    records, letters = admit({"subject": "bot", "timestamp": START_MS})
    assert letters == {}
    assert (list(records.subjects), records.times_ms.tolist()) == (["bot"], [START_MS])


@pytest.mark.parametrize("subject", ["a", "s" * 200, "größe", "a/b#7", " ", "\x85", "😀" * 200])
def test_any_printable_subject_of_1_to_200_characters_is_good(subject):
    assert admit({"subject": subject, "timestamp": START_MS})[1] == {}


@pytest.mark.parametrize(
    ("distance_ms", "live"),
    [(0, True), (-60_000, True), (-60_001, False), (5000, True), (5001, False), (10**12, False)],
)
def test_live_a_time_must_be_near_its_arrival_but_not_in_a_replay(distance_ms, live):
    fields = {"subject": "bot", "timestamp": START_MS + distance_ms}
    assert admit(fields)[1] == ({} if live else {0: "timestamp_out_of_range"})
    assert admit(fields, replay=True)[1] == {}


def test_a_record_has_one_reason_and_the_subject_comes_first():
    assert admit({}, {"subject": ""}, {"subject": "bot"})[1] == {
        0: "subject_missing",
        1: "subject_invalid",
        2: "timestamp_missing",
    }


def test_the_good_records_of_a_batch_keep_their_order():
    good = [{"subject": f"s{n}", "timestamp": START_MS + n} for n in range(40)]
    records, letters = admit(*good[:20], {"subject": 5, "timestamp": START_MS}, *good[20:])
    assert letters == {20: "subject_invalid"}
    assert records.subjects == [f"s{n}" for n in range(40)]
    assert records.times_ms.tolist() == [START_MS + n for n in range(40)]
    assert [message_index(position) for position in records.positions] == [n for n in range(41) if n != 20]
