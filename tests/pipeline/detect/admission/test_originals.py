import random

import orjson
import pytest

from pipeline.detect.admission.originals import split_array

SEED = 7
TEXTS = ('"', "\\", '\\"', "[", "]", "{", "}", ",", "],[", "a", "é", "\n", "")


def content(rng, depth=0):
    kind = rng.randrange(7 if depth < 4 else 4)
    if kind == 0:
        return "".join(rng.choices(TEXTS, k=rng.randrange(6)))
    if kind == 1:
        return rng.choice([None, True, False])
    if kind in (2, 3):
        return rng.choice([0, -1, 2.5, 1e300, 2**53 + 1])
    inside = [content(rng, depth + 1) for _ in range(rng.randrange(4))]
    return inside if kind == 4 else {"".join(rng.choices(TEXTS, k=2)) + str(n): value for n, value in enumerate(inside)}


@pytest.mark.parametrize("option", [0, orjson.OPT_INDENT_2])
def test_every_element_is_split_off_complete(option):
    rng = random.Random(SEED)
    for _ in range(500):
        array = [content(rng) for _ in range(rng.randrange(1, 6))]
        cut = split_array(orjson.dumps(array, option=option))
        assert [orjson.loads(element) for element in cut] == array, f"seed {SEED}"


def test_an_element_keeps_the_bytes_that_a_parser_would_change():
    values = [b'{"a":1,"a":2}', b"1.0e0", b"1180591620717411303424", b'"\\u0041"', b"[ ]"]
    assert split_array(b" [\r\n" + b" ,\t".join(values) + b"\n] ") == values


def test_an_element_nested_deeper_than_orjson_writes_is_split_off():
    deep = b'{"note":' + b"[" * 900 + b"]" * 900 + b"}"
    assert split_array(b"[" + b",".join([deep, b"5", deep]) + b"]") == [deep, b"5", deep]
