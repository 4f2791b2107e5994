import random

import pytest

from pipeline.codec import FORMAT, encode
from pipeline.state import CHUNK_BYTES_MAX, NewerState, Part, PartKind, PartStore

KINDS = (PartKind("rows"), PartKind("monitor"), PartKind("learner", ("slices", "labels")))
SETTINGS = {"slices": 48, "labels": 64, "other": 1}


def write(store, states):
    """The keys and values that write some parts."""
    for part in states:
        store.mark(part.kind, part.name)
    dumped = {}
    for part, state in states.items():
        dumped.setdefault((part.kind, part.name), []).append((part, state))
    return list(store.changed(lambda kind, name: dumped[kind, name]))


def new_store(**settings):
    return PartStore(KINDS, SETTINGS | settings)


def restore(entries, **settings):
    store = new_store(**settings)
    store.read(entries)
    states = {}
    for kind in KINDS:
        for part in store.parts(kind.name):
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
    entries = write(new_store(), states)
    assert len(entries) > len(states)
    assert max(len(value) for _, value in entries) <= CHUNK_BYTES_MAX
    random.Random(1).shuffle(entries)
    assert restore(entries)[:2] == (states, [])


def test_a_part_that_shrinks_or_goes_leaves_tombstones():
    store, part = new_store(), Part("rows", "bot")
    write(store, {part: {"text": "x" * 2 * CHUNK_BYTES_MAX}})
    entries = write(store, {part: {}})
    assert [key for key, value in entries if value is None] == [part.key(1), part.key(2)]
    assert write(store, {part: None}) == [(part.key(), None)]
    assert write(store, {part: None}) == []


def test_none_removes_all_items_of_a_kind_and_name():
    store = new_store()
    head, totals = Part("learner", "bot", "head"), Part("learner", "bot", "totals-3")
    write(store, {head: {}, totals: {}, Part("rows", "bot"): {}, Part("learner", "search", "head"): {}})
    assert write(store, {Part("learner", "bot"): None}) == [(head.key(), None), (totals.key(), None)]


def test_a_dropped_name_is_removed_before_it_is_written_again():
    store, part = new_store(), Part("rows", "bot")
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
    _, _, store = restore(write(new_store(), {part: {"text": "x" * CHUNK_BYTES_MAX}}))
    store.drop("bot")
    assert list(store.changed(lambda kind, name: [])) == [(part.key(0), None), (part.key(1), None)]


def test_nothing_is_written_twice():
    store = new_store()
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
        (encode({}, kind="monitor"), "kind is monitor"),
        (b'{"format":0,"kind":"rows","settings":{},"state":{}}', "format 0"),
    ],
)
def test_a_state_that_cannot_be_read_is_discarded_with_its_reason_and_removed(value, reason):
    states, [warning], store = restore([(b"rows/bot", value)])
    assert states == {}
    assert warning.startswith("the state rows/bot is discarded: ")
    assert reason in warning
    assert list(store.changed(lambda kind, name: [])) == [(b"rows/bot", None)]


LEARNER = {Part("learner", "bot", "head"): {"sum": 1}, Part("learner", "search", "head"): {"sum": 2}}


def test_a_part_is_kept_if_only_settings_changed_on_which_it_does_not_depend():
    assert restore(write(new_store(), LEARNER), other=2)[:2] == (LEARNER, [])


def test_a_part_is_reset_if_a_setting_changed_on_which_it_depends_and_the_setting_is_named():
    rows = {Part("rows", "bot"): {"row": 1}}
    states, lines, store = restore(write(new_store(), LEARNER | rows), slices=96)
    assert states == rows
    assert lines == ["learner: reset for 2 subjects, because slices was 48 and is now 96", "kept: rows"]
    assert sorted(store.changed(lambda kind, name: [])) == sorted((part.key(), None) for part in LEARNER)


def test_a_preview_says_the_same_and_changes_nothing():
    rows = {Part("rows", "bot"): {"row": 1}}
    store = new_store(slices=96, labels=3)
    store.read(write(new_store(), LEARNER | rows))
    reset, kept = store.preview()
    assert str(reset) == (
        "learner: reset for 2 subjects, because slices was 48 and is now 96, labels was 64 and is now 3"
    )
    assert reset.misfit.settings == ("slices", "labels")
    assert str(kept) == "rows: kept for 1 subject"
    assert len(store.parts("learner")) == 2


def test_a_list_that_is_newer_than_a_part_was_empty():
    before = PartStore((PartKind("learner", ("slices",)),), SETTINGS)
    entries = write(before, {Part("learner", "bot"): {"sum": 1}})
    for now, is_kept in (([], True), ([{"name": "rule"}], False)):
        store = PartStore((PartKind("learner", ("slices", "rules")),), SETTINGS | {"rules": now})
        store.read(entries)
        assert store.load(Part("learner", "bot"), lambda state: state["sum"]) is is_kept
        assert is_kept or "rules was not recorded" in next(store.finish_restore())


@pytest.mark.parametrize("value", [48, 48.0])
def test_a_setting_written_as_another_type_of_number_is_the_same_setting(value):
    assert restore(write(new_store(), LEARNER), slices=value)[:2] == (LEARNER, [])


def test_a_part_without_its_settings_is_reset_if_its_kind_depends_on_settings():
    value = b'{"format":1,"kind":"learner","settings":"a1b2","state":{}}'
    states, [line, _], _ = restore([(b"learner/bot", value)])
    assert states == {}
    assert line == "learner: reset for 1 subject, because the version that wrote it did not record its settings"


def test_an_older_part_is_read_unless_the_content_of_its_kind_has_changed():
    value = b'{"format":1,"kind":"KIND","settings":"","state":{"sum":1}}'
    kinds = (PartKind("rows"), PartKind("monitor", since=2))
    store = PartStore(kinds)
    store.read([(f"{kind.name}/bot".encode(), value.replace(b"KIND", kind.name.encode())) for kind in kinds])
    assert store.load(Part("rows", "bot"), lambda state: state["sum"])
    assert not store.load(Part("monitor", "bot"), lambda state: state["sum"])
    assert list(store.finish_restore()) == [
        "monitor: reset for 1 subject, because it has format 1, but this version reads it from format 2",
        "kept: rows",
    ]


@pytest.mark.parametrize("key", [b"rows/bot", b"rumour/bot", b"no part"])
def test_a_state_of_a_newer_version_is_refused_and_nothing_is_removed(key):
    newer = encode({}, kind="rows").replace(f'"format":{FORMAT}'.encode(), f'"format":{FORMAT + 1}'.encode())
    store = new_store()
    with pytest.raises(NewerState, match=f"it has format {FORMAT + 1}, but this version reads formats 1 to {FORMAT}"):
        store.read([*write(new_store(), LEARNER), (b"also bad", b"?"), (key, newer)])
    assert list(store.changed(lambda kind, name: [])) == []


def test_a_state_without_a_field_is_discarded_and_the_field_named():
    store = new_store()
    store.read(write(new_store(), {Part("rows", "bot"): {}}))
    assert not store.load(Part("rows", "bot"), lambda state: state["panes"])
    assert list(store.finish_restore()) == ["the state rows/bot is discarded: it has no 'panes'"]


def test_a_part_that_is_not_in_the_checkpoint_is_not_loaded_and_needs_no_warning():
    store = new_store()
    assert not store.load(Part("rows", "bot"), lambda state: state)
    assert list(store.finish_restore()) == []
