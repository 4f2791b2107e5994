"""Rows of Parquet files, read with pyarrow, which is an optional dependency."""

import math
from collections.abc import Collection, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from topologies.errors import DriftwireError
from topologies.record_files.source_rows import SourceRow

BATCH_ROWS = 2000
"""Rows that are in memory at once."""


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of a Parquet file.

    Raises
    ------
    DriftwireError
        If pyarrow is not installed, or if the file cannot be read.
    """
    with _open_parquet(path) as file:
        return tuple(file.schema_arrow.names)


def read_parquet_rows(path: Path, columns: Collection[str] | None) -> Iterator[SourceRow]:
    """Yield the rows of a Parquet file with the values of ``columns``, or of all columns if it is None.

    A time with a time zone becomes Unix milliseconds, and a time without one becomes text without an offset.

    Raises
    ------
    DriftwireError
        If pyarrow is not installed, or if the file cannot be read to its end.
    """
    import pyarrow as pa  # noqa: PLC0415  optional

    with _open_parquet(path) as file:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=None if columns is None else list(columns)):
                values = [_read_column(column) for column in batch.columns]
                for row in zip(*values, strict=True):
                    number += 1
                    yield SourceRow(number, dict(zip(batch.schema.names, row, strict=True)))
        except (pa.ArrowException, OSError) as error:
            raise DriftwireError(f"{path} cannot be read after row {number}: {error}") from error


def _open_parquet(path: Path) -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415  optional
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise DriftwireError(
            f"{path} is a Parquet file, but pyarrow is not installed: install it with "
            "pip install 'driftwire[parquet]', or export the file as CSV or NDJSON"
        ) from error
    try:
        return parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DriftwireError(f"{path} cannot be read as Parquet: {error}") from error


def _read_column(column: Any) -> list[Any]:
    import pyarrow as pa  # noqa: PLC0415  optional

    if pa.types.is_timestamp(column.type):
        # Python's times have no nanoseconds.
        milliseconds = column.cast(pa.timestamp("ms", column.type.tz), safe=False)
        if column.type.tz is not None:
            return list(milliseconds.cast(pa.int64()).to_pylist())
        return [value and value.isoformat(sep=" ") for value in milliseconds.to_pylist()]
    return [_plain_value(value) for value in column.to_pylist()]


def _plain_value(value: Any) -> Any:
    """Return an Arrow value as a JSON value. NaN becomes absent, and infinity stays a bad value."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
        value = dict(value)
    if isinstance(value, dict):
        return {str(name): _plain_value(item) for name, item in value.items()}
    return [_plain_value(item) for item in value] if isinstance(value, list) else str(value)
