"""Conversion of strings from senders to plain text, for every terminal, log, review and chart."""

import re

INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
"""Characters that control a terminal, change the writing direction, break a line, or are invalid in XML."""

_BREAKS = re.compile(r"[\n\r\t]+")


def plain_text(text: str) -> str:
    r"""Put a sender's string on one line, without the characters in :data:`INVISIBLE`.

    >>> plain_text("two" + chr(10) + "lines" + chr(7))
    'two lines\ufffd'
    """
    return INVISIBLE.sub("\ufffd", _BREAKS.sub(" ", text))
