"""Check records without a baseline: which records and fields detect could not use, where they are, and what to do.

The records pass through the same code as in the live step: admission, duplicates, derived signals and columns.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.detect.admission import Admission, AdmittedBatch, Duplicates, Records
from pipeline.detect.blocks import DerivedSignals, SignalColumns
from pipeline.detect.fields import find_unknown_fields
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, catalogue
from pipeline.json_elements import parse_records
from pipeline.step import InputMessage
from pipeline.wording import fault_phrase, number
from schemas.dead_letter import DeadLetter
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.record_fields import find_record_field

UNKNOWN_FIELDS_MAX = 256
"""Maximum number of unknown fields that are counted by name."""

_KIND_ADVICE = {
    "label": f"send text of at most {SUBJECT_LENGTH_MAX} characters",
    "rate": "send true or false",
    "ratio": "send a number",
    "number": "send a number",
    "numbers": "send a list of numbers, not all 0",
}
_REASON_ADVICE = {
    "bad_name": "use a name of 1 to 193 characters",
    "not_an_object": "send an object of fields",
    "not_json": "send null in place of NaN or Infinity",
    "not_utf8": "send text in UTF-8",
    "too_many": "send fewer custom signals, or raise detect.custom_signals_max",
    "too_many_fields": "send at most 64 fields",
}
_SUBJECT_ADVICE = f"send a subject of 1 to {SUBJECT_LENGTH_MAX} characters"
_TIME_ADVICE = "send the end of the request as RFC 3339 with an offset, or in Unix milliseconds"
_RECORD_ADVICE = {
    "subject_missing": _SUBJECT_ADVICE,
    "subject_invalid": _SUBJECT_ADVICE,
    "timestamp_missing": _TIME_ADVICE,
    "timestamp_invalid": _TIME_ADVICE,
    "contract": "send CloudEvents 1.0 with one record as their data",
    "timestamp_out_of_range": "send the record when the request ends, and check the sender's clock",
}


@dataclass(frozen=True, slots=True)
class RecordProblem:
    """A record or a field that cannot be used.

    Attributes
    ----------
    offset, index
        Offset of the message, and the index of the record if the message is an array.
    reason
        Reason as a code, such as ``is_text``.
    field
        The field, or empty if the whole record cannot be used.
    description, advice
        What the problem is and what to do, as sentences without the subject and the full stop. They contain no values
        of the record.
    """

    offset: int
    index: int | None
    reason: str
    field: str
    description: str
    advice: str


@dataclass(slots=True)
class CheckedRecords:
    """Counts of a check.

    Attributes
    ----------
    used, unusable, duplicates, out_of_order
        Number of records that are used, that cannot be used, that are dropped as duplicates, and of used records that
        are older than an earlier record of their subject.
    bad_fields
        Number of values that cannot be used, by field and reason.
    converted_fields
        Number of values that were converted from another type, by field.
    unknown_fields
        Number of records with a field that is not a field of a record, by name.
    """

    used: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    out_of_order: int = 0
    bad_fields: Counter[tuple[str, str]] = field(default_factory=Counter)
    converted_fields: Counter[str] = field(default_factory=Counter)
    unknown_fields: Counter[str] = field(default_factory=Counter)

    @property
    def has_problems(self) -> bool:
        """Whether any record or field cannot be used."""
        return bool(self.unusable or self.bad_fields)


class _Subject:
    """The parts of a stream that find problems of one subject."""

    def __init__(self, settings: DetectSettings) -> None:
        self.columns = SignalColumns(settings.custom_signals_max, settings.segments)
        self.derived = DerivedSignals(settings)
        self.duplicates = Duplicates(settings.duplicate_window)
        self.watermark = 0


class RecordChecker:
    """Checker of messages, in order.

    Parameters
    ----------
    settings
        Limits of detect.
    live
        Whether the messages have an arrival time with which the times of their records are compared.

    Attributes
    ----------
    counts
        The counts so far.
    """

    def __init__(self, settings: DetectSettings, *, live: bool) -> None:
        self._settings = settings
        self._admission = Admission(settings, replay=not live)
        self._subjects: dict[str, _Subject] = {}
        self.counts = CheckedRecords()

    def check(self, messages: Sequence[InputMessage]) -> list[RecordProblem]:
        """Check messages, and return their problems in order."""
        batch = self._admission.admit(messages)
        problems = list(self._find_unusable_records(batch))
        records = batch.records
        for subject, of_subject in records.split_by_subject(range(len(records))):
            problems += self._find_bad_fields(subject, of_subject, batch)
        for message in messages:
            self._count_unknown_fields(message.value)
        return sorted(problems, key=lambda problem: (problem.offset, problem.index or 0, problem.field))

    def _find_unusable_records(self, batch: AdmittedBatch) -> Iterator[RecordProblem]:
        for _, output in batch.dead_letters:
            letter = DeadLetter.from_json(output.value or b"")
            self.counts.unusable[letter.reason] += 1
            advice = _RECORD_ADVICE.get(letter.reason, "send one JSON object per record")
            yield RecordProblem(letter.offset, letter.index, letter.reason, "", letter.detail, advice)

    def _find_bad_fields(self, name: str, records: Records, batch: AdmittedBatch) -> Iterator[RecordProblem]:
        subject = self._subjects.setdefault(name, _Subject(self._settings))
        watermarks = np.maximum.accumulate(np.maximum(records.times_ms, subject.watermark))
        subject.watermark = int(watermarks[-1])
        rows = np.flatnonzero(subject.duplicates.find_new(records)).tolist()
        self.counts.duplicates += len(records) - len(rows)
        if not rows:
            return
        records, watermarks = records.pick(rows), watermarks[rows]
        records.panes = watermarks // PANE_MS
        self.counts.used += len(records)
        self.counts.out_of_order += int(np.count_nonzero(records.times_ms < watermarks))
        converted = subject.columns.converted_fields.copy()
        subject.derived.fill(records)
        subject.columns.fill_custom_values(records)
        self.counts.converted_fields += subject.columns.converted_fields - converted
        for row, path, reason in records.faults:
            self.counts.bad_fields[path, reason] += 1
            original = batch.originals.original_at(records.positions[row])
            description, advice = f"{path} {fault_phrase(reason)}", describe_remedy(path, reason)
            yield RecordProblem(original.offset, original.index, reason, path, description, advice)

    def _count_unknown_fields(self, value: bytes | None) -> None:
        for record in parse_records(value or b""):
            if isinstance(record, dict):
                names = {section: inner for section, inner in record.items() if isinstance(inner, dict)}
                for path in find_unknown_fields(names | {"": record}):
                    known = path in self.counts.unknown_fields or len(self.counts.unknown_fields) < UNKNOWN_FIELDS_MAX
                    self.counts.unknown_fields[path if known else "other fields"] += 1


def describe_remedy(path: str, reason: str) -> str:
    """Return what to send in a field that cannot be used.

    >>> describe_remedy("output.refused", "is_text"), describe_remedy("output.confidence", "out_of_bounds")
    ('send true or false', 'send a number from 0 to 1')
    """
    if reason in _REASON_ADVICE:
        return _REASON_ADVICE[reason]
    section, _, name = path.partition(".")
    if section == "custom":
        return "send a number or a boolean, and always the same kind"
    signal = next((row for row in catalogue.SIGNALS if (row.section, row.field) == (section, name)), None)
    if signal is not None and reason == "out_of_bounds":
        return f"send a number from {number(signal.low)} to {number(signal.high)}"
    known = find_record_field(path)
    return _KIND_ADVICE.get(known.kind if known is not None else "label", "send another value")
