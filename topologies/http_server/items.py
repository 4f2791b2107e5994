"""Split a body into JSON objects: one object, an array, lines, or CloudEvents.

CloudEvents 1.0 are accepted in both modes. In binary mode, the body is the data. In structured mode, the body is one
event or a batch of events, and the data of each event is the object.

Source: CloudEvents 1.0.2, HTTP protocol binding,
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.cloud_events import is_cloud_event, unwrap_cloud_event
from pipeline.json_elements import BLANK, Element, read_elements
from pipeline.lenient_json import dump_json
from schemas.record import ELEMENTS_MAX
from topologies.http_server.decoded_request import RequestContent
from topologies.http_server.request_body import check_json
from topologies.listener import JSON, HttpProblem

LINES = ("application/x-ndjson", "application/jsonl")
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
CONTENT_TYPES = (JSON, *LINES, CLOUD_EVENT, CLOUD_EVENTS)

_ATTRIBUTE_PREFIX = "ce-"
_ATTRIBUTES = ("specversion", "id", "source", "type")


@dataclass(frozen=True, slots=True)
class Item:
    """One JSON object of a body.

    Attributes
    ----------
    line, index
        Line of the body, from 1, and index in an array, from 0. None if the body has no lines or arrays.
    content, fields
        The object as JSON and decoded.
    """

    line: int | None
    index: int | None
    content: bytes
    fields: dict[str, Any]

    @property
    def position(self) -> dict[str, int]:
        """Line and index, for programs."""
        return _place(self.line, self.index)


def read_items(request: RequestContent) -> list[Item]:
    """Read all objects of a body whose content type is one of :data:`CONTENT_TYPES`.

    Raises
    ------
    HttpProblem
        If any part of the body is not an object (400), or if there are too many objects (413).
    """
    content_type, body = request.content_type, request.body
    check_json(body)
    if f"{_ATTRIBUTE_PREFIX}specversion" in request.headers and content_type not in (CLOUD_EVENT, CLOUD_EVENTS):
        _check_binary_mode(request.headers)
    must_be_events = content_type in (CLOUD_EVENT, CLOUD_EVENTS)
    items: list[Item] = []
    problems: list[dict[str, Any]] = []
    has_lines = content_type in LINES or (content_type == JSON and _is_newline_separated(body))
    for line, text in _lines(body) if has_lines else ((None, body),):
        # The size of a body is limited, and each step limits the size of its messages.
        for element in read_elements(text, bytes_max=len(text)):
            if len(items) + len(problems) >= ELEMENTS_MAX:
                raise HttpProblem(413, f"the body has more than {ELEMENTS_MAX:,} objects: send less at once")
            try:
                items.append(_read_item(line, element, must_be_event=must_be_events))
            except ValueError as error:
                reason = "contract" if element.fields is not None else element.reason
                place = _place(line, element.index)
                problems.append(place | {"field": "", "reason": reason, "message": str(error)})
    if problems:
        raise bad_items(problems)
    if not items:
        raise HttpProblem(
            400, "the body contains no object: send one JSON object, an array of objects, or one per line"
        )
    return items


def bad_items(problems: list[dict[str, Any]]) -> HttpProblem:
    """Return the problem of a body of which nothing is written. ``problems`` have the keys line, index, field, message."""
    first = problems[0]
    places = [f"{name} {first[name]}" for name in ("line", "index") if name in first]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    prefix = f"{', '.join(places)}: " if places else ""
    return HttpProblem(400, f"{prefix}{first['message']}{more}; nothing of this request was written", details=problems)


def _place(line: int | None, index: int | None) -> dict[str, int]:
    return {name: number for name, number in (("line", line), ("index", index)) if number is not None}


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(io.BytesIO(body), 1):
        if stripped := line.strip(BLANK):
            yield number, stripped


def _is_newline_separated(body: bytes) -> bool:
    """Return whether the first line is a complete object and something follows it."""
    first, newline, rest = body.strip(BLANK).partition(b"\n")
    if not newline or not rest or not first.startswith(b"{"):
        return False
    try:
        orjson.loads(first)
    except ValueError:
        return False
    return True


def _check_binary_mode(headers: Mapping[str, str]) -> None:
    """Check the attributes, which are header fields."""
    attributes = {name: headers[key] for name in _ATTRIBUTES if (key := f"{_ATTRIBUTE_PREFIX}{name}") in headers}
    try:
        unwrap_cloud_event(attributes | {"data": {}})
    except ValueError as error:
        raise HttpProblem(400, f"{error} (in the header fields ce-*)") from None


def _read_item(line: int | None, element: Element, *, must_be_event: bool) -> Item:
    """Return the object of an element, or the data of a CloudEvent. Raise ``ValueError`` if there is none."""
    if element.fields is None:
        if element.reason == "too_large":
            raise HttpProblem(413, element.detail)
        raise ValueError(element.detail)
    if not is_cloud_event(element.fields):
        if must_be_event:
            raise ValueError("the object is not a CloudEvent: add specversion, id, source, type and data, or send JSON")
        return Item(line, element.index, element.content, element.fields)
    data = unwrap_cloud_event(element.fields)
    return Item(line, element.index, dump_json(data), data)
