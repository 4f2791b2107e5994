import random
from collections import deque

import numpy as np
import pytest

from pipeline.chunk_window import CHUNKS
from pipeline.detect.admission.duplicates import Duplicates, find_distinctive, hash_contents, identity_hashes
from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.admission.times import read_times
from tests.pipeline.detect.streams import START_MS


def search_every_chunk(hashes, window):
    """Search every chunk."""
    size = -(-window // CHUNKS)
    chunks, all_new = deque([[]]), []
    for content_hash in hashes:
        new = not any(content_hash in chunk for chunk in chunks)
        all_new.append(new)
        if new:
            chunks[-1].append(content_hash)
            if len(chunks[-1]) == size:
                chunks.append([])
                if len(chunks) > CHUNKS:
                    chunks.popleft()
    return all_new


def find_new(duplicates, hashes):
    return duplicates.find_new_hashes(np.array(hashes, dtype=np.int64)).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_batches_and_restores_do_not_change_what_is_found(seed):
    rng = random.Random(seed)
    window = rng.choice((1, 8, 20, 64))
    hashes = [rng.randrange(-window, window * 2) * 2**40 for _ in range(600)]
    duplicates, stored, new, start = Duplicates(window), {}, [], 0
    while start < len(hashes):
        end = start + rng.randrange(1, 40)
        new += find_new(duplicates, hashes[start:end])
        start = end
        if rng.random() < 0.5:
            stored.update(duplicates.dump_changed())
            parts = [Duplicates.read_chunk(chunk) for chunk in stored.values()]
            rng.shuffle(parts)
            duplicates = Duplicates(window)
            duplicates.load(parts)
    assert new == search_every_chunk(hashes, window)
    assert not all(new)


def test_all_new_hashes_are_new():
    assert all(find_new(Duplicates(64), range(1000)))


def test_a_hash_is_known_for_seven_eighths_of_the_window_and_forgotten_after_it():
    for distance, new in ((0, False), (55, False), (64, True)):
        duplicates = Duplicates(64)
        find_new(duplicates, [-1, *range(distance)])
        assert find_new(duplicates, [-1]) == [new]


def test_a_window_of_0_remembers_nothing():
    duplicates = Duplicates(0)
    assert find_new(duplicates, [1, 1]) == [True, True]
    assert list(duplicates.dump_changed()) == []


def test_only_changed_chunks_are_dumped():
    duplicates = Duplicates(64)
    find_new(duplicates, range(20))
    assert [name for name, _ in duplicates.dump_changed()] == ["0", "1", "2"]
    assert list(duplicates.dump_changed()) == []
    find_new(duplicates, [20])
    assert [name for name, _ in duplicates.dump_changed()] == ["2"]


def test_a_window_costs_8_bytes_per_record():
    duplicates = Duplicates(4096)
    find_new(duplicates, np.random.default_rng(3).integers(-(2**63), 2**63, 20_000))
    assert sum(chunk.nbytes for chunk in duplicates._window.chunks) <= 8 * 4096
    assert sum(chunk["hashes"].nbytes for _, chunk in duplicates.dump_changed()) <= 8 * 4096


def read(*objects):
    records = RecordReader().read(objects)
    records.times_ms, _ = read_times(records.timestamps)
    return records


FINE, WHOLE = START_MS + 123, START_MS


@pytest.mark.parametrize(
    ("fields", "distinctive"),
    [
        ({"request_id": "r-1"}, True),
        ({"request_id": 81, "timestamp": WHOLE}, True),
        ({"request_id": "None"}, False),
        ({"infrastructure": {"latency_ms": 812, "queue_depth": 3}}, True),
        ({"infrastructure": {"latency_ms": "812"}, "output": {"length": "9"}}, True),
        ({"infrastructure": {"latency_ms": 812}, "custom": {"toxicity": 0.1}}, True),
        ({"data": {"embedding": [0.1, 0.2]}}, True),
        ({"infrastructure": {"latency_ms": 812, "queue_depth": 3}, "timestamp": WHOLE}, False),
        ({"infrastructure": {"latency_ms": 812}}, False),
        ({"infrastructure": {"latency_ms": 812, "error": False}, "output": {"empty": False, "refused": True}}, False),
        ({"infrastructure": {"latency_ms": 812}, "custom": {"flagged": True}}, False),
        ({"infrastructure": {"latency_ms": 812, "queue_depth": -1}}, False),
        ({}, False),
    ],
)
def test_a_record_is_distinctive_by_its_id_or_by_a_fine_time_and_two_numbers(fields, distinctive):
    records = read({"subject": "bot", "timestamp": FINE, **fields}, {"subject": "bot", "request_id": "r"})
    assert find_distinctive(records).tolist() == [distinctive, True]


def test_the_hash_of_a_record_is_equal_in_every_run_and_covers_its_bytes_and_its_time():
    records = read({"timestamp": FINE}, {"timestamp": WHOLE}, {"timestamp": FINE})
    records.content_hashes = hash_contents([b"a", b"a", b"b"])
    assert records.content_hashes.tolist() == [0xE8B7BE43, 0xE8B7BE43, 0x71BEEFF9]
    hashes = identity_hashes(records)
    assert len(set(hashes.tolist())) == 3
    assert int(hashes[0]) & 0xFFFFFFFF == FINE & 0xFFFFFFFF
