"""Markdown escaping for strings from senders. A label is always shown as plain text."""

import re
from collections.abc import Iterable

from pipeline.plain_text import plain_text

_MARKUP = re.compile(r"[\\`*\[\]<#|~&$]|(?<![^\W_])_|_(?![^\W_])")
_LINE_START = re.compile(r"^(\d+)(?=[.)])|^()(?=[-+=>])")
_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)


def escape(text: str) -> str:
    r"""Escape a string so that Markdown shows it unchanged: no emphasis, link, HTML or table cell.

    >>> escape("a|b *c* <i> http://x")
    'a\\|b \\*c\\* \\<i> http:\\//x'
    """
    escaped = _LINE_START.sub(r"\1\\", _MARKUP.sub(r"\\\g<0>", plain_text(text).lstrip()))
    return _ADDRESS.sub(r"\\", escaped)


def code(text: str) -> str:
    r"""Format a name as code, or escape it if it cannot be shown as code.

    >>> code("prompt=v42"), code("a|b")
    ('`prompt=v42`', 'a\\|b')
    """
    line = plain_text(text)
    if not line.strip() or "`" in line or "|" in line or "\\" in line:
        return escape(text)
    return f"`{line}`"


def code_list(names: Iterable[str]) -> str:
    """Format names as code, separated by commas."""
    return ", ".join(map(code, names))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a table. Its cells are Markdown."""
    names = list(head)
    return [_row(names), "|" + "---|" * len(names), *map(_row, rows)]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
