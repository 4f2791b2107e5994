"""How the rows of one file become records, decided from its first rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.intake import FieldMapping, MappedRecord, MappingSettings
from schemas.record_fields import CUSTOM_SECTION, LABEL_SECTIONS, RECORD_FIELDS, find_record_field
from topologies.errors import DriftwireError
from topologies.record_files.cells import (
    CellReader,
    ColumnCells,
    DecimalMark,
    choose_readers,
    read_json_cell,
    read_word,
)
from topologies.record_files.columns import is_source_column
from topologies.record_files.exports import ExportReader, RecognizedExport, recognize_export
from topologies.record_files.file_format import FileFormat

_SECTIONS = {field.path[0] for field in RECORD_FIELDS.values()} | {CUSTOM_SECTION, *LABEL_SECTIONS}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options of the reading of files that are not part of the mapping.

    Attributes
    ----------
    decimal
        Decimal mark of the numbers of CSV files. If None, it is found for each column.
    start_ms
        Start time, in Unix ms, of CSV times that are seconds since a start. If None, these times are refused.
    """

    decimal: DecimalMark | None = None
    start_ms: int | None = None


class RecordMapping:
    """Conversion of the rows of one file to records.

    Parameters
    ----------
    path, form
        The file and its format.
    rows
        The first rows of the file, as they were written.
    settings
        The mapping that the user gave.
    options
        Options of the reading.
    time_zone
        Time zone of times without an offset if neither the mapping nor the export names one.

    Raises
    ------
    DriftwireError
        If a mapped column is missing, or if the numbers of a column have more than one possible meaning.
    """

    def __init__(
        self,
        path: Path,
        form: FileFormat,
        rows: Sequence[dict[str, Any]],
        settings: MappingSettings,
        options: ReadOptions,
        time_zone: str | None,
    ) -> None:
        self._columns = form.columns
        self._is_text = form.delimiter is not None
        keys = form.columns or tuple(dict.fromkeys(name for row in rows for name in row))
        if form.columns is not None:
            _check_columns(path, form.columns, settings)
            settings = _map_path_columns(form.columns, settings)
        self.export: RecognizedExport | None = recognize_export(keys)
        self._export_reader: ExportReader | None = None
        if self.export is not None:
            samples = [_parse_cells(row) for row in rows] if form.delimiter else list(rows)
            taken = _taken_fields(settings)
            zone = settings.time_zone or self.export.time_zone or time_zone
            self._export_reader = ExportReader(self.export, samples, taken, zone)
            filled = {name for row in rows for name, cell in row.items() if cell not in (None, "")}
            subject = next((rule for rule in self.export.subjects if rule.strip("{}").partition(".")[0] in filled), "")
            settings = settings.model_copy(
                update={
                    "map": (*settings.map, *self._export_reader.entries),
                    "subject": settings.subject or ("" if "subject" in taken else subject),
                    "time_zone": zone or "",
                }
            )
        self.settings = settings.model_copy(update={"time_zone": settings.time_zone or time_zone or ""})
        self.fields = FieldMapping(self.settings)
        sources = set(self.fields.sources) | set(self._export_reader.sources if self._export_reader else ())
        named = {value.source for value in self.fields.values(dict.fromkeys(keys, ""))}
        self.used_columns = [name for name in keys if name in _SECTIONS or is_source_column(name, sources | named)]
        self._json_columns = {
            name for name in self.used_columns if any(source.startswith(f"{name}.") for source in sources)
        }
        self.readers: dict[str, CellReader] = {}
        if form.delimiter is not None:
            self.readers = choose_readers(self._collect_cells(rows), form.delimiter, options.decimal, options.start_ms)

    @property
    def columns_to_read(self) -> list[str] | None:
        """The columns that are needed, or None for a file without columns."""
        return None if self._columns is None else [name for name in self._columns if name in set(self.used_columns)]

    def read_source(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a row by source, with cells read and values of the export computed."""
        source = self._read_cells(row) if self._is_text else row
        return source if self._export_reader is None else self._export_reader.read(source)

    def read(self, row: dict[str, Any]) -> MappedRecord:
        """Return the record of a row. Content never raises an error."""
        return self.fields.read(self.read_source(row))

    def _read_cells(self, row: dict[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name in self.used_columns:
            text = read_word(row[name])
            if text is None:
                continue
            reader = self.readers.get(name)
            if reader is not None:
                values[name] = reader.read(text)
            else:
                values[name] = read_json_cell(text) if name in self._json_columns else text
        return values

    def _collect_cells(self, rows: Sequence[dict[str, Any]]) -> dict[str, ColumnCells]:
        targets: dict[str, Any] = {}
        texts: dict[str, list[str]] = {}
        for row in rows:
            words = {name: text for name in self.used_columns if (text := read_word(row[name])) is not None}
            for value in self.fields.values(words):
                targets.setdefault(value.source, value.field.target)
                texts.setdefault(value.source, []).append(value.value)
        return {name: ColumnCells(target, texts[name]) for name, target in targets.items()}


def _check_columns(path: Path, columns: Sequence[str], settings: MappingSettings) -> None:
    for source in FieldMapping(settings).sources:
        if not any(source == column or source.startswith(f"{column}.") for column in columns):
            raise DriftwireError(f"{path} has no column {source!r}: its columns are {', '.join(columns)}")


def _map_path_columns(columns: Sequence[str], settings: MappingSettings) -> MappingSettings:
    """Map columns whose name is the path of a field, such as ``versions.model``."""
    taken = _taken_fields(settings)
    entries = [
        f"{column}={column}"
        for column in columns
        if "." in column and (field := find_record_field(column)) is not None and field.name not in taken
    ]
    return settings.model_copy(update={"map": (*settings.map, *entries)})


def _taken_fields(settings: MappingSettings) -> set[str]:
    """Return the names of the fields that the user maps or sets."""
    written = [text.rpartition("=")[2] for text in settings.map]
    fields = [find_record_field(name) or find_record_field(name.rpartition(":")[0]) for name in written]
    fields += [find_record_field(name) for name in settings.constants]
    return {field.name for field in fields if field is not None}


def _parse_cells(row: dict[str, str]) -> dict[str, Any]:
    return {name: read_json_cell(text) for name, cell in row.items() if (text := read_word(cell)) is not None}
