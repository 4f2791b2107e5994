"""Timestamps of all messages: Unix milliseconds in memory, RFC 3339 in UTC on the wire."""

import math
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from schemas.unit import UNIT_KEYWORD

EARLIEST_MS = 100_000_000_000
"""Minimum timestamp in milliseconds: a time in 1973."""

LATEST_MS = 253_402_300_799_999
"""Maximum timestamp in milliseconds: the end of the year 9999, the last time that RFC 3339 can express."""

SECONDS = range(10**9, 10**11)
MILLISECONDS = range(EARLIEST_MS, LATEST_MS + 1)
MICROSECONDS = range(10**15, 10**17)
NANOSECONDS = range(10**18, 10**20)
"""Numbers that are read as a Unix time in each unit. Between 2001 and 5138, no number fits two units."""

UNIX_TIMES = {"s": SECONDS, "ms": MILLISECONDS, "us": MICROSECONDS, "ns": NANOSECONDS}
"""The same numbers, by the code of their unit."""

_TEXT_LENGTH_MAX = 100
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE]\+?\d\d?)?", re.ASCII)
_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"(?: ?(Z|UTC|GMT)| ?([+-])([01]\d|2[0-3])(?::?([0-5]\d))?(?: [A-Z]{1,5})?(?:\[[\w/+-]+\])?)?",
    re.ASCII | re.IGNORECASE,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TimeZoneMissingError(ValueError):
    """A time without an offset from UTC was parsed without a default time zone."""


def parse_timestamp(value: Any, *, time_zone: str | None = None) -> int:
    """Parse a timestamp in any unambiguous format.

    Parameters
    ----------
    value
        A Unix time, or a string with a Unix time or an RFC 3339 time. The magnitude of a Unix time determines its unit:
        seconds, milliseconds, microseconds or nanoseconds. An RFC 3339 time may have a space instead of the T, a comma
        before the fraction, an offset without a colon or without minutes, or UTC or GMT instead of the offset. Digits
        after milliseconds are dropped.
    time_zone
        IANA name of the time zone of times without an offset. None rejects these times.

    Returns
    -------
    int
        Unix milliseconds.

    Raises
    ------
    TimeZoneMissingError
        If the time has no offset and ``time_zone`` is None.
    ValueError
        If the value has another type or is not a valid time, or if the time occurs twice or never in ``time_zone``.

    >>> parse_timestamp("2026-11-24T03:12:00.123Z")
    1795489920123
    >>> parse_timestamp(1795489920123456789), parse_timestamp("2026-11-24 14:12:00", time_zone="Australia/Sydney")
    (1795489920123, 1795489920000)
    """
    if isinstance(value, bool):
        raise ValueError("a timestamp must be a Unix time or RFC 3339, not a boolean")  # noqa: TRY004 pydantic wants it
    if isinstance(value, (int, float)):
        return _read_unix_time(value)
    if not isinstance(value, str):
        raise ValueError("a timestamp must be a Unix time or RFC 3339")  # noqa: TRY004 pydantic wants it
    text = value.strip() if len(value) <= _TEXT_LENGTH_MAX else ""
    if _NUMBER.fullmatch(text):
        return _read_unix_time(Decimal(text))
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError(
            "a timestamp must be a Unix time, or RFC 3339 with an offset, such as 2026-11-24T03:12:00.123Z"
        )
    return _read_rfc_3339(match, time_zone)


def _read_unix_time(number: float | Decimal) -> int:
    whole = 0 if isinstance(number, float) and not math.isfinite(number) else int(number)
    if whole in SECONDS:
        # A float of this size is exact to a microsecond at best, so any further digits are noise.
        return round(number * 1_000_000) // 1000 if isinstance(number, float) else int(number * 1000)
    if whole in MILLISECONDS:
        return whole
    if whole in MICROSECONDS:
        return whole // 1000
    if whole in NANOSECONDS:
        return whole // 1_000_000
    raise ValueError("a timestamp that is a number must be a Unix time from 2001 to 5138")


def _read_rfc_3339(match: re.Match[str], time_zone: str | None) -> int:
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    is_leap_second = second == 60
    local = datetime(year, month, day, hour, minute, 59 if is_leap_second else second)  # noqa: DTZ001 the zone follows
    moment = local.replace(tzinfo=_find_zone(match)) if match[8] or match[9] else _localise(local, time_zone)
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    milliseconds += 999 if is_leap_second else int((match[7] or "0").ljust(3, "0")[:3])
    if not EARLIEST_MS <= milliseconds <= LATEST_MS:
        raise ValueError("a timestamp must be between 1973 and the year 9999")
    return milliseconds


def _find_zone(match: re.Match[str]) -> tzinfo:
    if match[8]:
        return UTC
    offset = timedelta(hours=int(match[10]), minutes=int(match[11] or 0))
    return timezone(-offset if match[9] == "-" else offset)


def _localise(local: datetime, time_zone: str | None) -> datetime:
    if time_zone is None:
        raise TimeZoneMissingError("a timestamp must have an offset from UTC: add Z, or an offset such as +11:00")
    zone = ZoneInfo(time_zone)
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise ValueError(
            f"the clock in {time_zone} changes at this time, so the time occurs twice or never: add an offset"
        )
    return first


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


def time_on_day(milliseconds: int, day: int) -> str:
    """Format a UTC time, to the second, without the date if the time is on the same date as ``day`` (Unix ms).

    >>> time_on_day(1795489920123, 1795489900000), time_on_day(1795489920123, 1795400000000)
    ('03:12:00Z', '2026-11-24 03:12:00Z')
    """
    is_same_day = format_timestamp(milliseconds)[:10] == format_timestamp(day)[:10]
    return clock_time(milliseconds) if is_same_day else date_time(milliseconds)


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
                *(
                    {"type": "number", "minimum": numbers.start, "exclusiveMaximum": numbers.stop, UNIT_KEYWORD: unit}
                    for unit, numbers in UNIX_TIMES.items()
                ),
            ],
            "description": "RFC 3339, or a Unix time in seconds, milliseconds, microseconds or nanoseconds.",
        },
        mode="validation",
    ),
    WithJsonSchema({"type": "string", "format": "date-time", "description": "RFC 3339 in UTC."}, mode="serialization"),
]
