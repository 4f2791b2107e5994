"""Files opened for reading, and the rows that the readers of the formats yield."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from topologies.errors import DriftwireError

ROW_BYTES_MAX = 8 * 1024 * 1024
"""Maximum bytes of a row. A longer row exceeds the size limit of a Kafka message."""


@dataclass(slots=True)
class SourceRow:
    """A row of a file as it was written.

    Attributes
    ----------
    line
        Line on which the row ends, from 1. For a Parquet file, the number of the row.
    fields
        Values by column or key. None if the row cannot be read; ``problem`` then states why.
    value
        The bytes of a row of a JSON file. None for other formats.
    """

    line: int
    fields: dict[str, Any] | None = None
    value: bytes | None = None
    problem: str = ""


def is_compressed(path: Path) -> bool:
    """Return whether the name of a file ends in ``.gz``."""
    return path.suffix.lower() == ".gz"


def format_suffix(path: Path) -> str:
    """Return the suffix that names the format of a file, without ``.gz``.

    >>> format_suffix(Path("yesterday.CSV.gz"))
    '.csv'
    """
    return (Path(path.stem) if is_compressed(path) else path).suffix.lower()


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to be read, and decompress it if its name ends in ``.gz``.

    Raises
    ------
    DriftwireError
        If the file cannot be opened, or cannot be read to its end inside the context.
    """
    try:
        with cast("IO[bytes]", gzip.open(path, "rb")) if is_compressed(path) else path.open("rb") as stream:
            yield stream
    except (OSError, EOFError, zlib.error) as error:
        detail = getattr(error, "strerror", None) or error
        raise DriftwireError(
            f"{path} cannot be read: {detail}: check the path, and that the file is complete"
        ) from error
