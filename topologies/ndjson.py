"""NDJSON files of records, for the commands that read records from files."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from topologies.errors import DriftwireError


def read_ndjson_lines(paths: tuple[Path, ...]) -> Iterator[bytes]:
    """Yield the non-blank lines of files, one file after another. Files named ``.gz`` are decompressed.

    Raises
    ------
    DriftwireError
        If a file cannot be read to its end.
    """
    for path in paths:
        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
                for line in file:
                    if line.strip():
                        yield line.rstrip(b"\r\n")
        except (OSError, EOFError, zlib.error) as error:
            raise DriftwireError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
