import random

import pytest

from pipeline.codec import encode
from pipeline.state import CHUNK_BYTES_MAX, Part, PartStore

KINDS = ("rows", "monitor", "learner")


def write(store, states):
    """The keys and values that write some parts."""
    for part in states:
        store.mark(part.kind, part.name)
    dumped = {}
    for part, state in states.items():
        dumped.setdefault((part.kind, part.name), []).append((part, state))
    return list(store.changed(lambda kind, name: dumped[kind, name]))


def restore(entries, *, kinds=KINDS, settings_hash=""):
    store = PartStore(kinds, settings_hash)
    store.read(entries)
    states = {}
    for kind in kinds:
        for part in store.parts(kind):
            store.load(part, lambda state, part=part: states.update({part: state}))
    return states, list(store.finish_restore()), store


@pytest.mark.parametrize("name", ["bot", "a/b#7", "größe", "s" * 200, " ", "", "a\x00b", "v1.2"])
@pytest.mark.parametrize("chunk", [0, 12])
@pytest.mark.parametrize("item", ["", "burst-1-2"])
def test_a_key_is_read_as_it_was_written(name, item, chunk):
    part = Part("learner", name, item)
    assert Part.from_key(part.key(chunk)) == (part, chunk)


def test_large_parts_are_split_into_chunks_and_joined_in_any_order():
    states = {
        Part("rows", "bot"): {"bytes": bytes(range(256)) * 10_000},
        Part("monitor", "bot"): {"small": 1},
        Part("learner", "bot", "head"): {"text": "x" * CHUNK_BYTES_MAX},
    }
    entries = write(PartStore(KINDS), states)
    assert len(entries) > len(states)
    assert max(len(value) for _, value in entries) <= CHUNK_BYTES_MAX
    random.Random(1).shuffle(entries)
    assert restore(entries)[:2] == (states, [])


def test_a_part_that_shrinks_or_goes_leaves_tombstones():
    store, part = PartStore(KINDS), Part("rows", "bot")
    write(store, {part: {"text": "x" * 2 * CHUNK_BYTES_MAX}})
    entries = write(store, {part: {}})
    assert [key for key, value in entries if value is None] == [part.key(1), part.key(2)]
    assert write(store, {part: None}) == [(part.key(), None)]
    assert write(store, {part: None}) == []


def test_none_removes_all_items_of_a_kind_and_name():
    store = PartStore(KINDS)
    head, totals = Part("learner", "bot", "head"), Part("learner", "bot", "totals-3")
    write(store, {head: {}, totals: {}, Part("rows", "bot"): {}, Part("learner", "search", "head"): {}})
    assert write(store, {Part("learner", "bot"): None}) == [(head.key(), None), (totals.key(), None)]


def test_a_dropped_name_is_removed_before_it_is_written_again():
    store, part = PartStore(KINDS), Part("rows", "bot")
    write(store, {part: {"text": "x" * CHUNK_BYTES_MAX}})
    store.drop("bot")
    entries = write(store, {part: {}})
    assert [(key, value is None) for key, value in entries] == [
        (part.key(0), True),
        (part.key(1), True),
        (part.key(0), False),
    ]
    assert store.names() == ["bot"]


def test_restored_parts_are_known_and_can_be_removed():
    part = Part("rows", "bot")
    _, _, store = restore(write(PartStore(KINDS), {part: {"text": "x" * CHUNK_BYTES_MAX}}))
    store.drop("bot")
    assert list(store.changed(lambda kind, name: [])) == [(part.key(0), None), (part.key(1), None)]


def test_nothing_is_written_twice():
    store = PartStore(KINDS)
    assert write(store, {Part("rows", "bot"): {}})
    assert list(store.changed(lambda kind, name: [(Part(kind, name), {})])) == []


@pytest.mark.parametrize("key", [b"bot", b"bot\x00rows\x000", b"\xff/bot", b"rows#x/bot", b"rumour/1"])
def test_a_key_that_names_no_part_is_discarded_with_one_warning_and_removed(key):
    states, warnings, store = restore([(key, b"x"), (b"also bad", b"x")])
    assert states == {}
    assert len(warnings) == 1
    assert "2 keys" in warnings[0]
    assert sorted(store.changed(lambda kind, name: [])) == sorted([(key, None), (b"also bad", None)])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"?", "not JSON"),
        (encode({}, kind="monitor", settings_hash="a1"), "kind is monitor"),
        (encode({}, kind="rows", settings_hash="b2"), "settings b2"),
    ],
)
def test_a_state_that_does_not_fit_is_discarded_with_its_reason(value, reason):
    states, [warning], _ = restore([(b"rows/bot", value)], settings_hash="a1")
    assert states == {}
    assert warning.startswith("the state rows/bot is discarded: ")
    assert reason in warning


def test_a_state_without_a_field_is_discarded_and_the_field_named():
    store = PartStore(KINDS)
    store.read(write(PartStore(KINDS), {Part("rows", "bot"): {}}))
    assert not store.load(Part("rows", "bot"), lambda state: state["panes"])
    assert list(store.finish_restore()) == ["the state rows/bot is discarded: it has no 'panes'"]


def test_a_part_that_is_not_in_the_checkpoint_is_not_loaded_and_needs_no_warning():
    store = PartStore(KINDS)
    assert not store.load(Part("rows", "bot"), lambda state: state)
    assert list(store.finish_restore()) == []
