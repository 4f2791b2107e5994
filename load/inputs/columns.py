"""CSV into records: which column is which field of the record, and how a cell becomes its value.

A column that is named like a signal of the catalogue is that signal; any other needs a mapping, or is left out.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from load.errors import LoadError
from pipeline.detect.signals import catalogue
from schemas.timestamp import format_timestamp, parse_timestamp

START_MS = 1_704_067_200_000
"""Unix milliseconds: where a column of seconds since the start begins, 2024-01-01T00:00:00Z."""

UNIX_SECONDS_FROM = 1_000_000_000
"""Seconds: a smaller number counts from the start of the file, a larger one from 1970."""

LABELS = ("subject", "request_id", "environment", "provider", "provider_model")
LABEL_SECTIONS = ("versions", "segment")

_BY_NAME = {signal.name: signal for signal in (*catalogue.SIGNALS, *catalogue.CATEGORIES)}
_PLAIN_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:\d\d)?")
_TRUE, _FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")


@dataclass(frozen=True, slots=True)
class CsvMapping:
    """How the columns of a CSV become a record.

    ``fields`` maps a column to ``timestamp``, ``subject``, a signal's name or path (``infrastructure.latency_ms``),
    ``custom.NAME``, ``versions.KIND`` or ``segment.DIMENSION``. ``subject`` is for files that have no such column.
    """

    subject: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    start_ms: int = START_MS


def parse_mapping(texts: Sequence[str]) -> dict[str, str]:
    """Read ``COLUMN=FIELD`` texts.

    >>> parse_mapping(["t_s=timestamp", "Tokens=input_tokens"])
    {'t_s': 'timestamp', 'Tokens': 'input_tokens'}
    """
    fields: dict[str, str] = {}
    for text in texts:
        column, separator, name = text.partition("=")
        if not (column and separator and name):
            raise LoadError(f"--map {text}: write COLUMN=FIELD, as in t_s=timestamp")
        if column in fields:
            raise LoadError(f"--map {text}: the column {column} is mapped twice")
        _field_path(name)
        fields[column] = name
    return fields


def read_csv(path: Path, stream: IO[bytes], mapping: CsvMapping) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a CSV as ``(event time in Unix ms, record)``.

    Raises
    ------
    LoadError
        If a mapped column is missing, or a cell cannot be what its field is: with the file, line and column.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="strict", newline="")
    reader = csv.reader(text)
    try:
        header = next(reader, None)
        if header is None:
            raise LoadError(f"{path}: is empty, a CSV has a line of column names first")
        cells = _cells(path, header, mapping)
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise LoadError(f"{path} line {reader.line_num}: {len(row)} cells, the first line has {len(header)}")
            yield _record(path, reader.line_num, row, cells, mapping)
    except UnicodeDecodeError as error:
        raise LoadError(f"{path} after line {reader.line_num}: is not UTF-8 ({error.reason})") from error
    except csv.Error as error:
        raise LoadError(f"{path} line {reader.line_num}: {error}") from error
    finally:
        text.close()


@dataclass(frozen=True, slots=True)
class _Cell:
    column: str
    index: int
    path: tuple[str, ...]
    read: Callable[[str], Any]


def _cells(path: Path, header: list[str], mapping: CsvMapping) -> list[_Cell]:
    for column in mapping.fields:
        if column not in header:
            raise LoadError(f"{path}: has no column {column!r}, it has: {', '.join(header)}")
    names = {column: column for column in header if column in _BY_NAME} | dict(mapping.fields)
    if "timestamp" in header:
        names.setdefault("timestamp", "timestamp")
    cells = [
        _Cell(column, header.index(column), _field_path(name), _reader(name, mapping.start_ms))
        for column, name in names.items()
    ]
    paths = [cell.path for cell in cells]
    for cell in cells:
        if paths.count(cell.path) > 1:
            raise LoadError(f"{path}: more than one column is mapped to {'.'.join(cell.path)}")
    if ("timestamp",) not in paths:
        raise LoadError(f"{path}: no column is the time: add --map COLUMN=timestamp ({', '.join(header)})")
    if ("subject",) not in paths and not mapping.subject:
        raise LoadError(f"{path}: no column is the subject: add --subject NAME, or --map COLUMN=subject")
    return cells


def _record(
    path: Path, number: int, row: list[str], cells: list[_Cell], mapping: CsvMapping
) -> tuple[int, dict[str, Any]]:
    record: dict[str, Any] = {"subject": mapping.subject}
    time_ms: int | None = None
    for cell in cells:
        text = row[cell.index].strip()
        if not text:
            continue
        try:
            value = cell.read(text)
        except ValueError as error:
            raise LoadError(f"{path} line {number}: column {cell.column}: {error}") from error
        if cell.path == ("timestamp",):
            time_ms = value
            record["timestamp"] = format_timestamp(value)
        elif len(cell.path) == 1:
            record[cell.path[0]] = value
        else:
            record.setdefault(cell.path[0], {})[cell.path[1]] = value
    if time_ms is None:
        raise LoadError(f"{path} line {number}: has no time")
    if not record["subject"]:
        raise LoadError(f"{path} line {number}: has no subject")
    return time_ms, record


def _field_path(name: str) -> tuple[str, ...]:
    """Where a field stands in the record."""
    if name == "timestamp" or name in LABELS:
        return (name,)
    section, separator, rest = name.partition(".")
    if not separator and name in _BY_NAME:
        return (_BY_NAME[name].section, name)
    signal = _BY_NAME.get(rest)
    if rest and (section in (*LABEL_SECTIONS, "custom") or (signal is not None and signal.section == section)):
        return (section, rest)
    known = ", ".join(("timestamp", *LABELS, "versions.KIND", "segment.DIMENSION", "custom.NAME", "or a signal's name"))
    raise LoadError(f"the record has no field {name!r}: use {known}")


def _reader(name: str, start_ms: int) -> Callable[[str], Any]:
    section, *rest = _field_path(name)
    if section == "timestamp":
        return lambda text: read_time(text, start_ms)
    if not rest or section in LABEL_SECTIONS:
        return str
    signal = _BY_NAME.get(rest[0]) if section != "custom" else None
    if signal is None:
        return _read_number
    if signal.kind == "rate":
        return _read_rate
    return str if signal.kind == "category" else _read_number


def read_time(text: str, start_ms: int = START_MS) -> int:
    """A time in a CSV: RFC 3339, the same without a zone (then UTC), Unix ms or s, or seconds since the start.

    >>> read_time("2023-11-16 18:17:03.9799600"), read_time("1.5") - START_MS
    (1700158623979, 1500)
    """
    found = _PLAIN_TIME.fullmatch(text)
    if found is not None:
        return parse_timestamp(f"{found[1]}T{found[2]}{found[3] or 'Z'}")
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: write RFC 3339, Unix ms or s, or seconds since the start") from None
    if not 0 <= number < float("inf"):
        raise ValueError(f"{text!r} is no time: it is below 0 or not finite")
    if number < UNIX_SECONDS_FROM:
        return start_ms + round(number * 1000)
    return parse_timestamp(round(number * 1000) if number < UNIX_SECONDS_FROM * 100 else round(number))


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _read_rate(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")
