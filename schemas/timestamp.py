"""Timestamps of all messages: Unix milliseconds in memory, RFC 3339 in UTC on the wire."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

EARLIEST_MS = 100_000_000_000
"""Minimum timestamp in milliseconds. A smaller number is a time before 1973 and is probably in seconds."""

LATEST_MS = 253_402_300_799_999
"""Maximum timestamp in milliseconds: the end of the year 9999, the last time that RFC 3339 can express."""

_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(value: Any) -> int:
    """Parse a timestamp.

    Parameters
    ----------
    value
        Unix milliseconds as an integer, or an RFC 3339 string with an offset from UTC.

    Returns
    -------
    int
        Unix milliseconds.

    Raises
    ------
    ValueError
        If the value has another type, looks like seconds, or is not a valid time.

    >>> parse_timestamp("2026-11-24T03:12:00.123Z")
    1795489920123
    """
    if isinstance(value, bool):
        raise ValueError("a timestamp must be Unix milliseconds or RFC 3339, not a boolean")  # noqa: TRY004 pydantic wants it
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        if 0 <= value < EARLIEST_MS:
            raise ValueError("a timestamp below 1e11 looks like seconds: send Unix milliseconds")
        if not 0 <= value <= LATEST_MS:
            raise ValueError("a timestamp in Unix milliseconds must be between 1e11 and the year 9999")
        return value
    if isinstance(value, str):
        match = _RFC_3339.fullmatch(value)
        if match is None:
            raise ValueError("a timestamp must be RFC 3339 with an offset, such as 2026-11-24T03:12:00.123Z")
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        zone = UTC
        if match[9]:
            offset = timedelta(hours=int(match[10]), minutes=int(match[11]))
            zone = timezone(-offset if match[9] == "-" else offset)
        is_leap_second = second == 60
        moment = datetime(year, month, day, hour, minute, 59 if is_leap_second else second, tzinfo=zone)
        milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
        fraction = 999 if is_leap_second else int((match[7] or "0").ljust(3, "0")[:3])
        if not EARLIEST_MS <= milliseconds + fraction <= LATEST_MS:
            raise ValueError("a timestamp must be between 1973 and the year 9999")
        return milliseconds + fraction
    raise ValueError("a timestamp must be Unix milliseconds or RFC 3339")


def clock_time(milliseconds: int) -> str:
    """Format the UTC time of day, to the second.

    >>> clock_time(1795489920123)
    '03:12:00Z'
    """
    return format_timestamp(milliseconds)[11:19] + "Z"


def date_time(milliseconds: int) -> str:
    """Format the UTC date and time of day, to the second.

    >>> date_time(1795489920123)
    '2026-11-24 03:12:00Z'
    """
    return format_timestamp(milliseconds)[:19].replace("T", " ") + "Z"


def date_minute(milliseconds: int) -> str:
    """Format the UTC date and time of day, to the minute.

    >>> date_minute(1795489920123)
    '2026-11-24 03:12'
    """
    return format_timestamp(milliseconds)[:16].replace("T", " ")


def format_timestamp(milliseconds: int) -> str:
    """Format Unix milliseconds as RFC 3339 in UTC.

    >>> format_timestamp(1795489920123)
    '2026-11-24T03:12:00.123Z'
    """
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


Timestamp = Annotated[
    int,
    BeforeValidator(parse_timestamp),
    PlainSerializer(format_timestamp, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "integer", "minimum": EARLIEST_MS, "maximum": LATEST_MS},
            ],
            "description": "RFC 3339, or Unix milliseconds.",
        },
        mode="validation",
    ),
    WithJsonSchema({"type": "string", "format": "date-time", "description": "RFC 3339 in UTC."}, mode="serialization"),
]
