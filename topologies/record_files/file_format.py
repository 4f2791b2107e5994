"""The format of a file, found by its name and its first lines, and a reader of its rows."""

from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from topologies.record_files.csv_rows import DELIMITERS, find_csv_dialect, read_csv_rows
from topologies.record_files.json_rows import find_json_format, read_json_array, read_json_lines
from topologies.record_files.parquet_rows import parquet_columns, read_parquet_rows
from topologies.record_files.source_rows import SourceRow, format_suffix, is_compressed

SAMPLE_ROWS = 5000
"""Rows at the start of a file from which its format and its columns are found."""

_SAMPLE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileFormat:
    """Format of a file.

    Attributes
    ----------
    description
        Name of the format with delimiter and encoding, for people.
    columns
        Names of the columns. None for JSON, whose keys may differ from row to row.
    delimiter
        Delimiter of a CSV file. None for other formats, whose values have types.
    read_rows
        Reads the rows from the start. The argument is the columns that are needed, or None for all.
    """

    description: str
    columns: tuple[str, ...] | None
    delimiter: str | None
    read_rows: Callable[[Collection[str] | None], Iterator[SourceRow]]

    def read_sample(self) -> tuple[list[SourceRow], bool]:
        """Return the first rows, and whether they are all rows of the file."""
        rows: list[SourceRow] = []
        size = 0
        with closing(self.read_rows(None)) as reader:  # type: ignore[type-var]
            for row in reader:
                rows.append(row)
                size += len(row.value or b"") + sum(len(str(value)) for value in (row.fields or {}).values())
                if len(rows) == SAMPLE_ROWS or size > _SAMPLE_BYTES:
                    return rows, False
        return rows, True


def find_format(path: Path) -> FileFormat:
    """Find the format of a file: CSV, Parquet, or JSON for any other name.

    Raises
    ------
    DriftwireError
        If the file cannot be read, or does not have the format that its name states.
    """
    suffix = format_suffix(path)
    compression = ", gzip" if is_compressed(path) else ""
    if suffix in (".csv", ".tsv"):
        dialect = find_csv_dialect(path)
        description = f"CSV, {DELIMITERS[dialect.delimiter]}, {dialect.encoding_name}{compression}"
        return FileFormat(description, dialect.columns, dialect.delimiter, lambda _: read_csv_rows(path, dialect))
    if suffix == ".parquet":
        return FileFormat("Parquet", parquet_columns(path), None, partial(read_parquet_rows, path))
    name = find_json_format(path)
    read = read_json_array if name == "JSON array" else read_json_lines
    return FileFormat(f"{name}{compression}", None, None, lambda _: read(path))
