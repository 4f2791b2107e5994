import base64
import random

import orjson
import pytest

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD_LETTERS
from tests.hostile import SUBJECT, SUBJECTS, HostileKind, kinds, many_subjects
from tests.pipeline.detect.streams import START_MS, as_json, drive, message, record

SEED = 7
KINDS = kinds(START_MS)


def dead_letters(outputs):
    return [DeadLetter.from_json(output.value) for output in outputs if output.topic == DEAD_LETTERS]


def flushed(step, subject):
    """Return a stream after a block of its last records."""
    stream = step.streams[subject]
    stream.flush()
    return stream


def good_messages(count):
    rng = random.Random(SEED)
    return [as_json(record(rng, number, START_MS + number * 40, "good-bot")) for number in range(count)]


def test_the_table_has_at_least_25_kinds_and_no_name_twice():
    assert len(KINDS) >= 25
    assert len({kind.name for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_counted_with_its_reason_or_its_dropped_fields(kind: HostileKind):
    step = DetectStep(0, DetectSettings(), replay=False)
    outputs = step.step([message(3, kind.value)])
    letters = dead_letters(outputs)
    assert len(outputs) == len(letters) == kind.letters
    counts = step.counts()
    assert counts["records"] == kind.records == counts["used"] + counts["dead_letters"]
    if kind.expected not in ("used", "nothing"):
        assert {letter.reason for letter in letters} == {kind.expected}
    if counts["used"]:
        assert {field for field, count in flushed(step, SUBJECT).columns.bad_fields.items() if count} == set(
            kind.dropped
        )


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.letters == 1], ids=lambda kind: kind.name)
def test_a_dead_letter_holds_the_original_bytes_and_their_offset(kind: HostileKind):
    step = DetectStep(0, DetectSettings(), replay=False)
    (letter,) = dead_letters(step.step([message(3, kind.value)]))
    assert (letter.topic, letter.partition, letter.offset) == ("driftwire.records", 0, 3)
    assert letter.appended_at == START_MS
    assert letter.key_base64 == base64.b64encode(b"k").decode()
    if kind.value is None:
        assert letter.value_base64 is None
    elif letter.index is None:
        assert base64.b64decode(letter.value_base64) == kind.value
    assert "\n" not in letter.detail


def test_an_element_of_an_array_is_its_own_dead_letter_with_its_index():
    step = DetectStep(0, DetectSettings(), replay=False)
    good = {"subject": "bot", "timestamp": START_MS}
    letters = dead_letters(step.step([message(0, as_json([good, 5, [good], {"subject": "bot"}]))]))
    elements = [
        (letter.index, letter.reason, orjson.loads(base64.b64decode(letter.value_base64))) for letter in letters
    ]
    assert elements == [
        (1, "not_an_object", 5),
        (2, "array_in_array", [good]),
        (3, "timestamp_missing", {"subject": "bot"}),
    ]
    assert len({letter.dead_letter_id for letter in letters}) == 3
    assert step.counts()["used"] == 1


@pytest.mark.slow
def test_every_dead_letter_of_an_array_holds_only_the_bytes_of_its_element():
    deep = b'{"note":' + b"[" * 300 + b"]" * 300 + b"}"
    array = b"[" + b",".join([deep] * 1000) + b"]"
    letters = dead_letters(DetectStep(0, DetectSettings(), replay=False).step([message(3, array)]))
    assert [letter.index for letter in letters] == list(range(1000))
    assert {base64.b64decode(letter.value_base64) for letter in letters} == {deep}


@pytest.mark.parametrize("batch", [1, 7, 500])
@pytest.mark.parametrize("replay", [False, True])
def test_bad_records_do_not_change_what_good_ones_give(batch, replay):
    good = good_messages(2 * len(KINDS))
    mixed = [value for index, value in enumerate(good) for value in (value, KINDS[index % len(KINDS)].value)]
    settings = DetectSettings()
    alone, among = (DetectStep(0, settings, replay=replay) for _ in range(2))
    drive(alone, [message(offset, value) for offset, value in enumerate(good)], range(0, len(good), batch))
    messages = [message(offset, value) for offset, value in enumerate(mixed)]
    drive(among, messages, range(0, len(messages), batch))
    expected, beside_bad = flushed(alone, "good-bot"), flushed(among, "good-bot")
    assert expected.counts["used"] == len(good)
    assert beside_bad.counts == expected.counts
    assert beside_bad.statistics.snapshot() == expected.statistics.snapshot()
    assert beside_bad.columns.dump() == expected.columns.dump()
    counts = among.counts()
    held = counts["held"] if replay else 0
    assert counts["records"] == counts["used"] + counts["duplicates"] + counts["dead_letters"] + held


def test_every_bad_message_among_good_ones_is_a_dead_letter_with_its_bytes():
    good = good_messages(len(KINDS))
    messages = []
    for value, kind in zip(good, KINDS, strict=True):
        messages += [message(len(messages), value), message(len(messages) + 1, kind.value)]
    outputs = DetectStep(0, DetectSettings(), replay=False).step(messages)
    by_offset = {}
    for letter in dead_letters(outputs):
        by_offset.setdefault(letter.offset, []).append(letter)
    for index, kind in enumerate(KINDS):
        letters = by_offset.pop(2 * index + 1, [])
        assert len(letters) == kind.letters, kind.name
        for letter in letters:
            if letter.index is None:
                value = None if letter.value_base64 is None else base64.b64decode(letter.value_base64)
                assert value == kind.value, kind.name
    assert by_offset == {}


def test_subjects_beyond_the_limit_are_dead_letters_and_the_others_are_used():
    values = many_subjects(START_MS)
    step = DetectStep(0, DetectSettings(subjects_max=1000), replay=False)
    messages = [message(offset, value) for offset, value in enumerate([good_messages(1)[0], *values])]
    letters = dead_letters(drive(step, messages, range(0, len(messages), 500)))
    assert {letter.reason for letter in letters} == {"subject_limit"}
    assert len(letters) == SUBJECTS - 999
    assert set(step.streams) == {"good-bot", *(f"crowd-{number}" for number in range(999))}
    assert step.counts()["used"] == 1000


def test_a_message_without_a_time_of_arrival_still_becomes_a_dead_letter():
    step = DetectStep(0, DetectSettings(), replay=True)
    (letter,) = dead_letters(step.step([RawMessage("t", 0, 1, -1, None, b"?")]))
    assert letter.appended_at is None
