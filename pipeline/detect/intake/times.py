"""The event times of a batch of records, read at once where they are written alike."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.dead_letter import DeadLetterReason
from schemas.timestamp import EARLIEST_MS, LATEST_MS, parse_timestamp

ALIKE_MIN = 16
"""Times; fewer are read one by one, because an array costs more than it saves."""

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:(?!60)\d\d(?:\.(\d{1,9}))?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_CLOCK = slice(11, 19)
_TIME_OF_DAY_MS = np.array([36_000_000, 3_600_000, 0, 600_000, 60_000, 0, 10_000, 1_000], dtype=np.int64)
_FRACTION_MS = np.array([100, 10, 1], dtype=np.int64)


def read_times(values: Sequence[Any]) -> tuple[NDArray[np.int64], dict[int, tuple[DeadLetterReason, str]]]:
    """Read the ``timestamp`` fields of a batch, each as :func:`schemas.timestamp.parse_timestamp` would.

    Parameters
    ----------
    values
        What the records hold, None where one holds nothing.

    Returns
    -------
    times
        Shape ``(len(values),)``, Unix milliseconds; 0 where there is no time.
    problems
        By index, the reason and the detail where there is none.

    >>> read_times(["2026-11-24T03:12:00.123Z", None])
    (array([1795489920123,             0]), {1: ('timestamp_missing', 'the record has no timestamp')})
    """
    times = _alike(values)
    if times is not None:
        return times, {}
    times = np.zeros(len(values), dtype=np.int64)
    problems: dict[int, tuple[DeadLetterReason, str]] = {}
    groups: dict[tuple[type, int], list[int]] = {}
    for index, value in enumerate(values):
        groups.setdefault((type(value), len(value) if isinstance(value, str) else 0), []).append(index)
    for indexes in groups.values():
        group = _alike([values[index] for index in indexes])
        if group is not None:
            times[indexes] = group
            continue
        for index in indexes:
            try:
                times[index] = parse_timestamp(values[index])
            except ValueError as problem:
                problems[index] = _problem(values[index], problem)
    return times, problems


def _problem(value: Any, problem: ValueError) -> tuple[DeadLetterReason, str]:
    if value is None:
        return "timestamp_missing", "the record has no timestamp"
    return "timestamp_invalid", str(problem)


def _alike(values: Sequence[Any]) -> NDArray[np.int64] | None:
    """All of them at once, if there are enough and they are written alike."""
    if len(values) < ALIKE_MIN:
        return None
    kinds = set(map(type, values))
    if kinds == {int}:
        return _integers(values)
    return _texts(values) if kinds == {str} else None


def _integers(values: Sequence[int]) -> NDArray[np.int64] | None:
    if min(values) < EARLIEST_MS or max(values) > LATEST_MS:
        return None
    return np.fromiter(values, dtype=np.int64, count=len(values))


def _texts(values: Sequence[str]) -> NDArray[np.int64] | None:
    """Times of one date and one form, by their distance from the first of them; None if they are not so alike."""
    first = values[0]
    written = _WRITTEN.fullmatch(first)
    if written is None or set(map(len, values)) != {len(first)}:
        return None
    text = "".join(values)
    if not text.isascii():
        return None
    characters = np.frombuffer(text.encode(), dtype=np.uint8).reshape(len(values), len(first))
    fraction = slice(*written.span(1))
    digits = characters - np.uint8(ord("0"))
    may_differ = np.zeros(len(first), dtype=np.bool_)
    may_differ[[11, 12, 14, 15, 17, 18]] = True
    may_differ[fraction] = written.group(1) is not None
    if not (characters[:, ~may_differ] == characters[0, ~may_differ]).all() or (digits[:, may_differ] > 9).any():
        return None
    clock = digits[:, _CLOCK].astype(np.int64)
    if (clock[:, [0, 3, 6]] * 10 + clock[:, [1, 4, 7]] > (23, 59, 59)).any():
        return None
    times: NDArray[np.int64] = clock @ _TIME_OF_DAY_MS
    if written.group(1) is not None:
        milliseconds = digits[:, fraction][:, :3]
        times += milliseconds.astype(np.int64) @ _FRACTION_MS[: milliseconds.shape[1]]
    try:
        times += parse_timestamp(first) - times[0]
    except ValueError:
        return None
    # With an offset from UTC the date of a time can differ from the first's, but not by what was written: the
    # distance holds. Only the ends of what a timestamp may be are left to check.
    return times if times.min() >= EARLIEST_MS and times.max() <= LATEST_MS else None
