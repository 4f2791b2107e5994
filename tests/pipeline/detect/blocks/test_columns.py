import math
import random

import numpy as np
import pytest

from pipeline.detect.blocks.columns import CUSTOM_NAME_LENGTH_MAX, Columns
from pipeline.detect.blocks.rows import joined_rows
from pipeline.detect.intake.projection import CUSTOM_FIELDS_MAX, LABEL_FIELDS_MAX, project
from pipeline.detect.intake.reader import RecordReader
from pipeline.detect.signals.catalogue import SIGNALS
from tests.pipeline.detect.records import junk_record
from tests.pipeline.detect.streams import START_MS, outcome, record


def rows_of(records, columns, reader=None):
    fields = (reader or RecordReader()).read(records).fields
    return columns.rows(fields, np.full(len(records), START_MS), np.ones(len(records), dtype=np.int64))


def block_of(records, columns=None):
    columns = columns or Columns(16)
    return columns, columns.block(rows_of(records, columns))


def by_name(block):
    return {signal.name: block.values[:, index].tolist() for index, signal in enumerate(block.signals)}


def plain(records, custom_max=16):
    """The same, record by record and field by field, as the contract puts it."""
    found, custom = [{} for _ in records], {}
    for values, each in zip(found, records, strict=True):
        for row in SIGNALS:
            section = each.get(row.section)
            value = section.get(row.field) if isinstance(section, dict) else None
            good = type(value) is bool if row.kind == "rate" else type(value) in (int, float)
            if good and math.isfinite(value) and row.low <= value <= row.high:
                values[row.name] = float(value)
        section = each.get("custom")
        if not isinstance(section, dict) or len(section) > CUSTOM_FIELDS_MAX:
            continue
        for name, value in section.items():
            if type(value) not in (bool, int, float) or abs(value) > 1e15:
                continue
            if name not in custom and (len(custom) >= custom_max or not 0 < len(name) <= CUSTOM_NAME_LENGTH_MAX):
                continue
            if custom.setdefault(name, type(value) is bool) == (type(value) is bool):
                values[f"custom.{name}"] = float(value)
    return found


def as_rows(block):
    return [
        {signal.name: value for signal, value in zip(block.signals, row, strict=True) if not math.isnan(value)}
        for row in block.values.tolist()
    ]


@pytest.mark.parametrize("seed", range(30))
def test_values_are_what_a_record_by_record_reading_gives(seed):
    rng = random.Random(seed)
    records = [
        junk_record(rng) if rng.random() < 0.7 else record(rng, 1, START_MS) for _ in range(rng.randrange(1, 60))
    ]
    _, block = block_of(records, Columns(4))
    assert as_rows(block) == plain(records, custom_max=4)


@pytest.mark.parametrize("seed", range(10))
def test_projecting_a_record_changes_nothing_that_is_read_of_it(seed):
    rng = random.Random(seed)
    records = [{**junk_record(rng), "note": "x", "versions": {"a": 1}} for _ in range(40)]
    left, right = block_of(records), block_of([project(each) for each in records])
    assert as_rows(left[1]) == as_rows(right[1])
    assert left[1].categories == right[1].categories
    assert left[1].first.tolist() == right[1].first.tolist()
    assert left[0].dump() == right[0].dump()


@pytest.mark.parametrize("seed", range(10))
def test_forgetting_the_shapes_changes_nothing(seed, monkeypatch):
    rng = random.Random(seed)
    records = [junk_record(rng) for _ in range(60)]
    expected = block_of(records)
    monkeypatch.setattr("pipeline.detect.intake.shape.SHAPES_MAX", 1)
    found = block_of(records)
    assert np.array_equal(found[1].values, expected[1].values, equal_nan=True)
    assert found[1].signals == expected[1].signals
    assert found[0].dump() == expected[0].dump()


def test_signals_are_added_at_the_end_only():
    columns, first = block_of([{"output": {"length": 1}}])
    _, second = block_of([{"infrastructure": {"latency_ms": 2.0}, "custom": {"x": 1}}], columns)
    _, third = block_of([{"output": {"length": 3, "refused": True}}], columns)
    assert [signal.name for signal in third.signals] == ["length", "latency_ms", "custom.x", "refused"]
    assert second.signals[: len(first.signals)] == first.signals
    assert by_name(third)["refused"] == [1.0]


def test_good_records_drop_nothing():
    rng = random.Random(1)
    records = [{"output": {"length": rng.randrange(9), "refused": False}, "custom": {"x": 0.5}} for _ in range(50)]
    columns, _ = block_of(records)
    assert not columns.bad_fields


def test_a_bad_value_is_dropped_counted_and_costs_no_other():
    columns, block = block_of(
        [
            {"output": {"length": "3", "confidence": 0.5}},
            {"output": {"length": 3, "confidence": 1.5}},
            {"output": {"length": None, "confidence": True}},
        ]
    )
    assert by_name(block)["length"][1] == 3
    assert by_name(block)["confidence"][0] == 0.5
    assert np.isnan(block.values).sum() == 4
    assert columns.bad_fields == {
        ("output.length", "wrong_type"): 1,
        ("output.confidence", "out_of_bounds"): 1,
        ("output.confidence", "wrong_type"): 1,
    }


def test_a_custom_signal_keeps_the_kind_of_its_first_value():
    columns, block = block_of([{"custom": {"a": True, "b": 1}}, {"custom": {"a": 1, "b": False}}])
    assert as_rows(block) == [{"custom.a": 1.0, "custom.b": 1.0}, {}]
    assert columns.bad_fields == {("custom.a", "wrong_type"): 1, ("custom.b", "wrong_type"): 1}


def test_a_bad_custom_value_takes_no_place_of_a_signal():
    columns, block = block_of([{"custom": {"a": "x", "b": 1e300, "": 1, "c": 1, "d": 2}}], Columns(1))
    assert [signal.name for signal in block.signals] == ["custom.c"]
    assert columns.bad_fields == {
        ("custom", "wrong_type"): 1,
        ("custom", "out_of_bounds"): 1,
        ("custom", "bad_name"): 1,
        ("custom", "too_many"): 1,
    }


def test_a_late_outcome_is_not_first():
    rng = random.Random(1)
    records = [record(rng, 1, START_MS), outcome("bot", 1, START_MS), {"output": {"length": 1}}]
    records += [{"request_id": "r", "infrastructure": None}, {"request_id": "r", "infrastructure": {"unknown": 1}}]
    records += [{"request_id": "r", "infrastructure": {"error": False}}]
    _, block = block_of(records)
    assert block.first.tolist() == [True, False, True, False, False, True]


def test_categories_are_there_only_if_a_record_carries_them():
    _, block = block_of([{"output": {"finish_reason": "stop"}, "provider_model": None}, {"data": {"schema_id": 5}}])
    assert block.categories == {"finish_reason": ["stop", None]}


def test_environment_and_provider_are_those_of_the_newest_record_that_names_them():
    columns, _ = block_of([{"environment": "a", "provider": "x"}, {"environment": "b"}, {"output": {}}])
    assert (columns.environment, columns.provider) == ("b", "x")
    block_of([{"environment": 5}], columns)
    assert columns.environment == "b"


def test_a_state_brings_back_columns_in_their_order():
    columns, _ = block_of([{"custom": {"x": True}, "output": {"length": 1}, "environment": "a", "data": 5}])
    restored = Columns(16)
    restored.load(columns.dump())
    assert restored.dump() == columns.dump()
    assert restored.signals == columns.signals
    _, block = block_of([{"custom": {"x": 2, "y": 1}, "output": {"length": 4}}], restored)
    assert [signal.name for signal in block.signals] == ["length", "custom.x", "custom.y"]


def test_a_state_with_a_signal_that_the_catalogue_has_not_is_refused():
    state = Columns(16).dump() | {"signals": ["weather"]}
    with pytest.raises(KeyError):
        Columns(16).load(state)


def test_a_signal_that_no_record_carried_has_no_column():
    columns, block = block_of([{"output": {"length": None, "empty": "no"}, "data": {"retrieval_score": 1}}])
    assert [signal.name for signal in block.signals] == ["retrieval_score"]
    assert columns.dump()["signals"] == ["retrieval_score"]


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_columns_does_not_depend_on_how_the_rows_of_a_block_arrived(seed):
    rng = random.Random(seed)
    records = [junk_record(rng) for _ in range(40)]
    whole, expected = block_of(records, Columns(4))
    columns, pieces, start = Columns(4), [], 0
    while start < 40:
        stop = min(40, start + rng.randrange(1, 9))
        pieces.append(rows_of(records[start:stop], columns, RecordReader()))
        start = stop
    found = columns.block(joined_rows(pieces))
    assert found.signals == expected.signals
    assert found.values.tobytes() == expected.values.tobytes()
    assert found.categories == expected.categories
    assert columns.dump() == whole.dump()


def test_a_signal_of_the_units_own_that_waits_in_a_row_is_in_the_state_already():
    columns = Columns(1)
    rows = rows_of([{"custom": {"x": True}}], columns)
    restored = Columns(1)
    restored.load(columns.dump())
    assert restored.signals == []
    rows_of([{"custom": {"y": 1, "x": 2}}], restored)
    assert restored.bad_fields == {("custom", "too_many"): 1, ("custom.x", "wrong_type"): 1}
    assert by_name(restored.block(rows)) == {"custom.x": [1.0]}


def labelled(versions=None, segment=None, **fields):
    each = {"subject": "bot", "timestamp": START_MS, "output": {"length": 3}} | fields
    return each | {name: held for name, held in (("versions", versions), ("segment", segment)) if held is not None}


def test_versions_and_segments_are_read_whatever_each_record_names():
    records = [
        labelled({"prompt": "v1", "flag:rerank": True}, {"tenant": "acme"}, provider="openai"),
        labelled({"prompt": 7}, {"tenant": None, "region": "eu"}),
        labelled(),
    ]
    _, block = block_of(records, Columns(0, ("prompt", "tenant", "provider", "region", "index")))
    assert {name: list(column) for name, column in block.versions.items()} == {
        "prompt": ["v1", "7", None],
        "flag:rerank": ["true", None, None],
    }
    assert {name: list(column) for name, column in block.segments.items()} == {
        "prompt": ["v1", "7", None],
        "tenant": ["acme", None, None],
        "provider": ["openai", None, None],
        "region": [None, "eu", None],
    }


def test_a_segments_own_name_comes_before_a_versions():
    _, block = block_of([labelled({"tenant": "v"}, {"tenant": "s"})], Columns(0, ("tenant",)))
    assert list(block.segments["tenant"]) == ["s"]


@pytest.mark.parametrize("bad", [5, "v1", ["v1"], True])
def test_versions_that_are_no_object_cost_no_record(bad):
    columns = Columns(0, ("prompt",))
    _, block = block_of([labelled(bad), labelled({"prompt": "v1"})], columns)
    assert columns.bad_fields == {("versions", "not_an_object"): 1}
    assert list(block.versions["prompt"]) == [None, "v1"]


@pytest.mark.parametrize("bad", [1.5, ["v1"], {"a": 1}, "x" * 201])
def test_a_label_that_is_none_is_dropped_and_counted(bad):
    columns = Columns(0, ("tenant",))
    _, block = block_of([labelled(segment={"tenant": bad}), labelled(segment={"tenant": "acme"})], columns)
    assert columns.bad_fields.total() == 1
    assert list(block.segments["tenant"]) == [None, "acme"]


def test_more_labels_than_allowed_are_not_read():
    many = {f"kind-{number}": "v" for number in range(50)}
    assert len(block_of([labelled(many)], Columns(0))[1].versions) == LABEL_FIELDS_MAX
    large = labelled(many, note="x" * 9000)
    assert block_of([project(large)], Columns(0))[1].versions == block_of([large], Columns(0))[1].versions
