import math
from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.codec import FORMAT, decode, encode, read_envelope, read_format


def encode_and_decode(state):
    return decode(encode(state, kind="monitor"), kind="monitor")


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"sum": 0.1 + 0.2, "count": 3, "ready": True, "none": None, "text": "Ω\x00\n"},
        {"smallest": 5e-324, "zero": -0.0, "large": 2**62},
        {"list": [1, [2.5, {"deep": []}]]},
        {"bytes": b"\x00\xff", "empty": b""},
        {"$array": 1, "$bytes": "x", "other": 2},
        {"labels": {"$float": "nan"}, "more": {"$dict": [1]}},
    ],
)
def test_a_state_is_decoded_equal(state):
    decoded = encode_and_decode(state)
    assert decoded == state
    assert repr(decoded) == repr(state)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("shape", [(0,), (7,), (2, 3), (0, 4), ()])
def test_an_array_is_decoded_to_the_bit_and_is_writable(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    decoded = encode_and_decode({"array": array})["array"]
    assert decoded.dtype == array.dtype
    assert decoded.shape == array.shape
    assert decoded.tobytes() == array.tobytes()
    decoded[...] = 0


def test_floats_that_are_not_finite_are_decoded():
    state = encode_and_decode(
        {"nan": float("nan"), "up": float("inf"), "down": -float("inf"), "array": np.array([np.nan, np.inf])}
    )
    assert np.isnan(state["nan"])
    assert (state["up"], state["down"]) == (np.inf, -np.inf)
    assert np.array_equal(state["array"], [np.nan, np.inf], equal_nan=True)


def test_numpy_numbers_become_plain_numbers_and_tuples_become_lists():
    state = encode_and_decode({"float": np.float64(0.5), "int": np.int64(3), "bool": np.bool_(True), "tuple": (1, 2)})
    assert state == {"float": 0.5, "int": 3, "bool": True, "tuple": [1, 2]}
    assert [type(value) for value in state.values()] == [float, int, bool, list]


def test_an_array_that_is_not_contiguous_or_of_another_byte_order_is_decoded():
    array = np.arange(12.0).reshape(3, 4)
    state = encode_and_decode({"column": array[:, 1], "big": array.astype(">f8")})
    assert state["column"].tolist() == [1, 5, 9]
    assert np.array_equal(state["big"], array)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, np.array(["text"]), np.array([object()]), {1: 2}, datetime.now(UTC)]
)
def test_a_value_that_a_state_cannot_contain_is_refused(value):
    with pytest.raises(TypeError, match="state"):
        encode({"value": value}, kind="monitor")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (b"", "not JSON"),
        (b"\x80\x04\x95", "not JSON"),
        (b"[]", "format None"),
        (b"{}", "format None"),
        (b'{"format":999,"kind":"monitor","settings":{},"state":{}}', "format 999"),
        (b'{"format":true,"kind":"monitor","settings":{},"state":{}}', "format True"),
        (b'{"format":1,"kind":"learner","settings":{},"state":{}}', "kind is learner, not monitor"),
        (b'{"format":1,"kind":"monitor","settings":{}}', "damaged"),
        (b'{"format":1,"kind":"monitor","settings":{},"state":5}', "damaged"),
        (b'{"format":1,"kind":"monitor","settings":{},"state":{"x":{"$array":["<f8",[3],"AAAA"]}}}', "damaged"),
        (b'{"format":1,"kind":"monitor","settings":{},"state":{"x":{"$bytes":"?"}}}', "damaged"),
        (b'{"format":1,"kind":"monitor","settings":{},"state":{"x":{"$float":"much"}}}', "damaged"),
    ],
)
def test_bytes_that_do_not_fit_are_refused_in_one_line(value, complaint):
    with pytest.raises(ValueError, match=complaint) as refusal:
        decode(value, kind="monitor")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("damage", [lambda value: value[:-9], lambda value: value[:60], lambda value: value + b"\n{}"])
def test_a_damaged_frame_is_refused_in_one_line(damage):
    value = encode({"array": np.arange(9.0)}, kind="monitor")
    with pytest.raises(ValueError, match="damaged") as refusal:
        decode(damage(value), kind="monitor")
    assert "\n" not in str(refusal.value)


def test_arrays_of_formats_before_8_are_read():
    value = (
        b'{"format":7,"kind":"rows","settings":{},"state":{"x":{"$array":["<i8",[1,2],"AwAAAAAAAAAEAAAAAAAAAA=="]}}}'
    )
    assert decode(value, kind="rows")["x"].tolist() == [[3, 4]]


def test_an_array_that_repeats_values_takes_a_fraction_of_its_size():
    assert len(encode({"statistics": np.zeros((8, 84)), "sums": np.full(2000, 0.1)}, kind="evidence")) < 300


def test_the_format_comes_first_so_that_every_version_can_read_it():
    assert encode({}, kind="monitor").startswith(f'{{"format":{FORMAT},'.encode())
    assert read_format(b'{"format":12,"anything":') == 12
    assert read_format(b'{"kind":"monitor","format":12}') is None


def test_the_envelope_has_the_settings_and_their_values():
    value = encode({"sum": 1}, kind="learner", settings={"slices": 48, "segments": ["tenant"]})
    envelope = read_envelope(value)
    assert (envelope.format, envelope.kind) == (FORMAT, "learner")
    assert envelope.settings == {"slices": 48, "segments": ["tenant"]}
    assert envelope.decode() == {"sum": 1}


def test_a_state_of_format_1_is_decoded_and_names_no_settings():
    value = b'{"format":1,"kind":"monitor","settings":"a1","state":{"sum":1}}'
    assert read_envelope(value).settings == {}
    assert decode(value, kind="monitor") == {"sum": 1}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float64("nan"), np.float32("inf")])
def test_a_float_that_is_not_finite_is_not_taken_for_none(number):
    decoded = decode(encode({"none": None, "numbers": [None, {"x": number}]}, kind="monitor"), kind="monitor")
    assert decoded["none"] is None
    assert decoded["numbers"][0] is None
    np.testing.assert_equal(decoded["numbers"][1]["x"], float(number))
