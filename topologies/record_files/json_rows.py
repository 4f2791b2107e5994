"""Rows of JSON files: a value per line (NDJSON), or one array of objects."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pipeline.lenient_json import parse_json
from topologies.errors import DriftwireError
from topologies.record_files.source_rows import ROW_BYTES_MAX, SourceRow, format_suffix, open_bytes

CHUNK_BYTES = 1024 * 1024
"""Bytes read at once from an array."""

_BOM = b"\xef\xbb\xbf"
_NO_SPACE = re.compile(r"\S|\Z")
_DECODER = json.JSONDecoder()


def find_json_format(path: Path) -> str:
    """Return ``JSON array`` if a ``.json`` file contains one array, and ``NDJSON`` otherwise.

    Raises
    ------
    DriftwireError
        If the file cannot be read, or if it contains one object of several lines.
    """
    if format_suffix(path) != ".json":
        return "NDJSON"
    with open_bytes(path) as stream:
        first = stream.readline(ROW_BYTES_MAX).removeprefix(_BOM).strip()
        has_more = bool(stream.readline(ROW_BYTES_MAX).strip())
    if first == b"{" and has_more:
        raise DriftwireError(f"{path} contains one JSON object: give an array of records, or one record per line")
    return "JSON array" if first.startswith(b"[") and not (has_more and _is_json(first)) else "NDJSON"


def read_json_lines(path: Path) -> Iterator[SourceRow]:
    """Yield the non-blank lines of an NDJSON file. The bytes are not parsed.

    Raises
    ------
    DriftwireError
        If the file cannot be read to its end.
    """
    with open_bytes(path) as stream:
        number = 0
        while line := stream.readline(ROW_BYTES_MAX + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(_BOM)
            if len(line) > ROW_BYTES_MAX:
                _skip_line(stream, line)
                yield SourceRow(number, problem=f"longer than {ROW_BYTES_MAX:,} bytes")
            elif value := line.strip():
                yield SourceRow(number, value=value)


def read_json_array(path: Path) -> Iterator[SourceRow]:
    """Yield the elements of a file that contains one JSON array. The file is read in chunks.

    The rest of the array after an element that is not JSON cannot be split, so it is one row with a problem.

    Raises
    ------
    DriftwireError
        If the file cannot be read to its end.
    """
    with open_bytes(path) as stream:
        text, position, line, mark = _read_text(stream).removeprefix("\ufeff"), 0, 1, "["
        is_at_end = False
        while True:
            start = _skip_space(text, position, mark)
            end = _find_end(text, start)
            # The last value of the text may continue in the next chunk.
            if end in (-1, len(text)) and not is_at_end and len(text) - start <= ROW_BYTES_MAX:
                more = _read_text(stream)
                is_at_end = not more
                text, position = text[position:] + more, 0
                continue
            if text.startswith("]", start):
                if _skip_white(text, start + 1) < len(text):
                    yield SourceRow(line + text.count("\n", position), problem="text after the end of the array")
                return
            line += text.count("\n", position, max(start, end))
            if end < 0:
                yield SourceRow(line, problem="not JSON: the rest of the array cannot be read")
                return
            yield SourceRow(line, value=text[start:end].encode(errors="surrogateescape"))
            position, mark = end, ","


def _is_json(value: bytes) -> bool:
    try:
        parse_json(value)
    except ValueError:
        return False
    return True


def _find_end(text: str, start: int) -> int:
    """Return the end of the JSON value at ``start``, or -1 if there is no complete value."""
    try:
        return _DECODER.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return -1


def _skip_space(text: str, position: int, mark: str) -> int:
    """Return the position after spaces, with or without ``mark`` between them."""
    position = _skip_white(text, position)
    return _skip_white(text, position + 1) if text.startswith(mark, position) else position


def _skip_white(text: str, position: int) -> int:
    match = _NO_SPACE.search(text, position)
    return len(text) if match is None else match.start()


def _read_text(stream: IO[bytes]) -> str:
    """Return the next chunk, up to the end of a line so that no character is cut."""
    return (stream.read(CHUNK_BYTES) + stream.readline(CHUNK_BYTES)).decode(errors="surrogateescape")


def _skip_line(stream: IO[bytes], line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(ROW_BYTES_MAX)
