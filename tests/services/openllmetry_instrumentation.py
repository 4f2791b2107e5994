"""A service with OpenLLMetry's instrumentation alone, of today or of 2024.

In 2024, prompts and answers were span attributes with numbered names.
"""

import os
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry.instrumentation.openai import OpenAIInstrumentor

from tests.services.chat import TOOLS, Options, ask, run, start_telemetry
from tests.services.prompt_attributes import PromptAttributes, prompt_version
from tests.services.texts import ANSWER, CALL_TOOL, FAIL, REFUSE


class InstrumentedService:
    """The service."""

    def __init__(self, options: Options) -> None:
        os.environ["TRACELOOP_TRACE_CONTENT"] = str(options.content)
        self._version = options.prompt_version
        self._tracers, self._loggers = start_telemetry(options)
        self._tracers.add_span_processor(PromptAttributes())
        OpenAIInstrumentor().instrument()

    def prompt(self) -> AbstractContextManager[None]:
        """Name the prompt of a request."""
        return prompt_version(self._version)

    def run_once(self, client: Any) -> None:
        """Run each kind of request once."""
        with self.prompt():
            ask(client, ANSWER)
            ask(client, ANSWER, stream=True)
            ask(client, FAIL)
            ask(client, REFUSE)
        ask(client, CALL_TOOL, tools=TOOLS)
        client.completions.create(model="gpt-3.5-turbo-instruct", prompt=ANSWER)
        client.embeddings.create(model="text-embedding-3-small", input=ANSWER)

    def close(self) -> None:
        """Send what is left."""
        self._tracers.shutdown()
        self._loggers.shutdown()


if __name__ == "__main__":
    options = Options.parse("support-bot")
    run(options, InstrumentedService(options))
