import itertools
import random

import pytest

from pipeline.detect.intake.decode import (
    ELEMENTS_MAX,
    JOINED_MESSAGES,
    element_index,
    message_index,
    parse_batch,
    parse_json,
    position_of,
)
from tests.hostile import kinds
from tests.pipeline.detect.streams import START_MS

BYTES_MAX = 1024 * 1024
SENTINEL = b"9007199254740993"

FRAGMENTS = [
    b"{}",
    b'{"a":1}',
    b"[",
    b"]",
    b"[1",
    b"2]",
    b'"',
    b'"a',
    b'b"',
    b'{"a":"',
    b'"}',
    b"{",
    b"}",
    b"1,2",
    b"{},{}",
    b"{},{},{}",
    b'{"a":[1',
    b"2]}",
    b"{}," + SENTINEL + b",{}",
    SENTINEL,
    b"," + SENTINEL + b",",
    SENTINEL + b".0",
    b"9.007199254740993e15",
    b"9007199254740992",
    b"[{}]",
    b"\\",
    b"/*",
    b" ",
    b"",
    None,
    b"null",
    b"\xff",
]


def outcome(decoded):
    return (
        [(place, record) for place, record in zip(decoded.places, decoded.records, strict=True)],
        [(reject.place, reject.reason) for reject in decoded.rejects],
        decoded.arrays,
    )


def together(values):
    return outcome(parse_batch(values, bytes_max=BYTES_MAX))


def one_by_one(values):
    records, rejects, arrays = [], [], set()
    for index, value in enumerate(values):
        own_records, own_rejects, own_arrays = outcome(parse_batch([value], bytes_max=BYTES_MAX))
        records += [(position_of(index, element_index(place)), record) for place, record in own_records]
        rejects += [(position_of(index, element_index(place)), reason) for place, reason in own_rejects]
        arrays |= {index for _ in own_arrays}
    return records, rejects, arrays


def test_no_three_messages_can_change_how_each_other_is_read():
    for values in itertools.product(FRAGMENTS, repeat=3):
        assert together(values) == one_by_one(values), values


def test_no_mixture_of_messages_can_change_how_each_other_is_read():
    rng = random.Random(11)
    pool = FRAGMENTS + [kind.value for kind in kinds(START_MS) if kind.value is None or len(kind.value) < 2000]
    for _ in range(300):
        values = [rng.choice(pool) for _ in range(rng.randrange(1, 9))]
        values += [b'{"good":true}'] * rng.randrange(4)
        rng.shuffle(values)
        assert together(values) == one_by_one(values), values


@pytest.mark.parametrize(
    "values",
    [
        [b"1," + SENTINEL + b",2", b"[1", b"2]"],
        [b"{}," + SENTINEL + b",{}", b'{"a":[1', b"2]}"],
        [b"{},{},{}", b'{"a":[1', b"2]}"],
        [b'{"a":[1', b"2]}", b"{},{},{}"],
    ],
)
def test_boundaries_forged_by_messages_that_give_and_take_elements_are_seen(values):
    assert {reason for _, reason in together(values)[1]} == {"not_json"}
    assert len(together(values)[1]) == 3


def test_a_long_batch_keeps_every_place():
    values = [b'{"n":%d}' % number for number in range(3 * JOINED_MESSAGES + 5)]
    values[70] = b"?"
    values[100] = b'[{"n":-1},{"n":-2}]'
    decoded = parse_batch(values, bytes_max=BYTES_MAX)
    assert [message_index(reject.place) for reject in decoded.rejects] == [70]
    assert decoded.arrays == {100}
    found = [
        (message_index(place), element_index(place), record["n"])
        for place, record in zip(decoded.places, decoded.records, strict=True)
    ]
    assert found == [
        (number, element, -1 - element if number == 100 else number)
        for number in range(len(values))
        if number != 70
        for element in range(2 if number == 100 else 1)
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"NaN",
        b"-Infinity",
        b"1e400",
        b"-1e400",
        b"\xef\xbb\xbf{}",
        b'"\\ud800"',
        b"01",
        b"1.",
        b"[" * 1025 + b"]" * 1025,
        b'"\x00"',
        b"{}\x00",
        b"\xff",
    ],
)
def test_what_is_no_json_by_the_letter_is_none(text):
    with pytest.raises(ValueError, match="line 1"):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"1180591620717411303424", 2.0**70),
        (b"18446744073709551615", 2**64 - 1),
        (b"1e-400", 0.0),
        (b'"\\u0000"', "\x00"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b" {} \r\n", {}),
    ],
)
def test_what_is_odd_but_json_is_read_as_it_says(text, value):
    assert parse_json(text) == value


def test_nesting_is_read_to_1024_levels():
    value = parse_json(b"[" * 1024 + b"]" * 1024)
    depth = 0
    while value:
        value = value[0]
        depth += 1
    assert depth == 1023


def test_a_message_that_is_read_alone_is_read_among_others():
    deep = b'{"a":' * 1023 + b"1" + b"}" * 1023
    values = [b"{}", deep, b"{}"]
    assert parse_batch(values, bytes_max=BYTES_MAX).rejects == []
    assert len(parse_batch(values, bytes_max=BYTES_MAX).records) == 3


def test_the_limit_on_bytes_is_exact():
    value = b'{"a":"' + b"x" * 92 + b'"}'
    assert len(value) == 100
    assert parse_batch([value], bytes_max=100).rejects == []
    assert parse_batch([value], bytes_max=99).rejects[0].reason == "too_large"


def test_the_limit_on_elements_is_exact():
    assert (
        len(parse_batch([b"[" + b",".join([b"{}"] * ELEMENTS_MAX) + b"]"], bytes_max=BYTES_MAX).records) == ELEMENTS_MAX
    )
    over = parse_batch([b"[" + b",".join([b"{}"] * (ELEMENTS_MAX + 1)) + b"]"], bytes_max=BYTES_MAX)
    assert [reject.reason for reject in over.rejects] == ["too_large"]


def test_an_empty_batch_is_empty():
    assert together([]) == ([], [], set())
