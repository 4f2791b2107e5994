"""A service with the SDK of OpenLLMetry, which is traceloop's.

The SDK is not in ``.venv/services``, because it brings fifty instrumentations. The README beside the recorded files names
the version that they were recorded with.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, task, tool, workflow
from traceloop.sdk.guardrail import Guardrails
from traceloop.sdk.tracing.tracing import set_managed_prompt_tracing_context

from tests.services.chat import TOOLS, Options, ask, run
from tests.services.texts import ANSWER, CALL_TOOL, DOCUMENTS, FAIL, MARK, PROMPT, REFUSE


class OpenLLMetryService:
    """The service."""

    def __init__(self, options: Options) -> None:
        if not options.content:
            os.environ["TRACELOOP_TRACE_CONTENT"] = "false"
        self._version = int(options.prompt_version)
        self._processor = BatchSpanProcessor(OTLPSpanExporter(f"{options.telemetry}/v1/traces"))
        Traceloop.init(
            options.service,
            processor=self._processor,
            telemetry_enabled=False,
            resource_attributes={"deployment.environment.name": "production"},
        )
        Traceloop.set_association_properties({"customer_tier": "gold", "user_name": f"{MARK} name"})

    @contextmanager
    def prompt(self) -> Iterator[None]:
        """Name the prompt of a request as a prompt of traceloop's registry is named."""
        token = context.attach(context.get_current())
        set_managed_prompt_tracing_context(PROMPT, self._version, "stable", "5f1c", {"question": f"{MARK} variable"})
        yield
        context.detach(token)

    def run_once(self, client: Any) -> None:
        """Run each kind of request once."""
        with self.prompt():
            ask(client, ANSWER)
            ask(client, ANSWER, stream=True)
            ask(client, FAIL)
            ask(client, REFUSE)
        client.embeddings.create(model="text-embedding-3-small", input=DOCUMENTS[0])
        self._run_workflow(client)

    def close(self) -> None:
        """Send what is left."""
        self._processor.shutdown()

    def _run_workflow(self, client: Any) -> None:
        @tool(name="look_up")
        def look_up(word: str) -> str:
            return f"{MARK} result for {word}"

        @task(name="search")
        def search(query: str) -> list[str]:
            return [f"{query} {document}" for document in DOCUMENTS]

        @agent(name="support-agent")
        def answer(question: str) -> str:
            search(f"{MARK} query")
            with self.prompt():
                ask(client, question, tools=TOOLS)
                look_up(f"{MARK} word")
                return ask(client, ANSWER).choices[0].message.content

        def is_polite(text: str) -> bool:
            return text == ""

        async def answer_later(question: str) -> str:
            return answer(question)

        @workflow(name="support")
        def support(question: str) -> str:
            guardrails = Guardrails(is_polite, on_failure="ignore", name="toxicity")
            return asyncio.run(guardrails.run(answer_later, question, input_mapper=lambda text: [text]))

        support(CALL_TOOL)


if __name__ == "__main__":
    options = Options.parse("support-bot")
    run(options, OpenLLMetryService(options))
