"""Columns of simulated records as JSON texts, and single messages, for the writers of all simulated services."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from schemas.timestamp import format_timestamp


def format_times(times_ms: NDArray[np.int64]) -> list[str]:
    """Format Unix milliseconds as RFC 3339 in UTC, with milliseconds.

    >>> format_times(np.array([1795489920123]))
    ['2026-11-24T03:12:00.123Z']
    """
    texts = np.datetime_as_string(times_ms.astype("datetime64[ms]"), unit="ms")
    return [f"{text}Z" for text in texts.tolist()]


def quote_labels(labels: Iterable[str | None]) -> list[str]:
    """Return labels as JSON strings. None becomes null."""
    known: dict[str | None, str] = {}
    return [known.get(label) or known.setdefault(label, to_json(label)) for label in labels]


def version_texts(versions: Iterable[dict[str, str]]) -> list[str]:
    """Return the versions of records as JSON objects. Records share dictionaries that live as long as the columns."""
    known: dict[int, str] = {}
    return [known.get(id(row)) or known.setdefault(id(row), to_json(row)) for row in versions]


def rate_texts(column: NDArray[np.float64]) -> list[str]:
    """Return the values of a rate as JSON: true above 0. NaN becomes null.

    >>> rate_texts(np.array([1.0, 0.0, np.nan]))
    ['true', 'false', 'null']
    """
    texts = np.where(column > 0, "true", "false").astype(object)
    texts[np.isnan(column)] = "null"
    return list(texts.tolist())


def number_texts(column: NDArray[np.float64] | NDArray[np.int64]) -> list[str]:
    """Return numbers as JSON. NaN becomes null.

    >>> number_texts(np.array([1.0, 0.5, np.nan]))
    ['1.0', '0.5', 'null']
    """
    return orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1].split(",")


def to_json(value: Any) -> str:
    """Return a value as JSON."""
    return orjson.dumps(value).decode()


def replace_fields(line: bytes, **fields: object) -> bytes:
    """Return a record with other values of some of its top-level fields."""
    return orjson.dumps(orjson.loads(line) | fields)


def probe_line(subject: str, time_ms: int, *, blocked: bool) -> bytes:
    """Return the record of a probe, which is a known-bad prompt sent on purpose."""
    return orjson.dumps(
        {
            "subject": subject,
            "request_id": f"probe-{time_ms}",
            "timestamp": format_timestamp(time_ms),
            "safety": {"probe_blocked": blocked},
        }
    )
