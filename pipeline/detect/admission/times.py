"""Read the event times of a batch for ``admission.py``, in one pass if they all have the same format."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.lenient_json import BadValue
from schemas.dead_letter import DeadLetterReason
from schemas.timestamp import (
    MICROSECONDS,
    MILLISECONDS,
    NANOSECONDS,
    SECONDS,
    TimeZoneMissingError,
    parse_timestamp,
)

VECTORISED_MIN = 16
"""Minimum number of times for the vectorised path. Smaller batches are parsed faster one by one."""

_FORMAT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:(?!60)\d\d(?:[.,](\d{1,9}))?.*", re.ASCII)
"""Format of a time up to its offset, which :func:`schemas.timestamp.parse_timestamp` checks."""

_CLOCK = slice(11, 19)
_CLOCK_MS = np.array([36_000_000, 3_600_000, 0, 600_000, 60_000, 0, 10_000, 1_000], dtype=np.int64)
_FRACTION_MS = np.array([100, 10, 1], dtype=np.int64)


def read_times(
    timestamps: Sequence[Any], time_zone: str | None = None
) -> tuple[NDArray[np.int64], dict[int, tuple[DeadLetterReason, str]]]:
    """Read the ``timestamp`` fields of records, with the same result as :func:`schemas.timestamp.parse_timestamp`.

    Parameters
    ----------
    timestamps
        The fields as sent; None for a record without a timestamp.
    time_zone
        IANA name of the time zone of times without an offset. None rejects these times.

    Returns
    -------
    times_ms
        Shape ``(len(timestamps),)``, Unix milliseconds; 0 for records without a valid time.
    problems
        Reason and detail by index, for records without a valid time.

    >>> read_times(["2026-11-24T03:12:00.123Z", None])
    (array([1795489920123,             0]), {1: ('timestamp_missing', 'the record has no timestamp')})
    """
    read = _read_vectorised(timestamps, time_zone)
    if read is not None:
        return read, {}
    times_ms = np.zeros(len(timestamps), dtype=np.int64)
    problems: dict[int, tuple[DeadLetterReason, str]] = {}
    groups: dict[tuple[type, int], list[int]] = {}
    for index, timestamp in enumerate(timestamps):
        length = len(timestamp) if isinstance(timestamp, str) else 0
        groups.setdefault((type(timestamp), length), []).append(index)
    for indexes in groups.values():
        read = _read_vectorised([timestamps[index] for index in indexes], time_zone)
        if read is not None:
            times_ms[indexes] = read
            continue
        for index in indexes:
            try:
                times_ms[index] = parse_timestamp(timestamps[index], time_zone=time_zone)
            except ValueError as error:
                problems[index] = _describe_problem(timestamps[index], error)
    return times_ms, problems


def _describe_problem(timestamp: Any, error: ValueError) -> tuple[DeadLetterReason, str]:
    if timestamp is None:
        return "timestamp_missing", "the record has no timestamp"
    if isinstance(timestamp, BadValue):
        return timestamp.reason, f"the timestamp contains {timestamp}"
    if isinstance(error, TimeZoneMissingError):
        return "timestamp_invalid", f"{error}, or set detect.time_zone to the time zone of the records"
    return "timestamp_invalid", str(error)


def _read_vectorised(timestamps: Sequence[Any], time_zone: str | None) -> NDArray[np.int64] | None:
    """Return all times; None if there are too few or they have no common format."""
    if len(timestamps) < VECTORISED_MIN:
        return None
    types = set(map(type, timestamps))
    if types == {str}:
        return _read_texts(timestamps, time_zone)
    return _read_numbers(timestamps) if types in ({int}, {float}) else None


def _read_numbers(timestamps: Sequence[Any]) -> NDArray[np.int64] | None:
    """Return times that are all integers or all floats, and all of one unit; None if the units differ."""
    is_float = isinstance(timestamps[0], float)
    if not is_float and not 0 <= min(timestamps) <= max(timestamps) < 2**63:
        return None
    numbers = np.array(timestamps, dtype=np.float64 if is_float else np.int64)
    low, high = numbers.min(), numbers.max()
    # Values in the finer units are too large for exact floats. They are read one by one.
    units = (SECONDS, MILLISECONDS) if is_float else (SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS)
    unit = next((unit for unit in units if unit.start <= low and high < unit.stop), None)
    if unit is None:
        return None
    if unit is SECONDS:
        return np.rint(numbers * 1_000_000).astype(np.int64) // 1000 if is_float else numbers.astype(np.int64) * 1000
    return numbers.astype(np.int64) // {MILLISECONDS: 1, MICROSECONDS: 1000, NANOSECONDS: 1_000_000}[unit]


def _read_texts(timestamps: Sequence[str], time_zone: str | None) -> NDArray[np.int64] | None:
    """Return times that share a date and a format, in Unix milliseconds; None if the dates or formats differ."""
    first = timestamps[0]
    match = _FORMAT.fullmatch(first)
    if match is None or set(map(len, timestamps)) != {len(first)}:
        return None
    text = "".join(timestamps)
    if not text.isascii():
        return None
    characters = np.frombuffer(text.encode(), dtype=np.uint8).reshape(len(timestamps), len(first))
    fraction = slice(*match.span(1))
    digits = characters - np.uint8(ord("0"))
    may_differ = np.zeros(len(first), dtype=np.bool_)
    may_differ[[11, 12, 14, 15, 17, 18]] = True
    may_differ[fraction] = match.group(1) is not None
    if not (characters[:, ~may_differ] == characters[0, ~may_differ]).all() or (digits[:, may_differ] > 9).any():
        return None
    clock = digits[:, _CLOCK].astype(np.int64)
    if (clock[:, [0, 3, 6]] * 10 + clock[:, [1, 4, 7]] > (23, 59, 59)).any():
        return None
    times_ms: NDArray[np.int64] = clock @ _CLOCK_MS
    if match.group(1) is not None:
        milliseconds = digits[:, fraction][:, :3]
        times_ms += milliseconds.astype(np.int64) @ _FRACTION_MS[: milliseconds.shape[1]]
    try:
        times_ms += parse_timestamp(first, time_zone=time_zone) - times_ms[0]
        bounds = [int(times_ms.argmin()), int(times_ms.argmax())]
        if [parse_timestamp(timestamps[index], time_zone=time_zone) for index in bounds] != times_ms[bounds].tolist():
            return None
    except ValueError:
        return None
    # With an offset from UTC, the UTC dates can differ, but the distances between the written times are still correct.
    # Without one, they are correct if no clock change lies between the first and the last time.
    return times_ms
