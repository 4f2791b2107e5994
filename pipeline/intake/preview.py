"""Preview of messages: each object as it would be read, and what would be left out, without text that may be a prompt."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.dead_letters import VALUE_BYTES_MAX
from pipeline.intake.mapping import MappedRecord
from pipeline.intake.settings import TopicSettings
from pipeline.intake.step import TopicMapping
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
        Why there is no record; empty if there is one.
    """

    message: InputMessage
    index: int | None
    values: list[tuple[str, str, Any]] = field(default_factory=list)
    unusable: list[tuple[str, str, str, str]] = field(default_factory=list)
    mapped: MappedRecord | None = None
    problem: str = ""


@dataclass(slots=True)
class Preview:
    """Objects as they would be read, and the names and descriptions of the values that would be left out."""

    objects: list[PreviewedObject] = field(default_factory=list)
    left_out: dict[str, set[str]] = field(default_factory=dict)

    @property
    def record_count(self) -> int:
        """Number of objects that become records."""
        return sum(not shown.problem for shown in self.objects)


def preview_messages(messages: Iterable[InputMessage], settings: TopicSettings) -> Preview:
    """Map messages as the intake step does, and note every value."""
    mapping = TopicMapping(settings)
    preview = Preview()
    for message in messages:
        for element in read_elements(message.value, bytes_max=VALUE_BYTES_MAX):
            shown = PreviewedObject(message, element.index, problem=element.detail)
            preview.objects.append(shown)
            if element.fields is not None:
                read = _show(shown, element.fields, mapping)
                for name, value in _leaves(element.fields, mapping.fields.sources):
                    if name not in read and (name in preview.left_out or len(preview.left_out) < NAMES_MAX):
                        preview.left_out.setdefault(name, set()).add(describe_value(value))
    return preview


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


def _show(shown: PreviewedObject, fields: Mapping[str, Any], mapping: TopicMapping) -> set[str]:
    """Fill in the values and the problems of an object. Return the sources that are read."""
    read = set()
    mapped = mapping.read(fields, shown.message)
    shown.mapped, shown.problem = mapped, mapped.problem or ""
    for target, source, value in mapping.fields.values(fields):
        read.add(source)
        if target.is_absent(value):
            continue
        converted, reason = target.convert(value)
        if reason is None:
            shown.values.append((source, target.name, converted))
        else:
            shown.unusable.append((source, target.name, reason, describe_value(value)))
    return read


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
