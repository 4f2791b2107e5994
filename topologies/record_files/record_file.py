"""Files of records: what is found in their first rows, and their rows as records."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from pipeline.intake import FieldMapping, MappingSettings
from pipeline.lenient_json import dump_json, parse_json
from schemas.record_fields import find_record_field
from schemas.timestamp import format_timestamp, parse_timestamp
from topologies.errors import DriftwireError
from topologies.record_files.cells import DecimalMark
from topologies.record_files.columns import ColumnGuess, find_columns, is_source_column, suggest_fields
from topologies.record_files.source_rows import SourceRow

NO_RECORD = "not a JSON object"


@dataclass(slots=True)
class RecordLine:
    """A row of a file as a message for ``driftwire.records``.

    Attributes
    ----------
    line
        Line in the file, from 1, or the number of the row.
    time_ms
        Event time in Unix milliseconds. A row without a time has the time of the row before it.
    value
        The message: a record or an array of records. None if the row gives no record.
    subject
        Subject of the record, if it is known.
    problem
        Why the row gives no record, or why detect will refuse its message. Empty for a record.
    """

    line: int
    time_ms: int
    value: bytes | None
    subject: str | None = None
    problem: str = ""


@dataclass(slots=True)
class FileGuess:
    """What was found in the first rows of a file, before anything is sent.

    Attributes
    ----------
    path, description
        The file and its format.
    rows, is_whole_file
        Number of rows that were looked at, and whether they are all rows of the file.
    unusable
        Rows that give no record, by problem.
    columns
        The mapped columns. Empty for a file of driftwire's own records.
    unmapped
        Names of the columns that are not used.
    remarks
        Suggestions for the mapping.
    """

    path: Path
    description: str
    rows: int = 0
    is_whole_file: bool = True
    unusable: Counter[str] = field(default_factory=Counter)
    columns: list[ColumnGuess] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
