"""Readers of the cells of CSV columns, chosen by the field of the column and by the cells in the first rows."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.conversion import convert_to_number
from pipeline.lenient_json import parse_json
from schemas.record_fields import CUSTOM_SECTION, RecordField
from schemas.timestamp import MICROSECONDS, MILLISECONDS, NANOSECONDS, SECONDS, format_timestamp
from topologies.errors import DriftwireError
from topologies.record_files.cells import DecimalMark, decide_reading, read_boolean, weigh_numbers

_OFFSET = re.compile(r"(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)( [A-Z]+)?(\[.*\])?\s*$", re.IGNORECASE)
_UNITS = {
    SECONDS: "Unix seconds",
    MILLISECONDS: "Unix milliseconds",
    MICROSECONDS: "Unix microseconds",
    NANOSECONDS: "Unix nanoseconds",
}


@dataclass(frozen=True, slots=True)
class CellReader:
    """A function that reads the cells of a column, and its description for people."""

    read: Callable[[str], Any]
    description: str


@dataclass(frozen=True, slots=True)
class ColumnCells:
    """Cells of a column in the first rows, without missing words, and the field to which the column is mapped."""

    target: RecordField
    texts: Sequence[str]


def choose_readers(
    columns: Mapping[str, ColumnCells], delimiter: str, decimal: DecimalMark | None, start_ms: int | None
) -> dict[str, CellReader]:
    """Return the readers of the columns of a CSV file, except for labels, whose cells stay as they are.

    Parameters
    ----------
    columns
        Cells by column.
    delimiter
        Delimiter of the file.
    decimal
        Decimal mark that the user gave. If None, it is found for each column.
    start_ms
        Start time, in Unix ms, of times that are seconds since a start. If None, these times are refused.

    Raises
    ------
    DriftwireError
        If the numbers of a column have more than one possible meaning.
    """
    is_number = {
        name: cells.target.kind in ("number", "ratio") and not _is_boolean(cells) for name, cells in columns.items()
    }
    evidence = {name: weigh_numbers(cells.texts) for name, cells in columns.items() if is_number[name]}
    readers: dict[str, CellReader] = {}
    for name, cells in columns.items():
        if is_number[name]:
            others = {mark for other, found in evidence.items() if other != name for mark in found.marks}
            reading = decide_reading(evidence[name], delimiter, others, decimal)
            if reading is None:
                example = next(text for text in cells.texts if "," in text or "." in text)
                raise DriftwireError(
                    f"column {name}: {example} may be a number with decimals or with a thousands separator: "
                    'state the decimal mark of the file with --decimal "," or --decimal "."'
                )
            description = "number with decimal comma" if reading.decimal == "," else "number"
            if _has_thousands(cells.texts, reading.thousands) or evidence[name].separated:
                description += ", thousands separator removed"
            readers[name] = CellReader(reading.read, description)
        elif cells.target.kind == "time":
            readers[name] = CellReader(_time_reader(start_ms), describe_times(cells.texts[0] if cells.texts else ""))
        elif cells.target.kind == "rate" or _is_boolean(cells):
            words = "/".join(dict.fromkeys(text.lower() for text in cells.texts if len(text) <= 5))
            readers[name] = CellReader(read_boolean, f"boolean {words}" if len(words) <= 12 else "boolean")
        elif cells.target.kind == "numbers":
            readers[name] = CellReader(read_json_cell, "list of numbers")
    return readers


def read_json_cell(text: str) -> Any:
    """Return the object or list that a cell contains as JSON, or the text if it contains none."""
    try:
        return parse_json(text.encode()) if text[:1] in ("{", "[") else text
    except ValueError:
        return text


def describe_times(value: Any) -> str:
    """Describe how times are written, by one of them.

    >>> describe_times("1795489920123456"), describe_times("2026-11-24 03:00:00")
    ('Unix microseconds', 'local time')
    """
    number = convert_to_number(value) if isinstance(value, str) else value
    if isinstance(number, (int, float)):
        return next((name for unit, name in _UNITS.items() if unit.start <= number < unit.stop), "number")
    return "time with offset" if _OFFSET.search(str(value)[10:]) else "local time"


def _is_boolean(cells: ColumnCells) -> bool:
    """Return whether a column of a field of either kind contains words for booleans only."""
    return cells.target.path[0] == CUSTOM_SECTION and all(
        isinstance(read_boolean(text), bool) and convert_to_number(text) is None for text in cells.texts
    )


def _has_thousands(texts: Sequence[str], mark: str) -> bool:
    return any(mark in text for text in texts)


def _time_reader(start_ms: int | None) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        number = convert_to_number(text)
        if start_ms is not None and number is not None and 0 <= number < SECONDS.start:
            return format_timestamp(start_ms + round(number * 1000))
        return text

    return read
