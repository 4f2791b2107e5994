"""A service with OpenTelemetry's own instrumentation of 2025, in the GenAI conventions of 1.30.

It records prompts and answers as log records. It is not in ``.venv/services``, because its successor is.
"""

import os
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import trace
from opentelemetry._events import set_event_logger_provider
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk._events import EventLoggerProvider

from tests.services.chat import TOOLS, Options, ask, run, start_telemetry
from tests.services.prompt_attributes import PromptAttributes, prompt_version
from tests.services.texts import ANSWER, CALL_TOOL, FAIL, REFUSE


class GenAI2025Service:
    """The service."""

    def __init__(self, options: Options) -> None:
        if options.content:
            os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "true"
        self._version = options.prompt_version
        self._tracers, self._loggers = start_telemetry(options)
        self._tracers.add_span_processor(PromptAttributes())
        set_event_logger_provider(EventLoggerProvider(self._loggers))
        OpenAIInstrumentor().instrument()

    def prompt(self) -> AbstractContextManager[None]:
        """Name the prompt of a request."""
        return prompt_version(self._version)

    def run_once(self, client: Any) -> None:
        """Run each kind of request once."""
        tracer = trace.get_tracer("support-bot")
        with self.prompt(), tracer.start_as_current_span("POST /answer", kind=trace.SpanKind.SERVER):
            ask(client, ANSWER)
            ask(client, ANSWER, stream=True)
            ask(client, FAIL)
            ask(client, REFUSE)
            ask(client, CALL_TOOL, tools=TOOLS)
            client.embeddings.create(model="text-embedding-3-small", input=ANSWER)

    def close(self) -> None:
        """Send what is left."""
        self._tracers.shutdown()
        self._loggers.shutdown()


if __name__ == "__main__":
    options = Options.parse("support-bot")
    run(options, GenAI2025Service(options))
