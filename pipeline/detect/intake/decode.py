"""Decoding: the values of messages to records, or to a reason why not. The first thing that detect does.

A batch is parsed a joined piece at a time, because one call for many messages costs half of many calls. What one
message says can never change how another is read: a piece is only believed if it provably fell apart where the
messages did, and is parsed one by one otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.detect.intake.projection import PROJECT_ABOVE_BYTES, project
from schemas.dead_letter import DeadLetterReason

JOINED_MESSAGES = 64
"""Messages parsed by one call: more are no faster, and one bad message makes its whole piece slow."""

ELEMENTS_MAX = 16_384
"""Records in one message: an array of more is a dead letter, so that a message cannot become a flood of them."""

_SENTINEL = 9_007_199_254_740_993
"""Between two messages. An integer has one spelling in JSON, and 2**53 + 1 equals no float."""

_SEPARATOR = b",%d," % _SENTINEL
_DIGITS = b"%d" % _SENTINEL
_PLACE_BITS = 20
_BLANK = b" \t\r\n"

assert 1 << _PLACE_BITS > ELEMENTS_MAX  # noqa: S101  a place has room for every element


Position = TypeVar("Position", int, NDArray[np.int64])


def position_of(message: int, element: int = 0) -> int:
    """Where a record stood in its batch, as one number that sorts.

    >>> place_of(1, 2) > place_of(1) > place_of(0, 7)
    True
    """
    return message << _PLACE_BITS | element


def message_index(place: Position) -> Position:
    """The index in the batch of the message that a place lies in; of each, for an array of places."""
    return place >> _PLACE_BITS


def element_index(place: int) -> int:
    """The index of the element that a place lies at, 0 for a message that is no array."""
    return place & ((1 << _PLACE_BITS) - 1)


@dataclass(frozen=True, slots=True)
class Reject:
    """A message, or one element of an array, that is no record."""

    place: int
    reason: DeadLetterReason
    detail: str


@dataclass(slots=True)
class ParsedBatch:
    """A batch, decoded.

    Attributes
    ----------
    records, places
        The JSON objects in their order, and where each stood.
    rejects
        What was no object, in order.
    arrays
        Indexes of the messages that were arrays and were taken apart.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    arrays: set[int] = field(default_factory=set)


def parse_batch(values: Sequence[bytes | None], *, bytes_max: int, first: int = 0) -> ParsedBatch:
    """Decode the values of a batch of messages.

    Parameters
    ----------
    values
        What Kafka gave; None for a tombstone.
    bytes_max
        Bytes; a longer value is rejected unread.
    first
        Which of its batch the first of them is, if they are only a part of one.

    >>> decoded = decode([b'{"subject":"bot"}', b"[{},[]]", None], bytes_max=1024)
    >>> decoded.records, [reject.reason for reject in decoded.rejects]
    ([{'subject': 'bot'}, {}], ['array_in_array', 'tombstone'])
    """
    decoded = ParsedBatch()
    for start in range(0, len(values), JOINED_MESSAGES):
        piece = values[start : start + JOINED_MESSAGES]
        records = _joined(piece, bytes_max)
        if records is not None:
            decoded.records += records
            place = position_of(first + start)
            decoded.places += range(place, place + position_of(len(piece)), position_of(1))
        else:
            for index, value in enumerate(piece, first + start):
                _one(decoded, index, value, bytes_max)
    return decoded


def parse_json(value: bytes) -> Any:
    """Parse one JSON text as strictly as all of detect does; ``ValueError`` if it is none.

    RFC 8259 to the letter: no NaN, no number beyond a double, no byte order mark, no lone surrogate, at most 1,024
    levels. Of a name that comes twice the last holds; an integer beyond 64 bits becomes a float.
    """
    return orjson.loads(value)


def _joined(piece: Sequence[bytes | None], bytes_max: int) -> list[dict[str, Any]] | None:
    """The records of a piece whose every message is one object, and none large; None if that is not certain."""
    values = [value for value in piece if value]
    if len(values) != len(piece) or max(map(len, values)) > min(bytes_max, PROJECT_ABOVE_BYTES):
        return None
    text = b"[" + _SEPARATOR.join(values) + b"]"
    # If no message holds the sentinel's digits, then each sentinel found at the top level is one of ours; and if all
    # of ours are at the top level, then what stands between two of them is one whole message and one whole value.
    if text.count(_DIGITS) != len(values) - 1:
        return None
    try:
        parsed = orjson.loads(text)
    except ValueError:
        return None
    if len(parsed) != 2 * len(values) - 1 or parsed[1::2] != [_SENTINEL] * (len(values) - 1):
        return None
    records: list[dict[str, Any]] = parsed[::2]
    return records if set(map(type, records)) == {dict} else None


def _one(decoded: ParsedBatch, index: int, value: bytes | None, bytes_max: int) -> None:
    place = position_of(index)
    unusable = _unusable(value, bytes_max)
    if unusable is not None or value is None:
        reason, detail = unusable or ("tombstone", "the message has no value")
        decoded.rejects.append(Reject(place, reason, detail))
        return
    try:
        parsed = parse_json(value)
    except ValueError as problem:
        decoded.rejects.append(Reject(place, *_not_json(value, problem)))
        return
    if isinstance(parsed, dict):
        decoded.records.append(project(parsed) if len(value) > PROJECT_ABOVE_BYTES else parsed)
        decoded.places.append(place)
    elif not isinstance(parsed, list):
        detail = f"the message is a JSON {_json_name(parsed)}: a record is an object"
        decoded.rejects.append(Reject(place, "not_an_object", detail))
    elif len(parsed) > ELEMENTS_MAX:
        detail = f"an array of {len(parsed)} records: send at most {ELEMENTS_MAX} in one message"
        decoded.rejects.append(Reject(place, "too_large", detail))
    else:
        decoded.arrays.add(index)
        _elements(decoded, index, parsed, large=len(value) > PROJECT_ABOVE_BYTES)


def _elements(decoded: ParsedBatch, index: int, elements: list[Any], *, large: bool) -> None:
    for number, element in enumerate(elements):
        place = position_of(index, number)
        if isinstance(element, dict):
            decoded.records.append(project(element) if large and _is_large(element) else element)
            decoded.places.append(place)
        elif isinstance(element, list):
            detail = f"element {number} of the array is an array: records lie one level deep"
            decoded.rejects.append(Reject(place, "array_in_array", detail))
        else:
            detail = f"element {number} of the array is a JSON {_json_name(element)}: a record is an object"
            decoded.rejects.append(Reject(place, "not_an_object", detail))


def _unusable(value: bytes | None, bytes_max: int) -> tuple[DeadLetterReason, str] | None:
    if value is None:
        return "tombstone", "the message has no value"
    if len(value) > bytes_max:
        return "too_large", f"the message has {len(value)} bytes: send at most {bytes_max}"
    if not value.strip(_BLANK):
        return "empty", "the message holds no bytes but blanks" if value else "the message holds no bytes"
    return None


def _not_json(value: bytes, problem: ValueError) -> tuple[DeadLetterReason, str]:
    try:
        value.decode()
    except UnicodeDecodeError as wrong:
        return "not_utf8", f"byte {wrong.start} is not UTF-8: send JSON in UTF-8"
    return "not_json", f"the message is not JSON: {problem}"


def _is_large(element: dict[str, Any]) -> bool:
    try:
        return len(orjson.dumps(element)) > PROJECT_ABOVE_BYTES
    except TypeError:
        # orjson reads deeper nesting than it writes.
        return True


def _json_name(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", str: "string", int: "number", float: "number"}.get(type(value), "value")
