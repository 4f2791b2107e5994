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

from load.errors import LoadError
from load.inputs.csv_mapping import CsvMapping, read_csv
from pipeline.decoding import Unreadable, decode_contract
from pipeline.lenient_json import dump_json, parse_json
from schemas.deployment import Deployment
from schemas.timestamp import format_timestamp, parse_timestamp

LINE_BYTES_MAX = 8 * 1024 * 1024
"""Maximum bytes of a line. A longer line exceeds the size limit of a Kafka message."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """Message to send.

    ``time_ms`` is the event time. A message that is not ``readable`` as a record gets the time of the previous message.
    ``time_zone`` is the time zone of times without an offset.
    """

    time_ms: int
    key: bytes | None
    value: bytes
    readable: bool = True
    time_zone: str | None = None

    def shift(self, by_ms: int) -> "OutgoingMessage":
        """Return the message with event times shifted by ``by_ms`` milliseconds. Unreadable messages stay unchanged."""
        if not by_ms or not self.readable:
            return self
        parsed: Any = parse_json(self.value)
        for record in parsed if isinstance(parsed, list) else [parsed]:
            try:
                time_ms = parse_timestamp(record["timestamp"], time_zone=self.time_zone)
                record["timestamp"] = format_timestamp(time_ms + by_ms)
            except (ValueError, KeyError, TypeError):
                continue
        return OutgoingMessage(self.time_ms + by_ms, self.key, dump_json(parsed))


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


def read_records(
    path: Path, mapping: CsvMapping | None = None, *, time_zone: str | None = None
) -> Iterator[OutgoingMessage]:
    """Yield the records of a file in order. ``mapping`` applies to CSV files, ``time_zone`` to NDJSON files.

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
        message = _parse_line(value, newest_ms, time_zone)
        newest_ms = max(newest_ms, message.time_ms)
        yield message


def _parse_line(value: bytes, newest_ms: int, time_zone: str | None) -> OutgoingMessage:
    try:
        parsed = parse_json(value)
        first = parsed[0] if isinstance(parsed, list) else parsed
        time_ms = parse_timestamp(first["timestamp"], time_zone=time_zone)
        return OutgoingMessage(time_ms, first["subject"].encode(), value, time_zone=time_zone)
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
    deployments: list[Deployment] = []
    for number, value in read_lines(path):
        decoded = decode_contract(value, Deployment.read, "deployment", bytes_max=LINE_BYTES_MAX)
        if isinstance(decoded, Unreadable):
            raise LoadError(f"{path} line {number}: {decoded.detail}")
        deployments += decoded
    return deployments
