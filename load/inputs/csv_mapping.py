"""Mapping of CSV files to records: the field of each column, and the conversion of cells to values.

A column with the name of a catalogue signal is mapped to that signal. Other columns are ignored unless they are mapped.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from load.errors import LoadError
from pipeline.conversion import convert_to_boolean, convert_to_number
from pipeline.detect.signals import catalogue
from schemas.timestamp import SECONDS, format_timestamp, parse_timestamp

CSV_START_MS = 1_704_067_200_000
"""Default start time for times in seconds since the start: 2024-01-01T00:00:00Z in Unix milliseconds."""

LABELS = ("subject", "request_id", "environment", "provider", "provider_model")
LABEL_SECTIONS = ("versions", "segment")

_BY_NAME = {signal.name: signal for signal in (*catalogue.SIGNALS, *catalogue.CATEGORIES)}


@dataclass(frozen=True, slots=True)
class CsvMapping:
    """Mapping of the columns of a CSV file to fields of a record.

    Attributes
    ----------
    subject
        Subject of the records if a file has no subject column.
    fields
        Field by column: ``timestamp``, ``subject``, the name or path of a signal (``infrastructure.latency_ms``),
        ``custom.NAME``, ``versions.KIND`` or ``segment.DIMENSION``.
    start_ms
        Start time, in Unix ms, for times that are given in seconds since the start.
    """

    subject: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    start_ms: int = CSV_START_MS


def parse_mapping(texts: Sequence[str]) -> dict[str, str]:
    """Parse strings of the form ``COLUMN=FIELD``.

    >>> parse_mapping(["t_s=timestamp", "Tokens=input_tokens"])
    {'t_s': 'timestamp', 'Tokens': 'input_tokens'}
    """
    fields: dict[str, str] = {}
    for text in texts:
        column, separator, name = text.partition("=")
        if not (column and separator and name):
            raise LoadError(f"--map {text}: use COLUMN=FIELD, as in t_s=timestamp")
        if column in fields:
            raise LoadError(f"--map {text}: the column {column} is mapped twice")
        _field_path(name)
        fields[column] = name
    return fields


def read_csv(path: Path, stream: IO[bytes], mapping: CsvMapping) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a CSV file as ``(event time in Unix ms, record)``.

    Raises
    ------
    LoadError
        If a mapped column is missing or a cell is invalid for its field. The message contains file, line and column.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="strict", newline="")
    reader = csv.reader(text)
    try:
        header = next(reader, None)
        if header is None:
            raise LoadError(f"{path}: is empty: the first line of a CSV file must contain the column names")
        cells = _map_cells(path, header, mapping)
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise LoadError(
                    f"{path} line {reader.line_num}: {len(row)} cells, but the first line has {len(header)}"
                )
            yield _parse_row(path, reader.line_num, row, cells, mapping)
    except UnicodeDecodeError as error:
        raise LoadError(f"{path} after line {reader.line_num}: is not UTF-8 ({error.reason})") from error
    except csv.Error as error:
        raise LoadError(f"{path} line {reader.line_num}: {error}") from error
    finally:
        text.close()


@dataclass(frozen=True, slots=True)
class _Cell:
    column: str
    position: int
    path: tuple[str, ...]
    read: Callable[[str], Any]


def _map_cells(path: Path, header: list[str], mapping: CsvMapping) -> list[_Cell]:
    for column in mapping.fields:
        if column not in header:
            raise LoadError(f"{path}: has no column {column!r}: its columns are {', '.join(header)}")
    names = {column: column for column in header if column in _BY_NAME} | dict(mapping.fields)
    if "timestamp" in header:
        names.setdefault("timestamp", "timestamp")
    cells = [
        _Cell(column, header.index(column), _field_path(name), _cell_reader(name, mapping.start_ms))
        for column, name in names.items()
    ]
    paths = [cell.path for cell in cells]
    for cell in cells:
        if paths.count(cell.path) > 1:
            raise LoadError(f"{path}: more than one column is mapped to {'.'.join(cell.path)}")
    if ("timestamp",) not in paths:
        raise LoadError(f"{path}: no column is mapped to timestamp: add --map COLUMN=timestamp ({', '.join(header)})")
    if ("subject",) not in paths and not mapping.subject:
        raise LoadError(f"{path}: no column is mapped to subject: add --subject NAME or --map COLUMN=subject")
    return cells


def _parse_row(
    path: Path, number: int, row: list[str], cells: list[_Cell], mapping: CsvMapping
) -> tuple[int, dict[str, Any]]:
    record: dict[str, Any] = {"subject": mapping.subject}
    time_ms: int | None = None
    for cell in cells:
        text = row[cell.position].strip()
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
        raise LoadError(f"{path} line {number}: has no timestamp")
    if not record["subject"]:
        raise LoadError(f"{path} line {number}: has no subject")
    return time_ms, record


def _field_path(name: str) -> tuple[str, ...]:
    """Return the path of a field in the record."""
    if name == "timestamp" or name in LABELS:
        return (name,)
    section, separator, field_name = name.partition(".")
    if not separator and name in _BY_NAME:
        return (_BY_NAME[name].section, name)
    signal = _BY_NAME.get(field_name)
    if field_name and (section in (*LABEL_SECTIONS, "custom") or (signal is not None and signal.section == section)):
        return (section, field_name)
    known = ", ".join(("timestamp", *LABELS, "versions.KIND", "segment.DIMENSION", "custom.NAME", "or a signal's name"))
    raise LoadError(f"the record has no field {name!r}: use {known}")


def _cell_reader(name: str, start_ms: int) -> Callable[[str], Any]:
    section, *names = _field_path(name)
    if section == "timestamp":
        return lambda text: read_time(text, start_ms)
    if not names or section in LABEL_SECTIONS:
        return str
    signal = _BY_NAME.get(names[0]) if section != "custom" else None
    if signal is None:
        return _read_number
    if signal.kind == "rate":
        return _read_rate
    return str if signal.kind == "category" else _read_number


def read_time(text: str, start_ms: int = CSV_START_MS) -> int:
    """Parse a time like :func:`schemas.timestamp.parse_timestamp`, by default in UTC, or as seconds since the start.

    >>> read_time("2023-11-16 18:17:03.9799600"), read_time("1.5") - CSV_START_MS
    (1700158623979, 1500)
    """
    number = convert_to_number(text)
    if number is not None and 0 <= number < SECONDS.start:
        return start_ms + round(number * 1000)
    try:
        return parse_timestamp(text, time_zone="UTC")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}, or seconds since a start") from None


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _read_rate(text: str) -> bool:
    value = convert_to_boolean(text)
    if value is None:
        raise ValueError(f"{text!r} is neither true nor false")
    return value
