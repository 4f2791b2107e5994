"""Export requests of the OpenTelemetry protocol, in both encodings, from one short description."""

import json
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from pipeline.intake import TelemetryMapping, TopicSettings

START_NS = 1_795_489_920_000_000_000
SECOND_NS = 10**9
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
RESOURCE = {"service.name": "shop-chat", "service.version": "2.1.0", "deployment.environment.name": "production"}
ENCODINGS = ("protobuf", "json")


@dataclass
class Event:
    name: str
    attributes: dict[str, Any] = field(default_factory=dict)
    time_ns: int = START_NS


@dataclass
class Span:
    attributes: dict[str, Any] = field(default_factory=dict)
    trace_id: str = TRACE
    span_id: str = "00f067aa0ba902b7"
    parent_id: str = ""
    start_ns: int = START_NS
    end_ns: int = START_NS + SECOND_NS
    is_error: bool = False
    is_ok: bool = False
    message: str = ""
    trace_state: str = ""
    name: str = "chat model"
    events: list[Event] = field(default_factory=list)
    dropped_events: int = 0


@dataclass
class Log:
    attributes: dict[str, Any] = field(default_factory=dict)
    event_name: str = ""
    body: Any = None
    trace_id: str = TRACE
    time_ns: int = START_NS


def spans_message(*spans, encoding="protobuf", resource=RESOURCE):
    if encoding == "json":
        content = {"resource": {"attributes": json_attributes(resource)}, "scopeSpans": [{"spans": []}]}
        content["scopeSpans"][0]["spans"] = [json_span(span) for span in spans]
        return json.dumps({"resourceSpans": [content]}).encode()
    request = ExportTraceServiceRequest()
    found = request.resource_spans.add()
    found.resource.attributes.extend(key_values(resource))
    scope = found.scope_spans.add()
    for span in spans:
        target = scope.spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_id),
            name=span.name,
            start_time_unix_nano=span.start_ns,
            end_time_unix_nano=span.end_ns,
            trace_state=span.trace_state,
            attributes=key_values(span.attributes),
        )
        target.status.code = 2 if span.is_error else int(span.is_ok)
        target.status.message = span.message
        target.dropped_events_count = span.dropped_events
        for event in span.events:
            target.events.add(name=event.name, time_unix_nano=event.time_ns, attributes=key_values(event.attributes))
    return request.SerializeToString()


def logs_message(*logs, encoding="protobuf", resource=RESOURCE):
    if encoding == "json":
        content = {"resource": {"attributes": json_attributes(resource)}, "scopeLogs": [{"logRecords": []}]}
        content["scopeLogs"][0]["logRecords"] = [
            {
                "timeUnixNano": str(log.time_ns),
                "traceId": log.trace_id,
                "eventName": log.event_name,
                "body": json_value(log.body),
                "attributes": json_attributes(log.attributes),
            }
            for log in logs
        ]
        return json.dumps({"resourceLogs": [content]}).encode()
    request = ExportLogsServiceRequest()
    found = request.resource_logs.add()
    found.resource.attributes.extend(key_values(resource))
    scope = found.scope_logs.add()
    for log in logs:
        scope.log_records.add(
            time_unix_nano=log.time_ns,
            trace_id=bytes.fromhex(log.trace_id),
            event_name=log.event_name,
            body=any_value(log.body),
            attributes=key_values(log.attributes),
        )
    return request.SerializeToString()


def read_all(value, **settings):
    settings = TopicSettings.model_validate({"format": "otlp_spans"} | settings)
    return list(TelemetryMapping(settings).read(value, bytes_max=10**7))


def read_spans(*spans, encoding="protobuf", resource=RESOURCE, **settings):
    """Return the records of spans, and fail if one is a dead letter."""
    found = read_all(spans_message(*spans, encoding=encoding, resource=resource), **settings)
    assert [element for element in found if element.reason] == []
    return [element.record for element in found if element.record is not None]


def read_logs(*logs, encoding="protobuf", **settings):
    found = read_all(logs_message(*logs, encoding=encoding), format="otlp_logs", **settings)
    assert [element for element in found if element.reason] == []
    return [element.record for element in found if element.record is not None]


def json_span(span):
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "traceState": span.trace_state,
        "status": {"code": 2 if span.is_error else int(span.is_ok), "message": span.message},
        "attributes": json_attributes(span.attributes),
        "events": [
            {"name": event.name, "timeUnixNano": str(event.time_ns), "attributes": json_attributes(event.attributes)}
            for event in span.events
        ],
        "droppedEventsCount": span.dropped_events,
        "unknownField": {"of": "a later version"},
    }


def json_attributes(attributes):
    return [{"key": name, "value": json_value(value)} for name, value in attributes.items()]


def json_value(value):
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [json_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": json_attributes(value)}}
    return {}


def key_values(attributes):
    return [KeyValue(key=name, value=any_value(value)) for name, value in attributes.items()]


def any_value(value):
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    found = AnyValue()
    if isinstance(value, list):
        found.array_value.values.extend(any_value(item) for item in value)
    elif isinstance(value, dict):
        found.kvlist_value.values.extend(key_values(value))
    return found
