"""Files of records and deployments, read line by line for a replay: NDJSON, the same gzipped, and CSV.

A line of NDJSON that is no record is sent as it stands, for the pipeline's own dead letters to judge. A file that
cannot be read at all, or a CSV that does not fit its mapping, is the user's to put right: :class:`LoadError`.
"""

import gzip
import heapq
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import orjson
from pydantic import ValidationError

from load.errors import LoadError
from load.inputs.columns import CsvMapping, read_csv
from pipeline.wording import one_line
from schemas.deployment import Deployment
from schemas.timestamp import format_timestamp, parse_timestamp

LINE_BYTES_MAX = 8 * 1024 * 1024
"""Bytes: a longer line would not fit into one Kafka message."""


@dataclass(frozen=True, slots=True)
class Line:
    """One message to send. ``time_ms`` is its event time, or that of the line before where it has none of its own."""

    time_ms: int
    key: bytes | None
    value: bytes
    readable: bool = True


def open_text(path: Path) -> IO[bytes]:
    """Open a file, unpacking it if its name ends in .gz."""
    try:
        return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise LoadError(f"{path}: cannot be opened ({error.strerror or error}): check the path") from error


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, with their numbers from 1.

    Raises
    ------
    LoadError
        If the file cannot be read, or a line is longer than a message may be.
    """
    with open_text(path) as stream:
        number = 0
        try:
            while line := stream.readline(LINE_BYTES_MAX + 1):
                number += 1
                if len(line) > LINE_BYTES_MAX:
                    raise LoadError(f"{path} line {number}: longer than {LINE_BYTES_MAX} bytes: is it NDJSON?")
                if line.strip():
                    yield number, line.rstrip(b"\r\n")
        except (OSError, EOFError, zlib.error) as error:
            raise LoadError(f"{path} after line {number}: cannot be read on ({error}): is the file whole?") from error


def read_records(path: Path, mapping: CsvMapping | None = None) -> Iterator[Line]:
    """The records of one file in its own order; ``mapping`` is for CSV alone."""
    if ".csv" in path.suffixes:
        if mapping is None:
            raise LoadError(f"{path}: a CSV needs --subject NAME and a --map COLUMN=timestamp")
        with open_text(path) as stream:
            for time_ms, record in read_csv(path, stream, mapping):
                yield Line(time_ms, str(record["subject"]).encode(), orjson.dumps(record))
        return
    newest_ms = 0
    for _, value in numbered_lines(path):
        line = _record_line(value, newest_ms)
        newest_ms = max(newest_ms, line.time_ms)
        yield line


def _record_line(value: bytes, newest_ms: int) -> Line:
    try:
        parsed = orjson.loads(value)
        first = parsed[0] if isinstance(parsed, list) else parsed
        return Line(parse_timestamp(first["timestamp"]), first["subject"].encode(), value)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return Line(newest_ms, None, value, readable=False)


def in_event_time_order(files: Sequence[Iterable[Line]]) -> Iterator[Line]:
    """Join files by event time. A file's own order is kept: a record that came late there comes late here."""

    def keyed(number: int, lines: Iterable[Line]) -> Iterator[tuple[int, int, Line]]:
        newest_ms = 0
        for line in lines:
            newest_ms = max(newest_ms, line.time_ms)
            yield newest_ms, number, line

    streams = [keyed(number, lines) for number, lines in enumerate(files)]
    return (line for _, _, line in heapq.merge(*streams, key=lambda each: each[:2]))


def read_deployments(path: Path) -> list[Deployment]:
    """The deployments of an NDJSON file.

    Raises
    ------
    LoadError
        If a line is no deployment, naming file, line and field.
    """
    deployments = []
    for number, value in numbered_lines(path):
        try:
            deployments.append(Deployment.from_json(value))
        except ValidationError as error:
            raise LoadError(f"{path} line {number}: {one_line(error)}") from error
    return deployments


def shifted(line: Line, by_ms: int) -> Line:
    """The same message, ``by_ms`` milliseconds later; a line that is no record stays as it is."""
    if not by_ms or not line.readable:
        return line
    parsed: Any = orjson.loads(line.value)
    for record in parsed if isinstance(parsed, list) else [parsed]:
        try:
            record["timestamp"] = format_timestamp(parse_timestamp(record["timestamp"]) + by_ms)
        except (ValueError, KeyError, TypeError):
            continue
    return Line(line.time_ms + by_ms, line.key, orjson.dumps(parsed))
