"""Names from senders that try to control a terminal, a log, a page, a spreadsheet or a Markdown review."""

import re

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egpj.exe\u2066\u200f\r\nFORGED LINE [a](http://x) <b onclick=x> [bold]=1+1 | `b`"
"""A name with all kinds of trouble. It has fewer than 200 characters, so it is a label."""

SUBJECT = "\x9b31m\u202egpj.exe [a](http://x) <b> [bold red]=1+1"
"""A hostile subject, without control characters below U+0020."""

_TROUBLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def is_plain(text: str) -> bool:
    """Return whether text cannot control a terminal, apart from our own colours, and cannot begin a new line."""
    text = _COLOUR.sub("", text)
    return _TROUBLE.search(text) is None and not any(line.startswith("FORGED") for line in text.splitlines())
