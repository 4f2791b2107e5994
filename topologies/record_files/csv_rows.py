"""Rows of CSV files. Encoding and delimiter are found in the first lines of the file."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from pipeline.conversion import convert_to_number
from topologies.errors import DriftwireError
from topologies.record_files.source_rows import ROW_BYTES_MAX, SourceRow, format_suffix, open_bytes

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
"""The delimiters that are recognised, and their names."""

_HEAD_BYTES = 256 * 1024
_HEAD_ROWS = 200
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How a CSV file is written: its encoding, its delimiter and the names of its columns."""

    encoding: str
    delimiter: str
    columns: tuple[str, ...]

    @property
    def encoding_name(self) -> str:
        """Name of the encoding, for people."""
        return {"utf-8-sig": "UTF-8 with byte order mark", "utf-16": "UTF-16"}.get(self.encoding, "UTF-8")


def find_csv_dialect(path: Path) -> CsvDialect:
    """Find the dialect of a CSV file in its first lines.

    Raises
    ------
    DriftwireError
        If the file cannot be read, is empty, is not UTF-8 or UTF-16, or has no line with column names.
    """
    with open_bytes(path) as stream:
        head = stream.read(_HEAD_BYTES)
    encoding = next((name for bom, name in _BOMS.items() if head.startswith(bom)), "utf-8")
    try:
        # The last character of the head may be cut.
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=len(head) < _HEAD_BYTES)
    except UnicodeDecodeError as error:
        raise DriftwireError(
            f"{path} is not UTF-8 ({error.reason} at byte {error.start}), and has no byte order mark of UTF-16: "
            "export it as UTF-8"
        ) from error
    lines = text.splitlines(keepends=True)
    delimiter = _find_delimiter(lines, preferred="\t" if format_suffix(path) == ".tsv" else ",")
    header = next((row for row in _parse(lines, delimiter) if any(map(str.strip, row))), None)
    if header is None:
        raise DriftwireError(f"{path} is empty: the first line of a CSV file must contain the names of its columns")
    if text.lstrip().startswith(("{", "[")):
        raise DriftwireError(
            f"{path} contains JSON: give the file a name that ends in .ndjson, or in .json for an array"
        )
    if any(convert_to_number(cell) is not None for cell in header):
        raise DriftwireError(f"{path}: the first line contains numbers: it must contain the names of the columns")
    return CsvDialect(encoding, delimiter, _unique_names(header))


def read_csv_rows(path: Path, dialect: CsvDialect) -> Iterator[SourceRow]:
    """Yield the rows of a CSV file, without the header. A row with a wrong number of cells has a problem and no fields.

    Raises
    ------
    DriftwireError
        If the file cannot be read to its end.
    """
    with open_bytes(path) as stream, _open_text(stream, dialect.encoding) as text:
        csv.field_size_limit(ROW_BYTES_MAX)
        reader = csv.reader(text, delimiter=dialect.delimiter)
        is_header = True
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, UnicodeError) as error:
                yield SourceRow(reader.line_num, problem=f"cannot be split into cells: {error}")
                if isinstance(error, UnicodeError):
                    return
                continue
            if not any(map(str.strip, cells)):
                continue
            if is_header:
                is_header = False
                continue
            yield _check_row(reader.line_num, cells, dialect)


def _check_row(line: int, cells: list[str], dialect: CsvDialect) -> SourceRow:
    if len(cells) != len(dialect.columns):
        return SourceRow(line, problem=f"{len(cells)} cells, but the first line has {len(dialect.columns)}")
    if any(_ESCAPED_BYTE.search(cell) for cell in cells if not cell.isascii()):
        return SourceRow(line, problem="not UTF-8")
    return SourceRow(line, dict(zip(dialect.columns, cells, strict=True)))


def _open_text(stream: IO[bytes], encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding, "strict" if encoding == "utf-16" else "surrogateescape", newline="")


def _parse(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(lines, delimiter=delimiter)
    except csv.Error:
        return


def _find_delimiter(lines: list[str], preferred: str) -> str:
    """Return the delimiter with which most of the first rows have as many cells as the header."""

    def score(delimiter: str) -> tuple[float, int, bool]:
        rows = [row for row in islice(_parse(lines, delimiter), _HEAD_ROWS) if row]
        width = len(rows[0]) if rows else 0
        if width < 2:
            return 0.0, 0, delimiter == preferred
        same = sum(len(row) == width for row in rows) / len(rows)
        return same, width, delimiter == preferred

    return max(DELIMITERS, key=score)


def _unique_names(header: list[str]) -> tuple[str, ...]:
    """Return the names of the columns. A name that occurs again gets a number, and an empty name its position."""
    names: list[str] = []
    for position, cell in enumerate(header, 1):
        name = cell.strip() or f"column {position}"
        count = 1
        while name in names:
            count += 1
            name = f"{cell.strip()} ({count})"
        names.append(name)
    return tuple(names)
