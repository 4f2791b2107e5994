"""Reading of a message that is a JSON object or an array of objects, with a reason for everything else."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.cloud_events import unwrap_cloud_event
from pipeline.lenient_json import BadValue, dump_json, parse_json
from schemas.dead_letter import DeadLetterReason
from schemas.record import ELEMENTS_MAX

BLANK = b" \t\r\n"
"""Whitespace characters in JSON."""


@dataclass(frozen=True, slots=True)
class Element:
    """A message, or one element of a message that is an array.

    Attributes
    ----------
    index
        Position in the array; None for a message that is not an array.
    content
        JSON of the element, or the message itself.
    fields
        The JSON object. Without one, ``reason`` and ``detail`` say why.
    """

    index: int | None
    content: bytes
    fields: dict[str, Any] | None
    reason: DeadLetterReason = "not_an_object"
    detail: str = ""


def read_elements(value: bytes | None, *, bytes_max: int) -> Iterator[Element]:
    """Yield the elements of a message: the objects of an array, or the message itself. An empty array has none.

    >>> [(element.index, element.fields, element.reason) for element in read_elements(b"[{},[]]", bytes_max=100)]
    [(0, {}, 'not_an_object'), (1, None, 'array_in_array')]
    """
    problem = _find_problem(value, bytes_max)
    if problem is not None or value is None:
        yield Element(None, value or b"", None, *(problem or _TOMBSTONE))
        return
    try:
        content = parse_json(value)
    except ValueError as error:
        yield Element(None, value, None, *describe_json_error(value, error))
        return
    if isinstance(content, dict):
        yield Element(None, value, content)
    elif isinstance(content, BadValue):
        yield Element(None, value, None, content.reason, f"the message is {content}")
    elif not isinstance(content, list):
        detail = f"the message is a JSON {_json_type(content)}, but a record must be an object"
        yield Element(None, value, None, "not_an_object", detail)
    elif len(content) > ELEMENTS_MAX:
        detail = f"the array has {len(content)} records: send at most {ELEMENTS_MAX} in one message"
        yield Element(None, value, None, "too_large", detail)
    else:
        yield from map(_read_element, range(len(content)), content)


def parse_records(value: bytes) -> list[Any]:
    """Return the records in a message of ``driftwire.records``, for code that only looks at them.

    Elements that are not records are included. A message that is not JSON has none.

    >>> parse_records(b'[{"subject":"a"},7]'), parse_records(b"?")
    ([{'subject': 'a'}, 7], [])
    """
    try:
        content = parse_json(value)
    except ValueError:
        return []
    return [_unwrap(element) for element in (content if isinstance(content, list) else [content])]


def _unwrap(element: Any) -> Any:
    try:
        return unwrap_cloud_event(element) if isinstance(element, dict) else element
    except ValueError:
        return element


def describe_json_error(value: bytes, error: ValueError) -> tuple[DeadLetterReason, str]:
    """Return the reason why bytes are not JSON, as a code and as a sentence without text of the bytes."""
    try:
        value.decode()
    except UnicodeDecodeError as wrong:
        return "not_utf8", f"byte {wrong.start} is not UTF-8: send JSON in UTF-8"
    return "not_json", f"the message is not JSON: {error}"


def _read_element(index: int, element: Any) -> Element:
    content = dump_json(element)
    if isinstance(element, dict):
        return Element(index, content, element)
    if isinstance(element, list):
        detail = f"element {index} of the array is another array: put all records directly into one array"
        return Element(index, content, None, "array_in_array", detail)
    detail = f"element {index} of the array is a JSON {_json_type(element)}, but a record must be an object"
    return Element(index, content, None, "not_an_object", detail)


_TOMBSTONE: tuple[DeadLetterReason, str] = ("tombstone", "the message has no value")


def _find_problem(value: bytes | None, bytes_max: int) -> tuple[DeadLetterReason, str] | None:
    if value is None:
        return _TOMBSTONE
    if len(value) > bytes_max:
        return "too_large", f"the message has {len(value)} bytes: send at most {bytes_max}"
    if not value.strip(BLANK):
        return "empty", "the message contains only whitespace" if value else "the message contains no bytes"
    return None


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, BadValue):
        return f"value with {value}"
    return {bool: "boolean", str: "string", int: "number", float: "number"}.get(type(value), "value")
