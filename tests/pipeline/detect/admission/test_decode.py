import itertools
import random

import pytest

from pipeline.detect.admission.decode import (
    element_index,
    message_index,
    parse_messages,
    record_position,
)
from pipeline.lenient_json import (
    LENIENT_LEVELS_MAX,
    LONE_SURROGATE,
    NOT_FINITE,
    NOT_UTF8,
    BadValue,
    dump_json,
    parse_json,
)
from schemas.record import ELEMENTS_MAX
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
    b'{"a":NaN}',
    b'["\xff"]',
]


def parse(values, indexes=()):
    parsed = parse_messages(values, bytes_max=BYTES_MAX, indexes=indexes)
    return (
        list(zip(parsed.positions, parsed.objects, parsed.contents, strict=True)),
        [(rejection.position, rejection.reason) for rejection in parsed.rejections],
        parsed.array_indexes,
    )


def parse_one_by_one(values):
    objects, rejections, array_indexes = [], [], set()
    for index, value in enumerate(values):
        more_objects, more_rejections, more_array_indexes = parse([value], [index])
        objects += more_objects
        rejections += more_rejections
        array_indexes |= more_array_indexes
    return objects, rejections, array_indexes


@pytest.mark.slow
def test_any_three_messages_are_read_independently():
    for values in itertools.product(FRAGMENTS, repeat=3):
        assert parse(values) == parse_one_by_one(values), values


def test_any_mixture_of_messages_is_read_independently():
    rng = random.Random(11)
    pool = FRAGMENTS + [kind.value for kind in kinds(START_MS) if kind.value is None or len(kind.value) < 2000]
    for _ in range(300):
        values = [rng.choice(pool) for _ in range(rng.randrange(1, 9))]
        values += [b'{"good":true}'] * rng.randrange(4)
        rng.shuffle(values)
        assert parse(values) == parse_one_by_one(values), values


@pytest.mark.parametrize(
    "values",
    [
        [b"1," + SENTINEL + b",2", b"[1", b"2]"],
        [b"{}," + SENTINEL + b",{}", b'{"a":[1', b"2]}"],
        [b"{},{},{}", b'{"a":[1', b"2]}"],
        [b'{"a":[1', b"2]}", b"{},{},{}"],
    ],
)
def test_forged_boundaries_between_messages_are_detected(values):
    assert {reason for _, reason in parse(values)[1]} == {"not_json"}
    assert len(parse(values)[1]) == 3


def test_every_object_has_its_position():
    values = [b'{"n":%d}' % number for number in range(200)]
    values[70] = b"?"
    values[100] = b'[{"n":-1},{"n":-2}]'
    objects, rejections, array_indexes = parse(values)
    assert rejections == [(record_position(70), "not_json")]
    assert array_indexes == {100}
    positions = [(message_index(position), element_index(position), fields["n"]) for position, fields, _ in objects]
    assert positions == [
        (number, element, -1 - element if number == 100 else number)
        for number in range(len(values))
        if number != 70
        for element in range(2 if number == 100 else 1)
    ]


def parse_value(text):
    """Return the value of a field, or the reason why its message is rejected."""
    parsed = parse_messages([b'{"value":' + text + b"}"], bytes_max=BYTES_MAX)
    return parsed.objects[0]["value"] if parsed.objects else parsed.rejections[0].reason


@pytest.mark.parametrize(
    "text",
    [
        b"nan",
        b"-NaN",
        b"+1",
        b"\xef\xbb\xbf{}",
        b"NaN,}",
        b"01",
        b"1.",
        b"[" * 1024 + b"]" * 1024,
        b'"\x00"',
        b"{}\x00",
    ],
)
def test_what_rfc_8259_does_not_allow_is_rejected(text):
    assert parse_value(text) == "not_json"


def test_a_byte_order_mark_and_bytes_that_are_not_utf8_are_rejected():
    rejections = parse_messages([b"\xef\xbb\xbf{}", b"\xff", b'{"a":\xff}'], bytes_max=BYTES_MAX).rejections
    assert [rejection.reason for rejection in rejections] == ["not_json", "not_utf8", "not_utf8"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"NaN", NOT_FINITE),
        (b"[1, -Infinity]", [1, NOT_FINITE]),
        (b"1e400", NOT_FINITE),
        (b"-1" + b"0" * 5000, NOT_FINITE),
        (b'"\\ud800"', LONE_SURROGATE),
        (b'[{"b":"\\udc00x"}]', [{"b": LONE_SURROGATE}]),
        (b'"caf\xc3"', NOT_UTF8),
        (b'{"\\ud800":1,"b":NaN,"b":18446744073709551616}', {"b": 2.0**64}),
    ],
)
def test_a_value_that_is_not_json_costs_only_itself(text, value):
    assert parse_value(text) == value
    assert parse_json(dump_json(value)) == (NOT_FINITE if isinstance(value, BadValue) else parse_json(dump_json(value)))


def test_what_is_read_leniently_does_not_depend_on_the_stack():
    inside = b"[" * (LENIENT_LEVELS_MAX - 2) + b"]" * (LENIENT_LEVELS_MAX - 2)
    value = b'{"a":NaN,"b":' + inside + b"}"

    def parse_below(frames):
        return parse_json(value) if not frames else parse_below(frames - 1)

    assert parse_json(value) == parse_below(400)
    with pytest.raises(ValueError, match="JSON"):
        parse_json(value.replace(inside, b"[[" + inside + b"]]"))


def test_the_content_of_a_record_is_its_message_or_its_element():
    deep = b'{"subject":"bot","note":' + b"[" * 900 + b"]" * 900 + b"}"
    values = [b'{"a": 1}', b'[{"a": 1}, ' + deep + b"]", b'{"a": NaN}', b'[{"a": NaN}]']
    contents = [b'{"a": 1}', b'{"a":1}', b'{"subject":"bot","note":NaN}', b'{"a": NaN}', b'{"a":NaN}']
    assert parse_messages(values, bytes_max=BYTES_MAX).contents == contents


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
def test_unusual_but_valid_json_is_read(text, value):
    assert parse_value(text) == value


def test_nesting_is_read_to_1024_levels():
    value = parse_value(b"[" * 1023 + b"]" * 1023)
    depth = 0
    while value:
        value = value[0]
        depth += 1
    assert depth == 1022


def test_a_message_that_is_read_alone_is_read_among_others():
    deep = b'{"a":' * 1023 + b"1" + b"}" * 1023
    values = [b"{}", deep, b"{}"]
    objects, rejections, _ = parse(values)
    assert (len(objects), rejections) == (3, [])


def test_the_limit_on_bytes_is_exact():
    value = b'{"a":"' + b"x" * 92 + b'"}'
    assert len(value) == 100
    assert parse_messages([value], bytes_max=100).rejections == []
    assert parse_messages([value], bytes_max=99).rejections[0].reason == "too_large"


def test_the_limit_on_elements_is_exact():
    assert len(parse([b"[" + b",".join([b"{}"] * ELEMENTS_MAX) + b"]"])[0]) == ELEMENTS_MAX
    assert parse([b"[" + b",".join([b"{}"] * (ELEMENTS_MAX + 1)) + b"]"])[1] == [(0, "too_large")]


def test_an_empty_batch_is_empty():
    assert parse([]) == ([], [], set())
