"""From a span to the fields of a record: what the table of synonyms names, and what is derived from the span."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from pipeline.conversion import convert_to_number
from pipeline.intake.telemetry.answer import is_refusal, parse_attribute, read_answer, read_reasons
from pipeline.intake.telemetry.conventions import KIND_RULES, OLD_INFERENCE, OPERATIONS, SYNONYMS, SpanKind
from pipeline.intake.telemetry.otlp import EXCEPTION_EVENT, TOKEN_EVENTS, TelemetryItem
from pipeline.intake.telemetry.outcomes import is_failed, read_evaluations
from pipeline.intake.telemetry.trace_state import read_sampling_probability
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.record_fields import RecordField, find_record_field
from schemas.timestamp import LATEST_MS, format_timestamp, parse_timestamp

_NS_PER_MS = 1_000_000
_NO_TRACE = "0" * 32


class FieldSources(NamedTuple):
    """The attributes of one field, from the first to the last choice, each with a factor to the unit of the field."""

    field: RecordField
    attributes: tuple[tuple[str, int], ...]


def find_kind(attributes: Mapping[str, Any]) -> SpanKind | None:
    """Return what a span describes, from its attributes; None if no convention says it.

    >>> find_kind({"gen_ai.operation.name": "chat"}), find_kind({"openinference.span.kind": "AGENT"}), find_kind({})
    ('inference', 'other', None)
    """
    for name, kinds in _KINDS:
        value = attributes.get(name)
        if value is not None:
            kind = kinds.get(value.upper() if name == _OPENINFERENCE else value) if isinstance(value, str) else None
            kind = kind or kinds.get(None)
            if kind is not None:
                return kind
    if any(name in attributes for name in OPERATIONS):
        return None
    return "inference" if all(name in attributes for name in OLD_INFERENCE) else None


def find_request_id(item: TelemetryItem) -> str | None:
    """Return the response id, or else the trace id; None if an item has neither. Longer texts are no ids."""
    for name in _REQUEST_IDS:
        response_id = item.attributes.get(name)
        if isinstance(response_id, str) and 0 < len(response_id) <= SUBJECT_LENGTH_MAX:
            return response_id
    return item.trace_id if item.trace_id not in ("", _NO_TRACE) else None


def format_time(time_ns: int) -> str | None:
    """Return a time in Unix nanoseconds as RFC 3339; None if there is none.

    All digits are kept: spans that end in one millisecond stay distinguishable.

    >>> format_time(1_795_489_920_123_456_789)
    '2026-11-24T03:12:00.123456789Z'
    """
    time_ms, rest = divmod(time_ns, _NS_PER_MS)
    if not 0 < time_ms <= LATEST_MS:
        return None
    return f"{format_timestamp(time_ms)[:-1]}{rest:06d}Z" if rest else format_timestamp(time_ms)


def read_inference(item: TelemetryItem, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the record of an inference span.

    Parameters
    ----------
    item
        The span.
    attributes
        Its attributes and those of its resource.
    """
    fields: dict[str, Any] = {"request_id": find_request_id(item), "timestamp": format_time(item.end_ns)}
    for path, value in _copied_values(attributes):
        _store(fields, path, value)
    infrastructure = fields.setdefault("infrastructure", {})
    infrastructure["error"] = is_failed(item)
    if not infrastructure["error"]:
        infrastructure.pop("error_type", None)
    elif "error_type" not in infrastructure:
        infrastructure["error_type"] = _find_exception(item)
    if 0 < item.start_ns <= item.end_ns:
        infrastructure["latency_ms"] = (item.end_ns - item.start_ns) / _NS_PER_MS
    for name, value in _read_details(attributes):
        infrastructure.setdefault(name, value)
    if "time_to_first_token_ms" not in infrastructure and (first_ns := _find_first_token(item, attributes)):
        infrastructure["time_to_first_token_ms"] = (first_ns - item.start_ns) / _NS_PER_MS
    probability = read_sampling_probability(item.trace_state)
    if probability is not None:
        fields["sampling_probability"] = probability
    _add_output(fields.setdefault("output", {}), attributes)
    for section, values in read_evaluations(item.attributes).items():
        fields.setdefault(section, {}).update(values)
    return fields


def find_sources(attributes: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each field that is copied from one of the attributes, and the attribute."""
    for sources in _SOURCES:
        for name, _ in sources.attributes:
            if name in attributes:
                yield sources.field.name, name
                break


def _copied_values(attributes: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for sources in _SOURCES:
        for name, factor in sources.attributes:
            value = attributes.get(name)
            if value is not None and value != "":
                yield sources.field.path, value if factor == 1 else _multiply(value, factor)
                break


def _add_output(output: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    reasons = read_reasons(output.pop("finish_reason", None))
    answer = read_answer(attributes)
    is_refused = answer.is_refusal or is_refusal(reasons)
    # OpenInference writes no text of a refusal, so such an answer is not known to be empty.
    output.update(answer.output(is_refused=is_refused))
    if reasons:
        output["finish_reason"] = reasons[0]
    if reasons or is_refused:
        output["refused"] = is_refused


def _read_details(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the tokens and the cost that Langfuse writes as JSON."""
    usage = parse_attribute(attributes.get("langfuse.observation.usage_details"))
    cost = parse_attribute(attributes.get("langfuse.observation.cost_details"))
    for field, details, keys in (
        ("input_tokens", usage, ("input", "prompt_tokens", "input_tokens")),
        ("output_tokens", usage, ("output", "completion_tokens", "output_tokens")),
        ("cost", cost, ("total",)),
    ):
        for key in keys if isinstance(details, dict) else ():
            if isinstance(details.get(key), (int, float)):
                yield field, details[key]
                break


def _find_exception(item: TelemetryItem) -> Any:
    types = [event.attributes.get("exception.type") for event in item.events if event.name == EXCEPTION_EVENT]
    return types[-1] if types else None


def _find_first_token(item: TelemetryItem, attributes: Mapping[str, Any]) -> int:
    """Return the time of the first token, or 0 if it is unknown or not during the span.

    SDKs keep the latest events of a span. If some were dropped, the first event that marks a token may be missing.
    """
    first_ns = 0
    started = attributes.get("langfuse.observation.completion_start_time")
    if isinstance(started, str):
        with suppress(ValueError):
            # Langfuse writes the time as JSON: in quotes.
            first_ns = parse_timestamp(started.strip('"')) * _NS_PER_MS
    elif not item.dropped_events:
        first_ns = next((event.time_ns for event in item.events if event.name in TOKEN_EVENTS), 0)
    return first_ns if 0 < item.start_ns <= first_ns <= item.end_ns else 0


def _multiply(value: Any, factor: int) -> Any:
    """Return a number in another unit. Anything else is returned as it is: the mapping drops it."""
    number = convert_to_number(value) if isinstance(value, str) else value
    return number * factor if isinstance(number, (int, float)) and not isinstance(number, bool) else value


def _store(fields: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    if len(path) == 1:
        fields[path[0]] = value
    else:
        fields.setdefault(path[0], {})[path[1]] = value


def _group_synonyms() -> list[FieldSources]:
    groups: dict[str, list[tuple[str, int]]] = {}
    for row in SYNONYMS:
        groups.setdefault(row.field, []).append((row.attribute, 1000 if row.unit == "s" else 1))
    fields = {name: find_record_field(name) for name in groups}
    return [
        FieldSources(field, tuple(groups[name]))
        for name, field in fields.items()
        if field is not None and name != "request_id"
    ]


def _group_kinds() -> list[tuple[str, dict[str | None, SpanKind]]]:
    groups: dict[str, dict[str | None, SpanKind]] = {}
    for rule in KIND_RULES:
        kinds = groups.setdefault(rule.attribute, {})
        for value in rule.values or (None,):
            kinds[value] = rule.kind
    return list(groups.items())


_OPENINFERENCE = "openinference.span.kind"
_REQUEST_IDS = tuple(row.attribute for row in SYNONYMS if row.field == "request_id")
_SOURCES = _group_synonyms()
_KINDS = _group_kinds()
