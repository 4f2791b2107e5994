"""Options of the commands that read files of records, and how these commands show what was found in the files."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topologies.commands.mapping_options import mapping_options
from topologies.commands.parameter_types import PointInTime

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.intake import MappingSettings
    from topologies.record_files import ReadOptions, RecordFile

UNUSABLE_SHOWN_MAX = 3
"""Maximum number of problems of rows that are listed."""

_OPTIONS = (
    click.option(
        "--decimal",
        type=click.Choice([".", ","]),
        help="Decimal mark of the numbers in CSV files.  [default: found for each column]",
    ),
    click.option(
        "--csv-start",
        "start_ms",
        type=PointInTime(),
        help="Start time of CSV files in which times are seconds since the start.",
    ),
)


def record_file_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the mapping and of CSV files, and pass ``mapping`` and ``reading`` (ReadOptions)."""

    @functools.wraps(function)
    def command(*arguments: Any, decimal: Any, start_ms: int | None, **options: Any) -> None:
        from topologies.record_files import ReadOptions  # noqa: PLC0415  slow to import and not needed for --help

        function(*arguments, reading=ReadOptions(decimal, start_ms), **options)

    for option in reversed(_OPTIONS):
        command = option(command)
    return mapping_options(command)


def open_files(
    paths: Sequence[Path],
    mapping: "MappingSettings",
    reading: "ReadOptions",
    *,
    time_zone: str,
    console: "Console",
) -> list["RecordFile"]:
    """Open files of records, and show what was found in them.

    Raises
    ------
    DriftwireError
        If a file cannot be read or does not fit the mapping.
    """
    from topologies.record_files import open_records, render_guesses  # noqa: PLC0415  slow to import, as above

    files = open_records(paths, mapping, time_zone=time_zone or None, options=reading)
    console.print(render_guesses([file.guess for file in files]))
    return files


def read_messages(files: Sequence["RecordFile"]) -> Iterator[bytes]:
    """Yield the messages of files, merged by event time. Rows that give no record are left out and counted."""
    from topologies.record_files import merge_by_event_time  # noqa: PLC0415  slow to import, as above

    return (line.value for line in merge_by_event_time(files) if line.value is not None)


def selected_subject(mapping: "MappingSettings") -> str | None:
    """Return the subject that the user named, or None if there is none or if it is a rule."""
    return mapping.subject if mapping.subject and "{" not in mapping.subject else None


def describe_unusable(files: Sequence["RecordFile"]) -> list[str]:
    """Return a line for each of the most frequent problems of the rows that gave no record."""
    lines = []
    for file in (file for file in files if file.guess.is_mapped):
        for problem, count in file.unusable.most_common(UNUSABLE_SHOWN_MAX):
            rows = "1 unusable row" if count == 1 else f"{count:,} unusable rows"
            lines.append(f"{file.path}: {rows}, first in line {file.first_lines[problem]}: {problem}")
    return lines
