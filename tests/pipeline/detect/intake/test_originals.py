import random

import orjson
import pytest

from pipeline.detect.intake.originals import elements_of

SEED = 7
TEXTS = ('"', "\\", '\\"', "[", "]", "{", "}", ",", "],[", "a", "é", "\n", "")


def content(chance, depth=0):
    kind = chance.randrange(7 if depth < 4 else 4)
    if kind == 0:
        return "".join(chance.choices(TEXTS, k=chance.randrange(6)))
    if kind == 1:
        return chance.choice([None, True, False])
    if kind in (2, 3):
        return chance.choice([0, -1, 2.5, 1e300, 2**53 + 1])
    inside = [content(chance, depth + 1) for _ in range(chance.randrange(4))]
    return (
        inside if kind == 4 else {"".join(chance.choices(TEXTS, k=2)) + str(n): each for n, each in enumerate(inside)}
    )


@pytest.mark.parametrize("option", [0, orjson.OPT_INDENT_2])
def test_each_element_is_cut_out_whole_and_nothing_else_is(option):
    chance = random.Random(SEED)
    for _ in range(500):
        array = [content(chance) for _ in range(chance.randrange(1, 6))]
        cut = elements_of(orjson.dumps(array, option=option))
        assert [orjson.loads(element) for element in cut] == array, f"seed {SEED}"


def test_an_element_keeps_the_bytes_that_a_parser_would_lose():
    values = [b'{"a":1,"a":2}', b"1.0e0", b"1180591620717411303424", b'"\\u0041"', b"[ ]"]
    assert elements_of(b" [\r\n" + b" ,\t".join(values) + b"\n] ") == values


def test_an_element_nested_deeper_than_orjson_writes_is_cut_out_alone():
    deep = b'{"note":' + b"[" * 900 + b"]" * 900 + b"}"
    assert elements_of(b"[" + b",".join([deep, b"5", deep]) + b"]") == [deep, b"5", deep]
