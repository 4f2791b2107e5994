"""The fields that a sender can put into a record, by path. They are read from the contract in ``record.py``."""

from dataclasses import dataclass
from typing import Any, Literal

from schemas.record import Record
from schemas.unit import UNIT_KEYWORD

FieldKind = Literal["time", "label", "rate", "ratio", "number", "numbers"]
"""Kind of the values of a field. A ratio is a number of at most 1, a rate a boolean, and numbers are a list."""

LABEL_SECTIONS = ("versions", "segment")
"""The sections of labels whose names the sender chooses."""

CUSTOM_SECTION = "custom"
"""The section of signals whose names the sender chooses."""

_NOT_SENT = {"version"}
_DURATION_UNITS = ("ms", "s")
_KINDS: dict[str, FieldKind] = {"string": "label", "boolean": "rate", "number": "number", "array": "numbers"}


@dataclass(frozen=True, slots=True)
class RecordField:
    """One field of a record.

    Attributes
    ----------
    path
        Names of the section and the field, or of the field alone if it is outside any section.
    kind
        Kind of its values.
    unit
        Unit of its values, if they are durations: ``ms`` or ``s``. Otherwise, the unit is empty.
    """

    path: tuple[str, ...]
    kind: FieldKind
    unit: str = ""

    @property
    def name(self) -> str:
        """The path of the field, with a dot after the section."""
        return ".".join(self.path)


def _read_contract() -> dict[str, RecordField]:
    schema = Record.model_json_schema()
    fields: dict[str, RecordField] = {}
    for name, content in schema["properties"].items():
        values = _values(content)
        if "$ref" in values:
            section = schema["$defs"][values["$ref"].rpartition("/")[2]]
            for inner, inner_content in section["properties"].items():
                fields[inner] = _field((name, inner), _values(inner_content))
        elif name not in {*_NOT_SENT, *LABEL_SECTIONS, CUSTOM_SECTION}:
            fields[name] = _field((name,), values)
    return fields


def _values(content: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of the values of a field, without null."""
    choices: list[dict[str, Any]] = content.get("anyOf", [content])
    return choices[0]


def _field(path: tuple[str, ...], values: dict[str, Any]) -> RecordField:
    if path == ("timestamp",):
        return RecordField(path, "time")
    kind = _KINDS[values["type"]]
    if kind == "number" and values.get("maximum") == 1:
        return RecordField(path, "ratio")
    unit = values.get(UNIT_KEYWORD, "")
    return RecordField(path, kind, unit if unit in _DURATION_UNITS else "")


RECORD_FIELDS = _read_contract()
"""The fields by their own name, without the section. No two fields share a name."""


def find_record_field(name: str) -> RecordField | None:
    """Return a field by its name or path, or None if a record has no such field.

    >>> find_record_field("latency_ms").path, find_record_field("versions.prompt").kind
    (('infrastructure', 'latency_ms'), 'label')
    """
    field = RECORD_FIELDS.get(name)
    if field is not None:
        return field
    section, _, inner = name.partition(".")
    if inner and section in LABEL_SECTIONS:
        return RecordField((section, inner), "label")
    if inner and section == CUSTOM_SECTION:
        return RecordField((section, inner), "number")
    field = RECORD_FIELDS.get(inner)
    return field if field is not None and field.path == (section, inner) else None
