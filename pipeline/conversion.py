"""Conversion of values that were sent as another type and have only one meaning, such as a number as text."""

import re
from typing import Any

NUMBER_TEXT_LENGTH_MAX = 64
"""Maximum number of characters in a number or boolean that was sent as a string."""

_NUMBER_TEXT = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?\s*", re.ASCII)
_BOOLEAN_TEXTS = {
    **dict.fromkeys(("true", "1", "1.0", "yes"), True),
    **dict.fromkeys(("false", "0", "0.0", "no"), False),
}


def convert_to_number(value: Any) -> float | None:
    """Return the number that a string contains; None if the value is not a decimal number as text.

    >>> convert_to_number("812"), convert_to_number("8,12"), convert_to_number("nan")
    (812.0, None, None)
    """
    if not isinstance(value, str) or len(value) > NUMBER_TEXT_LENGTH_MAX or not _NUMBER_TEXT.fullmatch(value):
        return None
    return float(value)


def convert_to_boolean(value: Any) -> bool | None:
    """Return the boolean that 0, 1 or a string represents; None if the value does not represent a boolean.

    >>> convert_to_boolean(1), convert_to_boolean("False"), convert_to_boolean(2)
    (True, False, None)
    """
    if isinstance(value, str):
        return _BOOLEAN_TEXTS.get(value.strip().lower()) if len(value) <= NUMBER_TEXT_LENGTH_MAX else None
    return bool(value) if isinstance(value, (int, float)) and value in (0, 1) else None
