import random

import pytest

from pipeline.detect.intake.reader import RecordReader
from tests.pipeline.detect.records import plainly, some_records
from tests.pipeline.detect.streams import START_MS, outcome, record


def fields_of(*records):
    return RecordReader().read(records).fields


@pytest.mark.parametrize("seed", range(30))
def test_records_together_are_read_as_each_alone_whatever_was_read_before(seed):
    rng = random.Random(seed)
    reader = RecordReader()
    for _ in range(12):
        records = some_records(rng, rng.choice((1, 2, 5, 40)))
        read = reader.read(records)
        alone = [RecordReader().read([each]) for each in records]
        assert plainly(read.fields) == [plainly(each.fields)[0] for each in alone]
        assert list(read.subjects) == [each.subjects[0] for each in alone]
        assert list(read.timestamps) == [each.timestamps[0] for each in alone]


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "bot", "output": {"length": 1}, "data": {}},
        {"subject": "bot", "output": {"length": 1}, "data": None},
        {"subject": "bot", "output": {"length": 1}, "data": {"retrieval_score": 0.5}},
        {"subject": "bot", "output": {"length": 1}, "data": []},
        {"subject": "bot", "output": {"length": 1}, "data": 0},
        {"subject": "bot", "output": {"empty": True}, "data": {}},
        {"subject": "bot", "output": {"length": 1, "empty": True}, "data": {}},
        {"subject": "bot", "output": None, "data": {}},
        {"subject": "bot", "output": "x", "data": {}},
        {"subject": "bot", "output": {"length": 1}, "safety": {}},
        {"subject": "bot", "output": {"length": 1}},
    ],
)
def test_a_record_that_looks_almost_like_those_before_is_not_taken_for_one(other):
    usual = {"subject": "bot", "output": {"length": 7}, "data": {}}
    reader = RecordReader()
    for before in (usual, {**usual, "data": None}):
        reader.read([before] * 3)
        found = plainly(reader.read([before, other, before]).fields)
        assert found == [plainly(fields_of(each))[0] for each in (before, other, before)]


def test_no_records_have_no_fields():
    read = RecordReader().read([])
    assert (list(read.subjects), list(read.timestamps), plainly(read.fields)) == ([], [], [])


def test_a_good_record_has_no_faults_and_all_its_values():
    rng = random.Random(2)
    (found,) = plainly(fields_of({**record(rng, 1, START_MS), "output": {"length": 3, "refused": False}}))
    assert found["faults"] == []
    assert found["values"].keys() == {"latency_ms", "error", "length", "refused", "retrieval_score"}
    assert found["labels"] == {"environment": "production", "provider": "openai"}


def test_a_fault_names_its_row_its_field_and_why():
    fields = fields_of(
        {"output": {"length": 3, "confidence": 0.5}},
        {"output": {"length": "3", "confidence": 1.5}},
        {"output": {"length": True, "confidence": None}},
        {"output": [], "environment": "e" * 201, "request_id": 5},
    )
    assert fields.faults == [
        (1, "output.confidence", "out_of_bounds"),
        (1, "output.length", "wrong_type"),
        (2, "output.length", "wrong_type"),
        (3, "environment", "too_long"),
        (3, "output", "not_an_object"),
        (3, "request_id", "wrong_type"),
    ]
    assert [each["values"] for each in plainly(fields)] == [{"length": 3.0, "confidence": 0.5}, {}, {}, {}]


def test_the_key_of_a_record_says_which_known_fields_it_names_in_any_order():
    def key(**fields):
        return fields_of({"request_id": "r", **fields}).keys[0]

    assert key(a=1, output={"length": 1, "empty": True}) == key(output={"empty": 0, "length": 1, "x": 1})
    assert key(output={"thumbs_down": True}) != key(output={"clicked": True})
    assert key(custom={"a": 1}) != key(custom={"b": 1})
    assert key() == "r\n" + key()[2:]
    assert len(key()) == 2 + 16


def test_a_record_without_a_sound_request_id_has_no_key_and_is_no_late_outcome():
    late = outcome("bot", 1, START_MS)
    fields = fields_of(late, {**late, "request_id": None}, {**late, "request_id": 5}, {**late, "request_id": "r" * 201})
    assert [key is None for key in fields.keys] == [False, True, True, True]
    assert fields.first.tolist() == [False, True, True, True]
