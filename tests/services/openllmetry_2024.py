"""A service with traceloop's instrumentation of 2024, in the first GenAI conventions.

Prompts and answers are span attributes with numbered names. It is not in ``.venv/services``, because its successor is.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry.instrumentation.openai import OpenAIInstrumentor

from tests.services.chat import TOOLS, Options, ask, run, start_telemetry
from tests.services.texts import ANSWER, CALL_TOOL, FAIL, REFUSE


class OpenLLMetry2024Service:
    """The service. It names no prompt."""

    def __init__(self, options: Options) -> None:
        self._tracers, self._loggers = start_telemetry(options)
        OpenAIInstrumentor().instrument()

    def prompt(self) -> AbstractContextManager[Any]:
        """Return a context that does nothing."""
        return nullcontext()

    def run_once(self, client: Any) -> None:
        """Run each kind of request once."""
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
    run(options, OpenLLMetry2024Service(options))
