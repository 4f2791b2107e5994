"""Admit records that have a valid subject and a plausible event time. Other records become dead letters.

Admission calls ``batch.py`` and returns the admitted records. In a replay, they pass through
``event_time_guard.py`` before they reach their streams.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission.batch import BatchDecoder
from pipeline.detect.admission.originals import Originals, PositionedOutput
from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.admission.records import Label, Records
from pipeline.detect.admission.times import read_times
from pipeline.detect.settings import DetectSettings
from pipeline.lenient_json import BadValue
from pipeline.step import InputMessage
from schemas.dead_letter import DeadLetterReason
from schemas.record import SUBJECT_LENGTH_MAX

_SUBJECT = re.compile(rf"[^\x00-\x1f\x7f]{{1,{SUBJECT_LENGTH_MAX}}}")

_Problems = dict[int, tuple[DeadLetterReason, str]]
"""Reason and detail of each record that is not admitted, by row."""


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that is a dead letter.

    Attributes
    ----------
    position, reason
        Its position in the batch, and the reason.
    subject
        Its subject, or None if the record has no valid subject or its subject is not the cause.
    labels
        Its labels by name.
    ahead_ms
        Milliseconds by which its time is after its arrival, if that is the reason.
    """

    position: int
    reason: str
    subject: str | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    ahead_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AdmittedBatch:
    """A batch after admission.

    Attributes
    ----------
    records
        The admitted records, in order.
    dead_letters, rejected
        The dead letter of each record that is not admitted, and the known properties of the record.
    originals
        The messages of the batch.
    record_count
        Number of records in the batch, admitted or not.
    """

    records: Records
    dead_letters: Sequence[PositionedOutput]
    rejected: list[RejectedRecord]
    originals: Originals
    record_count: int

    def reject(self, row: int, reason: DeadLetterReason, detail: str) -> PositionedOutput:
        """Turn an admitted record into a dead letter for a reason outside the record. Return the dead letter."""
        position = self.records.positions[row]
        self.rejected.append(RejectedRecord(position, reason))
        return self.originals.dead_letter(position, reason, detail)


class Admission:
    """Admission of records to one partition.

    Parameters
    ----------
    settings
        ``late_max_s`` and ``early_max_s`` limit the difference between event time and arrival time in live operation.
        ``time_zone`` is the time zone of times without an offset.
    replay
        Whether the records are from the past. Event times are then not compared with the arrival time, but checked by
        :class:`pipeline.detect.admission.event_time_guard.EventTimeGuard`.

    Attributes
    ----------
    reader
        Reader of the records.
    """

    def __init__(self, settings: DetectSettings, *, replay: bool) -> None:
        self.reader = RecordReader()
        self._decoder = BatchDecoder(self.reader, bytes_max=settings.record_bytes_max)
        self._late_max_ms = int(settings.late_max_s * 1000)
        self._early_max_ms = int(settings.early_max_s * 1000)
        self._time_zone = settings.time_zone or None
        self._replay = replay

    def admit(self, messages: Sequence[InputMessage]) -> AdmittedBatch:
        """Decode a batch and separate its records into admitted records and dead letters."""
        decoded = self._decoder.decode([message.value for message in messages])
        records, rejections = decoded.records, decoded.rejections
        originals = Originals(messages, decoded.array_indexes)
        dead_letters = [
            originals.dead_letter(rejection.position, rejection.reason, rejection.detail) for rejection in rejections
        ]
        rejected = [RejectedRecord(rejection.position, rejection.reason) for rejection in rejections]
        record_count = len(records) + len(rejections)
        problems = self._find_problems(records, originals)
        if problems:
            dead_letters += [
                originals.dead_letter(records.positions[row], reason, detail)
                for row, (reason, detail) in sorted(problems.items())
            ]
            rejected += self._describe_rejected(records, problems, originals)
            records = records.pick([row for row in range(len(records)) if row not in problems])
        return AdmittedBatch(records, dead_letters, rejected, originals, record_count)

    def _describe_rejected(
        self, records: Records, problems: _Problems, originals: Originals
    ) -> Iterator[RejectedRecord]:
        rows = sorted(problems)
        arrivals_ms = originals.append_times_ms([records.positions[row] for row in rows]).tolist()
        for row, arrival_ms in zip(rows, arrivals_ms, strict=True):
            subject, reason = records.subjects[row], problems[row][0]
            yield RejectedRecord(
                position=records.positions[row],
                reason=reason,
                subject=subject if isinstance(subject, str) and _SUBJECT.fullmatch(subject) else None,
                labels={name: column[row] for name, column in records.labels.items()},
                ahead_ms=int(records.times_ms[row]) - arrival_ms if reason == "timestamp_out_of_range" else None,
            )

    def _find_problems(self, records: Records, originals: Originals) -> _Problems:
        """Replace the timestamps with event times, and return the problems of timestamps and subjects."""
        problems = _find_subject_problems(records.subjects)
        records.times_ms, time_problems = read_times(records.timestamps, self._time_zone)
        records.timestamps = ()
        # A record has one reason. A problem with the subject takes precedence over a problem with the time.
        problems = time_problems | problems
        if not self._replay:
            problems = self._find_times_far_from_arrival(records, originals) | problems
        return problems

    def _find_times_far_from_arrival(self, records: Records, originals: Originals) -> _Problems:
        ahead_ms: NDArray[np.int64] = records.times_ms - originals.append_times_ms(records.positions)
        problems: _Problems = {}
        for row in np.flatnonzero((ahead_ms < -self._late_max_ms) | (ahead_ms > self._early_max_ms)).tolist():
            limit_ms, side = (self._early_max_ms, "after") if ahead_ms[row] > 0 else (self._late_max_ms, "before")
            detail = f"the timestamp is more than {limit_ms // 1000} s {side} the arrival of the message"
            problems[row] = ("timestamp_out_of_range", detail)
        return problems


def _find_subject_problems(subjects: Sequence[Any]) -> _Problems:
    if set(map(type, subjects)) == {str} and all(map(_SUBJECT.fullmatch, set(subjects))):
        return {}
    problems: _Problems = {}
    for row, subject in enumerate(subjects):
        if subject is None:
            problems[row] = ("subject_missing", "the record has no subject")
        elif isinstance(subject, BadValue):
            problems[row] = (subject.reason, f"the subject contains {subject}")
        elif not isinstance(subject, str):
            problems[row] = ("subject_invalid", f"the subject must be a string, not a {type(subject).__name__}")
        elif not _SUBJECT.fullmatch(subject):
            detail = f"the subject must have 1 to {SUBJECT_LENGTH_MAX} characters and no control characters"
            problems[row] = ("subject_invalid", detail)
    return problems
