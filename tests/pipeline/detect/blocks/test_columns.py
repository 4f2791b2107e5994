import math
import random

import numpy as np
import pytest

from pipeline.detect.admission.decode import CUSTOM_FIELDS_MAX, LABEL_FIELDS_MAX, project
from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.admission.records import Records
from pipeline.detect.blocks.columns import (
    COUNTED_FIELDS_MAX,
    CUSTOM_NAME_LENGTH_MAX,
    LOOK_ALIKES_MAX,
    SignalColumns,
)
from pipeline.detect.signals.catalogue import SIGNALS
from tests.pipeline.detect.records import junk_record
from tests.pipeline.detect.streams import START_MS, outcome, record


def read(objects, columns):
    records = RecordReader().read(objects)
    records.times_ms, records.panes = np.full(len(objects), START_MS), np.ones(len(objects), dtype=np.int64)
    columns.fill_custom_values(records)
    return records


def block_of(objects, columns=None):
    columns = columns or SignalColumns(16)
    return columns, columns.build_block(read(objects, columns))


def by_name(block):
    return {signal.name: block.values[:, index].tolist() for index, signal in enumerate(block.signals)}


def as_number(value):
    if type(value) is str:
        try:
            return float(value)
        except ValueError:
            return None
    return value if type(value) in (int, float) else None


def as_boolean(value):
    if type(value) is bool:
        return value
    return {"0": False, "1": True, "false": False, "true": True}.get(str(value).removesuffix(".0"))


def read_field_by_field(records, custom_max=16):
    """Read record by record and field by field, as the contract says."""
    values_by_record, custom = [{} for _ in records], {}
    for values, fields in zip(values_by_record, records, strict=True):
        for row in SIGNALS:
            section = fields.get(row.section)
            value = section.get(row.field) if isinstance(section, dict) else None
            value = as_boolean(value) if row.kind == "rate" else as_number(value)
            if value is not None and row.low <= value <= row.high:
                values[row.name] = float(value)
        section = fields.get("custom")
        if not isinstance(section, dict) or len(section) > CUSTOM_FIELDS_MAX:
            continue
        for name, sent in section.items():
            value = sent if type(sent) is bool else as_number(sent) if as_number(sent) is not None else as_boolean(sent)
            if custom.get(name):
                value = as_boolean(value)
            if value is None or abs(value) > 1e15:
                continue
            if name not in custom and (len(custom) >= custom_max or not 0 < len(name) <= CUSTOM_NAME_LENGTH_MAX):
                continue
            if custom.setdefault(name, type(value) is bool) == (type(value) is bool):
                values[f"custom.{name}"] = float(value)
    return values_by_record


def as_dicts(block):
    return [
        {signal.name: value for signal, value in zip(block.signals, row, strict=True) if not math.isnan(value)}
        for row in block.values.tolist()
    ]


@pytest.mark.parametrize("seed", range(30))
def test_values_are_the_same_as_read_record_by_record(seed):
    rng = random.Random(seed)
    records = [
        junk_record(rng) if rng.random() < 0.7 else record(rng, 1, START_MS) for _ in range(rng.randrange(1, 60))
    ]
    _, block = block_of(records, SignalColumns(4))
    assert as_dicts(block) == read_field_by_field(records, custom_max=4)


@pytest.mark.parametrize("seed", range(10))
def test_a_projection_changes_nothing_that_is_read(seed):
    rng = random.Random(seed)
    records = [{**junk_record(rng), "note": "x", "versions": {"a": 1}} for _ in range(40)]
    left, right = block_of(records), block_of([project(fields) for fields in records])
    assert as_dicts(left[1]) == as_dicts(right[1])
    assert left[1].categories == right[1].categories
    assert left[1].first.tolist() == right[1].first.tolist()
    assert left[0].dump() == right[0].dump()


@pytest.mark.parametrize("seed", range(10))
def test_clearing_the_shape_cache_changes_nothing(seed, monkeypatch):
    rng = random.Random(seed)
    records = [junk_record(rng) for _ in range(60)]
    expected = block_of(records)
    monkeypatch.setattr("pipeline.detect.admission.shape.SHAPES_MAX", 1)
    repeated = block_of(records)
    assert np.array_equal(repeated[1].values, expected[1].values, equal_nan=True)
    assert repeated[1].signals == expected[1].signals
    assert repeated[0].dump() == expected[0].dump()


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


def test_a_bad_value_is_dropped_and_counted_but_no_other_value_is():
    columns, block = block_of(
        [
            {"output": {"length": "3 kB", "confidence": 0.5}},
            {"output": {"length": 3, "confidence": 1.5}},
            {"output": {"length": None, "confidence": True}},
        ]
    )
    assert by_name(block)["length"][1] == 3
    assert by_name(block)["confidence"][0] == 0.5
    assert np.isnan(block.values).sum() == 4
    assert columns.bad_fields == {
        ("output.length", "is_text"): 1,
        ("output.confidence", "out_of_bounds"): 1,
        ("output.confidence", "is_boolean"): 1,
    }


def test_a_custom_signal_keeps_the_kind_of_its_first_value():
    columns, block = block_of([{"custom": {"a": True, "b": 1}}, {"custom": {"a": 1, "b": False}}])
    assert as_dicts(block) == [{"custom.a": 1.0, "custom.b": 1.0}, {"custom.a": 1.0}]
    assert columns.bad_fields == {("custom.b", "is_boolean"): 1}
    assert columns.converted_fields == {"custom.a": 1}


def test_converted_values_are_counted_by_field():
    columns, block = block_of(
        [
            {"output": {"length": "3", "refused": 0, "finish_reason": ["stop"]}, "custom": {"a": "0.5", "b": "true"}},
            {"output": {"length": " 4e2 ", "refused": "True", "finish_reason": "stop"}, "custom": {"a": 1, "b": 0}},
            {"output": {"length": 5, "refused": True, "finish_reason": 7}, "segment": {"tenant": ["acme"]}},
            {"output": {"length": "fast", "refused": 2, "finish_reason": ["a", "b"]}, "custom": {"a": "x", "b": 2}},
            {"output": {"length": "-1", "refused": [True], "finish_reason": [["a"]]}, "request_id": 81},
        ]
    )
    assert as_dicts(block) == [
        {"length": 3.0, "refused": 0.0, "custom.a": 0.5, "custom.b": 1.0},
        {"length": 400.0, "refused": 1.0, "custom.a": 1.0, "custom.b": 0.0},
        {"length": 5.0, "refused": 1.0},
        {},
        {},
    ]
    assert block.categories == {"finish_reason": ["stop", "stop", "7", None, None]}
    assert list(block.request_ids) == [None, None, None, None, "81"]
    assert columns.converted_fields == {
        "output.length": 2,
        "output.refused": 2,
        "output.finish_reason": 2,
        "segment.tenant": 1,
        "request_id": 1,
        "custom.a": 1,
        "custom.b": 2,
    }
    assert columns.bad_fields == {
        ("output.length", "is_text"): 1,
        ("output.length", "out_of_bounds"): 1,
        ("output.refused", "is_list"): 1,
        ("output.refused", "is_number"): 1,
        ("output.finish_reason", "is_list"): 2,
        ("custom.a", "is_text"): 1,
        ("custom.b", "is_number"): 1,
    }
    restored = SignalColumns(16)
    restored.load(columns.dump())
    assert restored.converted_fields == columns.converted_fields


def test_names_that_senders_choose_do_not_fill_the_counts():
    columns, _ = block_of([{"segment": {f"name-{number}": 1.5}} for number in range(2 * COUNTED_FIELDS_MAX)])
    assert columns.bad_fields.total() == 2 * COUNTED_FIELDS_MAX
    assert columns.bad_fields["segment", "is_number"] == COUNTED_FIELDS_MAX
    assert len(columns.bad_fields) == COUNTED_FIELDS_MAX + 1


def test_a_bad_custom_value_does_not_count_as_a_signal():
    columns, block = block_of([{"custom": {"a": "x", "b": 1e300, "": 1, "c": 1, "d": 2}}], SignalColumns(1))
    assert [signal.name for signal in block.signals] == ["custom.c"]
    assert columns.bad_fields == {
        ("custom", "is_text"): 1,
        ("custom", "out_of_bounds"): 1,
        ("custom", "bad_name"): 1,
        ("custom", "too_many"): 1,
    }


def test_a_late_outcome_is_not_a_request():
    rng = random.Random(1)
    records = [record(rng, 1, START_MS), outcome("bot", 1, START_MS), {"output": {"length": 1}}]
    records += [{"request_id": "r", "infrastructure": None}, {"request_id": "r", "infrastructure": {"unknown": 1}}]
    records += [{"request_id": "r", "infrastructure": {"error": False}}]
    _, block = block_of(records)
    assert block.first.tolist() == [True, False, True, False, False, True]


def test_a_block_has_a_category_only_if_a_record_carries_it():
    _, block = block_of([{"output": {"finish_reason": "stop"}, "provider_model": None}, {"data": {"schema_id": 5.5}}])
    assert block.categories == {"finish_reason": ["stop", None]}


def test_environment_and_provider_come_from_the_newest_record_that_has_them():
    columns, _ = block_of([{"environment": "a", "provider": "x"}, {"environment": "b"}, {"output": {}}])
    assert (columns.environment, columns.provider) == ("b", "x")
    block_of([{"environment": 5.5}], columns)
    assert columns.environment == "b"


def test_a_state_restores_columns_in_their_order():
    columns, _ = block_of([{"custom": {"x": True}, "output": {"length": 1}, "environment": "a", "data": 5}])
    restored = SignalColumns(16)
    restored.load(columns.dump())
    assert restored.dump() == columns.dump()
    assert restored.signals == columns.signals
    _, block = block_of([{"custom": {"x": 2, "y": 1}, "output": {"length": 4}}], restored)
    assert [signal.name for signal in block.signals] == ["length", "custom.x", "custom.y"]


def test_a_state_with_a_signal_that_the_catalogue_does_not_have_is_refused():
    state = SignalColumns(16).dump() | {"signals": ["weather"]}
    with pytest.raises(KeyError):
        SignalColumns(16).load(state)


def test_a_signal_that_no_record_carried_has_no_column():
    columns, block = block_of([{"output": {"length": None, "empty": "maybe"}, "data": {"retrieval_score": 1}}])
    assert [signal.name for signal in block.signals] == ["retrieval_score"]
    assert columns.dump()["signals"] == ["retrieval_score"]


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_columns_does_not_depend_on_batches(seed):
    rng = random.Random(seed)
    records = [junk_record(rng) for _ in range(40)]
    at_once, expected = block_of(records, SignalColumns(4))
    columns, parts, start = SignalColumns(4), [], 0
    while start < 40:
        stop = min(40, start + rng.randrange(1, 9))
        parts.append(read(records[start:stop], columns))
        start = stop
    block = columns.build_block(Records.concatenate(parts))
    assert block.signals == expected.signals
    assert block.values.tobytes() == expected.values.tobytes()
    assert block.categories == expected.categories
    assert columns.dump() == at_once.dump()


def test_a_custom_signal_of_a_buffered_record_is_already_in_the_state():
    columns = SignalColumns(1)
    records = read([{"custom": {"x": True}}], columns)
    restored = SignalColumns(1)
    restored.load(columns.dump())
    assert restored.signals == []
    read([{"custom": {"y": 1, "x": 2}}], restored)
    assert restored.bad_fields == {("custom", "too_many"): 1, ("custom.x", "is_number"): 1}
    assert by_name(restored.build_block(records)) == {"custom.x": [1.0]}


def labelled(versions=None, segment=None, **fields):
    labels = {name: value for name, value in (("versions", versions), ("segment", segment)) if value is not None}
    return {"subject": "bot", "timestamp": START_MS, "output": {"length": 3}} | fields | labels


def test_records_may_carry_different_versions_and_segments():
    records = [
        labelled({"prompt": "v1", "flag:rerank": True}, {"tenant": "acme"}, provider="openai"),
        labelled({"prompt": 7}, {"tenant": None, "region": "eu"}),
        labelled(),
    ]
    _, block = block_of(records, SignalColumns(0, ("prompt", "tenant", "provider", "region", "index")))
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


def test_a_label_in_segment_comes_before_one_in_versions():
    _, block = block_of([labelled({"tenant": "v"}, {"tenant": "s"})], SignalColumns(0, ("tenant",)))
    assert list(block.segments["tenant"]) == ["s"]


@pytest.mark.parametrize("bad", [5, "v1", ["v1"], True])
def test_versions_that_are_not_an_object_do_not_cost_the_record(bad):
    columns = SignalColumns(0, ("prompt",))
    _, block = block_of([labelled(bad), labelled({"prompt": "v1"})], columns)
    assert columns.bad_fields == {("versions", "not_an_object"): 1}
    assert list(block.versions["prompt"]) == [None, "v1"]


@pytest.mark.parametrize("bad", [1.5, ["v1", "v2"], {"a": 1}, "x" * 201])
def test_a_bad_label_is_dropped_and_counted(bad):
    columns = SignalColumns(0, ("tenant",))
    _, block = block_of([labelled(segment={"tenant": bad}), labelled(segment={"tenant": "acme"})], columns)
    assert columns.bad_fields.total() == 1
    assert list(block.segments["tenant"]) == [None, "acme"]


def test_labels_beyond_the_limit_are_not_read():
    many = {f"kind-{number}": "v" for number in range(50)}
    assert len(block_of([labelled(many)], SignalColumns(0))[1].versions) == LABEL_FIELDS_MAX
    large = labelled(many, note="x" * 9000)
    assert block_of([project(large)], SignalColumns(0))[1].versions == block_of([large], SignalColumns(0))[1].versions


def test_unknown_fields_that_look_like_a_known_one_are_named_once_and_restored():
    odd = {"output": {"refusal": True, "note": "x"}, "latencyMs": 3, "infrastructure": {"latency": 3}}
    columns, _ = block_of([{"output": {"length": 3}}, odd, odd])
    assert columns.look_alikes == {"output.refusal", "latencyMs", "infrastructure.latency"}
    restored = SignalColumns(16)
    restored.load(columns.dump())
    assert restored.look_alikes == columns.look_alikes


def test_the_number_of_look_alikes_is_limited():
    columns, _ = block_of([{"output": {f"length{number}": 1}} for number in range(2 * LOOK_ALIKES_MAX)])
    assert len(columns.look_alikes) == LOOK_ALIKES_MAX
