"""The codec: a step's state as bytes, exactly, and back. What a checkpoint holds.

The bytes are JSON with three things that JSON has not, each an object with one ``$`` key: arrays and bytes as base64,
and the floats that are not finite. So a state read back is equal to the bit, and a person can still read it.
"""

import base64
from typing import Any

import numpy as np
import orjson

FORMAT = 1
"""Of the bytes. A state in another format is set aside, never guessed at."""

_ARRAY, _BYTES, _FLOAT, _DICT = "$array", "$bytes", "$float", "$dict"
_ARRAY_KINDS = "biuf"


def encode(state: dict[str, Any], *, kind: str, settings_hash: str) -> bytes:
    """Write a state.

    Parameters
    ----------
    state
        Dicts with text keys, lists, tuples (read back as lists), texts, numbers, booleans, None, bytes, and numpy
        arrays of booleans or numbers.
    kind
        What the state is of, such as ``"judge"``; :func:`decode` must name the same.
    settings_hash
        A hash of the settings that decide what the state means.

    Raises
    ------
    TypeError
        If the state holds something else.

    >>> encode({"sum": 0.5}, kind="walk", settings_hash="a1")
    b'{"format":1,"kind":"walk","settings":"a1","state":{"sum":0.5}}'
    """
    envelope = {"format": FORMAT, "kind": kind, "settings": settings_hash, "state": _plain(state)}
    return orjson.dumps(envelope)


def decode(value: bytes, *, kind: str, settings_hash: str) -> dict[str, Any]:
    """Read a state that :func:`encode` wrote.

    Raises
    ------
    ValueError
        With one line for a person, if the bytes are no state, are of another format or kind, or were written under
        other settings.

    >>> decode(encode({"sum": 0.5}, kind="walk", settings_hash="a1"), kind="walk", settings_hash="a1")
    {'sum': 0.5}
    """
    try:
        envelope = orjson.loads(value)
    except orjson.JSONDecodeError as problem:
        raise ValueError(f"the state of {kind} is not JSON ({problem}): it is set aside") from None
    if not isinstance(envelope, dict) or envelope.get("format") != FORMAT:
        found = envelope.get("format") if isinstance(envelope, dict) else None
        raise ValueError(f"the state of {kind} has format {found}, this version reads {FORMAT}: it is set aside")
    if envelope.get("kind") != kind:
        raise ValueError(f"a state of {envelope.get('kind')} lies where one of {kind} belongs: it is set aside")
    if envelope.get("settings") != settings_hash:
        raise ValueError(
            f"the state of {kind} was written under settings {envelope.get('settings')}, these are {settings_hash}: "
            "it is set aside"
        )
    try:
        return dict(_exact(envelope.get("state")))
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(f"the state of {kind} is damaged ({problem!r}): it is set aside") from None


def _plain(value: Any) -> Any:
    """What JSON can say of a value; the inverse of :func:`_exact`."""
    if value is None or isinstance(value, (str, bool)) or type(value) is int:
        return value
    if isinstance(value, float):
        # orjson would write null for these, and a walk that was infinite would come back as nothing.
        return float(value) if np.isfinite(value) else {_FLOAT: repr(float(value))}
    if isinstance(value, dict):
        return _plain_dict(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _ARRAY_KINDS:
            raise TypeError(f"a state holds arrays of booleans or numbers, not of {value.dtype}")
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        return {_ARRAY: [little.dtype.str, list(value.shape), base64.b64encode(little.tobytes()).decode()]}
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, (bytes, bytearray)):
        return {_BYTES: base64.b64encode(value).decode()}
    raise TypeError(f"a state holds no {type(value).__name__}")


def _plain_dict(value: dict[Any, Any]) -> Any:
    marked = False
    plain = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"the keys of a state are texts, not {type(key).__name__}")
        marked = marked or key.startswith("$")
        plain[key] = _plain(item)
    # Keys can be labels that a sender chose: one that looks like a mark of ours must come back as a key.
    return {_DICT: [[key, item] for key, item in plain.items()]} if marked else plain


def _exact(value: Any) -> Any:
    if isinstance(value, list):
        return [_exact(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(mark, content)] = value.items()
        if mark == _ARRAY:
            dtype, shape, data = content
            # A copy, because an array over the bytes of a message cannot be written to.
            return np.frombuffer(base64.b64decode(data, validate=True), dtype=np.dtype(dtype)).reshape(shape).copy()
        if mark == _BYTES:
            return base64.b64decode(content, validate=True)
        if mark == _FLOAT:
            return float(content)
        if mark == _DICT:
            return {key: _exact(item) for key, item in content}
    return {key: _exact(item) for key, item in value.items()}
