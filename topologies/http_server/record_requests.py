"""Records in the body of a request: all of them are checked before any is written.

A record that would be a dead letter is refused with its place. A field that detect would not use is named in the
answer, and the record is written.
"""

from collections.abc import Sequence
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
from topologies.http_server.decoded_request import DecodedRequest, RequestContent
from topologies.http_server.items import Item, bad_items, read_items
from topologies.listener import PLACES_MAX, json_response

_NO_PARTITION = -1


def read_records(settings: DetectSettings, request: RequestContent, *, replay: bool) -> DecodedRequest:
    """Return the messages of all records of a body. The answer has warnings about fields that detect will not use.

    Parameters
    ----------
    settings
        Settings of the detect step.
    request
        The request.
    replay
        Whether the times of the records are not compared with the time of arrival.

    Raises
    ------
    HttpProblem
        If any record cannot be used.
    """
    items = read_items(request)
    messages = [
        RawMessage(RECORDS, _NO_PARTITION, number, request.now_ms, None, item.content)
        for number, item in enumerate(items)
    ]
    checker = RecordChecker(settings, live=not replay)
    unusable = [problem for problem in checker.check(messages) if not problem.field]
    if unusable:
        raise bad_items([_describe(items[problem.offset], problem) for problem in unusable])
    answer = {"records": len(items), "warnings": _describe_warnings(checker.counts)}
    return DecodedRequest([_output(item) for item in items], json_response(answer))


def _output(item: Item) -> OutputMessage:
    return OutputMessage(RECORDS, item.fields["subject"].encode(), item.content)


def _describe(item: Item, problem: RecordProblem) -> dict[str, Any]:
    field = next((name for name in ("subject", "timestamp") if name in problem.description), "")
    message = f"{problem.description}: {problem.advice}"
    return item.position | {"field": field, "reason": problem.reason, "message": message}


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
    more = [f"and {len(warnings) - PLACES_MAX} more"] if len(warnings) > PLACES_MAX else []
    return [*warnings[:PLACES_MAX], *more]
