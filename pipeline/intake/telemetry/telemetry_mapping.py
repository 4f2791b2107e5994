"""Mapping of export requests of the OpenTelemetry protocol to records and late outcomes."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.intake.mapping import FieldMapping, MappedRecord
from pipeline.intake.settings import TopicSettings
from pipeline.intake.telemetry.answer import is_refusal, read_answer, read_choice, read_reasons
from pipeline.intake.telemetry.conventions import READ_ATTRIBUTES, READ_PREFIXES, SpanKind
from pipeline.intake.telemetry.inference import find_kind, find_request_id, format_time, read_inference
from pipeline.intake.telemetry.json_encoding import decode_logs_json, decode_spans_json
from pipeline.intake.telemetry.otlp import (
    CHOICE_EVENT,
    DETAILS_EVENT,
    EVALUATION_EVENT,
    AttributeSelection,
    TelemetryItem,
    UnreadableExportError,
)
from pipeline.intake.telemetry.outcomes import (
    EVALUATIONS_MAX,
    read_evaluation,
    read_evaluations,
    read_guardrail,
    read_retrieval,
    read_tool,
)
from pipeline.intake.telemetry.protobuf_encoding import decode_logs, decode_spans
from schemas.dead_letter import DeadLetterReason

DEFAULT_SUBJECT = "{service.name}"
"""Rule for the subject if the settings have none."""

SubjectBuilder = Callable[[Mapping[str, Any]], str | None]
"""A function from the attributes of a span to its subject."""

ANCESTORS_MAX = 32
"""Maximum number of ancestors of a span among which an inference span is searched."""


@dataclass(slots=True)
class TelemetryRecord:
    """What becomes of one span or log record, or of a message that cannot be decoded.

    Attributes
    ----------
    index
        Position in the message, over all resources and scopes; None if it is about the whole message.
    record
        The record or late outcome; None if there is none.
    reason, detail
        Why there is none although there should be one, as a code and a sentence: a dead letter.
    skipped
        Why there need not be one, such as a span of an agent. Empty otherwise.
    """

    index: int | None
    record: dict[str, Any] | None = None
    reason: DeadLetterReason | None = None
    detail: str = ""
    skipped: str = ""


@dataclass(slots=True)
class TelemetryCandidate:
    """A span, log record or event before the mapping.

    Attributes
    ----------
    index
        Position in the message; None for the whole message.
    attributes
        Attributes, with those of the resource.
    fields
        Fields of the record that are known without the mapping; None if it becomes no record.
    is_outcome
        Whether it becomes a late outcome.
    request
        Position of the inference span that a late outcome belongs to, if it is in the same message.
    result
        The result for an item that becomes no record.
    mapped
        The result of the mapping.
    """

    index: int | None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] | None = None
    is_outcome: bool = False
    request: int | None = None
    result: TelemetryRecord | None = None
    mapped: MappedRecord | None = None


class TelemetryMapping:
    """The mapping of the messages of one source of spans or log records.

    Parameters
    ----------
    settings
        Settings of the source. ``format`` is ``otlp_spans`` or ``otlp_logs``. Sources in ``map`` and ``subject`` are
        names of attributes: first those of the span, then those of the resource.
    every_attribute
        Whether to decode attributes that nothing reads, for a preview.
    """

    def __init__(self, settings: TopicSettings, *, every_attribute: bool = False) -> None:
        has_subject = settings.subject or any(entry.endswith("=subject") for entry in settings.map)
        if not has_subject:
            settings = settings.model_copy(update={"subject": DEFAULT_SUBJECT})
        self.fields = FieldMapping(settings)
        self._sampled = settings.sampled
        self._is_logs = settings.format == "otlp_logs"
        names = None if every_attribute else READ_ATTRIBUTES | _first_keys(self.fields.sources)
        self._selection = AttributeSelection(names, READ_PREFIXES)

    def read(self, value: bytes | None, *, bytes_max: int) -> Iterator[TelemetryRecord]:
        """Map a message: one element per span or log record, and one more per evaluation that is an event of a span.

        Content never raises an error. A message that cannot be decoded is one element with a reason.
        """
        for _, found in self.read_candidates(value, bytes_max=bytes_max):
            yield found

    def read_candidates(
        self, value: bytes | None, *, bytes_max: int
    ) -> Iterator[tuple[TelemetryCandidate, TelemetryRecord]]:
        """Map a message, and yield each element also as it was before the mapping."""
        requests: dict[int | None, MappedRecord] = {}
        for candidate in self._candidates(value, bytes_max):
            if candidate.result is not None:
                yield candidate, candidate.result
                continue
            candidate.mapped = mapped = self.fields.read(candidate.attributes, named=candidate.fields)
            if candidate.is_outcome:
                yield candidate, _finish_outcome(candidate, mapped, requests.get(candidate.request))
                continue
            if self._sampled:
                mapped.record["sampled"] = self._sampled
            if mapped.reason is None:
                requests[candidate.index] = mapped
                yield candidate, TelemetryRecord(candidate.index, mapped.record)
            else:
                yield candidate, TelemetryRecord(candidate.index, reason=mapped.reason, detail=mapped.problem or "")

    def _candidates(self, value: bytes | None, bytes_max: int) -> Iterator[TelemetryCandidate]:
        """Decode a message. Inference spans come before late outcomes."""
        try:
            items = self._decode(value, bytes_max)
        except UnreadableExportError as error:
            result = TelemetryRecord(None, reason=error.reason, detail=error.detail)
            yield TelemetryCandidate(None, result=result)
            return
        if self._is_logs:
            for index, item in enumerate(items):
                yield _unreadable(index) if item is None else _read_log(index, item)
        else:
            yield from _read_spans(items, self.fields.build_subject)

    def _decode(self, value: bytes | None, bytes_max: int) -> Sequence[TelemetryItem | None]:
        if value is None:
            raise UnreadableExportError("tombstone", "the message has no value")
        if len(value) > bytes_max:
            raise UnreadableExportError("too_large", f"the message has {len(value)} bytes: send at most {bytes_max}")
        if not value:
            raise UnreadableExportError("empty", "the message contains no bytes")
        # In Protobuf, the first byte is never a brace: it is the tag of the first field, 0x0a.
        if value.startswith(b"{"):
            return (decode_logs_json if self._is_logs else decode_spans_json)(value, self._selection)
        return (decode_logs if self._is_logs else decode_spans)(value, self._selection)


def _finish_outcome(
    candidate: TelemetryCandidate, mapped: MappedRecord, request: MappedRecord | None
) -> TelemetryRecord:
    """Complete a late outcome by what its request says, if that is in the same message."""
    # With this section, it would count as one more request.
    mapped.record.pop("infrastructure", None)
    if request is not None:
        if mapped.reason in ("subject_missing", "subject_invalid"):
            mapped.record["subject"], mapped.reason = request.record["subject"], None
        if "request_id" in request.record:
            mapped.record["request_id"] = request.record["request_id"]
    if mapped.reason is not None:
        return TelemetryRecord(candidate.index, skipped=f"no late outcome: {mapped.problem}")
    if not mapped.record.get("request_id"):
        # Without an id, it would count as one more request.
        why = "no late outcome: it has neither a response id nor a trace id; map an attribute to request_id"
        return TelemetryRecord(candidate.index, skipped=why)
    return TelemetryRecord(candidate.index, mapped.record)


def _first_keys(sources: frozenset[str]) -> frozenset[str]:
    """Return the attributes in which a path can begin. ``a.b.c`` is in ``a.b.c``, ``a.b`` or ``a``."""
    parts = [source.split(".") for source in sources]
    return frozenset(".".join(path[:stop]) for path in parts for stop in range(1, len(path) + 1))


def _skipped(index: int, why: str) -> TelemetryCandidate:
    return TelemetryCandidate(index, result=TelemetryRecord(index, skipped=why))


def _unreadable(index: int) -> TelemetryCandidate:
    detail = f"element {index} is not an object"
    return TelemetryCandidate(index, result=TelemetryRecord(index, reason="not_an_object", detail=detail))


def _without_trace(index: int) -> TelemetryCandidate:
    detail = f"span {index} has no valid trace id: send 16 bytes that are not all 0, in JSON as 32 hexadecimal digits"
    return TelemetryCandidate(index, result=TelemetryRecord(index, reason="not_otlp", detail=detail))


def _read_spans(items: Sequence[TelemetryItem | None], build_subject: SubjectBuilder) -> Iterator[TelemetryCandidate]:
    """Yield the inference spans of a message, and then everything else."""
    spans = {index: item for index, item in enumerate(items) if item is not None and item.trace_id.strip("0")}
    attributes = {index: span.resource | span.attributes for index, span in spans.items()}
    kinds = {index: find_kind(merged) for index, merged in attributes.items()}
    nested = _find_nested(spans, kinds, lambda index: build_subject(attributes[index]))
    requests = [index for index in spans if kinds[index] == "inference" and index not in nested]
    per_trace = Counter(spans[index].trace_id for index in requests)
    only_request = {trace_id: index for index in requests if per_trace[trace_id := spans[index].trace_id] == 1}
    for index in requests:
        yield TelemetryCandidate(index, attributes[index], read_inference(spans[index], attributes[index]))
    for index, item in enumerate(items):
        span = spans.get(index)
        if span is None:
            yield _unreadable(index) if item is None else _without_trace(index)
            continue
        if kinds[index] != "inference":
            yield _read_outcome(index, span, kinds[index], attributes[index], only_request.get(span.trace_id))
        elif index in nested:
            yield _skipped(index, "it is part of another inference span of this message")
        request = only_request.get(span.trace_id) if index in nested or kinds[index] != "inference" else index
        yield from _read_events(index, span, attributes[index], request)


def _find_nested(
    spans: Mapping[int, TelemetryItem],
    kinds: Mapping[int, SpanKind | None],
    build_subject: Callable[[int], str | None],
) -> set[int]:
    """Return the inference spans that lie within another one, so two instrumentations describe one request.

    Spans of an unknown kind can lie between them, such as those of HTTP. If a tool or an agent lies between them, they
    are two requests. If they have two subjects, such as a service and its gateway, each of the two has the request.
    """
    inferences = [index for index, kind in kinds.items() if kind == "inference"]
    if len(inferences) <= 1:
        return set()
    by_id = {(span.trace_id, span.span_id): index for index, span in spans.items() if span.span_id}
    parents = {index: by_id.get((span.trace_id, span.parent_id)) for index, span in spans.items() if span.parent_id}
    nested = set()
    for index in inferences:
        ancestor = parents.get(index)
        for _ in range(ANCESTORS_MAX):
            if ancestor is None or kinds[ancestor] is not None:
                break
            ancestor = parents.get(ancestor)
        if ancestor is None or ancestor == index or kinds[ancestor] != "inference":
            continue
        if build_subject(index) in (None, build_subject(ancestor)):
            nested.add(index)
    return nested


def _read_outcome(
    index: int, span: TelemetryItem, kind: SpanKind | None, attributes: Mapping[str, Any], request: int | None
) -> TelemetryCandidate:
    if kind == "retrieval":
        fields = read_retrieval(attributes)
    elif kind == "guardrail":
        fields = read_guardrail(attributes)
    elif kind == "tool":
        fields = read_tool(span)
    elif kind == "evaluation":
        fields = read_evaluations(attributes)
    else:
        return _skipped(index, "it is not an inference span")
    if not fields:
        return _skipped(index, f"its attributes say nothing about the {kind}")
    return _outcome(index, span, attributes, fields, span.end_ns, request)


def _read_events(
    index: int, span: TelemetryItem, attributes: Mapping[str, Any], request: int | None
) -> Iterator[TelemetryCandidate]:
    evaluations = [event for event in span.events if event.name == EVALUATION_EVENT]
    for event in evaluations[:EVALUATIONS_MAX]:
        if fields := read_evaluation(event.attributes):
            own_id = "gen_ai.response.id" in event.attributes
            item = TelemetryItem(span.resource, event.attributes if own_id else span.attributes, span.trace_id)
            merged = {**attributes, **event.attributes}
            yield _outcome(index, item, merged, fields, event.time_ns or span.end_ns, None if own_id else request)


def _read_log(index: int, log: TelemetryItem) -> TelemetryCandidate:
    if log.name == EVALUATION_EVENT:
        fields = read_evaluation(log.attributes)
    elif log.name == DETAILS_EVENT:
        answer = read_answer(log.attributes)
        is_refused = answer.is_refusal or is_refusal(read_reasons(log.attributes.get("gen_ai.response.finish_reasons")))
        output = answer.output(is_refused=is_refused) | ({"refused": True} if answer.is_refusal else {})
        fields = {"output": output} if output else {}
    elif log.name == CHOICE_EVENT:
        reason = log.body.get("finish_reason") if isinstance(log.body, dict) else None
        output = read_choice(log.body).output(is_refused=is_refusal(read_reasons(reason)))
        fields = {"output": output} if output else {}
    else:
        return _skipped(index, "it is not an event of a request")
    if not fields:
        return _skipped(index, "its attributes say nothing about the request")
    return _outcome(index, log, log.resource | log.attributes, fields, log.end_ns, None)


def _outcome(
    index: int,
    item: TelemetryItem,
    attributes: Mapping[str, Any],
    fields: dict[str, Any],
    time_ns: int,
    request: int | None,
) -> TelemetryCandidate:
    """Build a late outcome. It names no versions: those of its request apply."""
    fields = {"request_id": find_request_id(item), "timestamp": format_time(time_ns)} | fields
    return TelemetryCandidate(index, attributes, fields, is_outcome=True, request=request)
