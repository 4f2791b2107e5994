import random
from collections import deque

import pytest

from pipeline.detect.intake.duplicates import CHUNKS, Duplicates


def search_every_chunk(keys, window):
    """Search every chunk."""
    size = -(-window // CHUNKS)
    chunks, all_new = deque([[]]), []
    for key in keys:
        new = key is None or not any(key in chunk for chunk in chunks)
        all_new.append(new)
        if new and key is not None:
            chunks[-1].append(key)
            if len(chunks[-1]) == size:
                chunks.append([])
                if len(chunks) > CHUNKS:
                    chunks.popleft()
    return all_new


@pytest.mark.parametrize("seed", range(20))
def test_batches_and_restores_do_not_change_what_is_found(seed):
    rng = random.Random(seed)
    window = rng.choice((1, 8, 20, 64))
    keys = [None if rng.random() < 0.1 else f"k{rng.randrange(window * 3)}" for _ in range(600)]
    duplicates, stored, new, start = Duplicates(window), {}, [], 0
    while start < len(keys):
        end = start + rng.randrange(1, 40)
        new += duplicates.find_new(keys[start:end])
        start = end
        if rng.random() < 0.5:
            stored.update(duplicates.dump_changed())
            parts = list(stored.values())
            rng.shuffle(parts)
            duplicates = Duplicates(window)
            duplicates.load(parts)
    assert new == search_every_chunk(keys, window)
    assert not all(new)


def test_all_new_keys_are_new():
    assert all(Duplicates(64).find_new([f"k{number}" for number in range(1000)]))


def test_a_key_is_known_for_seven_eighths_of_the_window_and_forgotten_after_it():
    for distance, new in ((0, False), (55, False), (64, True)):
        duplicates = Duplicates(64)
        duplicates.find_new(["key", *(f"k{number}" for number in range(distance))])
        assert duplicates.find_new(["key"]) == [new]


def test_a_window_of_0_remembers_nothing():
    duplicates = Duplicates(0)
    assert duplicates.find_new(["a", "a"]) == [True, True]
    assert list(duplicates.dump_changed()) == []


def test_only_changed_chunks_are_dumped():
    duplicates = Duplicates(64)
    duplicates.find_new([f"k{number}" for number in range(20)])
    assert [name for name, _ in duplicates.dump_changed()] == ["0", "1", "2"]
    assert list(duplicates.dump_changed()) == []
    duplicates.find_new(["one more"])
    assert [name for name, _ in duplicates.dump_changed()] == ["2"]
