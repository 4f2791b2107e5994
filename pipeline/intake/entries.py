"""Entries of a mapping as they are written in options and in the configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from pipeline.conversion import convert_to_boolean, convert_to_number
from pipeline.source_path import SourcePath
from pipeline.wording import did_you_mean
from schemas.record import AMOUNT_MAX, SUBJECT_LENGTH_MAX
from schemas.record_fields import CUSTOM_SECTION, LABEL_SECTIONS, RECORD_FIELDS, RecordField, find_record_field

_SECONDS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
}
_PERCENT = "%"


@dataclass(frozen=True, slots=True)
class FieldSource:
    """A field and the source of its values.

    Attributes
    ----------
    source
        Path of the source.
    field
        The field of the record.
    scale
        Factor from the unit of the source to the unit of the field, or None if the values are not converted.
    """

    source: SourcePath
    field: RecordField
    scale: Fraction | None = None


def parse_field_source(text: str) -> FieldSource:
    """Parse ``SOURCE=FIELD`` or ``SOURCE=FIELD:UNIT``.

    Raises
    ------
    ValueError
        If the text has another form, or if the field or the unit is unknown or the unit does not fit the field.

    >>> entry = parse_field_source("usage.latency=latency_ms:s")
    >>> entry.field.name, int(entry.scale)
    ('infrastructure.latency_ms', 1000)
    """
    source, separator, target = text.rpartition("=")
    if not (source and separator and target):
        raise ValueError(f'map "{text}": use SOURCE=FIELD or SOURCE=FIELD:UNIT, as in usage.latency=latency_ms:s')
    name, colon, unit = target.rpartition(":")
    section = target.partition(".")[0]
    # A name that the sender chooses can contain a colon.
    if not colon or section in LABEL_SECTIONS or (section == CUSTOM_SECTION and unit not in (*_SECONDS, _PERCENT)):
        name, colon = target, ""
    try:
        field = require_field(name)
        return FieldSource(SourcePath(source), field, _scale(field, unit) if colon else None)
    except ValueError as error:
        raise ValueError(f'map "{text}": {error}') from None


def parse_field_value(entry: str, text: str) -> tuple[RecordField, str]:
    """Parse ``FIELD=VALUE`` of an entry of the given kind, such as ``absent``.

    Raises
    ------
    ValueError
        If the text has another form or the field is unknown.

    >>> parse_field_value("absent", "latency_ms=-1")[1]
    '-1'
    """
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise ValueError(f'{entry} "{text}": use FIELD=VALUE, as in latency_ms=-1')
    try:
        return require_field(name), value
    except ValueError as error:
        raise ValueError(f'{entry} "{text}": {error}') from None


def parse_constants(texts: Sequence[str]) -> dict[str, str]:
    """Parse constants that were given as ``FIELD=VALUE``.

    Raises
    ------
    ValueError
        If a text has another form, or if a field is unknown or is given twice.

    >>> parse_constants(["environment=production"])
    {'environment': 'production'}
    """
    constants: dict[str, str] = {}
    for text in texts:
        field, value = parse_field_value("constant", text)
        if field.name in constants:
            raise ValueError(f'constant "{text}": {field.name} is given twice')
        constants[field.name] = value
    return constants


def check_constant(field: RecordField, value: object) -> None:
    """Raise ``ValueError`` if a value cannot be a constant of a field."""
    if field.name in ("subject", "timestamp"):
        raise ValueError(f"a constant cannot be the {field.name} of a record")
    if field.kind == "numbers":
        raise ValueError(f"{field.name} is a list, which cannot be a constant")
    if isinstance(value, (int, float)) and not abs(value) <= AMOUNT_MAX:
        raise ValueError(f"{field.name} must be a number from {-AMOUNT_MAX:g} to {AMOUNT_MAX:g}")
    if field.kind == "label":
        if len(str(value)) > SUBJECT_LENGTH_MAX:
            raise ValueError(f"{field.name} must have at most {SUBJECT_LENGTH_MAX} characters")
    elif isinstance(value, str) and convert_to_number(value) is None and convert_to_boolean(value) is None:
        raise ValueError(f"{field.name} must be a number or boolean")


def require_field(name: str) -> RecordField:
    """Return a field by its name or path. Raise ``ValueError`` if a record has no such field."""
    field = find_record_field(name)
    if field is not None:
        return field
    known = (*RECORD_FIELDS, *(f"{section}.NAME" for section in (*LABEL_SECTIONS, CUSTOM_SECTION)))
    raise ValueError(f'a record has no field "{name}"; {did_you_mean(name, known)}')


def _scale(field: RecordField, unit: str) -> Fraction:
    if unit == _PERCENT:
        if field.kind == "ratio":
            return Fraction(1, 100)
        raise ValueError(f'{field.name} is not a ratio, so its source cannot have the unit "{unit}"')
    if unit not in _SECONDS:
        raise ValueError(f'unknown unit "{unit}"; use one of {", ".join(_SECONDS)}, {_PERCENT}')
    if not field.unit:
        raise ValueError(f'{field.name} is not a duration, so its source cannot have the unit "{unit}"')
    return _SECONDS[unit] / _SECONDS[field.unit]
