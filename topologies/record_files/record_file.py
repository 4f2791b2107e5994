"""Files of records: what is found in their first rows, and their rows as messages for ``driftwire.records``."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.intake import FieldMapping, MappedRecord, MappingSettings
from pipeline.lenient_json import dump_json, parse_json
from schemas.record_fields import RECORD_FIELDS
from schemas.timestamp import parse_timestamp
from topologies.errors import DriftwireError
from topologies.record_files.cells import describe_times
from topologies.record_files.columns import ColumnGuess, ColumnStatistics, suggest_fields
from topologies.record_files.exports import recognize_export
from topologies.record_files.file_format import find_format
from topologies.record_files.guesses import FileGuess
from topologies.record_files.record_mapping import ReadOptions, RecordMapping
from topologies.record_files.source_rows import SourceRow

PROBLEMS_MAX = 50
"""Maximum number of different problems that are counted per file. Rarer ones are counted together."""

OTHER_PROBLEMS = "other problems"


@dataclass(slots=True)
class RecordLine:
    """A row of a file as a message for ``driftwire.records``.

    Attributes
    ----------
    line
        Line in the file, from 1. For a Parquet file, the number of the row.
    time_ms
        Event time in Unix milliseconds. A row without a valid time has the latest time of the rows before it.
    value
        The message: a record or an array of records. None if the row gives no record.
    subject
        Subject of the (first) record, if it is known.
    problem
        Why the row gives no record, or why its message is not one. Empty for a record.
    """

    line: int
    time_ms: int
    value: bytes | None
    subject: str | None = None
    problem: str = ""


class RecordFile:
    """One file of records. Each iteration reads it from its start, with little memory.

    A file of JSON records in driftwire's own form is not changed: its lines are the messages. Rows of any other file
    are mapped to records.

    Attributes
    ----------
    guess
        What was found in the first rows.
    rows
        Rows that the latest iteration has read.
    unusable
        Rows of the latest iteration with a problem, by problem.
    first_lines
        The first line with each problem.
    dropped
        Values of the latest iteration that the mapping could not use, by field and reason.
    """

    def __init__(self, path: Path, settings: MappingSettings, options: ReadOptions, time_zone: str | None) -> None:
        self.path = path
        self._form = find_format(path)
        self._time_zone = time_zone
        rows, is_whole_file = self._form.read_sample()
        self._start_counts()
        sample = [(row, *self._parse(row)) for row in rows]
        objects = [content for _, contents, _ in sample for content in contents]
        settings = _keep_own_subjects(settings, objects)
        self._mapping: RecordMapping | None = None
        description = self._form.description
        if self._form.columns is not None or not _is_own_form(settings, objects):
            self._mapping = RecordMapping(path, self._form, objects, settings, options, time_zone)
            if self._mapping.export is not None:
                description = f"{self._mapping.export.name} ({description})"
        self.guess = FileGuess(path, description, len(rows), is_whole_file)
        self._examine(sample, objects)

    def __iter__(self) -> Iterator[RecordLine]:
        """Yield the rows as messages.

        Raises
        ------
        DriftwireError
            If the file cannot be read to its end.
        """
        self._start_counts()
        newest_ms = 0
        columns = None if self._mapping is None else self._mapping.columns_to_read
        for row in self._form.read_rows(columns):
            for line in self._read_row(row, newest_ms):
                newest_ms = max(newest_ms, line.time_ms)
                self.rows += 1
                if line.problem:
                    self._count_problem(line)
                yield line

    def _start_counts(self) -> None:
        self.rows = 0
        self.unusable: Counter[str] = Counter()
        self.first_lines: dict[str, int] = {}
        self.dropped: Counter[tuple[str, str]] = Counter()

    def _count_problem(self, line: RecordLine) -> None:
        known = line.problem in self.unusable or len(self.unusable) < PROBLEMS_MAX
        problem = line.problem if known else OTHER_PROBLEMS
        self.unusable[problem] += 1
        self.first_lines.setdefault(problem, line.line)

    def _read_row(self, row: SourceRow, newest_ms: int) -> Iterator[RecordLine]:
        if self._mapping is None:
            yield self._read_message(row, newest_ms)
            return
        contents, problem = self._parse(row)
        if problem:
            yield RecordLine(row.line, newest_ms, None, problem=problem)
        for content in contents:
            mapped = self._mapping.read(content)
            self.dropped.update((value.field, value.reason) for value in mapped.dropped)
            yield _record_line(row.line, mapped, newest_ms)

    def _read_message(self, row: SourceRow, newest_ms: int) -> RecordLine:
        """Return a line of a file in driftwire's own form, with its bytes unchanged."""
        if row.value is None:
            return RecordLine(row.line, newest_ms, None, problem=row.problem)
        try:
            parsed = parse_json(row.value)
            first = parsed[0] if isinstance(parsed, list) else parsed
            time_ms = parse_timestamp(first["timestamp"], time_zone=self._time_zone)
            subject = first["subject"]
        except (ValueError, KeyError, TypeError, IndexError):
            return RecordLine(row.line, newest_ms, row.value, problem="not a record with a subject and a timestamp")
        if not isinstance(subject, str):
            return RecordLine(row.line, newest_ms, row.value, problem="not a record with a subject and a timestamp")
        return RecordLine(row.line, time_ms, row.value, subject)

    def _parse(self, row: SourceRow) -> tuple[list[dict[str, Any]], str]:
        """Return the objects of a row, and a problem if it is not a row of values."""
        if row.fields is not None:
            return [row.fields], ""
        if row.value is None:
            return [], row.problem
        try:
            parsed = parse_json(row.value)
        except ValueError:
            return [], "not JSON"
        items = parsed if isinstance(parsed, list) else [parsed]
        objects = [item for item in items if isinstance(item, dict)]
        return objects, "" if objects and len(objects) == len(items) else "not a JSON object"

    def _examine(
        self, sample: list[tuple[SourceRow, list[dict[str, Any]], str]], objects: list[dict[str, Any]]
    ) -> None:
        """Fill the guess from the first rows."""
        guess = self.guess
        if self._mapping is None:
            guess.unusable.update(line.problem for row, _, _ in sample if (line := self._read_message(row, 0)).problem)
            if guess.unusable.total() == guess.rows > 0:
                guess.remarks = _remark_on_unusable(objects)
            return
        guess.unusable.update(problem for _, _, problem in sample if problem)
        mapping, zone = self._mapping, self._mapping.settings.time_zone or None
        with_unit = {text.rpartition("=")[0] for text in mapping.settings.map if ":" in text.rpartition("=")[2]}
        statistics: dict[tuple[str, str], ColumnStatistics] = {}
        first_times: dict[str, Any] = {}
        reasons: Counter[str] = Counter()
        for written in objects:
            source = mapping.read_source(written)
            for value in mapping.fields.values(source):
                if value.field.is_absent(value.value):
                    continue
                name = value.field.name
                column = statistics.setdefault(
                    (value.source, name), ColumnStatistics(value.source, value.field.target, value.source in with_unit)
                )
                converted, reason = value.field.convert(value.value)
                column.add(written.get(value.source, value.value), converted if reason is None else None, zone)
                if value.field.target.kind == "time":
                    first_times.setdefault(value.source, value.value)
            mapped = mapping.fields.read(source)
            if mapped.problem is not None:
                guess.unusable[mapped.problem] += 1
                reasons[str(mapped.reason)] += 1
        readings = {name: reader.description for name, reader in mapping.readers.items()}
        readings |= {name: self._describe_times(value, zone) for name, value in first_times.items()}
        guess.columns = [column.guess(len(objects), readings.get(column.source, "")) for column in statistics.values()]
        if mapping.settings.subject:
            reading = "rule" if "{" in mapping.settings.subject else "given"
            guess.columns.append(ColumnGuess(mapping.settings.subject, "subject", reading))
        used = set(mapping.used_columns)
        keys = self._form.columns or tuple(dict.fromkeys(key for written in objects for key in written))
        guess.unmapped = [name for name in keys if name not in used]
        fields = {column.field.rpartition(".")[2] for column in guess.columns} | {
            column.field for column in guess.columns
        }
        guess.remarks = suggest_fields(guess.unmapped, fields)
        if objects and sum(reasons.values()) == len(objects):
            self._refuse(reasons.most_common(1)[0][0], keys)

    def _describe_times(self, value: Any, zone: str | None) -> str:
        description = describe_times(value)
        return f"{description} in {zone}" if description == "local time" and zone else description

    def _refuse(self, reason: str, keys: Sequence[str]) -> None:
        problem = self.guess.unusable.most_common(1)[0][0]
        names = ", ".join(keys)
        if reason == "timestamp_missing":
            advice = f"name the source of the time with --map SOURCE=timestamp; sources: {names}"
        elif reason == "subject_missing":
            advice = f"give --subject NAME, or name its source with --map SOURCE=subject; sources: {names}"
        elif "offset from UTC" in problem:
            advice = "the times have no offset from UTC: give their time zone, such as --time-zone UTC"
        else:
            advice = problem
        remarks = "".join(f"; {remark}" for remark in self.guess.remarks[:3])
        raise DriftwireError(f"{self.path}: none of the first rows can be used as a record: {advice}{remarks}")


def open_records(
    paths: Sequence[Path],
    settings: MappingSettings | None = None,
    *,
    time_zone: str | None = None,
    options: ReadOptions | None = None,
) -> list[RecordFile]:
    """Open files of records, and find their formats, columns and numbers in their first rows.

    Parameters
    ----------
    paths
        NDJSON, JSON, CSV or Parquet files, optionally gzipped.
    settings
        The mapping that the user gave. A plain subject is used for rows without a subject of their own.
    time_zone
        Time zone of times without an offset if the mapping names none.
    options
        Options of the reading.

    Raises
    ------
    DriftwireError
        If a file cannot be read, if it does not fit the mapping, or if none of its first rows gives a record.
    """
    given = settings or MappingSettings()
    return [RecordFile(path, given, options or ReadOptions(), time_zone) for path in paths]


def merge_by_event_time(files: Sequence[Iterable[RecordLine]]) -> Iterator[RecordLine]:
    """Merge files by event time. The order within a file is preserved, so late records stay late."""

    def with_order(number: int, lines: Iterable[RecordLine]) -> Iterator[tuple[int, int, RecordLine]]:
        newest_ms = 0
        for line in lines:
            newest_ms = max(newest_ms, line.time_ms)
            yield newest_ms, number, line

    streams = [with_order(number, lines) for number, lines in enumerate(files)]
    return (line for _, _, line in heapq.merge(*streams, key=lambda entry: entry[:2]))


def _record_line(line: int, mapped: MappedRecord, newest_ms: int) -> RecordLine:
    if mapped.problem is not None or mapped.time_ms is None:
        return RecordLine(line, newest_ms, None, problem=mapped.problem or "no time")
    return RecordLine(line, mapped.time_ms, dump_json(mapped.record), mapped.record["subject"])


def _remark_on_unusable(objects: Sequence[dict[str, Any]]) -> list[str]:
    """Return what to do if no line of a file in driftwire's own form gives a record."""
    if not objects:
        return ["no line is a JSON object: the name of a file that is not JSON must end in .csv, .tsv or .parquet"]
    return [
        "no line has a subject and a timestamp: name their sources with --map, or give --subject",
        *suggest_fields(list(objects[0]), set()),
    ]


def _keep_own_subjects(settings: MappingSettings, objects: Sequence[dict[str, Any]]) -> MappingSettings:
    """Return the settings without a plain subject if the rows name subjects themselves."""
    if not settings.subject or "{" in settings.subject:
        return settings
    own = settings.model_copy(update={"subject": ""})
    fields = FieldMapping(own)
    has_own = any(value.field.name == "subject" for content in objects for value in fields.values(content))
    return own if has_own else settings


def _is_own_form(settings: MappingSettings, objects: Sequence[dict[str, Any]]) -> bool:
    """Return whether JSON objects are records already, with signals in sections, and no mapping was given."""
    if settings != MappingSettings() or recognize_export({name for content in objects for name in content}):
        return False
    flat = {name for name, target in RECORD_FIELDS.items() if len(target.path) > 1}
    return not any(flat & content.keys() for content in objects)
