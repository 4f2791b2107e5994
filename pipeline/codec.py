"""Checkpoint codec. It encodes the state of a step as bytes, and decodes the bytes to an equal state.

The bytes are JSON. Values that JSON cannot represent (arrays, bytes and non-finite floats) are objects with one ``$``
key. Arrays and bytes are in base64. Decoding restores exactly the same state, and people can still read the bytes.
"""

import base64
from typing import Any

import numpy as np
import orjson

FORMAT = 1
"""Version of the encoding format. A state in any other format is discarded."""

_ARRAY, _BYTES, _FLOAT, _DICT = "$array", "$bytes", "$float", "$dict"
_ARRAY_KINDS = "biuf"


def encode(state: dict[str, Any], *, kind: str, settings_hash: str) -> bytes:
    """Encode a state.

    Parameters
    ----------
    state
        Dicts with string keys, lists, tuples (decoded as lists), strings, numbers, booleans, None, bytes, and numpy
        arrays of booleans or numbers.
    kind
        Kind of the state, such as ``"monitor"``. Pass the same kind to :func:`decode`.
    settings_hash
        Hash of the settings that affect the meaning of the state.

    Raises
    ------
    TypeError
        If the state contains a value of another type.

    >>> encode({"sum": 0.5}, kind="monitor", settings_hash="a1")
    b'{"format":1,"kind":"monitor","settings":"a1","state":{"sum":0.5}}'
    """
    envelope = {"format": FORMAT, "kind": kind, "settings": settings_hash, "state": _to_json(state)}
    return orjson.dumps(envelope)


def decode(value: bytes, *, kind: str, settings_hash: str) -> dict[str, Any]:
    """Decode a state that :func:`encode` wrote.

    Raises
    ------
    ValueError
        If the bytes are not a state, have a different format or kind, or were written with different settings. The
        message gives the reason in one line.

    >>> decode(encode({"sum": 0.5}, kind="monitor", settings_hash="a1"), kind="monitor", settings_hash="a1")
    {'sum': 0.5}
    """
    try:
        envelope = orjson.loads(value)
    except orjson.JSONDecodeError as problem:
        raise ValueError(f"it is not JSON ({problem})") from None
    if not isinstance(envelope, dict) or envelope.get("format") != FORMAT:
        actual = envelope.get("format") if isinstance(envelope, dict) else None
        raise ValueError(f"it has format {actual}, but this version reads format {FORMAT}")
    if envelope.get("kind") != kind:
        raise ValueError(f"its kind is {envelope.get('kind')}, not {kind}")
    if envelope.get("settings") != settings_hash:
        actual = envelope.get("settings")
        raise ValueError(f"it was written with settings {actual}, but the current settings are {settings_hash}")
    try:
        return dict(_from_json(envelope.get("state")))
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(f"it is damaged ({problem!r})") from None


def _to_json(value: Any) -> Any:
    """Convert a value to JSON types. This is the inverse of :func:`_from_json`."""
    if value is None or isinstance(value, (str, bool)) or type(value) is int:
        return value
    if isinstance(value, float):
        # orjson writes non-finite floats as null, so an infinite statistic would be decoded as None.
        return float(value) if np.isfinite(value) else {_FLOAT: repr(float(value))}
    if isinstance(value, dict):
        return _dict_to_json(value)
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _ARRAY_KINDS:
            raise TypeError(f"a state cannot contain an array of {value.dtype}; use booleans or numbers")
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        return {_ARRAY: [little.dtype.str, list(value.shape), base64.b64encode(little.tobytes()).decode()]}
    if isinstance(value, np.generic):
        return _to_json(value.item())
    if isinstance(value, (bytes, bytearray)):
        return {_BYTES: base64.b64encode(value).decode()}
    raise TypeError(f"a state cannot contain a {type(value).__name__}")


def _dict_to_json(value: dict[Any, Any]) -> Any:
    has_marker = False
    converted = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"a state cannot contain a dict with a key of type {type(key).__name__}; use strings")
        has_marker = has_marker or key.startswith("$")
        converted[key] = _to_json(item)
    # Keys can be labels from records, so a key that looks like a marker must still be decoded as a key.
    return {_DICT: [[key, item] for key, item in converted.items()]} if has_marker else converted


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(marker, content)] = value.items()
        if marker == _ARRAY:
            dtype, shape, data = content
            # Copy, because an array that shares memory with the message bytes is read-only.
            return np.frombuffer(base64.b64decode(data, validate=True), dtype=np.dtype(dtype)).reshape(shape).copy()
        if marker == _BYTES:
            return base64.b64decode(content, validate=True)
        if marker == _FLOAT:
            return float(content)
        if marker == _DICT:
            return {key: _from_json(item) for key, item in content}
    return {key: _from_json(item) for key, item in value.items()}
