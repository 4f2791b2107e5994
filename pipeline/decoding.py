"""Decoding of Kafka messages. The result is a message of a contract, or the reason why the message cannot be used.

Correlate, route and the readers of single topics use this module. Detect reads records in batches (see
``detect/admission``). It uses only the check of times.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.cloud_events import unwrap_cloud_event
from pipeline.wording import one_line
from schemas.dead_letter import DeadLetterReason
from schemas.message import AHEAD_MAX_MS
from schemas.timestamp import EARLIEST_MS

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The reason why a message cannot be used."""

    reason: DeadLetterReason
    detail: str


def decode_object(value: bytes | None, source: str, *, bytes_max: int) -> dict[str, Any] | Unreadable:
    """Decode a message that is a JSON object, or the data of a message that is a CloudEvent.

    NaN, infinity and numbers beyond the range of a double are read as null. A lone surrogate, which is half of a
    character, is read as U+FFFD. The other fields of the message can then be used.

    Parameters
    ----------
    value
        Bytes of the message, or None for a tombstone.
    source
        Description of the message in error messages, such as ``a message on driftwire.commands``.
    bytes_max
        Maximum size of the message, in bytes.

    >>> decode_object(b'{"now": NaN, "unit": "ms"}', "a message", bytes_max=100)
    {'now': None, 'unit': 'ms'}
    """
    if value is None:
        return Unreadable("tombstone", f"{source} has no value (a tombstone)")
    if len(value) > bytes_max:
        return Unreadable("too_large", f"{len(value):,} bytes; {source} has {bytes_max:,} at most")
    if not value.strip():
        return Unreadable("empty", f"{source} is empty")
    try:
        content = json.loads(value.decode(), parse_constant=_null, parse_float=_finite)
        if _ESCAPED_SURROGATE.search(value):
            content = _replace_surrogates(content)
    except UnicodeDecodeError as problem:
        return Unreadable("not_utf8", f"not UTF-8: {problem.reason} at byte {problem.start}")
    except ValueError as problem:
        return Unreadable("not_json", f"not JSON: {one_line(problem)}")
    except RecursionError:
        return Unreadable("not_json", "not JSON: nested too deeply")
    if not isinstance(content, dict):
        return Unreadable("not_an_object", f"{source} must be a JSON object, but this is a {type(content).__name__}")
    try:
        return unwrap_cloud_event(content)
    except ValueError as problem:
        return Unreadable("contract", str(problem))


def validate(read: Callable[[dict[str, Any]], Content], content: dict[str, Any], name: str) -> Content | Unreadable:
    """Validate a decoded message with ``read``, a model's ``model_validate``. Errors contain ``name``, the contract."""
    try:
        return read(content)
    except ValidationError as problem:
        return Unreadable("contract", f"not a valid {name}: {one_line(problem)}")


def decode_contract(
    value: bytes | None, read: Callable[[dict[str, Any]], Content], name: str, *, bytes_max: int
) -> Content | Unreadable:
    """Decode and validate a message. See :func:`decode_object` and :func:`validate`."""
    content = decode_object(value, f"the {name}", bytes_max=bytes_max)
    return content if isinstance(content, Unreadable) else validate(read, content, name)


def describe_time_ahead(name: str, time_ms: int, arrived_ms: int, *, ahead_max_ms: int = AHEAD_MAX_MS) -> str | None:
    """Describe the problem if a time in a live message is too far ahead of the arrival of the message.

    Parameters
    ----------
    name
        Name of the field with the time.
    time_ms, arrived_ms
        Time and arrival in Unix milliseconds. A message without a time of arrival (-1) has no problem.
    ahead_max_ms
        Maximum milliseconds from the arrival to the time.

    >>> describe_time_ahead("at", 1_795_489_920_000, 1_795_489_619_999)
    "at is more than 300 s after the arrival of the message: check the sender's clock"
    """
    if arrived_ms < EARLIEST_MS or time_ms <= arrived_ms + ahead_max_ms:
        return None
    return f"{name} is more than {ahead_max_ms // 1000} s after the arrival of the message: check the sender's clock"


def _null(_: str) -> None:
    return None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _replace_surrogates(content: Any) -> Any:
    if isinstance(content, str):
        return _SURROGATE.sub("\ufffd", content)
    if isinstance(content, list):
        return [_replace_surrogates(item) for item in content]
    if isinstance(content, dict):
        return {_replace_surrogates(key): _replace_surrogates(item) for key, item in content.items()}
    return content
