"""A service with OpenTelemetry's own instrumentation, in the GenAI conventions of 1.37 and later."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.util.genai.handler import TelemetryHandler
from opentelemetry.util.genai.types import InputMessage, RetrievalDocument, TextPart

from tests.services.chat import TOOLS, Options, ask, run, start_telemetry
from tests.services.texts import ANSWER, CALL_TOOL, DOCUMENTS, FAIL, MARK, MODEL, PROMPT, REFUSE


class GenAIService:
    """The service. It names the prompt on an inference of its own, which takes in that of the instrumentation."""

    def __init__(self, options: Options) -> None:
        if options.content:
            os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "span_and_event"
        self._version = options.prompt_version
        self._tracers, self._loggers = start_telemetry(options)
        OpenAIInstrumentor().instrument()
        self._handler = TelemetryHandler()

    @contextmanager
    def prompt(self) -> Iterator[Any]:
        """Name the prompt of a request."""
        with self._handler.inference("openai", request_model=MODEL) as inference:
            inference.prompt_name, inference.prompt_version = PROMPT, self._version
            yield inference

    def run_once(self, client: Any) -> None:
        """Run each kind of request once."""
        with self.prompt():
            ask(client, ANSWER)
        ask(client, ANSWER, stream=True)
        ask(client, FAIL)
        with self.prompt():
            ask(client, REFUSE)
        client.embeddings.create(model="text-embedding-3-small", input=DOCUMENTS[0])
        with self._handler.invoke_local_agent(request_model=MODEL, agent_name="support-agent") as agent:
            agent.input_messages = [InputMessage(role="user", parts=[TextPart(content=CALL_TOOL)])]
            self._retrieve()
            ask(client, CALL_TOOL, tools=TOOLS)
            with self._handler.tool("look_up", tool_type="function") as tool:
                tool.arguments, tool.tool_result = f"{MARK} argument", f"{MARK} result"
            with self.prompt() as inference:
                answer = ask(client, ANSWER)
            agent.input_tokens, agent.output_tokens = 80, 22
        self._evaluate(answer.id, inference.span)

    def close(self) -> None:
        """Send what is left."""
        self._tracers.shutdown()
        self._loggers.shutdown()

    def _retrieve(self) -> None:
        with self._handler.retrieval(data_source_id="handbook", provider="pinecone") as retrieval:
            retrieval.query_text, retrieval.top_k = f"{MARK} query", 2
            retrieval.documents = [RetrievalDocument(id="d-1", score=0.9), RetrievalDocument(id="d-2", score=0.4)]

    def _evaluate(self, response_id: str, span: trace.Span) -> None:
        """Report how good an answer was: as an event that belongs to its span, and as one that names the answer."""
        logger = self._loggers.get_logger("quality")
        for name, score, label, context in (
            ("Relevance", 0.9, "relevant", trace.set_span_in_context(span)),
            ("hallucination", 0.2, "fail", None),
        ):
            attributes: dict[str, Any] = {
                "gen_ai.evaluation.name": name,
                "gen_ai.evaluation.score.value": score,
                "gen_ai.evaluation.score.label": label,
                "gen_ai.evaluation.explanation": f"{MARK} explanation",
            }
            if context is None:
                attributes["gen_ai.response.id"] = response_id
            logger.emit(LogRecord(context=context, event_name="gen_ai.evaluation.result", attributes=attributes))


if __name__ == "__main__":
    options = Options.parse("support-bot")
    run(options, GenAIService(options))
