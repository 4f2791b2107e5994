"""Unusable messages of every kind, by name. Each kind leads to a dead letter."""

from collections.abc import Callable

import orjson

from schemas.timestamp import format_timestamp

SUBJECT = "poison-bot"
"""Subject of unusable records that have a valid subject."""

BOMB_BYTES = 14 * 1024 * 1024
"""Bytes of the gzip bomb when unpacked. Its dead letter would exceed the limit of the topic."""

GZIP_BOMB = "gzip bomb"


def _record(now_ms: int, tail: str) -> bytes:
    return orjson.dumps({"subject": SUBJECT, "timestamp": format_timestamp(now_ms)})[:-1] + tail.encode() + b"}"


def _with_time(value: object) -> bytes:
    return orjson.dumps({"subject": SUBJECT, "timestamp": value})


KINDS: dict[str, Callable[[int], bytes | None]] = {
    "tombstone": lambda _: None,
    "no bytes": lambda _: b"",
    "not JSON": lambda _: b"subject=bot latency=12",
    "half a record": lambda now_ms: _record(now_ms, "")[:-9],
    "not UTF-8": lambda _: b'{"subject":"\xff\xfe"}',
    "nested 100,000 deep": lambda now_ms: _record(now_ms, ',"note":' + "[" * 100_000 + "]" * 100_000),
    "a number": lambda _: b"42",
    "a bad element in an array": lambda now_ms: b"[" + _record(now_ms, "") + b",5,null]",
    "too large": lambda _: b'{"subject":"' + b"x" * (3 * 1024 * 1024) + b'"}',
    "no subject": lambda now_ms: orjson.dumps({"timestamp": now_ms}),
    "a control character in the subject": lambda now_ms: orjson.dumps({"subject": "a\nb", "timestamp": now_ms}),
    "no time": lambda _: orjson.dumps({"subject": SUBJECT}),
    "a time in 1970": lambda _: _with_time("1970-01-01T00:00:01Z"),
    "the 30th of February": lambda _: _with_time("2026-02-30T03:12:00.123Z"),
    "a list as time": lambda now_ms: _with_time([now_ms]),
    GZIP_BOMB: lambda _: b" " * BOMB_BYTES,
}
"""Function that returns the value of a message at an event time (Unix ms), by the name of the kind."""

FURTHER_KINDS: dict[str, Callable[[int], bytes | None]] = {
    "NaN": lambda now_ms: _record(now_ms, ',"output":{"length":NaN}'),
    "Infinity": lambda now_ms: _record(now_ms, ',"output":{"length":Infinity}'),
    "a lone surrogate": lambda now_ms: _record(now_ms, ',"environment":"\\ud800"'),
    "a number as text": lambda now_ms: _record(now_ms, ',"output":{"length":"911"}'),
    "a time in 2200": lambda _: _with_time(7_258_118_400_000),
}
"""Messages of which a part may be used. They need not lead to a dead letter, and accompany those of :data:`KINDS`."""
