"""A service that exports one span with the SDK of OpenTelemetry when it reads a line, and prints whether that succeeded."""

import sys
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor


class Exporter(OTLPSpanExporter):
    """Exporter that prints its results."""

    def export(self, spans):
        result = super().export(spans)
        print(result.name, flush=True)
        return result


provider = TracerProvider(resource=Resource({"service.name": "one-span"}))
provider.add_span_processor(SimpleSpanProcessor(Exporter()))
print("ready", flush=True)
sys.stdin.readline()
now_ns = time.time_ns()
attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "model-a"}
span = provider.get_tracer("one-span").start_span("chat", start_time=now_ns - 10**9, attributes=attributes)
span.end(now_ns)
