"""Strings from senders as plain text for ``rich``."""

from rich.text import Text

from pipeline.plain_text import plain_text


def plain_line(content: str, *, style: str = "") -> Text:
    """Return a string as text without markup or terminal control characters."""
    return Text(plain_text(content), style=style)
