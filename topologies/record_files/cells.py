"""Cells of CSV files: missing words, booleans, times, and numbers with decimal commas or thousands separators."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.conversion import convert_to_boolean, convert_to_number
from pipeline.lenient_json import NOT_FINITE, parse_json
from schemas.record_fields import CUSTOM_SECTION, RecordField
from schemas.timestamp import MICROSECONDS, MILLISECONDS, NANOSECONDS, SECONDS, format_timestamp
from topologies.errors import DriftwireError

DecimalMark = Literal[".", ","]

MISSING_WORDS = frozenset({"", "\\n", "n/a", "#n/a", "none", "null", "<na>", "<null>", "nan", "nat", "-"})
"""Words that databases, spreadsheets and libraries write for a missing value, in lower case."""

_MISSING_LENGTH_MAX = max(map(len, MISSING_WORDS))

_BOOLEAN_WORDS = {"t": True, "f": False, "y": True, "n": False}

_EXACT_DIGITS = 15
"""Digits of the integers that a float represents exactly."""

_GROUP_SPACES = re.compile(r"(?<=\d)[ '\u2019\u00a0\u202f](?=\d{3}(?!\d))")

_NUMBER_WITH_MARK = re.compile(r"[+-]?\d+[.,][\d.,]*", re.ASCII)
_EITHER = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}\{mark}\d{{3}}", re.ASCII) for mark in ".,"}
_GROUPS = {
    mark: re.compile(
        rf"[+-]?\d{{1,3}}(?:(?:\{mark}\d{{3}}){{2,}}|(?:\{mark}\d{{3}})+\{other}\d+)(?:[eE][+-]?\d{{1,3}})?", re.ASCII
    )
    for mark, other in (".,", ",.")
}
_DECIMAL = {mark: re.compile(rf"[+-]?\d*\{mark}\d+(?:[eE][+-]?\d{{1,3}})?", re.ASCII) for mark in ".,"}
_OFFSET = re.compile(r"(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)( [A-Z]+)?(\[.*\])?\s*$", re.IGNORECASE)
_UNITS = {
    SECONDS: "Unix seconds",
    MILLISECONDS: "Unix milliseconds",
    MICROSECONDS: "Unix microseconds",
    NANOSECONDS: "Unix nanoseconds",
}


def read_word(cell: str) -> str | None:
    r"""Return the text of a cell without surrounding spaces; None if it is a word for a missing value.

    >>> read_word(" 812 "), read_word("\\N"), read_word("NULL"), read_word("-")
    ('812', None, None, None)
    """
    text = cell.strip()
    return None if len(text) <= _MISSING_LENGTH_MAX and text.lower() in MISSING_WORDS else text


def read_boolean(text: str) -> Any:
    """Return the boolean that a cell contains, or the text if it contains none.

    >>> read_boolean("t"), read_boolean("0"), read_boolean("perhaps")
    (True, False, 'perhaps')
    """
    boolean = convert_to_boolean(text)
    return _BOOLEAN_WORDS.get(text.lower(), text) if boolean is None else boolean


@dataclass(frozen=True, slots=True)
class NumberReading:
    """How the numbers of a column are written. The thousands separator is the mark that is not the decimal mark."""

    decimal: DecimalMark = "."

    @property
    def thousands(self) -> str:
        """The thousands separator, which may be missing from the numbers."""
        return "." if self.decimal == "," else ","

    def read(self, text: str) -> Any:
        """Return the number that a cell contains, or a value that detect counts as bad.

        >>> NumberReading(",").read("1.204,5"), NumberReading(".").read("1,204"), NumberReading(".").read("fast")
        (1204.5, 1204, 'fast')
        """
        if len(text) < _EXACT_DIGITS and text.isascii() and text.isdecimal():
            return int(text)
        text = _GROUP_SPACES.sub("", text)
        if self.thousands in text:
            whole, mark, fraction = text.partition(self.decimal)
            if not _is_grouped(whole, self.thousands):
                # Detect would read some of these texts as another number.
                return text if convert_to_number(text) is None else NOT_FINITE
            text = whole.replace(self.thousands, "") + mark + fraction
        number = convert_to_number(text.replace(self.decimal, "."))
        if number is None:
            return text
        return int(number) if number.is_integer() and abs(number) < 10**_EXACT_DIGITS and "." not in text else number


def _is_grouped(whole: str, mark: str) -> bool:
    first, *groups = whole.lstrip("+-").split(mark)
    return 1 <= len(first) <= 3 and first.isdecimal() and all(len(g) == 3 and g.isdecimal() for g in groups)


@dataclass(slots=True)
class NumberEvidence:
    """What the cells of a column show about its decimal mark: counts of cells by the only reading that fits them."""

    counts: Counter[str]
    separated: bool = False

    @property
    def marks(self) -> set[DecimalMark]:
        """Decimal marks that at least one cell proves."""
        return {mark for mark in (".", ",") if self.counts[mark]}

    @property
    def undecided(self) -> str:
        """The mark that may be a decimal mark or a thousands separator in some cells; empty if there is none."""
        return "".join(mark for mark in ".," if self.counts[f"either {mark}"])


def weigh_numbers(texts: Iterable[str]) -> NumberEvidence:
    """Count which decimal mark the cells of a column prove.

    >>> weigh_numbers(["812,5", "1,204"]).marks, weigh_numbers(["1,204"]).undecided
    ({','}, ',')
    """
    evidence = NumberEvidence(Counter())
    for original in texts:
        text = _GROUP_SPACES.sub("", original)
        evidence.separated |= text != original
        for mark, other in (".,", ",."):
            if _GROUPS[other].fullmatch(text):
                evidence.counts[mark] += 1
                evidence.separated = True
            elif _EITHER[mark].fullmatch(text):
                evidence.counts[f"either {mark}"] += 1
            elif _DECIMAL[mark].fullmatch(text):
                evidence.counts[mark] += 1
    return evidence


def decide_reading(
    evidence: NumberEvidence, delimiter: str, other_columns: set[DecimalMark], given: DecimalMark | None
) -> NumberReading | None:
    """Return how the numbers of a column are written; None if its cells have more than one possible meaning.

    Parameters
    ----------
    evidence
        Evidence of the cells of the column.
    delimiter
        The delimiter of the file. A comma between the numbers of a file with commas can only be a thousands separator.
    other_columns
        Decimal marks that the other columns of the file prove.
    given
        Decimal mark that the user gave.

    >>> decide_reading(weigh_numbers(["1,204"]), ",", set(), None), decide_reading(weigh_numbers(["812,5"]), ";", set(), None)
    (NumberReading(decimal='.'), NumberReading(decimal=','))
    """
    if given is not None:
        return NumberReading(given)
    marks = evidence.marks
    if len(marks) == 1:
        return NumberReading(next(iter(marks)))
    if marks:
        return None
    if evidence.undecided == ".,":
        return None
    if evidence.undecided == ",":
        if other_columns == {","}:
            return NumberReading(",") if delimiter != "," else None
        return NumberReading(".") if delimiter == "," else None
    if evidence.undecided == "." and "," in other_columns:
        return None
    return NumberReading(".")


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
                example = next(text for text in cells.texts if _NUMBER_WITH_MARK.fullmatch(text))
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
    """Return whether a column of a field that may be a number or boolean contains words for booleans."""
    words = [text for text in cells.texts if convert_to_number(text) is None]
    return (
        cells.target.path[0] == CUSTOM_SECTION
        and bool(words)
        and all(isinstance(read_boolean(text), bool) for text in words)
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
