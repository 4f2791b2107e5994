"""Export requests of the OpenTelemetry protocol over HTTP: spans and logs become records, and answers have its form.

A span that cannot be read is a dead letter, as in intake, and is also counted in the answer as rejected. The answer
alone would lose it: some exporters ignore that part of an answer.

Source: OTLP 1.9.0, https://github.com/open-telemetry/opentelemetry-proto/blob/v1.9.0/docs/specification.md#otlphttp
"""

from hashlib import blake2b
from typing import Literal

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from pipeline.dead_letters import dead_letter
from pipeline.intake import TelemetryMapping, TopicSettings
from pipeline.json_elements import BLANK
from pipeline.lenient_json import dump_json
from pipeline.step import OutputMessage, RawMessage
from schemas.topics import RECORDS
from topologies.http_server.decoded_request import DecodedRequest, RequestContent
from topologies.http_server.request_body import check_json
from topologies.http_settings import TelemetrySettings
from topologies.listener import JSON, HttpProblem, HttpResponse

PROTOBUF = "application/x-protobuf"
CONTENT_TYPES = (PROTOBUF, JSON)

Signal = Literal["traces", "logs"]

_OFFSET_BYTES = 6
_FORMATS: dict[Signal, str] = {"traces": "otlp_spans", "logs": "otlp_logs"}
_REJECTED_FIELDS: dict[Signal, str] = {"traces": "rejectedSpans", "logs": "rejectedLogRecords"}
_NOUNS: dict[Signal, str] = {"traces": "spans", "logs": "log records"}


def telemetry_mapping(signal: Signal, settings: TelemetrySettings, time_zone: str) -> TelemetryMapping:
    """Return the mapping of spans or log records. ``time_zone`` is that of a mapping without one."""
    options = settings.model_dump() | {"time_zone": settings.time_zone or time_zone}
    return TelemetryMapping(TopicSettings.model_validate({"format": _FORMATS[signal], **options}))


def read_telemetry(signal: Signal, mapping: TelemetryMapping, request: RequestContent) -> DecodedRequest:
    """Return the messages of an export request.

    Raises
    ------
    HttpProblem
        If the body is not an export request (400), or has too many spans or log records (413). Nothing is written.
    """
    is_json = request.content_type == JSON
    body = request.body.lstrip(BLANK) if is_json else request.body
    if body and body.startswith(b"{") != is_json:
        raise HttpProblem(
            400, f"the body is not {'JSON' if is_json else 'protobuf'}, as its Content-Type says: correct one of them"
        )
    if is_json:
        check_json(body)
    outputs: list[OutputMessage] = []
    rejected: list[str] = []
    # A request has no offset. With a hash in its place, a request that is sent again has the same dead letters.
    offset = int.from_bytes(blake2b(body, digest_size=_OFFSET_BYTES).digest())
    source = RawMessage(f"/v1/{signal}", 0, offset, request.now_ms, None, None)
    for found in mapping.read(body, bytes_max=len(body)) if body or is_json else ():
        if found.record is not None:
            outputs.append(OutputMessage(RECORDS, found.record["subject"].encode(), dump_json(found.record)))
        elif found.reason is not None:
            if found.index is None:
                status = 413 if found.reason == "too_large" else 400
                raise HttpProblem(status, f"{found.detail}; nothing of this request was written")
            outputs.append(dead_letter("intake", source, found.reason, found.detail, index=found.index))
            rejected.append(found.detail)
    return DecodedRequest(outputs, _export_response(signal, request.content_type, rejected))


def _export_response(signal: Signal, content_type: str, rejected: list[str]) -> HttpResponse:
    message = ""
    if rejected:
        message = f"{len(rejected)} {_NOUNS[signal]} cannot be read and are dead letters; the first: {rejected[0]}"
    if content_type == JSON:
        partial = {_REJECTED_FIELDS[signal]: str(len(rejected)), "errorMessage": message}
        return HttpResponse(200, orjson.dumps({"partialSuccess": partial} if message else {}))
    # The answers for spans and for log records differ in names only, not in protobuf.
    response = ExportTraceServiceResponse()
    if message:
        response.partial_success.rejected_spans = len(rejected)
        response.partial_success.error_message = message
    return HttpResponse(200, response.SerializeToString(), PROTOBUF)


def status_response(content_type: str, problem: HttpProblem) -> HttpResponse:
    """Return a problem as the protocol requires: a Status message in the content type of the request."""
    if content_type != PROTOBUF:
        content = orjson.dumps({"message": problem.message})
        return HttpResponse(problem.status, content, headers=problem.headers)
    # google.rpc.Status is not a part of the protocol's package. Its field 2 is also a text: the message.
    status = ExportTracePartialSuccess(error_message=problem.message).SerializeToString()
    return HttpResponse(problem.status, status, PROTOBUF, problem.headers)
