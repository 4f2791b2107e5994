"""Conventions for the attributes of traces, and the table of attributes that have the same meaning.

A row is only here if its document was read. For each field, the first attribute that a span has is used.
"""

from dataclasses import dataclass
from typing import Literal

SpanKind = Literal["inference", "retrieval", "guardrail", "evaluation", "tool", "other"]
"""What a span describes. A span of another kind, such as an agent's, is not read: it repeats what its children say."""


@dataclass(frozen=True, slots=True)
class Convention:
    """A document that defines attributes.

    Attributes
    ----------
    name
        Short name.
    document
        Repository and file, package or page.
    version
        Version or commit of the document.
    date
        Month in which the document was read.
    """

    name: str
    document: str
    version: str
    date: str = "2026-11"


GENAI = Convention(
    "GenAI", "open-telemetry/semantic-conventions-genai, docs/gen-ai/client-inference.md, gen-ai-events.md", "024a4f94"
)
GENAI_OLD = Convention("GenAI, deprecated", "opentelemetry-semantic-conventions, gen_ai_attributes.py", "0.66b2")
GENAI_GUARDRAILS = Convention(
    "GenAI guardrails", "open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-security.md", "3155df28"
)
GENAI_PYTHON = Convention("GenAI", "opentelemetry-util-genai, types.py, _retrieval_invocation.py", "1.3b0")
OPENINFERENCE = Convention("OpenInference", "openinference-semantic-conventions, trace/__init__.py", "0.1.42")
OPENINFERENCE_PYTHON = Convention("OpenInference", "openinference-instrumentation-openai, _stream.py", "0.1.66")
OPENLLMETRY = Convention("OpenLLMetry", "opentelemetry-semantic-conventions-ai, __init__.py", "0.5.1")
OPENLLMETRY_PYTHON = Convention(
    "OpenLLMetry", "opentelemetry-instrumentation-openai, shared/chat_wrappers.py", "0.62.4, 0.33.12"
)
VLLM = Convention("vLLM", "vllm-project/vllm, vllm/tracing.py", "03b8a674")
LANGFUSE = Convention("Langfuse", "https://langfuse.com/integrations/native/opentelemetry, property mapping", "3")
LITELLM = Convention("LiteLLM", "litellm, integrations/opentelemetry.py", "1.110.2")
SEMANTIC_KERNEL = Convention(
    "Semantic Kernel", "microsoft/semantic-kernel, model_diagnostics/decorators.py", "50669ac2"
)
OTEL = Convention("OpenTelemetry", "open-telemetry/semantic-conventions, docs/registry", "1.44.0")
OPENAI = Convention("OpenAI", "openai, types/chat/chat_completion.py", "3.57.0")
ANTHROPIC = Convention("Anthropic", "https://docs.anthropic.com/en/api/messages, stop_reason", "2023-06-01")
GEMINI = Convention("Gemini", "https://ai.google.dev/api/generate-content, FinishReason", "v1beta")
BEDROCK = Convention("Bedrock", "Amazon Bedrock API Reference, Converse, stopReason", "2023-09-30")


@dataclass(frozen=True, slots=True)
class Synonym:
    """An attribute whose value is copied to a field of a record. ``unit`` is ``s`` if the value is in seconds."""

    field: str
    attribute: str
    convention: Convention
    unit: str = ""


SYNONYMS: tuple[Synonym, ...] = (
    Synonym("request_id", "gen_ai.response.id", GENAI),
    Synonym("request_id", "gen_ai.request.id", VLLM),
    Synonym("provider", "gen_ai.provider.name", GENAI),
    Synonym("provider", "gen_ai.system", GENAI_OLD),
    Synonym("provider", "llm.provider", OPENINFERENCE),
    Synonym("provider", "llm.system", OPENINFERENCE),
    Synonym("provider_model", "gen_ai.response.model", GENAI),
    Synonym("provider_model", "llm.response.model_name", OPENINFERENCE),
    Synonym("versions.model", "gen_ai.request.model", GENAI),
    Synonym("versions.model", "llm.request.model_name", OPENINFERENCE),
    Synonym("versions.model", "llm.model_name", OPENINFERENCE),
    Synonym("versions.model", "langfuse.observation.model.name", LANGFUSE),
    Synonym("versions.model", "gen_ai.response.model", VLLM),
    Synonym("versions.prompt", "gen_ai.prompt.version", GENAI),
    Synonym("versions.prompt", "llm.prompt_template.version", OPENINFERENCE),
    Synonym("versions.prompt", "traceloop.prompt.version", OPENLLMETRY),
    Synonym("versions.prompt", "traceloop.prompt.version_name", OPENLLMETRY),
    Synonym("versions.prompt", "traceloop.prompt.version_hash", OPENLLMETRY),
    Synonym("versions.prompt", "langfuse.observation.prompt.version", LANGFUSE),
    Synonym("versions.code", "service.version", OTEL),
    Synonym("versions.code", "langfuse.release", LANGFUSE),
    Synonym("environment", "deployment.environment.name", OTEL),
    Synonym("environment", "deployment.environment", OTEL),
    Synonym("environment", "langfuse.environment", LANGFUSE),
    Synonym("input_tokens", "gen_ai.usage.input_tokens", GENAI),
    Synonym("input_tokens", "gen_ai.usage.prompt_tokens", GENAI_OLD),
    Synonym("input_tokens", "llm.token_count.prompt", OPENINFERENCE),
    Synonym("output_tokens", "gen_ai.usage.output_tokens", GENAI),
    Synonym("output_tokens", "gen_ai.usage.completion_tokens", GENAI_OLD),
    Synonym("output_tokens", "llm.token_count.completion", OPENINFERENCE),
    Synonym("cost", "llm.cost.total", OPENINFERENCE),
    Synonym("cost", "gen_ai.cost.total_cost", LITELLM),
    Synonym("time_to_first_token_ms", "gen_ai.response.time_to_first_chunk", GENAI, "s"),
    Synonym("time_to_first_token_ms", "gen_ai.latency.time_to_first_token", VLLM, "s"),
    Synonym("error_type", "error.type", OTEL),
    Synonym("finish_reason", "gen_ai.response.finish_reasons", GENAI),
    Synonym("finish_reason", "llm.finish_reason", OPENINFERENCE),
    Synonym("finish_reason", "gen_ai.response.finish_reason", OPENLLMETRY),
    Synonym("finish_reason", "llm.response.finish_reason", OPENLLMETRY),
    Synonym("finish_reason", "gen_ai.response.stop_reason", OPENLLMETRY),
    Synonym("finish_reason", "llm.response.stop_reason", OPENLLMETRY),
    Synonym("finish_reason", "gen_ai.completion.0.finish_reason", OPENLLMETRY),
)
"""Attributes that are copied to a field."""


@dataclass(frozen=True, slots=True)
class KindRule:
    """Values of an attribute that determine what a span describes. Without values, its presence is enough."""

    kind: SpanKind
    attribute: str
    values: tuple[str, ...]
    convention: Convention


_LITELLM_INFERENCES = (
    "completion",
    "acompletion",
    "atext_completion",
    "responses",
    "aresponses",
    "anthropic_messages",
    "agenerate_content",
    "agenerate_content_stream",
)
"""Types of calls, which LiteLLM writes as the operation, and without content only as the type of the request."""

KIND_RULES: tuple[KindRule, ...] = (
    KindRule("inference", "openinference.span.kind", ("LLM",), OPENINFERENCE),
    KindRule("retrieval", "openinference.span.kind", ("RETRIEVER",), OPENINFERENCE),
    KindRule("guardrail", "openinference.span.kind", ("GUARDRAIL",), OPENINFERENCE),
    KindRule("evaluation", "openinference.span.kind", ("EVALUATOR",), OPENINFERENCE),
    KindRule("tool", "openinference.span.kind", ("TOOL",), OPENINFERENCE),
    KindRule(
        "other",
        "openinference.span.kind",
        ("AGENT", "CHAIN", "EMBEDDING", "RERANKER", "PROMPT", "DECISION"),
        OPENINFERENCE,
    ),
    KindRule("inference", "gen_ai.operation.name", ("chat", "generate_content", "text_completion"), GENAI),
    KindRule("retrieval", "gen_ai.operation.name", ("retrieval",), GENAI),
    KindRule("guardrail", "gen_ai.operation.name", ("run_guardrail",), GENAI_GUARDRAILS),
    KindRule("tool", "gen_ai.operation.name", ("execute_tool",), GENAI),
    KindRule(
        "other",
        "gen_ai.operation.name",
        ("embeddings", "create_agent", "invoke_agent", "invoke_workflow", "plan", "search_memory"),
        GENAI,
    ),
    KindRule("inference", "gen_ai.operation.name", _LITELLM_INFERENCES, LITELLM),
    KindRule("other", "gen_ai.operation.name", ("embedding", "aembedding", "rerank", "arerank"), LITELLM),
    KindRule(
        "inference",
        "gen_ai.operation.name",
        ("chat.completions", "chat.streaming_completions", "text.completions", "text.streaming_completions"),
        SEMANTIC_KERNEL,
    ),
    KindRule("inference", "llm.request.type", ("chat", "completion"), OPENLLMETRY),
    KindRule(
        "inference",
        "llm.request.type",
        ("text_completion", "generate_content", *_LITELLM_INFERENCES[1:]),
        LITELLM,
    ),
    KindRule("other", "llm.request.type", ("embedding", "rerank"), OPENLLMETRY),
    KindRule("tool", "traceloop.span.kind", ("tool",), OPENLLMETRY),
    KindRule("other", "traceloop.span.kind", ("workflow", "task", "agent"), OPENLLMETRY),
    KindRule("inference", "langfuse.observation.type", ("generation",), LANGFUSE),
    KindRule("retrieval", "langfuse.observation.type", ("retriever",), LANGFUSE),
    KindRule("guardrail", "langfuse.observation.type", ("guardrail",), LANGFUSE),
    KindRule("evaluation", "langfuse.observation.type", ("evaluator",), LANGFUSE),
    KindRule("tool", "langfuse.observation.type", ("tool",), LANGFUSE),
    KindRule("other", "langfuse.observation.type", ("span", "event", "agent", "chain", "embedding"), LANGFUSE),
    KindRule("inference", "gen_ai.latency.e2e", (), VLLM),
    KindRule("inference", "gen_ai.latency.time_to_first_token", (), VLLM),
)
"""Rules for the kind of a span. The first rule that applies determines it."""

OLD_INFERENCE = ("gen_ai.system", "gen_ai.request.model")
"""Attributes that every inference span had before there was an operation name (GenAI conventions up to 1.26)."""

OPERATIONS = ("gen_ai.operation.name", "llm.request.type")
"""Attributes that name the operation. With an unknown one, such as an image or a transcription, a span is not read."""


@dataclass(frozen=True, slots=True)
class RefusalReason:
    """A finish reason that stands for a refusal: in lower case, and with underscores."""

    value: str
    convention: Convention


REFUSAL_REASONS: tuple[RefusalReason, ...] = (
    RefusalReason("content_filter", OPENAI),
    RefusalReason("refusal", ANTHROPIC),
    RefusalReason("safety", GEMINI),
    RefusalReason("prohibited_content", GEMINI),
    RefusalReason("blocklist", GEMINI),
    RefusalReason("content_filtered", BEDROCK),
    RefusalReason("guardrail_intervened", BEDROCK),
)


@dataclass(frozen=True, slots=True)
class DerivedSource:
    """Attributes from which a number or boolean is derived. Their content is not copied.

    ``attribute`` ends with a dot if it is the beginning of the names of several attributes.
    """

    field: str
    attribute: str
    convention: Convention


DERIVED_SOURCES: tuple[DerivedSource, ...] = (
    DerivedSource("input_tokens, output_tokens", "langfuse.observation.usage_details", LANGFUSE),
    DerivedSource("cost", "langfuse.observation.cost_details", LANGFUSE),
    DerivedSource("error", "langfuse.observation.level", LANGFUSE),
    DerivedSource("time_to_first_token_ms", "langfuse.observation.completion_start_time", LANGFUSE),
    DerivedSource("length, empty, refused", "gen_ai.output.messages", GENAI),
    DerivedSource("length, empty", "gen_ai.completion.", OPENLLMETRY),
    DerivedSource("length, empty", "llm.output_messages.", OPENINFERENCE),
    DerivedSource("retrieved_documents, retrieval_score", "gen_ai.retrieval.documents", GENAI_PYTHON),
    DerivedSource("retrieved_documents, retrieval_score", "retrieval.documents.", OPENINFERENCE),
    DerivedSource("filter_triggered", "gen_ai.guardrail.action.type", GENAI_GUARDRAILS),
    DerivedSource("filter_triggered", "gen_ai.guardrail.verdict.type", GENAI_GUARDRAILS),
    DerivedSource("filter_triggered", "guardrail_status", LITELLM),
    DerivedSource("custom.NAME, hallucinated", "gen_ai.evaluation.name", GENAI),
    DerivedSource("custom.NAME, hallucinated", "gen_ai.evaluation.score.value", GENAI),
    DerivedSource("custom.NAME, hallucinated", "gen_ai.evaluation.score.label", GENAI),
    DerivedSource("custom.NAME, hallucinated", "evaluations.", OPENINFERENCE),
)
"""Attributes from which values are derived."""


@dataclass(frozen=True, slots=True)
class FirstTokenEvent:
    """Name of an event of a span that marks the first token of a stream. It can mark each later one too."""

    name: str
    convention: Convention


FIRST_TOKEN_EVENTS: tuple[FirstTokenEvent, ...] = (
    FirstTokenEvent("First Token Stream Event", OPENINFERENCE_PYTHON),
    FirstTokenEvent("gen_ai.content.completion.chunk", OPENLLMETRY_PYTHON),
    FirstTokenEvent("llm.content.completion.chunk", OPENLLMETRY_PYTHON),
)

READ_ATTRIBUTES = frozenset(
    (
        *(row.attribute for row in SYNONYMS),
        *(rule.attribute for rule in KIND_RULES),
        *(source.attribute for source in DERIVED_SOURCES if not source.attribute.endswith(".")),
        *OLD_INFERENCE,
        "service.name",
        "event.name",
        "exception.type",
    )
)
"""Names of all attributes that are read without a mapping."""

READ_PREFIXES = tuple(source.attribute for source in DERIVED_SOURCES if source.attribute.endswith("."))
"""Beginnings of the names of all other attributes that are read without a mapping."""


def is_read(name: str) -> bool:
    """Return whether an attribute is read without a mapping."""
    return name in READ_ATTRIBUTES or name.startswith(READ_PREFIXES)
