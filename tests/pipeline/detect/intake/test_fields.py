import random

import pytest

from pipeline.detect.intake.fields import joined, no_fields
from pipeline.detect.intake.reader import RecordReader
from tests.pipeline.detect.records import plainly, some_records


@pytest.mark.parametrize("seed", range(10))
def test_what_is_picked_cut_and_joined_is_what_those_records_hold(seed):
    rng = random.Random(seed)
    records = some_records(rng, 60)
    fields = RecordReader().read(records).fields
    expected = plainly(fields)
    assert any(each["faults"] for each in expected)
    assert any(each["custom"] for each in expected)
    rows = rng.sample(range(60), 25)
    assert plainly(fields.pick(rows)) == [expected[row] for row in rows]
    start, stop = sorted(rng.sample(range(61), 2))
    assert plainly(fields.cut(start, stop)) == expected[start:stop]
    parts = [fields.cut(0, start), fields.cut(start, stop), fields.cut(stop, 60)]
    assert plainly(joined(parts)) == expected
    assert plainly(joined([fields.cut(start, stop).pick([0]), no_fields()])) == expected[start : start + 1]


def test_none_can_be_picked():
    fields = RecordReader().read([{"output": {"length": "x"}, "custom": {"a": 1}}]).fields
    assert plainly(fields.pick([])) == plainly(fields.cut(1, 1)) == plainly(no_fields()) == []
