"""Decoding of export requests in JSON, as the OpenTelemetry protocol defines it.

It differs from the JSON of Protobuf: ids are hexadecimal, and an enumeration is a number. Numbers of 64 bits are texts,
and are also accepted as numbers. Unknown fields are ignored.

References
----------
OpenTelemetry Protocol Specification 1.10, JSON Protobuf Encoding.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from pipeline.intake.telemetry.otlp import (
    LEVELS_MAX,
    LOG_EVENTS,
    SPAN_EVENTS,
    TOKEN_EVENTS,
    AttributeSelection,
    TelemetryEvent,
    TelemetryItem,
    UnreadableExportError,
    check_count,
)
from pipeline.json_elements import describe_json_error
from pipeline.lenient_json import NOT_FINITE, parse_json

_STATUS_OK = (1, "1", "STATUS_CODE_OK")
_STATUS_ERROR = (2, "2", "STATUS_CODE_ERROR")
_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}")
_SPAN_ID = re.compile(r"[0-9a-fA-F]{16}")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NOT_FINITE_TEXTS = ("NaN", "Infinity", "-Infinity")


def decode_spans_json(value: bytes, selection: AttributeSelection) -> list[TelemetryItem | None]:
    """Decode the JSON of an ``ExportTraceServiceRequest``. A span that is not an object is None.

    Raises
    ------
    UnreadableExportError
        If the bytes are not a JSON object with lists of resources, scopes and spans, or if it has too many spans.
    """
    scopes = list(_read_scopes(value, "resourceSpans", "scopeSpans", "spans"))
    check_count(sum(len(spans) for _, spans in scopes), "spans")
    return _read_items(scopes, _read_span, selection)


def decode_logs_json(value: bytes, selection: AttributeSelection) -> list[TelemetryItem | None]:
    """Decode the JSON of an ``ExportLogsServiceRequest``. A log record that is not an object is None.

    Raises
    ------
    UnreadableExportError
        If the bytes are not a JSON object with lists of resources, scopes and log records, or if it has too many log
        records.
    """
    scopes = list(_read_scopes(value, "resourceLogs", "scopeLogs", "logRecords"))
    check_count(sum(len(logs) for _, logs in scopes), "log records")
    return _read_items(scopes, _read_log, selection)


def _read_items(
    scopes: Iterable[tuple[dict[str, Any], list[Any]]],
    read: Callable[[dict[str, Any], dict[str, Any], AttributeSelection], TelemetryItem],
    selection: AttributeSelection,
) -> list[TelemetryItem | None]:
    """Read the items of all scopes, each with the attributes of its resource. An item that is not an object is None."""
    items: list[TelemetryItem | None] = []
    for resource, found in scopes:
        shared = _read_attributes(resource, selection)
        items += [read(item, shared, selection) if isinstance(item, dict) else None for item in found]
    return items


def _read_scopes(value: bytes, *path: str) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Yield the resource and the list of each scope."""
    try:
        request = parse_json(value)
    except ValueError as error:
        raise UnreadableExportError(*describe_json_error(value, error)) from None
    if not isinstance(request, dict):
        raise UnreadableExportError("not_an_object", "the message is not a JSON object")
    resources_name, scopes_name, items_name = path
    if resources_name not in request and request:
        raise UnreadableExportError("not_otlp", f"the message has no {resources_name}")
    for found in _read_list(request, resources_name):
        resource = found.get("resource") if isinstance(found, dict) else _refuse(resources_name)
        for scope in _read_list(found, scopes_name):
            items = _read_list(scope, items_name) if isinstance(scope, dict) else _refuse(scopes_name)
            yield (resource if isinstance(resource, dict) else {}), items


def _read_list(container: dict[str, Any], name: str) -> list[Any]:
    found = container.get(name)
    return found if isinstance(found, list) else [] if found is None else _refuse(name)


def _refuse(name: str) -> NoReturn:
    raise UnreadableExportError("not_otlp", f"{name} must be a list of objects")


def _objects(container: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = container.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _read_span(span: dict[str, Any], resource: dict[str, Any], selection: AttributeSelection) -> TelemetryItem:
    status = span.get("status")
    code = status.get("code") if isinstance(status, dict) else None
    return TelemetryItem(
        resource,
        _read_attributes(span, selection),
        _read_id(span.get("traceId"), _TRACE_ID),
        _read_id(span.get("spanId"), _SPAN_ID),
        _read_id(span.get("parentSpanId"), _SPAN_ID),
        _read_time(span.get("startTimeUnixNano")),
        _read_time(span.get("endTimeUnixNano")),
        isinstance(code, (int, str)) and code in _STATUS_ERROR,
        isinstance(code, (int, str)) and code in _STATUS_OK,
        _read_text(span.get("traceState")),
        list(_read_events(span, selection)),
        _read_integer(span.get("droppedEventsCount")) or 0,
    )


def _read_events(span: dict[str, Any], selection: AttributeSelection) -> Iterator[TelemetryEvent]:
    has_token = False
    for event in _objects(span, "events"):
        name = _read_text(event.get("name"))
        if name in SPAN_EVENTS and not (has_token and name in TOKEN_EVENTS):
            has_token |= name in TOKEN_EVENTS
            yield TelemetryEvent(name, _read_attributes(event, selection), _read_time(event.get("timeUnixNano")))


def _read_log(log: dict[str, Any], resource: dict[str, Any], selection: AttributeSelection) -> TelemetryItem:
    attributes = _read_attributes(log, selection)
    name = _read_text(log.get("eventName")) or _read_text(attributes.get("event.name"))
    return TelemetryItem(
        resource,
        attributes,
        _read_id(log.get("traceId"), _TRACE_ID),
        _read_id(log.get("spanId"), _SPAN_ID),
        end_ns=_read_time(log.get("timeUnixNano")) or _read_time(log.get("observedTimeUnixNano")),
        name=name,
        body=_read_value(log.get("body"), 0) if name in LOG_EVENTS else None,
    )


def _read_attributes(container: dict[str, Any], selection: AttributeSelection) -> dict[str, Any]:
    return {
        name: _read_value(attribute.get("value"), 0)
        for attribute in _objects(container, "attributes")
        if isinstance(name := attribute.get("key"), str) and selection.contains(name)
    }


def _read_value(value: Any, level: int) -> Any:
    """Return the value of an ``AnyValue`` object; None if it has none or another form."""
    if not isinstance(value, dict):
        return None
    for kind in ("stringValue", "boolValue"):
        if kind in value:
            return value[kind] if isinstance(value[kind], (str, bool)) else None
    if "intValue" in value:
        return _read_integer(value["intValue"])
    if "doubleValue" in value:
        return _read_double(value["doubleValue"])
    if level < LEVELS_MAX:
        for kind in ("arrayValue", "kvlistValue"):
            container = value.get(kind)
            values = container.get("values") if isinstance(container, dict) else None
            if not isinstance(values, list):
                continue
            if kind == "arrayValue":
                return [_read_value(item, level + 1) for item in values]
            return {
                key: _read_value(item.get("value"), level + 1)
                for item in values
                if isinstance(item, dict) and isinstance(key := item.get("key"), str)
            }
    return None


def _read_integer(number: Any) -> int | None:
    """Return an integer of 64 bits that is a number or a text; None for anything else."""
    if isinstance(number, str):
        integer = int(number) if _INTEGER.fullmatch(number) else None
    elif isinstance(number, float):
        integer = int(number) if number.is_integer() else None
    else:
        integer = number if isinstance(number, int) and not isinstance(number, bool) else None
    return integer if integer is not None and -(2**63) <= integer < 2**64 else None


def _read_double(number: Any) -> Any:
    if isinstance(number, str):
        return NOT_FINITE if number in _NOT_FINITE_TEXTS else number
    return None if isinstance(number, (bool, dict, list)) else number


def _read_time(number: Any) -> int:
    return max(_read_integer(number) or 0, 0)


def _read_id(text: Any, form: re.Pattern[str]) -> str:
    return text.lower() if isinstance(text, str) and form.fullmatch(text) else ""


def _read_text(text: Any) -> str:
    return text if isinstance(text, str) else ""
