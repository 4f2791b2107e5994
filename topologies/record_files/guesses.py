"""What was found in the first rows of files, as a table for people."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table

from pipeline.wording import percent
from topologies.console import plain_line
from topologies.record_files.columns import ColumnGuess

UNMAPPED_MAX = 40
"""Maximum number of unmapped columns that are listed."""

PROBLEMS_MAX = 3
"""Maximum number of problems of rows that are listed."""


@dataclass(slots=True)
class FileGuess:
    """What was found in the first rows of a file, before anything is sent.

    Attributes
    ----------
    path, description
        The file, and its format for people.
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

    @property
    def is_mapped(self) -> bool:
        """Whether rows are mapped to records. A file of driftwire's own records is used unchanged."""
        return bool(self.columns)


def render_guesses(guesses: Sequence[FileGuess]) -> RenderableType:
    """Return the format of each file, a table of its columns, and remarks."""
    parts: list[RenderableType] = []
    for guess in guesses:
        parts.append(plain_line(f"{guess.path}: {guess.description}, {_rows(guess)}", style="bold"))
        if guess.columns:
            parts.append(_column_table(guess))
        parts += [plain_line(remark) for remark in _remarks(guess)]
    return Group(*parts)


def _column_table(guess: FileGuess) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("column", "field", "read as", "for example"):
        table.add_column(name, overflow="fold")
    for name in ("absent", "unusable"):
        table.add_column(name, justify="right")
    for column in guess.columns:
        table.add_row(
            plain_line(column.source),
            plain_line(column.field.rpartition(".")[2] if column.is_signal else column.field),
            plain_line(column.reading),
            plain_line(", ".join(column.examples)),
            percent(column.absent) if column.absent else "",
            percent(column.unusable) if column.unusable else "",
        )
    return table


def _remarks(guess: FileGuess) -> list[str]:
    remarks = [f"{column.source}: {remark}" for column in guess.columns for remark in column.remarks]
    remarks += [f"unusable rows: {count:,}: {problem}" for problem, count in guess.unusable.most_common(PROBLEMS_MAX)]
    remarks += guess.remarks
    if guess.unmapped:
        more = ", ..." if len(guess.unmapped) > UNMAPPED_MAX else ""
        remarks.append(f"not used: {', '.join(guess.unmapped[:UNMAPPED_MAX])}{more}")
    return remarks


def _rows(guess: FileGuess) -> str:
    count = "1 row" if guess.rows == 1 else f"{guess.rows:,} rows"
    examined = count if guess.is_whole_file else f"first {count} examined"
    return (
        examined if guess.columns or not guess.rows else f"{examined}, records in driftwire's own form, used unchanged"
    )
