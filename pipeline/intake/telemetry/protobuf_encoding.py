"""Decoding of export requests in Protobuf, the default encoding of the Kafka exporter of the OpenTelemetry Collector."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

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
from pipeline.intake.telemetry.protobuf_size import check_size
from pipeline.intake.telemetry.text_repair import clear_bad_texts
from pipeline.lenient_json import NOT_FINITE

_Item = TypeVar("_Item", Span, LogRecord)
_Request = TypeVar("_Request", ExportTraceServiceRequest, ExportLogsServiceRequest)


def decode_spans(value: bytes, selection: AttributeSelection) -> list[TelemetryItem]:
    """Decode an ``ExportTraceServiceRequest``.

    Raises
    ------
    UnreadableExportError
        If the bytes are not such a request, or if it has too many spans.
    """
    request = _decode(ExportTraceServiceRequest, value)
    scopes = [(found.resource, scope.spans) for found in request.resource_spans for scope in found.scope_spans]
    check_count(sum(len(spans) for _, spans in scopes), "spans")
    return _read_items(scopes, _read_span, selection)


def decode_logs(value: bytes, selection: AttributeSelection) -> list[TelemetryItem]:
    """Decode an ``ExportLogsServiceRequest``.

    Raises
    ------
    UnreadableExportError
        If the bytes are not such a request, or if it has too many log records.
    """
    request = _decode(ExportLogsServiceRequest, value)
    scopes = [(found.resource, scope.log_records) for found in request.resource_logs for scope in found.scope_logs]
    check_count(sum(len(logs) for _, logs in scopes), "log records")
    return _read_items(scopes, _read_log, selection)


def _read_items(
    scopes: Iterable[tuple[Resource, Iterable[_Item]]],
    read: Callable[[_Item, dict[str, Any], AttributeSelection], TelemetryItem],
    selection: AttributeSelection,
) -> list[TelemetryItem]:
    """Read the items of all scopes, each with the attributes of its resource."""
    items = []
    for resource, found in scopes:
        shared = _read_attributes(resource.attributes, selection)
        items += [read(item, shared, selection) for item in found]
    return items


def _decode(kind: type[_Request], value: bytes) -> _Request:
    request: _Request
    check_size(value)
    try:
        try:
            request = kind.FromString(value)
        except DecodeError:
            request = kind.FromString(clear_bad_texts(kind, value))
    except DecodeError:
        name = kind.DESCRIPTOR.name
        raise UnreadableExportError("not_otlp", f"the message is not a complete {name} in Protobuf") from None
    return request


def _read_span(span: Span, resource: dict[str, Any], selection: AttributeSelection) -> TelemetryItem:
    return TelemetryItem(
        resource,
        _read_attributes(span.attributes, selection),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == Status.STATUS_CODE_ERROR,
        span.status.code == Status.STATUS_CODE_OK,
        span.trace_state,
        list(_read_events(span, selection)) if span.events else [],
        span.dropped_events_count,
    )


def _read_events(span: Span, selection: AttributeSelection) -> Iterator[TelemetryEvent]:
    has_token = False
    for event in span.events:
        name = event.name
        if name in SPAN_EVENTS and not (has_token and name in TOKEN_EVENTS):
            has_token |= name in TOKEN_EVENTS
            yield TelemetryEvent(name, _read_attributes(event.attributes, selection), event.time_unix_nano)


def _read_log(log: LogRecord, resource: dict[str, Any], selection: AttributeSelection) -> TelemetryItem:
    attributes = _read_attributes(log.attributes, selection)
    old_name = attributes.get("event.name")
    name = log.event_name or (old_name if isinstance(old_name, str) else "")
    return TelemetryItem(
        resource,
        attributes,
        log.trace_id.hex(),
        log.span_id.hex(),
        end_ns=log.time_unix_nano or log.observed_time_unix_nano,
        name=name,
        body=_read_value(log.body, 0) if name in LOG_EVENTS else None,
    )


def _read_attributes(attributes: Iterable[KeyValue], selection: AttributeSelection) -> dict[str, Any]:
    names, prefixes = selection.names, selection.prefixes
    if names is None:
        return {attribute.key: _read_value(attribute.value, 0) for attribute in attributes}
    return {
        name: _read_value(attribute.value, 0)
        for attribute in attributes
        if (name := attribute.key) in names or name.startswith(prefixes)
    }


def _read_value(value: AnyValue, level: int) -> Any:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "int_value":
        return value.int_value
    if kind == "double_value":
        return value.double_value if math.isfinite(value.double_value) else NOT_FINITE
    if kind == "bool_value":
        return value.bool_value
    if level < LEVELS_MAX:
        if kind == "array_value":
            return [_read_value(item, level + 1) for item in value.array_value.values]
        if kind == "kvlist_value":
            return {item.key: _read_value(item.value, level + 1) for item in value.kvlist_value.values}
    return None
