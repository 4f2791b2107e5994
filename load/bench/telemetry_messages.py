"""Export requests of OpenTelemetry, such as an instrumented service of a language model causes."""

import json
import random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

SPANS_PER_MESSAGE = 100
SECOND_NS = 10**9

_RESOURCE: dict[str, str | int | float] = {
    "service.name": "shop-chat",
    "service.version": "2.1.0",
    "deployment.environment.name": "production",
    "host.name": "host-1",
    "telemetry.sdk.language": "python",
}


def write_spans(generator: random.Random, start_ms: int, spans: int) -> list[bytes]:
    """Return messages in Protobuf with inference spans that contain prompts and answers, 100 per message."""
    messages = []
    for first in range(0, spans, SPANS_PER_MESSAGE):
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.extend(_key_values(_RESOURCE))
        scope = resource.scope_spans.add()
        for number in range(first, min(first + SPANS_PER_MESSAGE, spans)):
            start_ns = (start_ms + 100 * number) * 1_000_000
            scope.spans.add(
                trace_id=generator.randbytes(16),
                span_id=generator.randbytes(8),
                name="chat model-2026-11",
                start_time_unix_nano=start_ns,
                end_time_unix_nano=start_ns + round(generator.lognormvariate(0, 0.5) * SECOND_NS),
                attributes=_key_values(_attributes(number)),
            )
        messages.append(request.SerializeToString())
    return messages


def _attributes(number: int) -> dict[str, str | int | float]:
    question = [{"role": "user", "parts": [{"type": "text", "content": "word " * 200}]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": "word " * 120}], "finish_reason": "stop"}]
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "example-ai",
        "gen_ai.request.model": "model-2026-11",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 800,
        "gen_ai.response.model": "model-2026-11-01",
        "gen_ai.response.id": f"chatcmpl-{number:08d}",
        "gen_ai.prompt.name": "support",
        "gen_ai.prompt.version": "v41",
        "gen_ai.usage.input_tokens": 812,
        "gen_ai.usage.output_tokens": 120,
        "gen_ai.response.time_to_first_chunk": 0.21,
        "gen_ai.input.messages": json.dumps(question),
        "gen_ai.output.messages": json.dumps(answer),
        "server.address": "api.example.com",
        "server.port": 443,
    }


def _key_values(attributes: dict[str, str | int | float]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_any_value(value)) for name, value in attributes.items()]


def _any_value(value: str | float) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)
