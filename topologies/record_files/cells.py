"""Cells of CSV files: missing words, booleans, and numbers with decimal commas or thousands separators."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.conversion import convert_to_boolean, convert_to_number
from pipeline.lenient_json import NOT_FINITE

DecimalMark = Literal[".", ","]

MISSING_WORDS = frozenset({"", "\\n", "n/a", "#n/a", "none", "null", "<na>", "<null>", "nan", "nat", "-"})
"""Words that databases, spreadsheets and libraries write for a missing value, in lower case."""

_BOOLEAN_WORDS = {"t": True, "f": False, "y": True, "n": False}

_GROUP_SPACES = re.compile(r"(?<=\d)[ '\u2019\u00a0\u202f](?=\d{3}(?!\d))")

_EITHER = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}\{mark}\d{{3}}", re.ASCII) for mark in ".,"}
_GROUPS = {
    mark: re.compile(
        rf"[+-]?\d{{1,3}}(?:(?:\{mark}\d{{3}}){{2,}}|(?:\{mark}\d{{3}})+\{other}\d+)(?:[eE][+-]?\d{{1,3}})?", re.ASCII
    )
    for mark, other in (".,", ",.")
}
_DECIMAL = {mark: re.compile(rf"[+-]?\d*\{mark}\d+(?:[eE][+-]?\d{{1,3}})?", re.ASCII) for mark in ".,"}


def read_word(cell: str) -> str | None:
    r"""Return the text of a cell without surrounding spaces; None if it is a word for a missing value.

    >>> read_word(" 812 "), read_word("\\N"), read_word("NULL"), read_word("-")
    ('812', None, None, None)
    """
    text = cell.strip()
    return None if text.lower() in MISSING_WORDS else text


def read_boolean(text: str) -> Any:
    """Return the boolean that a cell contains, or the text if it contains none.

    >>> read_boolean("t"), read_boolean("0"), read_boolean("perhaps")
    (True, False, 'perhaps')
    """
    boolean = convert_to_boolean(text)
    return _BOOLEAN_WORDS.get(text.lower(), text) if boolean is None else boolean


@dataclass(frozen=True, slots=True)
class NumberReading:
    """How the numbers of a column are written. The thousands separator is the other mark than the decimal mark."""

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
        return int(number) if number.is_integer() and abs(number) < 2**53 and "." not in text else number


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
