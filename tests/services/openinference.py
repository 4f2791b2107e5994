"""A service with the instrumentation of OpenInference, and spans of its decorators."""

from contextlib import AbstractContextManager
from typing import Any

from openinference.instrumentation import (
    OITracer,
    TraceConfig,
    get_evaluation_attributes,
    get_retriever_attributes,
    using_prompt_template,
)
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry import trace

from tests.services.chat import TOOLS, Options, ask, run, start_telemetry
from tests.services.texts import ANSWER, CALL_TOOL, DOCUMENTS, FAIL, MARK, REFUSE


class OpenInferenceService:
    """The service."""

    def __init__(self, options: Options) -> None:
        config = None if options.content else TraceConfig(hide_inputs=True, hide_outputs=True)
        self._version = options.prompt_version
        self._tracers, self._loggers = start_telemetry(options)
        OpenAIInstrumentor().instrument(tracer_provider=self._tracers, config=config)
        self._tracer = OITracer(trace.get_tracer("support-bot"), config=config or TraceConfig())

    def prompt(self) -> AbstractContextManager[Any]:
        """Name the version of the prompt template of a request."""
        return using_prompt_template(
            template=f"{MARK} You are a {{kind}} bot.", version=self._version, variables={"kind": f"{MARK} support"}
        )

    def run_once(self, client: Any) -> None:
        """Run each kind of request once."""
        with self.prompt():
            ask(client, ANSWER)
            ask(client, ANSWER, stream=True)
            ask(client, FAIL)
            ask(client, REFUSE)
        client.embeddings.create(model="text-embedding-3-small", input=DOCUMENTS[0])
        self._run_agent(client)

    def close(self) -> None:
        """Send what is left."""
        self._tracers.shutdown()
        self._loggers.shutdown()

    def _run_agent(self, client: Any) -> None:
        @self._tracer.tool(name="look_up", description=f"{MARK} Looks up a word.")
        def look_up(word: str) -> str:
            return f"{MARK} result for {word}"

        @self._tracer.guardrail(name="toxicity")
        def check(text: str) -> bool:
            return text == ""

        @self._tracer.evaluator(name="relevance")
        def evaluate(answer: str) -> float:
            evaluation = {"name": "relevance", "score": 0.9, "label": "relevant", "explanation": f"{MARK} because"}
            trace.get_current_span().set_attributes(get_evaluation_attributes(evaluations=[evaluation]))
            return 0.9

        @self._tracer.agent(name="support-agent")
        def answer(question: str) -> str:
            with self._tracer.start_as_current_span("search", openinference_span_kind="retriever") as span:
                span.set_input(f"{MARK} query")
                found = [
                    {"document_id": f"d-{number}", "content": text, "score": score}
                    for number, (text, score) in enumerate(zip(DOCUMENTS, (0.9, 0.4), strict=True))
                ]
                span.set_attributes(get_retriever_attributes(documents=found))
            with self.prompt():
                ask(client, question, tools=TOOLS)
                look_up(f"{MARK} word")
                text = ask(client, ANSWER).choices[0].message.content
            check(text)
            evaluate(text)
            return text

        answer(CALL_TOOL)


if __name__ == "__main__":
    options = Options.parse("support-bot")
    run(options, OpenInferenceService(options))
