"""Preview of messages: each object as it would be read, and what would be left out, without text that may be a prompt."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.dead_letters import VALUE_BYTES_MAX
from pipeline.intake.mapping import MappedRecord, MappedValue
from pipeline.intake.settings import TopicSettings
from pipeline.intake.step import TopicMapping
from pipeline.intake.telemetry import TelemetryMapping, find_sources, is_read
from pipeline.json_elements import read_elements
from pipeline.step import InputMessage

NAMES_MAX = 200
"""Maximum number of names of values that are left out. Messages with keys such as ids have many names."""

LEVELS_MAX = 8
"""Maximum nesting of the values that are named one by one. Deeper values are named as one."""


@dataclass(slots=True)
class PreviewedObject:
    """One object of a message.

    Attributes
    ----------
    message, index
        The message, and the position of the object in its array, if it is an array.
    values
        Source, field and value of the record for each value that is used.
    unusable
        Source, field, reason and description of each value that cannot be used.
    mapped
        The record; None if the message is not an object.
    problem
        Why there is no record; empty if there is one, or if there need not be one.
    skipped
        Why there need not be a record, such as for a span of an agent; empty otherwise.
    """

    message: InputMessage
    index: int | None
    values: list[tuple[str, str, Any]] = field(default_factory=list)
    unusable: list[tuple[str, str, str, str]] = field(default_factory=list)
    mapped: MappedRecord | None = None
    problem: str = ""
    skipped: str = ""


@dataclass(slots=True)
class Preview:
    """Objects as they would be read, and the names and descriptions of the values that would be left out."""

    objects: list[PreviewedObject] = field(default_factory=list)
    left_out: dict[str, set[str]] = field(default_factory=dict)

    @property
    def record_count(self) -> int:
        """Number of objects that become records."""
        return sum(not (shown.problem or shown.skipped) for shown in self.objects)


def preview_messages(messages: Iterable[InputMessage], settings: TopicSettings) -> Preview:
    """Map messages as the intake step does, and note every value."""
    preview = Preview()
    if settings.format == "json":
        mapping = TopicMapping(settings)
        for message in messages:
            _preview_objects(preview, message, mapping)
    else:
        telemetry = TelemetryMapping(settings, every_attribute=True)
        for message in messages:
            _preview_telemetry(preview, message, telemetry)
    return preview


def _preview_objects(preview: Preview, message: InputMessage, mapping: TopicMapping) -> None:
    for element in read_elements(message.value, bytes_max=VALUE_BYTES_MAX):
        shown = PreviewedObject(message, element.index, problem=element.detail)
        preview.objects.append(shown)
        if element.fields is not None:
            mapped = mapping.read(element.fields, message)
            shown.mapped, shown.problem = mapped, mapped.problem or ""
            read = _show(shown, mapping.fields.values(element.fields))
            _note_left_out(preview, element.fields, mapping.fields.sources, read)


def _preview_telemetry(preview: Preview, message: InputMessage, mapping: TelemetryMapping) -> None:
    for candidate, found in mapping.read_candidates(message.value, bytes_max=VALUE_BYTES_MAX):
        shown = PreviewedObject(message, found.index, problem=found.detail, skipped=found.skipped)
        preview.objects.append(shown)
        if candidate.mapped is None or found.skipped:
            continue
        shown.mapped = candidate.mapped
        names = dict(find_sources(candidate.attributes))
        values = mapping.fields.values(candidate.attributes, candidate.fields)
        _show(shown, (value._replace(source=names.get(value.source, value.source)) for value in values))
        unread = {name: value for name, value in candidate.attributes.items() if not is_read(name)}
        _note_left_out(preview, unread, mapping.fields.sources, ())


def describe_value(value: Any) -> str:
    """Describe a value by its type and size.

    >>> describe_value("Hello"), describe_value(1.5), describe_value([1, 2])
    ('text of 5 characters', 'number', 'list of 2 items')
    """
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return f"list of {len(value)} items"
    return f"object with {len(value)} fields" if isinstance(value, dict) else str(value)


def _show(shown: PreviewedObject, values: Iterable[MappedValue]) -> set[str]:
    """Fill in the values and the problems of an object. Return the sources that are read."""
    read = set()
    for target, source, value in values:
        read.add(source)
        if target.is_absent(value):
            continue
        converted, reason = target.convert(value)
        if reason is None:
            shown.values.append((source, target.name, converted))
        else:
            shown.unusable.append((source, target.name, reason, describe_value(value)))
    return read


def _note_left_out(preview: Preview, content: Mapping[str, Any], sources: frozenset[str], read: Container[str]) -> None:
    """Note the values of an object that are not read."""
    for name, value in _leaves(content, sources):
        if name not in read and (name in preview.left_out or len(preview.left_out) < NAMES_MAX):
            preview.left_out.setdefault(name, set()).add(describe_value(value))


def _leaves(content: Mapping[str, Any], sources: frozenset[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values that no entry names, with their paths."""
    for name, value in content.items():
        path = f"{prefix}{name}"
        if path in sources:
            continue
        if isinstance(value, dict) and value and path.count(".") < LEVELS_MAX:
            yield from _leaves(value, sources, f"{path}.")
        else:
            yield path, value
