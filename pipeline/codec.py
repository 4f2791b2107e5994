"""Checkpoint codec. It encodes the state of a step as bytes, and decodes the bytes to an equal state.

A state without arrays is JSON, which people can read. Values that JSON cannot represent (arrays, bytes and non-finite
floats) are objects with one ``$`` key. Bytes are in base64.

A state with arrays is one line of JSON with its format, kind and settings, and then a Zstandard frame with the length of
the JSON of the state, that JSON, and the bytes of the arrays. Most arrays of a state repeat a few values, so the frame has
about a fifth of their size. Decoding restores exactly the same state.
"""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cramjam
import numpy as np
import orjson
from numpy.typing import NDArray

FORMAT = 9
"""Version of the format in which all steps write their state to a checkpoint.

Increase it when the content of a part changes or a kind of part is added.

A part in a newer format is refused. A part in an older format can be read if the content of its kind has not changed
(see ``pipeline.state.PartKind.since``).
"""

_ARRAY, _BYTES, _FLOAT, _DICT = "$array", "$bytes", "$float", "$dict"
_ARRAY_KINDS = "biuf"
_FORMAT_PREFIX = re.compile(rb'\{"format":(\d{1,9}),')
_NULL = re.compile(rb"[\[:,]null")

_LEVEL = 3
"""Level of Zstandard. Higher levels take much longer and save little."""

_JOINED_LEVEL = 9
"""Level of Zstandard of values that are joined. They are joined rarely and stay for long."""

_OTHER_TYPES_ARE_CONVERTED = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)

_LENGTH_BYTES = 4
"""Bytes of the length of the JSON in a frame, which is little-endian."""


class Envelope(NamedTuple):
    """A part of a state before its content is decoded.

    Attributes
    ----------
    format
        State format in which the part was written.
    kind
        Kind of the part.
    settings
        The settings on which the content depends, by name, with their values at the time of writing.
    state
        The content, as JSON or as a frame.
    """

    format: int
    kind: str
    settings: Mapping[str, Any]
    state: Any

    def decode(self) -> dict[str, Any]:
        """Decode the content.

        Raises
        ------
        ValueError
            If the content is damaged.
        """
        try:
            if isinstance(self.state, bytes):
                return dict(_open_frame(self.state))
            return dict(_from_json(self.state, b""))
        except (KeyError, TypeError, ValueError, cramjam.DecompressionError) as problem:
            raise ValueError(f"it is damaged ({problem!r})") from None


def encode(state: dict[str, Any], *, kind: str, settings: Mapping[str, Any] | None = None) -> bytes:
    """Encode a state.

    Parameters
    ----------
    state
        Dicts with string keys, lists, tuples (decoded as lists), strings, numbers, booleans, None, bytes, and numpy
        arrays of booleans or numbers.
    kind
        Kind of the state, such as ``"monitor"``. Pass the same kind to :func:`decode`.
    settings
        The settings on which the meaning of the state depends, by name.

    Raises
    ------
    TypeError
        If the state contains a value of another type.

    >>> encode({"sum": 0.5}, kind="learner", settings={"slices": 48})
    b'{"format":9,"kind":"learner","settings":{"slices":48},"state":{"sum":0.5}}'
    """
    # Every version writes the format first, so older versions can recognise a newer format.
    envelope = {"format": FORMAT, "kind": kind, "settings": dict(settings or {})}
    content_json, arrays = _dump(state)
    if not arrays:
        return orjson.dumps(envelope | {"state": orjson.Fragment(content_json)})
    length = len(content_json).to_bytes(_LENGTH_BYTES, "little")
    frame = cramjam.zstd.compress(b"".join([length, content_json, arrays]), _LEVEL)
    # JSON contains no line break, so the first line break ends the envelope.
    return b"".join([orjson.dumps(envelope), b"\n", frame])


def read_format(value: bytes) -> int | None:
    """Return the format in which a state was encoded, or None if the bytes are not a state.

    >>> read_format(encode({}, kind="monitor")), read_format(b"?")
    (9, None)
    """
    match = _FORMAT_PREFIX.match(value)
    return None if match is None else int(match[1])


def read_envelope(value: bytes) -> Envelope:
    """Read the envelope of a state that :func:`encode` wrote, in this version or an older one.

    Raises
    ------
    ValueError
        If the bytes are not a state, or have a newer format. The message gives the reason in one line.
    """
    line, _, frame = value.partition(b"\n")
    try:
        envelope = orjson.loads(line)
    except orjson.JSONDecodeError as problem:
        raise ValueError(f"it is not JSON ({problem})") from None
    written = envelope.get("format") if isinstance(envelope, dict) else None
    if type(written) is not int or not 1 <= written <= FORMAT:
        raise ValueError(f"it has format {written}, but this version reads formats 1 to {FORMAT}")
    settings = envelope.get("settings")
    # Format 1 has a hash of all settings instead.
    known = settings if isinstance(settings, dict) else {}
    return Envelope(written, str(envelope.get("kind")), known, frame or envelope.get("state"))


def decode(value: bytes, *, kind: str) -> dict[str, Any]:
    """Decode a state that :func:`encode` wrote.

    Raises
    ------
    ValueError
        If the bytes are not a state, or have a newer format or another kind. The message gives the reason in one line.

    >>> decode(encode({"sum": 0.5}, kind="monitor"), kind="monitor")
    {'sum': 0.5}
    """
    envelope = read_envelope(value)
    if envelope.kind != kind:
        raise ValueError(f"its kind is {envelope.kind}, not {kind}")
    return envelope.decode()


def join_values(values: Sequence[bytes]) -> bytes:
    """Compress encoded states, and any other bytes, together. That is smaller than each by itself.

    >>> values = [b"monitor/bot", encode({"mean": np.zeros(3)}, kind="monitor")]
    >>> split_values(join_values(values)) == values
    True
    """
    lengths: list[int] = []
    contents: list[bytes] = []
    for value in values:
        line, line_end, frame = value.partition(b"\n")
        content = _try_decompress(frame) if line_end else None
        # The length of the line of an envelope, or -1 for bytes without a frame.
        lengths += [-1, len(value)] if content is None else [len(line), len(content)]
        contents += [value] if content is None else [line, content]
    header = np.array([len(lengths), *lengths], dtype="<i4").tobytes()
    return bytes(cramjam.zstd.compress(b"".join([header, *contents]), _JOINED_LEVEL))


def split_values(joined: bytes) -> list[bytes]:
    """Return the values that :func:`join_values` joined."""
    content = bytes(cramjam.zstd.decompress(joined))
    count = int.from_bytes(content[:4], "little")
    lengths = np.frombuffer(content, dtype="<i4", count=count, offset=4).tolist()
    values, start = [], 4 * (count + 1)
    for line_length, length in zip(lengths[::2], lengths[1::2], strict=True):
        frame = start + max(line_length, 0)
        end = frame + length
        if line_length < 0:
            values.append(content[start:end])
        else:
            values.append(content[start:frame] + b"\n" + bytes(cramjam.zstd.compress(content[frame:end], _LEVEL)))
        start = end
    return values


def _try_decompress(frame: bytes) -> bytes | None:
    try:
        return bytes(cramjam.zstd.decompress(frame))
    except cramjam.DecompressionError:
        return None


def _open_frame(frame: bytes) -> Any:
    """Decode the content of a frame."""
    content = bytes(cramjam.zstd.decompress(frame))
    end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    return _from_json(orjson.loads(content[_LENGTH_BYTES:end]), content[end:])


def _dump(state: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the JSON of a state, and the bytes of its arrays."""
    arrays, markers = bytearray(), 0

    def convert(value: Any) -> Any:
        nonlocal markers
        converted = _to_json(value, arrays)
        markers += isinstance(converted, dict)
        return converted

    # orjson is much faster than the conversion of every value, but writes non-finite floats as null.
    try:
        content = orjson.dumps(state, default=convert, option=_OTHER_TYPES_ARE_CONVERTED)
    except TypeError:
        content = b""
    has_lost = not content or content.count(b'"$') != markers
    if has_lost or (_NULL.search(content) and _may_have_non_finite(state)):
        arrays.clear()
        content = orjson.dumps(_to_json(state, arrays))
    return content, bytes(arrays)


def _may_have_non_finite(state: dict[str, Any]) -> bool:
    """Return whether a state may contain a float that orjson writes as null, like None."""
    try:
        json.dumps(state, allow_nan=False, default=lambda _converted: None)
    except (TypeError, ValueError):
        return True
    return False


def _to_json(value: Any, arrays: bytearray) -> Any:
    """Convert a value to JSON types, and append the bytes of its arrays. This is the inverse of :func:`_from_json`."""
    if value is None or isinstance(value, (str, bool)) or type(value) is int:
        return value
    if isinstance(value, float):
        # orjson writes non-finite floats as null, so an infinite statistic would be decoded as None.
        return float(value) if np.isfinite(value) else {_FLOAT: repr(float(value))}
    if isinstance(value, dict):
        return _dict_to_json(value, arrays)
    if isinstance(value, (list, tuple)):
        return [_to_json(item, arrays) for item in value]
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _ARRAY_KINDS:
            raise TypeError(f"a state cannot contain an array of {value.dtype}; use booleans or numbers")
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        start = len(arrays)
        arrays += little.tobytes()
        return {_ARRAY: [little.dtype.str, list(value.shape), start]}
    if isinstance(value, np.generic):
        return _to_json(value.item(), arrays)
    if isinstance(value, (bytes, bytearray)):
        return {_BYTES: base64.b64encode(value).decode()}
    raise TypeError(f"a state cannot contain a {type(value).__name__}")


def _dict_to_json(value: dict[Any, Any], arrays: bytearray) -> Any:
    has_marker = False
    converted = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"a state cannot contain a dict with a key of type {type(key).__name__}; use strings")
        has_marker = has_marker or key.startswith("$")
        converted[key] = _to_json(item, arrays)
    # Keys can be labels from records, so a key that looks like a marker must still be decoded as a key.
    return {_DICT: [[key, item] for key, item in converted.items()]} if has_marker else converted


def _from_json(value: Any, arrays: bytes) -> Any:
    if isinstance(value, list):
        return [_from_json(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(marker, content)] = value.items()
        if marker == _ARRAY:
            return _read_array(arrays, *content)
        if marker == _BYTES:
            return base64.b64decode(content, validate=True)
        if marker == _FLOAT:
            return float(content)
        if marker == _DICT:
            return {key: _from_json(item, arrays) for key, item in content}
    return {key: _from_json(item, arrays) for key, item in value.items()}


def _read_array(arrays: bytes, dtype: str, shape: list[int], data: str | int) -> NDArray[Any]:
    """Return an array. Formats before 8 contain its bytes in base64, and later ones their start in ``arrays``."""
    if isinstance(data, str):
        stored = np.frombuffer(base64.b64decode(data, validate=True), dtype=np.dtype(dtype))
    else:
        count = math.prod(shape)
        stored = np.frombuffer(arrays, dtype, count, data) if count else np.empty(0, dtype)
    # Copy, because an array that shares memory with the message bytes is read-only.
    return stored.reshape(shape).copy()
