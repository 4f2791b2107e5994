"""JSON reader that is strict at first and then lenient, so one bad value does not invalidate a message.

Strict reading follows RFC 8259. Many JSON writers do not: they write NaN and Infinity for missing numbers, cut a string
in the middle of a character, or escape half a surrogate pair. Lenient reading replaces each of these values with a
:class:`BadValue`, which no reader accepts as a number, boolean or label. All other errors of strict reading are still
errors.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

import orjson

LENIENT_LEVELS_MAX = 200
"""Maximum nesting that lenient reading accepts. Python's own limit depends on its stack, so results would vary."""

_UINT64_DIGITS = 20
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class BadValue:
    """A value of a message that is not valid JSON or not valid UTF-8."""

    reason: Literal["not_json", "not_utf8"]
    description: str

    def __str__(self) -> str:
        """Return a description of the value for use in a sentence."""
        return self.description


NOT_FINITE = BadValue("not_json", "a number that is not finite")
LONE_SURROGATE = BadValue("not_json", "half a surrogate pair, which is not valid text")
NOT_UTF8 = BadValue("not_utf8", "bytes that are not UTF-8: send JSON in UTF-8")


def parse_json(value: bytes) -> Any:
    """Parse JSON.

    If a name occurs twice, the last value is used. An integer beyond 64 bits becomes a float. A field whose name is not
    valid text is dropped.

    Raises
    ------
    ValueError
        If the bytes are not JSON even when bad values are allowed, or if they are nested too deeply.

    >>> parse_json(b'{"a": NaN, "b": 1}')["a"] is NOT_FINITE
    True
    """
    try:
        return orjson.loads(value)
    except ValueError as error:
        strict_error = error
    try:
        # Bytes that are not UTF-8 become surrogates too.
        return _replace_bad_texts(_DECODER.decode(value.decode(errors="surrogateescape")))
    except (ValueError, RecursionError):
        raise strict_error from None


def dump_json(content: Any) -> bytes:
    """Return content from :func:`parse_json` as JSON. A bad value is written as NaN, which is read as a bad value.

    orjson reads deeper nesting than it writes. A field that cannot be written becomes a bad value.

    >>> dump_json({"a": NOT_FINITE})
    b'{"a":NaN}'
    """
    try:
        return _write(content)
    except TypeError:
        if not isinstance(content, list):
            return _write_field_by_field(content)
    return b"[%b]" % b",".join(map(_write_field_by_field, content))


def _write(content: Any) -> bytes:
    return orjson.dumps(content, default=_write_bad_value, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def _write_field_by_field(content: Any) -> bytes:
    fields = content.items() if isinstance(content, dict) else ()
    written = []
    for name, value in fields:
        try:
            written.append(_write({name: value})[1:-1])
        except TypeError:
            written.append(_write({name: NOT_FINITE})[1:-1])
    return b"{%b}" % b",".join(written)


def _write_bad_value(value: Any) -> orjson.Fragment:
    if isinstance(value, BadValue):
        return orjson.Fragment(b"NaN")
    raise TypeError(f"a {type(value).__name__} is not a JSON value")


def _replace_bad_texts(content: Any) -> Any:
    """Replace strings that are not valid text, level by level, because recursion is limited."""
    root = [content]
    level: list[Any] = [root]
    for _ in range(LENIENT_LEVELS_MAX + 1):
        deeper: list[Any] = []
        for container in level:
            for name, value in list(container.items() if isinstance(container, dict) else enumerate(container)):
                if isinstance(name, str) and _SURROGATE.search(name):
                    del container[name]
                elif isinstance(value, str):
                    if _SURROGATE.search(value):
                        container[name] = NOT_UTF8 if _ESCAPED_BYTE.search(value) else LONE_SURROGATE
                elif isinstance(value, (dict, list)):
                    deeper.append(value)
        if not deeper:
            return root[0]
        level = deeper
    raise ValueError(f"the message is nested more than {LENIENT_LEVELS_MAX} levels deep")


def _read_integer(digits: str) -> Any:
    """Return an integer as orjson reads it. Python converts long integers slowly, but floats of any length quickly."""
    number = int(digits) if len(digits) <= _UINT64_DIGITS else None
    return number if number is not None and -(2**63) <= number < 2**64 else _read_float(digits)


def _read_float(digits: str) -> Any:
    number = float(digits)
    return number if abs(number) < float("inf") else NOT_FINITE


_DECODER = json.JSONDecoder(parse_float=_read_float, parse_int=_read_integer, parse_constant=lambda _: NOT_FINITE)
