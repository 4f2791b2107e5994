"""What the services have in common: options, questions, the providers of OpenTelemetry and the two ways to run."""

import argparse
import contextlib
import signal
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import openai
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import set_tracer_provider

from tests.services.texts import ANSWER, MARK, MODEL, REFUSE, SYSTEM

PAUSE_S = 0.02
"""Pause after each request."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "description": f"{MARK} Looks up a word.",
            "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
        },
    }
]


@dataclass(frozen=True)
class Options:
    """Options of a service.

    Attributes
    ----------
    service
        Name of the service.
    openai
        URL of the server that speaks the OpenAI protocol.
    telemetry
        URL that receives OTLP over HTTP, without ``/v1/traces``.
    content
        Whether the instrumentation records texts of prompts and answers.
    prompt_version
        Version of the prompt.
    seconds, refusal_rate
        Seconds for which the service sends requests, and the share of them that is refused. With 0 seconds, it runs
        each kind of request once.
    """

    service: str
    openai: str
    telemetry: str
    content: bool
    prompt_version: str
    seconds: float
    refusal_rate: float

    @classmethod
    def parse(cls, service: str) -> "Options":
        """Return the options of the command line."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--service", default=service)
        parser.add_argument("--openai", required=True)
        parser.add_argument("--telemetry", required=True)
        parser.add_argument("--content", action="store_true")
        parser.add_argument("--prompt-version", default="7")
        parser.add_argument("--seconds", type=float, default=0.0)
        parser.add_argument("--refusal-rate", type=float, default=0.02)
        return cls(**vars(parser.parse_args()))


class Service(Protocol):
    """A service of one dialect."""

    def prompt(self) -> AbstractContextManager[Any]:
        """Return a context in which requests name the prompt and its version as the dialect does."""

    def run_once(self, client: openai.OpenAI) -> None:
        """Run each kind of request once."""

    def close(self) -> None:
        """Send what is left."""


def start_telemetry(options: Options) -> tuple[TracerProvider, LoggerProvider]:
    """Return the providers of spans and log records, with exporters that send them over HTTP."""
    resource = Resource.create({"service.name": options.service, "deployment.environment.name": "production"})
    tracers = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(f"{options.telemetry}/v1/traces", compression=compression(options))
    delay_ms = 500 if options.seconds else 5_000
    tracers.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=delay_ms))
    loggers = LoggerProvider(resource=resource)
    log_exporter = OTLPLogExporter(f"{options.telemetry}/v1/logs", compression=compression(options))
    loggers.add_log_record_processor(BatchLogRecordProcessor(log_exporter, schedule_delay_millis=delay_ms))
    set_tracer_provider(tracers)
    set_logger_provider(loggers)
    return tracers, loggers


def compression(options: Options) -> Compression:
    """Return the compression: gzip under load, and none where the bytes are recorded."""
    return Compression.Gzip if options.seconds else Compression.NoCompression


def ask(client: openai.OpenAI, question: str, *, stream: bool = False, **arguments: Any) -> Any:
    """Send one request, and return the answer, or None if it failed."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    if not stream:
        with contextlib.suppress(openai.APIStatusError):
            return client.chat.completions.create(model=MODEL, messages=messages, temperature=0.5, **arguments)
        return None
    pieces = client.chat.completions.create(
        model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}, **arguments
    )
    return list(pieces)[-1]


def run(options: Options, service: Service) -> None:
    """Run a service to its end, or until SIGTERM, and send what is left."""
    client = openai.OpenAI(base_url=options.openai, api_key="none", max_retries=0)
    if options.seconds:
        send_traffic(client, service, options)
    else:
        service.run_once(client)
    service.close()


def send_traffic(client: openai.OpenAI, service: Service, options: Options) -> None:
    """Send requests. Refusals are evenly spaced: a baseline of seconds with bunches of them would not be testable."""
    refused = 0.0
    is_stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: is_stopped.set())
    until = time.monotonic() + options.seconds
    while time.monotonic() < until and not is_stopped.wait(PAUSE_S):
        refused += options.refusal_rate
        with service.prompt():
            ask(client, REFUSE if refused >= 1 else ANSWER)
        refused %= 1
