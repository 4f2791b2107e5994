"""Hostile input: kinds of bad messages with the expected result. One table for the pure step and for real Kafka."""

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from schemas.dead_letter import DeadLetterReason
from schemas.record import ELEMENTS_MAX
from schemas.timestamp import format_timestamp

SUBJECT = "hostile-bot"
"""Subject of bad records that have a valid subject. Good records have another subject."""

SUBJECTS = 10_000
"""Number of subjects of :func:`many_subjects`."""

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class HostileKind:
    """One kind of bad input.

    ``expected`` is the reason of the dead letter, ``used`` (the record counts, without its ``dropped`` fields), or
    ``nothing`` (an array without a record). ``letters`` is the number of its dead letters, ``records`` the number of
    its records. ``needs_live`` marks a kind that only a live step detects, by the time of arrival.
    """

    name: str
    value: bytes | None
    expected: DeadLetterReason | Literal["used", "nothing"]
    dropped: tuple[tuple[str, str], ...] = ()
    letters: int = 1
    records: int = 1
    needs_live: bool = False


def record(now_ms: int, **fields: Any) -> dict[str, Any]:
    """The valid part of a bad record."""
    return {"subject": SUBJECT, "timestamp": format_timestamp(now_ms), **fields}


def _text(now_ms: int, tail: str) -> bytes:
    """A record with hand-written last fields, because no library writes them."""
    return orjson.dumps(record(now_ms))[:-1] + b"," + tail.encode() + b"}"


def _used(now_ms: int, name: str, *dropped: tuple[str, str], **fields: Any) -> HostileKind:
    return HostileKind(name, orjson.dumps(record(now_ms, **fields)), "used", dropped, letters=0)


def _written(now_ms: int, name: str, output: str, dropped: tuple[str, str]) -> HostileKind:
    return HostileKind(name, _text(now_ms, f'"output":{output}'), "used", (dropped,), letters=0)


def kinds(now_ms: int, *, record_bytes_max: int = 1024 * 1024) -> list[HostileKind]:
    """Return the table.

    Parameters
    ----------
    now_ms
        Time at which the messages are appended, Unix milliseconds.
    record_bytes_max
        The setting of the step under test.
    """
    return [
        *_not_json(now_ms),
        HostileKind("a value of 5 MB", b'{"subject":"' + b"x" * (5 * 1024 * 1024) + b'"}', "too_large"),
        HostileKind("one byte too many", b" " * (record_bytes_max + 1), "too_large"),
        *_not_records(now_ms),
        *_bad_subjects_and_times(now_ms),
        *_bad_fields(now_ms),
        *_unusual_but_valid(now_ms),
    ]


def _not_json(now_ms: int) -> list[HostileKind]:
    return [
        HostileKind("tombstone", None, "tombstone"),
        HostileKind("no bytes", b"", "empty"),
        HostileKind("blanks", b" \r\n\t ", "empty"),
        HostileKind("not JSON", b"subject=bot latency=12", "not_json"),
        HostileKind("half a record", orjson.dumps(record(now_ms))[:-9], "not_json"),
        HostileKind("two records in one message", b"{} {}", "not_json"),
        HostileKind("two records with a comma", b'{"subject":"a"},{"subject":"b"}', "not_json"),
        HostileKind("a record and a forged boundary", b'{"subject":"a"},9007199254740993,{"subject":"b"}', "not_json"),
        HostileKind("an opening bracket", b"[", "not_json"),
        HostileKind("a closing bracket", b"]", "not_json"),
        HostileKind("an open text", b'{"subject":"', "not_json"),
        HostileKind("the end of a text", b'"}', "not_json"),
        HostileKind("a comment", b"// a record\n{}", "not_json"),
        HostileKind("trailing comma", b'{"subject":"a",}', "not_json"),
        HostileKind("single quotes", b"{'subject':'a'}", "not_json"),
        HostileKind("NUL at the end", b"{}\x00", "not_json"),
        HostileKind("byte order mark", b"\xef\xbb\xbf" + orjson.dumps(record(now_ms)), "not_json"),
        HostileKind("bad UTF-8", b'{"subject":"\xff\xfe"}', "not_utf8"),
        HostileKind("a surrogate in UTF-8", b'{"subject":"\xed\xa0\x80"}', "not_utf8"),
        HostileKind("UTF-16", '{"subject":"a"}'.encode("utf-16"), "not_utf8"),
        HostileKind("Latin-1", '{"subject":"café"}'.encode("latin-1"), "not_utf8"),
        HostileKind("a lone surrogate, escaped", b'{"subject":"\\ud800"}', "not_json"),
        HostileKind("a number that is not a number", b"NaN", "not_json"),
        HostileKind("NaN and a comma", b"[NaN,]", "not_json"),
        HostileKind("half a surrogate pair as time", b'{"subject":"a","timestamp":"\\udc00"}', "not_json"),
        HostileKind("not UTF-8 as time", b'{"subject":"a","timestamp":"\xff"}', "not_utf8"),
        HostileKind("an open text full of escaped quotes", b'{"subject":NaN,"a":"' + b'\\"' * 400_000, "not_json"),
        HostileKind("NaN, nested 300 deep", _text(now_ms, '"a":NaN,"b":' + "[" * 300 + "]" * 300), "not_json"),
        HostileKind("100,000 brackets", b"[" * 100_000, "not_json"),
        HostileKind("nested 100,000 deep", _text(now_ms, '"note":' + "[" * 100_000 + "]" * 100_000), "not_json"),
        HostileKind("gzip", bytes.fromhex("1f8b080000000000000303000000000000000000"), "not_utf8"),
    ]


def _not_records(now_ms: int) -> list[HostileKind]:
    valid = record(now_ms)
    mixed = orjson.dumps([valid, [valid], 5, valid, {"timestamp": now_ms}])
    return [
        HostileKind("null", b"null", "not_an_object"),
        HostileKind("a number", b"42", "not_an_object"),
        HostileKind("the sentinel itself", b"9007199254740993", "not_an_object"),
        HostileKind("a text", b'"subject"', "not_an_object"),
        HostileKind("true", b"true", "not_an_object"),
        HostileKind("an empty array", b"[]", "nothing", letters=0, records=0),
        HostileKind("arrays in an array", b"[[{}],[]]", "array_in_array", letters=2, records=2),
        HostileKind("numbers in an array", b"[1,null]", "not_an_object", letters=2, records=2),
        HostileKind("a flood in one array", b"[" + b"1," * ELEMENTS_MAX + b"1]", "too_large"),
        HostileKind("good and bad in one array", mixed, "used", letters=3, records=5),
    ]


def _bad_subjects_and_times(now_ms: int) -> list[HostileKind]:
    def with_subject(name: str, subject: Any) -> HostileKind:
        return HostileKind(name, orjson.dumps({"subject": subject, "timestamp": now_ms}), "subject_invalid")

    def with_time(name: str, timestamp: Any) -> HostileKind:
        return HostileKind(name, orjson.dumps({"subject": SUBJECT, "timestamp": timestamp}), "timestamp_invalid")

    def out_of_range(name: str, time_ms: int) -> HostileKind:
        value = orjson.dumps(record(time_ms))
        return HostileKind(name, value, "timestamp_out_of_range", needs_live=True)

    return [
        HostileKind("no subject", orjson.dumps({"timestamp": now_ms}), "subject_missing"),
        HostileKind("subject null", orjson.dumps({"subject": None, "timestamp": now_ms}), "subject_missing"),
        HostileKind("an empty object", b"{}", "subject_missing"),
        with_subject("an empty subject", ""),
        with_subject("a number as subject", 7),
        with_subject("a list as subject", ["a"]),
        with_subject("an object as subject", {"a": 1}),
        with_subject("a subject of 201 characters", "s" * 201),
        with_subject("a control character in the subject", "a\nb"),
        with_subject("NUL in the subject", "a\x00b"),
        HostileKind("no time", orjson.dumps({"subject": SUBJECT}), "timestamp_missing"),
        HostileKind("time null", orjson.dumps({"subject": SUBJECT, "timestamp": None}), "timestamp_missing"),
        with_time("a time in 1970", "1970-01-01T00:00:01Z"),
        with_time("a number as text, too small", "12"),
        with_time("a number of 1,000 digits", "1" * 1000),
        with_time("a time and 1,000 blanks", f"{now_ms}{' ' * 1000}"),
        with_time("time zero", 0),
        with_time("a time below zero", -now_ms),
        with_time("time 2^70", 2**62 * 16.0 * 16.0),
        with_time("a boolean as time", True),
        with_time("a list as time", [now_ms]),
        with_time("a time without an offset", "2026-11-24T03:12:00.123"),
        with_time("the 30th of February", "2026-02-30T03:12:00.123Z"),
        with_time("hour 24", "2026-11-24T24:12:00.123Z"),
        with_time("other digits", "2026-11-24T03:12:00.12٣Z"),
        with_time("a date", "2026-11-24"),
        out_of_range("a time in 2200", 7_258_118_400_000),
        HostileKind(
            "a time in 2200 in seconds",
            orjson.dumps({"subject": SUBJECT, "timestamp": 7_258_118_400}),
            "timestamp_out_of_range",
            needs_live=True,
        ),
        out_of_range("a time in 9999", 253_402_300_799_000),
        out_of_range("a time in 1999", 915_148_800_000),
        out_of_range("eight days late", now_ms - 8 * DAY_MS),
        out_of_range("an hour early", now_ms + 3_600_000),
    ]


def _bad_fields(now_ms: int) -> list[HostileKind]:
    return [
        _used(now_ms, "a word as number", ("output.length", "is_text"), output={"length": "fast"}),
        _used(now_ms, "a number with a comma as text", ("output.length", "is_text"), output={"length": "1,204"}),
        _used(now_ms, "a boolean as number", ("output.length", "is_boolean"), output={"length": True}),
        _used(now_ms, "a list as number", ("output.length", "is_list"), output={"length": [1]}),
        _used(now_ms, "an object as number", ("output.length", "is_object"), output={"length": {}}),
        _used(now_ms, "a word as boolean", ("output.refused", "is_text"), output={"refused": "perhaps"}),
        _used(now_ms, "a boolean as 2", ("output.refused", "is_number"), output={"refused": 2}),
        _written(now_ms, "NaN", '{"length":NaN}', ("output.length", "not_json")),
        _written(now_ms, "Infinity", '{"length":-Infinity}', ("output.length", "not_json")),
        _written(now_ms, "1e400", '{"length":1e400}', ("output.length", "not_json")),
        _written(now_ms, "5,000 digits", '{"length":' + "9" * 5000 + "}", ("output.length", "not_json")),
        _written(now_ms, "half a surrogate pair", '{"finish_reason":"\\ud800"}', ("output.finish_reason", "not_json")),
        HostileKind(
            "half a character",
            _text(now_ms, '"output":{"finish_reason":"caf"}').replace(b"caf", b"caf\xc3"),
            "used",
            (("output.finish_reason", "not_utf8"),),
            letters=0,
        ),
        _used(now_ms, "below zero", ("infrastructure.latency_ms", "out_of_bounds"), infrastructure={"latency_ms": -1}),
        _used(now_ms, "a ratio above 1", ("output.confidence", "out_of_bounds"), output={"confidence": 1.01}),
        _used(now_ms, "1e300", ("output.length", "out_of_bounds"), output={"length": 1e300}),
        HostileKind(
            "2^70",
            _text(now_ms, f'"output":{{"length":{2**70}}}'),
            "used",
            (("output.length", "out_of_bounds"),),
            letters=0,
        ),
        _used(now_ms, "a section that is a list", ("output", "not_an_object"), output=[1]),
        _used(now_ms, "a section that is a text", ("data", "not_an_object"), data="none"),
        _used(now_ms, "custom that is a number", ("custom", "not_an_object"), custom=5),
        _used(
            now_ms,
            "custom with 1,000 fields",
            ("custom", "too_many_fields"),
            custom={f"c{number}": number for number in range(1000)},
        ),
        _used(now_ms, "a text in custom", ("custom", "is_text"), custom={"toxicity": "low"}),
        _used(now_ms, "a custom name of 500 characters", ("custom", "bad_name"), custom={"x" * 500: 1.0}),
        _used(now_ms, "a fraction as label", ("output.finish_reason", "is_number"), output={"finish_reason": 5.5}),
        _used(now_ms, "two labels", ("output.finish_reason", "is_list"), output={"finish_reason": ["stop", "length"]}),
        _used(
            now_ms,
            "a label of 1,000 characters",
            ("output.fingerprint", "too_long"),
            output={"fingerprint": "f" * 1000},
        ),
        _used(now_ms, "a boolean as environment", ("environment", "is_boolean"), environment=True),
        _used(now_ms, "an object as request id", ("request_id", "is_object"), request_id={"id": 81}),
        _used(now_ms, "a request id of 10,000 characters", ("request_id", "too_long"), request_id="r" * 10_000),
    ]


def _unusual_but_valid(now_ms: int) -> list[HostileKind]:
    deep = '"note":' + "[" * 900 + "]" * 900
    return [
        _used(now_ms, "numbers and booleans as text", output={"length": "911", "refused": "true", "empty": 0}),
        _used(now_ms, "labels as numbers and lists", output={"finish_reason": ["stop"]}, request_id=81, environment=7),
        _used(now_ms, "a list of one in a large record", output={"finish_reason": ["stop"]}, note="x" * 9000),
        HostileKind("NaN in an unknown field", _text(now_ms, '"note":[NaN]'), "used", letters=0),
        HostileKind("a name that is not valid text", _text(now_ms, '"\\ud800":1'), "used", letters=0),
        HostileKind("seconds", orjson.dumps(record(now_ms) | {"timestamp": now_ms // 1000}), "used", letters=0),
        HostileKind(
            "a time with a fraction", orjson.dumps(record(now_ms) | {"timestamp": now_ms + 0.5}), "used", letters=0
        ),
        _used(now_ms, "unknown fields", note={"a": [1, {"b": None}]}, output={"weather": "fine"}),
        _used(now_ms, "nulls", output={"length": None, "refused": None, "finish_reason": None}, data=None),
        _used(now_ms, "names with a dollar", custom={"$array": 1.0}, output={"finish_reason": "$dict"}),
        _used(now_ms, "a large unknown field", note="x" * 500_000),
        HostileKind("the same field twice", _text(now_ms, '"output":{"length":1,"length":2}'), "used", letters=0),
        HostileKind(
            "the smallest numbers", _text(now_ms, '"output":{"length":1e-400,"confidence":-0.0}'), "used", letters=0
        ),
        HostileKind("nested 900 deep", _text(now_ms, deep), "used", letters=0),
        HostileKind("in an array, nested 900 deep", b"[" + _text(now_ms, deep) + b"]", "used", letters=0),
        HostileKind(
            "in a large array, nested 900 deep",
            b"[" + _text(now_ms, deep + ',"more":"' + "x" * 9000 + '"') + b"]",
            "used",
            letters=0,
        ),
        HostileKind("in an array, bad and nested 900 deep", b"[{" + deep.encode() + b"}]", "subject_missing"),
    ]


def many_subjects(now_ms: int) -> list[bytes]:
    """One record per subject of 10,000: those beyond ``subjects_max`` must be dead letters with ``subject_limit``."""
    return [
        orjson.dumps({"subject": f"crowd-{number}", "timestamp": now_ms, "output": {"length": number}})
        for number in range(SUBJECTS)
    ]
