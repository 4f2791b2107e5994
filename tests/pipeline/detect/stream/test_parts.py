import random

import pytest

from pipeline.detect.stream.parts import CHUNK_BYTES, PARTITION_KEY, Written, joined, key_of, read_key


@pytest.mark.parametrize("subject", ["bot", "a/b#7", "größe", "s" * 200, " "])
def test_a_key_is_read_as_it_was_written(subject):
    assert read_key(key_of(subject, "learner/head", 12)) == (subject, "learner/head", 12)


def test_large_parts_are_cut_and_joined_in_any_order():
    values = {"rows": bytes(range(256)) * 10_000, "judge": b"small", "held": b"x" * CHUNK_BYTES}
    written, parts = Written("bot"), [(PARTITION_KEY, b"own")]
    for part, value in values.items():
        parts += list(written.put(part, value))
    assert max(len(value) for _, value in parts) <= CHUNK_BYTES
    random.Random(1).shuffle(parts)
    units, partition, problems = joined(parts)
    assert {part: b"".join(chunks) for part, chunks in units["bot"].items()} == values
    assert (partition, problems) == (b"own", [])


def test_what_shrinks_or_goes_is_taken_back():
    written = Written("bot")
    list(written.put("rows", b"x" * (2 * CHUNK_BYTES + 1)))
    assert [(key, value) for key, value in written.put("rows", b"y") if value is None] == [
        (key_of("bot", "rows", 1), None),
        (key_of("bot", "rows", 2), None),
    ]
    assert list(written.drop("rows")) == [(key_of("bot", "rows", 0), None)]
    assert list(written.drop("rows")) == []
    list(written.put("unit", b"x"))
    assert list(written.drop_all()) == [(key_of("bot", "unit", 0), None)]


@pytest.mark.parametrize("key", [b"bot", b"bot\x00rows", b"bot\x00rows\x00x", b"\xff\x00rows\x000"])
def test_a_key_that_is_none_is_set_aside_with_a_line(key):
    units, _, problems = joined([(key, b"x")])
    assert units == {}
    assert len(problems) == 1
    assert "set aside" in problems[0]
