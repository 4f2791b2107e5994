"""Mapping of JSON objects, or rows of a file, to records. Only mapped values reach a record."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from pipeline.conversion import NUMBER_TEXT_LENGTH_MAX, convert_to_boolean, convert_to_number
from pipeline.intake.entries import parse_field_source, parse_field_value, require_field
from pipeline.intake.settings import MappingSettings
from pipeline.lenient_json import BadValue
from pipeline.source_path import SourcePath
from pipeline.subject_rule import SUBJECT_FORM, SubjectRule, is_subject
from schemas.dead_letter import DeadLetterReason
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.record_fields import CUSTOM_SECTION, LABEL_SECTIONS, RECORD_FIELDS, RecordField, find_record_field
from schemas.timestamp import TimeZoneMissingError, format_timestamp, parse_timestamp

DropReason = Literal["wrong_type", "too_long", "out_of_bounds", "not_json", "not_utf8"]
"""Reason why a value is dropped. The words are those of the detect step."""

LABELS_CACHED = 1_000
"""Number of labels and signals with names of the sender whose fields are kept. Others are made again."""

_SUBJECT_PATH, _TIME_PATH = ("subject",), ("timestamp",)
_SECTIONS = frozenset(path[0] for path in (known.path for known in RECORD_FIELDS.values()) if len(path) > 1)


class DroppedValue(NamedTuple):
    """A value that cannot be used: the field, the source and the reason."""

    field: str
    source: str
    reason: DropReason


class MappedValue(NamedTuple):
    """A value of the source, before any conversion, with its field and its path."""

    field: "MappedField"
    source: str
    value: Any


@dataclass(slots=True)
class MappedRecord:
    """The result of a mapping.

    Attributes
    ----------
    record
        The record, as for ``driftwire.records``. It is incomplete if there is a problem.
    time_ms
        Time of the record in Unix milliseconds, if it has a valid time.
    reason, problem
        Reason why there is no record, as a code and as a sentence without text of the source; None if there is one.
    dropped
        Values that cannot be used. In the record, an empty text stands for each text in place of a number, and an empty
        object for each other value. Detect counts these as bad fields.
    """

    record: dict[str, Any]
    time_ms: int | None = None
    reason: DeadLetterReason | None = None
    problem: str | None = None
    dropped: list[DroppedValue] = field(default_factory=list)


class MappedField:
    """A field of the record that receives values: its place, the conversion and the values that mean absent."""

    def __init__(self, target: RecordField, scale: Fraction | None, absent: list[str]) -> None:
        self.target = target
        self.name = target.name
        self._section = target.path[0] if len(target.path) > 1 else None
        self._key = target.path[-1]
        self._absent_texts = frozenset(absent)
        self._absent_numbers = frozenset(number for text in absent if (number := convert_to_number(text)) is not None)
        if scale is not None:
            self._convert = _multiplication(scale)
        elif target.path in (_SUBJECT_PATH, _TIME_PATH):
            self._convert = _keep
        else:
            self._convert = _CONVERSIONS[target.kind]

    def is_absent(self, value: Any) -> bool:
        """Return whether a value stands for a missing value."""
        if value is None:
            return True
        if not self._absent_texts:
            return False
        if isinstance(value, str):
            return value.strip() in self._absent_texts or convert_to_number(value) in self._absent_numbers
        if isinstance(value, bool):
            return str(value).lower() in self._absent_texts
        return isinstance(value, (int, float)) and value in self._absent_numbers

    def convert(self, value: Any) -> tuple[Any, DropReason | None]:
        """Return the value for the record, or a reason why it cannot be used."""
        return self._convert(value)

    def store(self, record: dict[str, Any], value: Any) -> None:
        """Write a value into a record."""
        if self._section is None:
            record[self._key] = value
        else:
            record.setdefault(self._section, {})[self._key] = value


class FieldMapping:
    """A mapping that is ready for use.

    A value whose name or path is that of a record field is read without an entry, unless the field is mapped or
    constant. A record is therefore mapped to itself.

    >>> mapping = FieldMapping(MappingSettings(map=("usage.latency=latency_ms:s", "at=timestamp"), subject="bot"))
    >>> mapping.read({"at": "2026-11-24T03:12:00Z", "usage": {"latency": 0.8}, "prompt": "Hello"}).record
    {'subject': 'bot', 'timestamp': '2026-11-24T03:12:00Z', 'infrastructure': {'latency_ms': 800.0}}
    """

    def __init__(self, settings: MappingSettings) -> None:
        absent: dict[str, list[str]] = {}
        for text in settings.absent:
            target, value = parse_field_value("absent", text)
            absent.setdefault(target.name, []).append(value.strip())
        self._absent = absent
        self._find_label = lru_cache(maxsize=LABELS_CACHED)(self._make_label)
        self._time_zone = settings.time_zone or None
        self._subject_rule = SubjectRule(settings.subject) if settings.subject else None
        self._constants = [
            (MappedField(require_field(name), None, []), value) for name, value in settings.constants.items()
        ]
        self._mapped: list[tuple[SourcePath, MappedField]] = []
        for text in settings.map:
            entry = parse_field_source(text)
            fields = MappedField(entry.field, entry.scale, absent.get(entry.field.name, []))
            self._mapped.append((entry.source, fields))
        self._taken = {mapped.name for _, mapped in self._mapped} | {constant.name for constant, _ in self._constants}
        if self._subject_rule is not None:
            self._taken.add("subject")
        self._by_name = {
            name: MappedField(target, None, absent.get(target.name, []))
            for name, target in RECORD_FIELDS.items()
            if target.name not in self._taken
        }

    @property
    def sources(self) -> frozenset[str]:
        """The paths of all sources that the settings name, including those of the subject."""
        rule = self._subject_rule.sources if self._subject_rule else ()
        return frozenset((*(source.text for source, _ in self._mapped), *rule))

    def values(self, source: Mapping[str, Any], named: Mapping[str, Any] | None = None) -> Iterator[MappedValue]:
        """Yield the field, the path and the value of everything that is mapped, before any conversion.

        The parameters are those of :meth:`read`.
        """
        for path, mapped in self._mapped:
            if (value := path.find(source)) is not None:
                yield MappedValue(mapped, path.text, value)
        for name, value in (source if named is None else named).items():
            found = self._by_name.get(name)
            if found is not None:
                yield MappedValue(found, name, value)
            elif isinstance(value, dict):
                yield from self._values_of_section(name, value)

    def read(
        self,
        source: Mapping[str, Any],
        *,
        named: Mapping[str, Any] | None = None,
        default_time_ms: int | None = None,
    ) -> MappedRecord:
        """Map one object. Content never raises an error.

        Parameters
        ----------
        source
            A JSON object, the cells of a row by column, or the attributes of a span by name.
        named
            The object whose names are those of fields; the source itself if None.
        default_time_ms
            Time of the record, in Unix milliseconds, if the source has none.
        """
        record: dict[str, Any] = {"subject": None, "timestamp": None}
        mapped_record = MappedRecord(record)
        for mapped, path, value in self.values(source, named):
            if mapped.is_absent(value):
                continue
            converted, reason = mapped.convert(value)
            if reason is None:
                mapped.store(record, converted)
            else:
                mapped.store(record, "" if isinstance(value, str) and mapped.target.kind != "label" else {})
                mapped_record.dropped.append(DroppedValue(mapped.name, path, reason))
        for constant, value in self._constants:
            constant.store(record, value)
        if self._subject_rule is not None:
            record["subject"] = self.build_subject(source)
        self._check_time(mapped_record, default_time_ms)
        self._check_subject(mapped_record)
        return mapped_record

    def build_subject(self, source: Mapping[str, Any]) -> str | None:
        """Return the subject that the rule builds; None without a rule, or if a source of the rule is missing."""
        return self._subject_rule.build(source) if self._subject_rule is not None else None

    def _values_of_section(self, section: str, content: dict[str, Any]) -> Iterator[MappedValue]:
        """Yield the values of an object that is a section of a record."""
        if section in _SECTIONS:
            for name, value in content.items():
                named = self._by_name.get(name)
                if named is not None and named.target.path[0] == section:
                    yield MappedValue(named, named.name, value)
        elif section in LABEL_SECTIONS or section == CUSTOM_SECTION:
            for name, value in content.items():
                # A longer name is not a label, and may be a prompt.
                named = self._find_label(f"{section}.{name}") if len(name) <= SUBJECT_LENGTH_MAX else None
                if named is not None:
                    yield MappedValue(named, named.name, value)

    def _make_label(self, path: str) -> MappedField | None:
        """Return the field of a label or signal whose name the sender chooses, unless it is mapped or constant."""
        target = find_record_field(path)
        if target is None or target.name in self._taken:
            return None
        return MappedField(target, None, self._absent.get(target.name, []))

    def _check_time(self, mapped: MappedRecord, default_time_ms: int | None) -> None:
        sent = mapped.record["timestamp"]
        if sent is None:
            mapped.time_ms = default_time_ms
            if default_time_ms is None:
                mapped.reason, mapped.problem = "timestamp_missing", "the record has no time: map a source to timestamp"
            else:
                mapped.record["timestamp"] = format_timestamp(default_time_ms)
            return
        if isinstance(sent, BadValue):
            mapped.reason, mapped.problem = sent.reason, f"the time contains {sent}"
            return
        try:
            try:
                mapped.time_ms = parse_timestamp(sent)
            except TimeZoneMissingError:
                mapped.time_ms = parse_timestamp(sent, time_zone=self._time_zone)
                mapped.record["timestamp"] = format_timestamp(mapped.time_ms)
        except TimeZoneMissingError as error:
            mapped.reason, mapped.problem = "timestamp_invalid", f"{error}, or set time_zone to the zone of the source"
        except ValueError as error:
            mapped.reason, mapped.problem = "timestamp_invalid", str(error)

    def _check_subject(self, mapped: MappedRecord) -> None:
        subject, rule = mapped.record["subject"], self._subject_rule
        if isinstance(subject, int) and not isinstance(subject, bool):
            mapped.record["subject"] = subject = str(subject)
        if subject is None and rule is not None:
            mapped.reason = "subject_missing"
            mapped.problem = (
                f'the subject "{rule.text}" has a source that is missing, or is neither text nor a whole number'
            )
        elif subject is None or subject == "":
            mapped.reason = "subject_missing"
            mapped.problem = "the record has no subject: set subject to a name or rule, or map a source to subject"
        elif isinstance(subject, BadValue):
            mapped.reason, mapped.problem = subject.reason, f"the subject contains {subject}"
        elif not isinstance(subject, str):
            mapped.reason, mapped.problem = "subject_invalid", "the subject must be text or a whole number"
        elif not is_subject(subject):
            mapped.reason, mapped.problem = "subject_invalid", f"the subject must have {SUBJECT_FORM}"


def _keep(value: Any) -> tuple[Any, DropReason | None]:
    """Return the subject or the time of a record, which is checked when the record is complete."""
    return value, None


def _keep_label(value: Any) -> tuple[Any, DropReason | None]:
    return _keep_scalar(value, SUBJECT_LENGTH_MAX)


def _keep_number(value: Any) -> tuple[Any, DropReason | None]:
    """Return a number or boolean, also as text, as it is. Other text may be a prompt, even if it is short."""
    kept, reason = _keep_scalar(value, NUMBER_TEXT_LENGTH_MAX)
    if isinstance(kept, str) and convert_to_number(kept) is None and convert_to_boolean(kept) is None:
        return None, "wrong_type"
    return kept, reason


def _keep_scalar(value: Any, length_max: int) -> tuple[Any, DropReason | None]:
    """Return a text, number or boolean, or the only item of a list, as it is. A longer text may be a prompt."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return (value, None) if len(value) <= length_max else (None, "too_long")
    if isinstance(value, BadValue):
        return None, value.reason
    return (value, None) if isinstance(value, (int, float)) else (None, "wrong_type")


def _keep_numbers(value: Any) -> tuple[Any, DropReason | None]:
    is_valid = isinstance(value, list) and set(map(type, value)) <= {int, float}
    return (value, None) if is_valid else (None, "wrong_type")


def _multiplication(scale: Fraction) -> Callable[[Any], tuple[Any, DropReason | None]]:
    # An exact integer on one side keeps decimal values exact: 812 us are 0.812 ms.
    multiplier, divisor = scale.numerator, scale.denominator

    def multiply(value: Any) -> tuple[Any, DropReason | None]:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, BadValue):
            return None, value.reason
        number = convert_to_number(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return None, "wrong_type"
        try:
            converted = float(number) * multiplier / divisor
        except OverflowError:
            return None, "out_of_bounds"
        return (converted, None) if math.isfinite(converted) else (None, "out_of_bounds")

    return multiply


_CONVERSIONS: dict[str, Callable[[Any], tuple[Any, DropReason | None]]] = {
    "label": _keep_label,
    "rate": _keep_number,
    "ratio": _keep_number,
    "number": _keep_number,
    "numbers": _keep_numbers,
}
