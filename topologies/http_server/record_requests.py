"""Records in the body of a request: all of them are checked before any is written.

A record that would be a dead letter is refused with its place. A field that detect would not use is named in the
answer, and the record is written.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.detect.fields import find_look_alike
from pipeline.detect.record_check import (
    CheckedRecords,
    RecordChecker,
    RecordProblem,
    describe_bad_fields,
    describe_look_alikes,
)
from pipeline.detect.settings import DetectSettings
from pipeline.step import OutputMessage, RawMessage
from schemas.topics import RECORDS
from topologies.http_server.answers import PLACES_MAX
from topologies.http_server.items import Item, bad_items, read_items

_NO_PARTITION = -1


def read_records(
    content_type: str, headers: Mapping[str, str], body: bytes, settings: DetectSettings, now_ms: int | None
) -> tuple[list[OutputMessage], list[str]]:
    """Return the messages of all records of a body, and warnings about fields that detect will not use.

    Parameters
    ----------
    content_type, headers, body
        As for :func:`read_items`.
    settings
        Settings of the detect step.
    now_ms
        Time with which the times of the records are compared, in Unix milliseconds, or None for a replay.

    Raises
    ------
    HttpProblem
        If any record cannot be used.
    """
    items = read_items(content_type, headers, body)
    messages = [
        RawMessage(RECORDS, _NO_PARTITION, number, now_ms or 0, None, item.content) for number, item in enumerate(items)
    ]
    checker = RecordChecker(settings, live=now_ms is not None)
    unusable = [problem for problem in checker.check(messages) if not problem.field]
    if unusable:
        raise bad_items([_describe(items[problem.offset], problem) for problem in unusable])
    return [_output(item) for item in items], _describe_warnings(checker.counts)


def _output(item: Item) -> OutputMessage:
    return OutputMessage(RECORDS, item.fields["subject"].encode(), item.content)


def _describe(item: Item, problem: RecordProblem) -> dict[str, Any]:
    field = next((name for name in ("subject", "timestamp") if name in problem.description), "")
    message = f"{problem.description}: {problem.advice}"
    return item.place | {"field": field, "reason": problem.reason, "message": message}


def _describe_warnings(counts: CheckedRecords) -> list[str]:
    look_alikes = [path for path in counts.unknown_fields if find_look_alike(path) is not None]
    warnings = [*describe_bad_fields(counts.bad_fields), *describe_look_alikes(look_alikes)]
    others = len(counts.unknown_fields) - len(look_alikes)
    if others:
        warnings.append(
            f"{others} other field{'' if others == 1 else 's'} of the records are not known and are ignored"
        )
    return _shorten(warnings)


def _shorten(warnings: Sequence[str]) -> list[str]:
    more: Iterable[str] = [f"and {len(warnings) - PLACES_MAX} more"] if len(warnings) > PLACES_MAX else []
    return [*warnings[:PLACES_MAX], *more]
