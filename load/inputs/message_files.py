"""Files of records and deployments, read line by line: NDJSON, gzipped NDJSON and CSV.

An NDJSON line that is not a record is sent unchanged, and the pipeline dead-letters it. A file that cannot be read, or
a CSV file that does not match its mapping, raises :class:`LoadError`.
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
from load.inputs.csv_mapping import CsvMapping, read_csv
from schemas.deployment import Deployment
from schemas.timestamp import format_timestamp, parse_timestamp

LINE_BYTES_MAX = 8 * 1024 * 1024
"""Maximum bytes of a line. A longer line exceeds the size limit of a Kafka message."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """Message to send.

    ``time_ms`` is the event time. A message that is not ``readable`` as a record has the time of the previous message.
    """

    time_ms: int
    key: bytes | None
    value: bytes
    readable: bool = True

    def shift(self, by_ms: int) -> "OutgoingMessage":
        """Return the message with event times shifted by ``by_ms`` milliseconds. Unreadable messages stay unchanged."""
        if not by_ms or not self.readable:
            return self
        parsed: Any = orjson.loads(self.value)
        for record in parsed if isinstance(parsed, list) else [parsed]:
            try:
                record["timestamp"] = format_timestamp(parse_timestamp(record["timestamp"]) + by_ms)
            except (ValueError, KeyError, TypeError):
                continue
        return OutgoingMessage(self.time_ms + by_ms, self.key, orjson.dumps(parsed))


def open_file(path: Path) -> IO[bytes]:
    """Open a file, and decompress it if its name ends in .gz."""
    try:
        return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise LoadError(f"{path}: cannot be opened ({error.strerror or error}): check the path") from error


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the non-blank lines of a file with their line numbers, from 1.

    Raises
    ------
    LoadError
        If the file cannot be read, or if a line is longer than :data:`LINE_BYTES_MAX`.
    """
    with open_file(path) as stream:
        number = 0
        try:
            while line := stream.readline(LINE_BYTES_MAX + 1):
                number += 1
                if len(line) > LINE_BYTES_MAX:
                    raise LoadError(
                        f"{path} line {number}: longer than {LINE_BYTES_MAX} bytes: check that it is NDJSON"
                    )
                if line.strip():
                    yield number, line.rstrip(b"\r\n")
        except (OSError, EOFError, zlib.error) as error:
            raise LoadError(
                f"{path} after line {number}: cannot be read ({error}): check that the file is complete"
            ) from error


def read_records(path: Path, mapping: CsvMapping | None = None) -> Iterator[OutgoingMessage]:
    """Yield the records of a file in order. ``mapping`` applies to CSV files.

    Raises
    ------
    LoadError
        If the file cannot be read, or if a CSV file has no mapping or does not match its mapping.
    """
    if ".csv" in path.suffixes:
        if mapping is None:
            raise LoadError(f"{path}: a CSV file needs --subject NAME and --map COLUMN=timestamp")
        with open_file(path) as stream:
            for time_ms, record in read_csv(path, stream, mapping):
                yield OutgoingMessage(time_ms, str(record["subject"]).encode(), orjson.dumps(record))
        return
    newest_ms = 0
    for _, value in read_lines(path):
        message = _parse_line(value, newest_ms)
        newest_ms = max(newest_ms, message.time_ms)
        yield message


def _parse_line(value: bytes, newest_ms: int) -> OutgoingMessage:
    try:
        parsed = orjson.loads(value)
        first = parsed[0] if isinstance(parsed, list) else parsed
        return OutgoingMessage(parse_timestamp(first["timestamp"]), first["subject"].encode(), value)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return OutgoingMessage(newest_ms, None, value, readable=False)


def merge_by_event_time(files: Sequence[Iterable[OutgoingMessage]]) -> Iterator[OutgoingMessage]:
    """Merge files by event time. The order within a file is preserved, so late records stay late."""

    def with_order(number: int, messages: Iterable[OutgoingMessage]) -> Iterator[tuple[int, int, OutgoingMessage]]:
        newest_ms = 0
        for message in messages:
            newest_ms = max(newest_ms, message.time_ms)
            yield newest_ms, number, message

    streams = [with_order(number, messages) for number, messages in enumerate(files)]
    return (message for _, _, message in heapq.merge(*streams, key=lambda entry: entry[:2]))


def read_deployments(path: Path) -> list[Deployment]:
    """Read the deployments of an NDJSON file.

    Raises
    ------
    LoadError
        If the file cannot be read, or if a line is not a deployment. The message contains file, line and field.
    """
    deployments = []
    for number, value in read_lines(path):
        try:
            deployments.append(Deployment.from_json(value))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the line"
            raise LoadError(f"{path} line {number}: {field}: {first['msg']}") from error
    return deployments
