import random

import numpy as np
import pytest

from pipeline.detect.admission.reader import RecordReader
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
        {"output": {"length": "long", "confidence": 1.5}},
        {"output": {"length": True, "confidence": None}},
        {"output": [], "environment": "e" * 201, "request_id": 5.5},
    )
    assert records.faults == [
        (1, "output.confidence", "out_of_bounds"),
        (1, "output.length", "is_text"),
        (2, "output.length", "is_boolean"),
        (3, "environment", "too_long"),
        (3, "output", "not_an_object"),
        (3, "request_id", "is_number"),
    ]
    assert [fields["values"] for fields in as_dicts(records)] == [{"length": 3.0, "confidence": 0.5}, {}, {}, {}]


def test_only_the_defined_kind_of_sampling_is_read():
    records = read(*({"subject": "bot", "sampled": value} for value in ("tail", None, "head", ["tail"], True, "")))
    assert records.labels["sampled"] == ["tail", None, None, "tail", None, None]
    assert records.faults == [
        (2, "sampled", "out_of_bounds"),
        (4, "sampled", "wrong_type"),
        (5, "sampled", "out_of_bounds"),
    ]


def test_a_sampling_probability_is_above_a_limit_and_at_most_one():
    values = (0.25, 1, "0.5", None, 1e-4, 9e-5, 0, -0.1, 1.01, True, "often")
    records = read(*({"subject": "bot", "sampling_probability": value} for value in values))
    assert np.nan_to_num(records.sampling_probabilities, nan=-1).tolist() == [0.25, 1, 0.5, -1, 1e-4, *[-1] * 6]
    reasons = ["out_of_bounds"] * 4 + ["wrong_type"] * 2
    assert records.faults == [(row, "sampling_probability", reason) for row, reason in enumerate(reasons, 5)]
    assert np.flatnonzero(records.converted["sampling_probability"]).tolist() == [2]


BLANK_IDS = [
    "",
    " ",
    "None",
    "null",
    "NULL",
    "nil",
    "undefined",
    "N/A",
    "-",
    "0",
    0,
    "00000000-0000-0000-0000-000000000000",
]


@pytest.mark.parametrize("blank", [*BLANK_IDS, None, 5.5, "r" * 201])
def test_a_record_with_a_blank_or_bad_id_has_no_id_and_is_a_request(blank):
    late = outcome("bot", 1, START_MS)
    records = read(late, {**late, "request_id": blank}, {**late, "request_id": "x\n"}, {**late, "request_id": "none-7"})
    assert list(records.request_ids) == ["r-1", None, "x\n", "none-7"]
    assert records.is_request.tolist() == [False, True, False, False]


def test_text_that_only_looks_like_a_number_or_boolean_is_a_bad_field():
    for text in ("", " ", "nan", "inf", "-Infinity", "1_000", "1,204", "812,5", "0x10", "1e", "٣", "1" * 65, "1e9999"):
        assert read({"output": {"length": text}}).faults == [(0, "output.length", "is_text")], text
    for value in ("", "truth", "2", "t" * 100_000):
        assert read({"output": {"refused": value}}).faults == [(0, "output.refused", "is_text")], value


@pytest.mark.parametrize(
    ("value", "fault"),
    [(2, "is_number"), (-1, "is_number"), (0.5, "is_number"), ([True], "is_list"), ({}, "is_object")],
)
def test_a_fault_names_the_type_that_was_found(value, fault):
    assert read({"output": {"refused": value}}).faults == [(0, "output.refused", fault)]


def test_a_converted_value_out_of_bounds_is_not_counted_as_converted():
    records = read({"output": {"length": "-1"}}, {"output": {"length": "1e999"}}, {"output": {"length": "7"}})
    assert records.faults == [(row, "output.length", "out_of_bounds") for row in (0, 1)]
    assert records.converted["output.length"].tolist() == [False, False, True]
