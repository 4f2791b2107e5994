import random

import numpy as np
import pytest

from pipeline.detect.admission.records import Records
from pipeline.detect.blocks.buffer import Buffer
from pipeline.detect.settings import DetectSettings

SETTINGS = DetectSettings(block_records=64, flush_records=16, flush_after_s=4)


def numbered_records(numbers, panes):
    """Return records whose columns hold their numbers. Higher numbers have more custom signals."""
    column = np.array(numbers, dtype=np.float64)[:, None]
    return Records(
        values=np.repeat(column, Records.WIDTH, axis=1),
        custom_values=np.repeat(column, numbers[-1] // 100, axis=1),
        times_ms=np.array(numbers),
        panes=np.array(panes, dtype=np.int64)[numbers],
        is_request=np.array([number % 2 == 0 for number in numbers]),
        positions=numbers,
        request_ids=tuple(f"r-{number}" for number in numbers),
        labels={"provider": tuple(map(str, numbers))} if numbers[0] % 3 else {},
    )


def numbers_of(block):
    """Return the numbers of a block, and check that all its columns hold them."""
    numbers = block.times_ms.tolist()
    assert (block.values == block.times_ms[:, None]).all()
    assert (np.isnan(block.custom_values) | (block.custom_values == block.times_ms[:, None])).all()
    assert block.is_request.tolist() == [number % 2 == 0 for number in numbers]
    assert list(block.request_ids) == [f"r-{number}" for number in numbers]
    for labels in block.labels.values():
        assert all(label in (None, str(number)) for label, number in zip(labels, numbers, strict=True))
    return numbers


def blocks(panes, cuts=()):
    """Return the position that ended each block, and the numbers of its records."""
    buffer, ended, start = Buffer(SETTINGS), [], 0
    for end in (*cuts, len(panes)):
        numbers = list(range(start, end))
        if numbers:
            records = numbered_records(numbers, panes)
            ended += [(position, numbers_of(block)) for position, block in buffer.push(records)]
            if len(buffer):
                assert buffer.records.request_ids
        start = end
    return ended


def end_record_by_record(panes):
    """Apply the rule record by record."""
    buffered, ended = [], []
    for number, pane in enumerate(panes):
        if buffered and pane != panes[buffered[-1]] and (len(buffered) >= 16 or pane - panes[buffered[0]] >= 4):
            ended.append((number, buffered))
            buffered = []
        buffered.append(number)
        if len(buffered) == 64:
            ended.append((number, buffered))
            buffered = []
    return ended


@pytest.mark.parametrize("seed", range(40))
def test_blocks_end_where_the_rule_says_in_any_batches(seed):
    rng = random.Random(seed)
    steps = rng.choice(((0,), (0, 0, 0, 1), (0, 1, 9), (0,) * 50 + (1,), (4, 5)))
    panes = np.cumsum([rng.choice(steps) for _ in range(500)]).tolist()
    cuts = sorted(rng.sample(range(501), rng.randrange(200)))
    assert blocks(panes, cuts) == blocks(panes) == end_record_by_record(panes)


def test_few_records_of_one_pane_stay_in_the_buffer():
    assert blocks([7] * 63) == []


def test_a_full_block_ends_with_the_record_that_fills_it():
    assert [(position, len(numbers)) for position, numbers in blocks([7] * 130)] == [(63, 64), (127, 64)]


def test_a_slow_stream_has_a_block_after_four_panes():
    assert blocks([1, 2, 3, 4, 5]) == [(4, [0, 1, 2, 3])]
