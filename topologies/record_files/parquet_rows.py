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

UNREADABLE = "a value that cannot be read"
"""Stands for a time beyond the year 9999, or for a text that is not UTF-8."""


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
        times = [_read_scalar(scalar) for scalar in milliseconds]
        return [time.isoformat(sep=" ") if isinstance(time, datetime) else time for time in times]
    column = column.cast(_python_type(column.type), safe=False)
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):
        values = [_read_scalar(scalar) for scalar in column]
    return [_plain_value(value) for value in values]


def _python_type(kind: Any) -> Any:
    """Return a type of Arrow with microseconds instead of nanoseconds, and UTC instead of other time zones."""
    import pyarrow as pa  # noqa: PLC0415  optional

    if pa.types.is_timestamp(kind):
        return pa.timestamp("us" if kind.unit == "ns" else kind.unit, kind.tz and "UTC")
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_struct(kind):
        return pa.struct([child.with_type(_python_type(child.type)) for child in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_python_type(kind.value_type)))
    return kind


def _read_scalar(scalar: Any) -> Any:
    """Return the value of a scalar, or a text that cannot be used if Python has no such value."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return UNREADABLE


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
