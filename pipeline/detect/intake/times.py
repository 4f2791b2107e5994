"""Read the event times of a batch for ``admission.py``, in one pass if all have the same format."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.dead_letter import DeadLetterReason
from schemas.timestamp import EARLIEST_MS, LATEST_MS, parse_timestamp

VECTORISED_MIN = 16
"""Minimum number of times for the vectorised path. Fewer times are parsed one by one, which is then faster."""

_FORMAT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:(?!60)\d\d(?:\.(\d{1,9}))?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_CLOCK = slice(11, 19)
_CLOCK_MS = np.array([36_000_000, 3_600_000, 0, 600_000, 60_000, 0, 10_000, 1_000], dtype=np.int64)
_FRACTION_MS = np.array([100, 10, 1], dtype=np.int64)


def read_times(timestamps: Sequence[Any]) -> tuple[NDArray[np.int64], dict[int, tuple[DeadLetterReason, str]]]:
    """Read the ``timestamp`` fields of records, with the same result as :func:`schemas.timestamp.parse_timestamp`.

    Parameters
    ----------
    timestamps
        The fields as sent; None for a record without a timestamp.

    Returns
    -------
    times_ms
        Shape ``(len(timestamps),)``, Unix milliseconds; 0 for records without a valid time.
    problems
        Reason and detail by index, for records without a valid time.

    >>> read_times(["2026-11-24T03:12:00.123Z", None])
    (array([1795489920123,             0]), {1: ('timestamp_missing', 'the record has no timestamp')})
    """
    read = _read_vectorised(timestamps)
    if read is not None:
        return read, {}
    times_ms = np.zeros(len(timestamps), dtype=np.int64)
    problems: dict[int, tuple[DeadLetterReason, str]] = {}
    groups: dict[tuple[type, int], list[int]] = {}
    for index, timestamp in enumerate(timestamps):
        length = len(timestamp) if isinstance(timestamp, str) else 0
        groups.setdefault((type(timestamp), length), []).append(index)
    for indexes in groups.values():
        read = _read_vectorised([timestamps[index] for index in indexes])
        if read is not None:
            times_ms[indexes] = read
            continue
        for index in indexes:
            try:
                times_ms[index] = parse_timestamp(timestamps[index])
            except ValueError as error:
                problems[index] = _describe_problem(timestamps[index], error)
    return times_ms, problems


def _describe_problem(timestamp: Any, error: ValueError) -> tuple[DeadLetterReason, str]:
    if timestamp is None:
        return "timestamp_missing", "the record has no timestamp"
    return "timestamp_invalid", str(error)


def _read_vectorised(timestamps: Sequence[Any]) -> NDArray[np.int64] | None:
    """Return all times; None if there are too few or they have no common format."""
    if len(timestamps) < VECTORISED_MIN:
        return None
    types = set(map(type, timestamps))
    if types == {int}:
        return _read_integers(timestamps)
    return _read_texts(timestamps) if types == {str} else None


def _read_integers(timestamps: Sequence[int]) -> NDArray[np.int64] | None:
    if min(timestamps) < EARLIEST_MS or max(timestamps) > LATEST_MS:
        return None
    return np.fromiter(timestamps, dtype=np.int64, count=len(timestamps))


def _read_texts(timestamps: Sequence[str]) -> NDArray[np.int64] | None:
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
        times_ms += parse_timestamp(first) - times_ms[0]
    except ValueError:
        return None
    # With an offset from UTC, the UTC dates can differ, but the distances between the written times are still correct.
    # Only the bounds of a timestamp remain to be checked.
    return times_ms if times_ms.min() >= EARLIEST_MS and times_ms.max() <= LATEST_MS else None
