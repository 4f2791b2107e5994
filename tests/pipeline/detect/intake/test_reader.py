import random

import pytest

from pipeline.detect.intake.reader import RecordReader
from tests.pipeline.detect.records import as_dicts, mixed_records
from tests.pipeline.detect.streams import START_MS, outcome, record


def read(*objects):
    return RecordReader().read(objects)


@pytest.mark.parametrize("seed", range(30))
def test_records_of_a_batch_are_read_as_if_alone(seed):
    rng = random.Random(seed)
    reader = RecordReader()
    for _ in range(12):
        objects = mixed_records(rng, rng.choice((1, 2, 5, 40)))
        assert as_dicts(reader.read(objects)) == [as_dicts(read(fields))[0] for fields in objects]


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
def test_a_record_that_differs_slightly_from_those_before_gets_its_own_shape(other):
    usual = {"subject": "bot", "output": {"length": 7}, "data": {}}
    reader = RecordReader()
    for before in (usual, {**usual, "data": None}):
        reader.read([before] * 3)
        objects = (before, other, before)
        assert as_dicts(reader.read(objects)) == [as_dicts(read(fields))[0] for fields in objects]


def test_no_objects_give_no_records():
    assert as_dicts(read()) == []


def test_a_good_record_has_no_faults_and_all_its_values():
    rng = random.Random(2)
    (fields,) = as_dicts(read({**record(rng, 1, START_MS), "output": {"length": 3, "refused": False}}))
    assert fields["faults"] == []
    assert fields["values"].keys() == {"latency_ms", "error", "length", "refused", "retrieval_score"}
    assert fields["labels"] == {"environment": "production", "provider": "openai"}


def test_a_fault_has_its_row_its_field_and_its_reason():
    records = read(
        {"output": {"length": 3, "confidence": 0.5}},
        {"output": {"length": "3", "confidence": 1.5}},
        {"output": {"length": True, "confidence": None}},
        {"output": [], "environment": "e" * 201, "request_id": 5},
    )
    assert records.faults == [
        (1, "output.confidence", "out_of_bounds"),
        (1, "output.length", "wrong_type"),
        (2, "output.length", "wrong_type"),
        (3, "environment", "too_long"),
        (3, "output", "not_an_object"),
        (3, "request_id", "wrong_type"),
    ]
    assert [fields["values"] for fields in as_dicts(records)] == [{"length": 3.0, "confidence": 0.5}, {}, {}, {}]


def test_the_duplicate_key_depends_on_the_known_fields_in_any_order():
    def key(**fields):
        return read({"request_id": "r", **fields}).duplicate_keys[0]

    assert key(a=1, output={"length": 1, "empty": True}) == key(output={"empty": 0, "length": 1, "x": 1})
    assert key(output={"thumbs_down": True}) != key(output={"clicked": True})
    assert key(custom={"a": 1}) != key(custom={"b": 1})
    assert key() == "r\n" + key()[2:]
    assert len(key()) == 2 + 16


def test_a_record_without_a_valid_request_id_has_no_key_and_is_a_request():
    late = outcome("bot", 1, START_MS)
    records = read(late, {**late, "request_id": None}, {**late, "request_id": 5}, {**late, "request_id": "r" * 201})
    assert [key is None for key in records.duplicate_keys] == [False, True, True, True]
    assert records.is_request.tolist() == [False, True, True, True]
