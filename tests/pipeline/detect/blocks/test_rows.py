import random

import numpy as np
import pytest

from pipeline.codec import decode, encode
from pipeline.detect.blocks.columns import Columns
from pipeline.detect.blocks.rows import joined_rows, loaded
from pipeline.detect.intake.reader import RecordReader
from tests.pipeline.detect.records import some_records
from tests.pipeline.detect.streams import START_MS


def rows_of(columns, records, first=0):
    numbers = np.arange(first, first + len(records))
    return columns.rows(RecordReader().read(records).fields, START_MS + numbers, numbers // 7)


def state_of(rows):
    return encode(rows.dump(), kind="rows", settings_hash="")


@pytest.mark.parametrize("seed", range(10))
def test_a_state_brings_back_every_column_to_the_bit(seed):
    rows = rows_of(Columns(4), some_records(random.Random(seed), 50))
    state = state_of(rows)
    restored = loaded(decode(state, kind="rows", settings_hash=""))
    assert state_of(restored) == state
    assert len(restored) == 50
    assert restored.values.tobytes() == rows.values.tobytes()
    assert restored.first.tolist() == rows.first.tolist()
    assert np.isfinite(rows.custom).any()


@pytest.mark.parametrize("seed", range(10))
def test_rows_in_pieces_are_the_rows_whole(seed):
    rng = random.Random(seed)
    records = some_records(rng, 50)
    whole = state_of(rows_of(Columns(4), records))
    columns, pieces, start = Columns(4), [], 0
    while start < 50:
        stop = min(50, start + rng.randrange(1, 20))
        pieces.append(rows_of(columns, records[start:stop], start))
        start = stop
    assert state_of(joined_rows(pieces)) == whole
    together = joined_rows(pieces)
    assert state_of(joined_rows([together.copy(0, 13), together.copy(13, 13), together.copy(13, 50)])) == whole


def test_a_column_that_holds_nothing_is_not_written():
    rows = rows_of(Columns(4), [{"output": {"length": None, "empty": True, "finish_reason": None}}])
    state = rows.dump()
    assert (state["signals"], state["custom_signals"], state["labels"]) == (["empty"], [], {})


def test_a_state_with_a_signal_that_the_catalogue_has_not_is_refused():
    state = rows_of(Columns(4), [{"output": {"empty": True}}]).dump()
    with pytest.raises(KeyError):
        loaded(state | {"signals": ["weather"]})
