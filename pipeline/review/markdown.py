"""Markdown that a label cannot break: whatever a sender put into one is shown as text."""

import re
from collections.abc import Iterable

from schemas.timestamp import format_timestamp

_BREAKS = re.compile(r"[\n\r\t]+")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_MARKS = re.compile(r"[\\`*\[\]<#|~&$]|(?<![^\W_])_|_(?![^\W_])")
_BEGINNING = re.compile(r"^(\d+)(?=[.)])|^()(?=[-+=>])")
_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)


def plain(text: str) -> str:
    """A text on one line, without what turns a line around, rings a bell or is no character of XML.

    >>> plain("two" + chr(10) + "lines" + chr(7))
    'two lines\ufffd'
    """
    return _UNSEEN.sub("\ufffd", _BREAKS.sub(" ", text))


def escaped(text: str) -> str:
    r"""A text that Markdown shows as it is: no emphasis, no link, no HTML, no cell of a table.

    >>> escaped("a|b *c* <i> http://x")
    'a\\|b \\*c\\* \\<i> http:\\//x'
    """
    shown = _BEGINNING.sub(r"\1\\", _MARKS.sub(r"\\\g<0>", plain(text).lstrip()))
    return _ADDRESS.sub(r"\\", shown)


def code(text: str) -> str:
    r"""A name in the type of code, where that can be done; else escaped.

    >>> code("prompt=v42"), code("a|b")
    ('`prompt=v42`', 'a\\|b')
    """
    shown = plain(text)
    if not shown.strip() or "`" in shown or "|" in shown or "\\" in shown:
        return escaped(text)
    return f"`{shown}`"


def codes(names: Iterable[str]) -> str:
    """Several names with commas between."""
    return ", ".join(map(code, names))


def moment(at: int) -> str:
    """A point in time, UTC, to the second.

    >>> moment(1795489920123)
    '2026-11-24 03:12:00Z'
    """
    return format_timestamp(at)[:19].replace("T", " ") + "Z"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table; cells are Markdown already."""
    names = list(head)
    return [_row(names), "|" + "---|" * len(names), *map(_row, rows)]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
