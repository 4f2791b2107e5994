"""Exports of other tools that are recognised by their keys: Langfuse, Phoenix, litellm and OpenAI batches.

Each export is a table of rules. A rule computes the value of one field from the keys of a row. Prompts and answers are
never copied.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.source_path import SourcePath
from schemas.record_fields import find_record_field
from schemas.timestamp import parse_timestamp

RuleKind = Literal["value", "sum", "is", "is not", "is set", "is true", "length", "difference"]


@dataclass(frozen=True, slots=True)
class ExportRule:
    """How the value of one field is computed from a row.

    Attributes
    ----------
    field
        Field of the record, with the unit of the value: ``latency_ms:s``.
    kind
        ``value``: the first of the sources that is present. ``sum``: the sum of those that are present. ``is`` and
        ``is not``: whether the source equals ``word``. ``is set``: whether the source is present and not null.
        ``is true``: whether it is true, and neither false nor null. ``length``: characters of a text.
        ``difference``: milliseconds from the first time to the second.
    sources
        Keys or paths. A rule without a source in the file is not used. For ``difference``, pairs of start and end.
    word
        The word that the source is compared with.
    absent
        Words of the sources that are read as absent.
    """

    field: str
    kind: RuleKind
    sources: tuple[str, ...]
    word: str = ""
    absent: tuple[str, ...] = ()

    def name_source(self, sources: Collection[str]) -> str:
        """Return the name of the computed value in the table of columns."""
        if self.kind == "difference":
            start, end = sources
            return f"{end} - {start}"
        name = " or ".join(sources)
        if self.absent and self.kind == "value":
            return f"{name} if known"
        return {"value": name, "sum": " + ".join(sources), "length": f"length of {name}"}.get(
            self.kind, f"{name} {self.kind} {self.word}".strip()
        )


@dataclass(frozen=True, slots=True)
class RecognizedExport:
    """An export: its name, how it is recognised, and its rules.

    Attributes
    ----------
    keys
        Groups of keys. A file is this export if it contains at least one key of each group.
    subjects
        Rules for the subject. The first whose keys have a value is used.
    time_zone
        Time zone of times without an offset, as the documentation of the tool states. None if all times have one.
    """

    name: str
    keys: tuple[tuple[str, ...], ...]
    subjects: tuple[str, ...]
    rules: tuple[ExportRule, ...]
    time_zone: str | None = None


EXPORTS: tuple[RecognizedExport, ...] = (
    # https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields (2026): snake case; times
    # without an offset are UTC. The API and exports of the user interface have the same fields in camel case:
    # langfuse/langfuse, packages/shared/src/domain/observations.ts (2025).
    RecognizedExport(
        "Langfuse observations",
        (("trace_id", "traceId"), ("start_time", "startTime"), ("level",), ("type",)),
        ("{name}",),
        (
            ExportRule("timestamp", "value", ("end_time", "endTime", "start_time", "startTime")),
            ExportRule("request_id", "value", ("id",)),
            ExportRule("environment", "value", ("environment",)),
            ExportRule("latency_ms", "difference", ("start_time", "end_time", "startTime", "endTime")),
            ExportRule(
                "time_to_first_token_ms",
                "difference",
                ("start_time", "completion_start_time", "startTime", "completionStartTime"),
            ),
            ExportRule("error", "is", ("level",), "ERROR"),
            ExportRule(
                "input_tokens",
                "value",
                ("usage_details.input", "usageDetails.input", "inputUsage", "usage.input", "promptTokens"),
            ),
            ExportRule(
                "output_tokens",
                "value",
                ("usage_details.output", "usageDetails.output", "outputUsage", "usage.output", "completionTokens"),
            ),
            ExportRule("versions.model", "value", ("provided_model_name", "providedModelName", "model")),
            ExportRule("versions.prompt", "value", ("prompt_version", "promptVersion")),
        ),
        "UTC",
    ),
    # langfuse/langfuse, worker/src/features/database-read-stream/types.ts, BatchExportTracesRow (2024): the latency is
    # in seconds, and the timestamp is the start of the trace.
    RecognizedExport(
        "Langfuse traces",
        (("timestamp",), ("bookmarked", "public"), ("userId", "user_id"), ("release",)),
        ("{name}",),
        (
            ExportRule("timestamp", "value", ("timestamp",)),
            ExportRule("request_id", "value", ("id",)),
            ExportRule("environment", "value", ("environment",)),
            ExportRule("latency_ms:s", "value", ("latency",)),
            ExportRule("error", "is", ("level",), "ERROR"),
            ExportRule("input_tokens", "value", ("usage.promptTokens",)),
            ExportRule("output_tokens", "value", ("usage.completionTokens",)),
            ExportRule("versions.code", "value", ("release",)),
        ),
        "UTC",
    ),
    # https://arize.com/docs/phoenix/how-to/extract-data-from-spans (2025): the columns of get_spans_dataframe(). The
    # attributes are those of OpenInference: Arize-ai/openinference, spec/semantic_conventions.md (2025).
    RecognizedExport(
        "Phoenix spans",
        (
            ("span_kind",),
            ("status_code",),
            ("start_time",),
            ("end_time",),
            ("context.span_id", "context", "context.trace_id"),
        ),
        ("{name}",),
        (
            ExportRule("timestamp", "value", ("end_time",)),
            ExportRule("request_id", "value", ("context.span_id",)),
            ExportRule("latency_ms", "difference", ("start_time", "end_time")),
            ExportRule("error", "is", ("status_code",), "ERROR"),
            ExportRule("input_tokens", "value", ("attributes.llm.token_count.prompt",)),
            ExportRule("output_tokens", "value", ("attributes.llm.token_count.completion",)),
            ExportRule("versions.model", "value", ("attributes.llm.model_name",)),
        ),
    ),
    # https://docs.litellm.ai/docs/proxy/logging_spec (2026), StandardLoggingPayload; BerriAI/litellm,
    # litellm/proxy/schema.prisma (2026), LiteLLM_SpendLogs, whose times have no offset and are UTC. It writes 0 for what
    # it does not know: the tokens of a failed call, and the price of an unknown model. The callback in the client,
    # driftwire_client.litellm_payload, reads these keys in the same way.
    RecognizedExport(
        "litellm",
        (("startTime",), ("endTime",), ("prompt_tokens",), ("completion_tokens",), ("call_type",)),
        ("{model_group}", "{model}"),
        (
            ExportRule("timestamp", "value", ("endTime",)),
            ExportRule("request_id", "value", ("request_id", "id")),
            ExportRule("latency_ms", "difference", ("startTime", "endTime")),
            ExportRule("error", "is", ("status",), "failure"),
            ExportRule("error_type", "value", ("error_information.error_class",), absent=("",)),
            ExportRule(
                "filter_triggered",
                "is",
                ("status_fields.guardrail_status",),
                "guardrail_intervened",
                absent=("not_run", "guardrail_failed_to_respond"),
            ),
            ExportRule("input_tokens", "value", ("prompt_tokens",), absent=("0",)),
            ExportRule("output_tokens", "value", ("completion_tokens",), absent=("0",)),
            ExportRule("cost", "value", ("response_cost", "spend"), absent=("0", "0.0")),
            ExportRule(
                "retries",
                "sum",
                (
                    "hidden_params.additional_headers.x-litellm-attempted-retries",
                    "hidden_params.additional_headers.x-litellm-attempted-fallbacks",
                ),
            ),
            ExportRule("provider", "value", ("custom_llm_provider",)),
            ExportRule("versions.model", "value", ("model",)),
            ExportRule("versions.prompt", "value", ("metadata.requester_metadata.prompt_version",)),
            ExportRule("segment.cache_hit", "is true", ("cache_hit",)),
            ExportRule("finish_reason", "value", ("response.choices.0.finish_reason",)),
            ExportRule("length", "length", ("response.choices.0.message.content",), absent=("", "redacted-by-litellm")),
        ),
        "UTC",
    ),
    # https://platform.openai.com/docs/api-reference/batch/request-output (2025): one response per line. The body is a
    # chat completion (created, choices) or a response (created_at). A request without a body has no time.
    RecognizedExport(
        "OpenAI batch output",
        (("custom_id",), ("response",), ("error",)),
        ("{response.body.model}",),
        (
            ExportRule("timestamp", "value", ("response.body.created", "response.body.created_at")),
            ExportRule("request_id", "value", ("custom_id",)),
            ExportRule("error", "is not", ("response.status_code",), "200"),
            ExportRule(
                "input_tokens", "value", ("response.body.usage.prompt_tokens", "response.body.usage.input_tokens")
            ),
            ExportRule(
                "output_tokens",
                "value",
                ("response.body.usage.completion_tokens", "response.body.usage.output_tokens"),
            ),
            ExportRule("finish_reason", "value", ("response.body.choices.0.finish_reason",)),
            ExportRule("refused", "is set", ("response.body.choices.0.message.refusal",)),
            ExportRule("length", "length", ("response.body.choices.0.message.content",)),
            ExportRule("provider_model", "value", ("response.body.model",)),
        ),
    ),
)


def recognize_export(keys: Collection[str]) -> RecognizedExport | None:
    """Return the export to which the keys or columns of a file belong, or None."""
    return next((export for export in EXPORTS if all(any(key in keys for key in group) for group in export.keys)), None)


class ExportReader:
    """The rules of an export for one file: those with a source in the file.

    Parameters
    ----------
    export
        The export.
    rows
        Rows from the start of the file.
    taken
        Names of the fields that the user maps, for which no rule is used.
    time_zone
        Time zone of times without an offset, for differences of times.
    """

    def __init__(
        self, export: RecognizedExport, rows: list[dict[str, Any]], taken: Collection[str], time_zone: str | None
    ) -> None:
        self._time_zone = time_zone
        self._rules = [
            (rule, name, paths)
            for rule in export.rules
            if _field_name(rule.field) not in taken
            for name, paths in [_find_sources(rule, rows)]
            if paths
        ]

    @property
    def entries(self) -> tuple[str, ...]:
        """The entries of the mapping, from the names of the computed values to the fields."""
        return tuple(f"{name}={rule.field}" for rule, name, _ in self._rules)

    @property
    def sources(self) -> tuple[str, ...]:
        """The keys and paths that the rules read."""
        return tuple(path.text for _, _, paths in self._rules for path in paths)

    def read(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row with the computed values added under their names."""
        computed = {name: self._compute(rule, paths, row) for rule, name, paths in self._rules}
        return row | {name: value for name, value in computed.items() if value is not None}

    def _compute(self, rule: ExportRule, paths: list[SourcePath], row: dict[str, Any]) -> Any:
        found = [None if str(value) in rule.absent else value for path in paths for value in [path.find(row)]]
        if rule.kind == "difference":
            return self._difference(found[0], found[1])
        if rule.kind == "sum":
            numbers = [value for value in found if isinstance(value, (int, float))]
            return sum(numbers) if numbers else None
        value = next((value for value in found if value not in (None, "")), None)
        if rule.kind == "is set":
            return value is not None
        if rule.kind == "is true":
            return str(value).lower() == "true"
        if value is None or rule.kind == "value":
            return value
        if rule.kind == "length":
            return len(value) if isinstance(value, str) else None
        return (str(value) == rule.word) == (rule.kind == "is")

    def _difference(self, start: Any, end: Any) -> int | None:
        try:
            start_ms, end_ms = (parse_timestamp(value, time_zone=self._time_zone) for value in (start, end))
        except ValueError:
            return None
        return end_ms - start_ms


def _find_sources(rule: ExportRule, rows: list[dict[str, Any]]) -> tuple[str, list[SourcePath]]:
    """Return the name of a rule's value and the sources that the rows contain."""
    paths = [SourcePath(source) for source in rule.sources]
    present = [path for path in paths if any(_contains(path, row) for row in rows)]
    if rule.kind == "difference":
        pairs = [pair for pair in zip(paths[::2], paths[1::2], strict=True) if set(pair) <= set(present)]
        present = list(pairs[0]) if pairs else []
    return (rule.name_source([path.text for path in present]) if present else "", present)


def _contains(path: SourcePath, row: Mapping[str, Any]) -> bool:
    return path.text in row or path.find(row) is not None


def _field_name(entry: str) -> str:
    field = find_record_field(entry.partition(":")[0])
    return entry if field is None else field.name
