"""What the first rows show about the columns of a file: fields, readings, examples, shares, and odd values."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from statistics import median
from typing import Any

from pipeline.conversion import convert_to_boolean, convert_to_number
from pipeline.detect.signals import catalogue
from pipeline.wording import number as format_number
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.record_fields import RECORD_FIELDS, RecordField
from schemas.timestamp import format_timestamp, parse_timestamp

EXAMPLES_MAX = 2
"""Maximum number of example values of a column. A time has one."""

MEDIAN_MS_MIN, MEDIAN_MS_MAX = 20.0, 300_000.0
"""Median of a latency, in milliseconds, outside which its unit is suspicious."""

_LATENCIES = ("infrastructure.latency_ms", "infrastructure.time_to_first_token_ms")
_SIGNALS = {f"{signal.section}.{signal.field}": signal for signal in (*catalogue.SIGNALS, *catalogue.CATEGORIES)}

SYNONYMS: Mapping[str, str] = {
    "latency": "latency_ms",
    "duration": "latency_ms",
    "duration_ms": "latency_ms",
    "elapsed": "latency_ms",
    "elapsed_ms": "latency_ms",
    "response_time": "latency_ms",
    "response_time_ms": "latency_ms",
    "ttft": "time_to_first_token_ms",
    "ttft_ms": "time_to_first_token_ms",
    "time_to_first_token": "time_to_first_token_ms",
    "is_error": "error",
    "failed": "error",
    "status_error": "error",
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "tokens_in": "input_tokens",
    "tokens_out": "output_tokens",
    "response_length": "length",
    "output_length": "length",
    "prompt_length": "input_length",
    "refusal": "refused",
    "is_refusal": "refused",
    "stop_reason": "finish_reason",
    "model": "versions.model",
    "model_version": "versions.model",
    "prompt_version": "versions.prompt",
    "tenant": "segment.tenant",
    "region": "segment.region",
    "time": "timestamp",
    "ts": "timestamp",
    "datetime": "timestamp",
    "created_at": "timestamp",
    "end_time": "timestamp",
    "start_time": "timestamp",
    "service": "subject",
    "app": "subject",
}
"""Names that columns often have, and the field that may be meant. They are only suggested."""


@dataclass(slots=True)
class ColumnGuess:
    """A column that is mapped, and what the first rows of the file show about it.

    Attributes
    ----------
    source, field
        Column or path, and the field of the record.
    reading
        How its values are read, such as ``number with decimal comma``.
    examples
        Example values, only of numbers, times and booleans.
    absent, unusable
        Shares of the rows without a value, and with a value that cannot be used.
    remarks
        Sentences about odd values.
    """

    source: str
    field: str
    reading: str = ""
    examples: tuple[str, ...] = ()
    absent: float = 0.0
    unusable: float = 0.0
    remarks: list[str] = dataclass_field(default_factory=list)

    @property
    def is_signal(self) -> bool:
        """Whether the field is a field of a section of the contract, whose name alone is unambiguous."""
        return self.field.rpartition(".")[2] in RECORD_FIELDS


@dataclass(slots=True)
class ColumnStatistics:
    """The values of one column in the first rows of a file."""

    source: str
    target: RecordField
    has_unit: bool = False
    count: int = 0
    unusable: Counter[str] = dataclass_field(default_factory=Counter)
    numbers: list[float] = dataclass_field(default_factory=list)
    examples: dict[str, None] = dataclass_field(default_factory=dict)

    def add(self, written: Any, value: Any, time_zone: str | None) -> None:
        """Add a value.

        Parameters
        ----------
        written
            The value as it is in the file.
        value
            The value as it is sent. None if the mapping cannot use it.
        time_zone
            Time zone of times without an offset.
        """
        self.count += 1
        read = self._read(value, time_zone)
        if read is None:
            # Only numbers are shown, because other texts may be private.
            is_number = convert_to_number(str(written)) is not None
            self.unusable[str(written).strip() if is_number else ""] += 1
        elif self.target.kind not in ("label", "numbers") and len(self.examples) < self._examples_max:
            shown = str(written).strip()
            self.examples.setdefault(shown if shown.lower() == read else f"{shown} → {read}")

    @property
    def _examples_max(self) -> int:
        return 1 if self.target.kind == "time" else EXAMPLES_MAX

    def _read(self, value: Any, time_zone: str | None) -> str | None:
        """Return the value that detect reads from a value, as text; None if it cannot be used."""
        kind = self.target.kind
        if kind == "time":
            try:
                return format_timestamp(parse_timestamp(value, time_zone=time_zone))
            except ValueError:
                return None
        if kind == "label":
            item = value[0] if isinstance(value, list) and len(value) == 1 else value
            return "" if isinstance(item, (str, int)) and len(str(item)) <= SUBJECT_LENGTH_MAX else None
        if kind == "numbers":
            return "" if isinstance(value, list) else None
        if kind == "rate" or (self.target.path[0] == "custom" and isinstance(value, bool)):
            boolean = value if isinstance(value, bool) else convert_to_boolean(value)
            return None if boolean is None else str(boolean).lower()
        number = convert_to_number(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return None
        signal = _SIGNALS.get(self.target.name)
        if signal is not None and not catalogue.is_valid_value(signal, number):
            return None
        self.numbers.append(float(number))
        return f"{number:.12g}"

    def guess(self, rows: int, reading: str) -> ColumnGuess:
        """Return what is found, for a sample of ``rows`` rows."""
        unusable = self.unusable.total()
        guess = ColumnGuess(self.source, self.target.name, reading or _READINGS.get(self.target.kind, ""))
        guess.examples = tuple(self.examples)
        guess.absent = (rows - self.count) / rows if rows else 0.0
        guess.unusable = unusable / rows if rows else 0.0
        guess.remarks = [remark for remark in (self._unusable_remark(), self._unit_remark()) if remark]
        return guess

    def _unusable_remark(self) -> str:
        if not self.unusable:
            return ""
        (value, count), name = self.unusable.most_common(1)[0], self.target.path[-1]
        if not value:
            return f"{'a value is' if count == 1 else f'{count:,} values are'} not a {_NOUNS[self.target.kind]}"
        number = float(value)
        if self.target.kind == "ratio" and 1 < number <= 100:
            return f"{value} is above 1: if the column is in percent, use --map {self.source}={name}:%"
        return (
            f"{value} is outside the range of {name}, and occurs {_times(count)}: if it stands for no value, "
            f"use --absent {name}={value}"
        )

    def _unit_remark(self) -> str:
        if self.target.name not in _LATENCIES or not self.numbers or self.has_unit:
            return ""
        middle, name = median(self.numbers), self.target.path[-1]
        if MEDIAN_MS_MIN <= middle <= MEDIAN_MS_MAX:
            return ""
        unit, word = ("s", "seconds") if middle < MEDIAN_MS_MIN else ("us", "microseconds")
        return (
            f"{name} has a median of {format_number(middle)}: if the column is in {word}, "
            f"use --map {self.source}={name}:{unit}"
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


_NOUNS = {
    "time": "time",
    "label": "label",
    "rate": "boolean",
    "ratio": "valid ratio",
    "number": "valid number",
    "numbers": "list of numbers",
}
_READINGS = {
    "time": "time",
    "label": "label",
    "rate": "boolean",
    "ratio": "number",
    "number": "number",
    "numbers": "list of numbers",
}


def suggest_fields(unmapped: list[str], mapped: set[str]) -> list[str]:
    """Return suggestions for columns with well-known names whose fields have no source yet.

    >>> suggest_fields(["latency", "note"], set())
    ['latency may be latency_ms: --map latency=latency_ms, or with its unit, such as --map latency=latency_ms:s']
    """
    suggestions = []
    for column in unmapped:
        name = column.rpartition(".")[2].strip().lower().replace(" ", "_").replace("-", "_")
        field_name = SYNONYMS.get(name) or (name if name in RECORD_FIELDS else None)
        if field_name is None or field_name in mapped or field_name == column:
            continue
        unit = RECORD_FIELDS[field_name].unit if field_name in RECORD_FIELDS else ""
        with_unit = f", or with its unit, such as --map {column}={field_name}:s" if unit else ""
        suggestions.append(f"{column} may be {field_name}: --map {column}={field_name}{with_unit}")
    return suggestions


def is_source_column(column: str, sources: set[str]) -> bool:
    """Return whether a source is a column or a path within it."""
    return column in sources or any(source.startswith(f"{column}.") for source in sources)
