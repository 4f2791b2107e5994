import random

import numpy as np
import pytest

from pipeline.codec import decode, encode
from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.admission.records import Records
from pipeline.detect.blocks.columns import SignalColumns
from tests.pipeline.detect.records import as_dicts, mixed_records
from tests.pipeline.detect.streams import START_MS


def read(*objects):
    return RecordReader().read(objects)


def with_custom_values(columns, objects, first=0):
    records = RecordReader().read(objects)
    numbers = np.arange(first, first + len(objects))
    records.times_ms, records.panes = START_MS + numbers, numbers // 7
    columns.fill_custom_values(records)
    return records


def state_of(records):
    return encode(records.dump(), kind="rows")


@pytest.mark.parametrize("seed", range(10))
def test_pick_cut_and_concatenate_keep_every_column(seed):
    rng = random.Random(seed)
    records = RecordReader().read(mixed_records(rng, 60))
    records.positions, records.times_ms = range(100, 160), START_MS + np.arange(60)
    expected = as_dicts(records)
    assert any(fields["faults"] for fields in expected)
    assert any(fields["custom"] for fields in expected)
    rows = rng.sample(range(60), 25)
    assert as_dicts(records.pick(rows)) == [expected[row] for row in rows]
    start, stop = sorted(rng.sample(range(61), 2))
    assert as_dicts(records.cut(start, stop)) == expected[start:stop]
    parts = [records.cut(0, start), records.cut(start, stop), records.cut(stop, 60)]
    assert as_dicts(Records.concatenate(parts)) == expected


def test_concatenation_with_no_records_changes_no_record():
    records = read({"subject": "bot", "output": {"length": "x"}, "custom": {"a": 1}, "data": {"embedding": [1]}})
    assert as_dicts(Records.concatenate([Records.empty(), records, Records.empty()])) == as_dicts(records)


def test_a_column_that_one_part_lacks_is_empty_in_the_concatenation():
    left, right = read({"subject": "bot"}), read({"subject": "bot"})
    left.subjects = ()
    both = Records.concatenate([left, right])
    assert (both.subjects, len(both.request_ids)) == ((), 2)


def test_no_records_can_be_picked():
    records = read({"output": {"length": "x"}, "custom": {"a": 1}})
    assert as_dicts(records.pick([])) == as_dicts(records.cut(1, 1)) == as_dicts(Records.empty()) == []


def test_records_are_split_by_subject_in_the_order_of_first_appearance():
    subjects = ["b", "a", "b", "c", "a"]
    records = read(*({"subject": subject, "output": {"length": n}} for n, subject in enumerate(subjects)))
    records.positions = range(5)
    split = [(subject, list(part.positions)) for subject, part in records.split_by_subject(range(5))]
    assert split == [("b", [0, 2]), ("a", [1, 4]), ("c", [3])]
    assert [subject for subject, _ in records.split_by_subject([3, 1])] == ["c", "a"]
    assert list(records.split_by_subject([])) == []


def test_a_copy_for_a_block_shares_no_array_with_the_batch():
    records = with_custom_values(SignalColumns(4), [{"output": {"length": n}, "custom": {"x": n}} for n in range(5)])
    copied = records.copy_for_block(1, 4)
    for name in ("values", "is_request", "times_ms", "panes", "custom_values"):
        assert not np.shares_memory(getattr(copied, name), getattr(records, name))
    assert copied.custom_values.tolist() == [[1.0], [2.0], [3.0]]


@pytest.mark.parametrize("seed", range(10))
def test_a_state_restores_every_column_to_the_bit(seed):
    records = with_custom_values(SignalColumns(4), mixed_records(random.Random(seed), 50))
    state = state_of(records)
    restored = Records.load(decode(state, kind="rows"))
    assert state_of(restored) == state
    assert len(restored) == 50
    assert restored.values.tobytes() == records.values.tobytes()
    assert restored.is_request.tolist() == records.is_request.tolist()
    assert np.isfinite(records.custom_values).any()


@pytest.mark.parametrize("seed", range(10))
def test_records_with_different_numbers_of_custom_signals_are_concatenated(seed):
    rng = random.Random(seed)
    objects = mixed_records(rng, 50)
    expected = state_of(with_custom_values(SignalColumns(4), objects))
    columns, parts, start = SignalColumns(4), [], 0
    while start < 50:
        stop = min(50, start + rng.randrange(1, 20))
        parts.append(with_custom_values(columns, objects[start:stop], start))
        start = stop
    merged = Records.concatenate(parts)
    assert state_of(merged) == expected
    copies = [merged.copy_for_block(start, stop) for start, stop in ((0, 13), (13, 13), (13, 50))]
    assert state_of(Records.concatenate(copies)) == expected


def test_a_column_without_a_value_is_not_dumped():
    records = with_custom_values(SignalColumns(4), [{"output": {"length": None, "empty": True, "finish_reason": None}}])
    state = records.dump()
    assert (state["signals"], state["custom_signals"], state["labels"]) == (["empty"], [], {})


def test_a_state_with_a_signal_that_the_catalogue_does_not_have_is_refused():
    state = with_custom_values(SignalColumns(4), [{"output": {"empty": True}}]).dump()
    with pytest.raises(KeyError):
        Records.load(state | {"signals": ["weather"]})
