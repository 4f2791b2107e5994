"""Admission: which decoded records have a usable subject and a believable time. The others become dead letters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.intake.originals import Originals
from pipeline.detect.intake.reader import ReadBatch
from pipeline.detect.intake.run import PositionedOutput, Run
from pipeline.detect.intake.times import read_times
from pipeline.detect.settings import DetectSettings
from schemas.dead_letter import DeadLetterReason
from schemas.record import SUBJECT_LENGTH_MAX

_SUBJECT = re.compile(rf"[^\x00-\x1f\x7f]{{1,{SUBJECT_LENGTH_MAX}}}")


@dataclass(frozen=True, slots=True)
class Admitted:
    """The records of a batch that may go on, in order, and the subject of each."""

    subjects: Sequence[str]
    run: Run


class Admission:
    """Looks at subjects and times.

    Parameters
    ----------
    settings
        Live, ``late_max_s`` and ``early_max_s`` say how far a record's time may lie from its arrival.
    replay
        Whether the records are older than their arrival, so that only :class:`pipeline.detect.intake.event_time_guard.Gate` can judge
        their times.
    """

    def __init__(self, settings: DetectSettings, *, replay: bool) -> None:
        self._late_ms = int(settings.late_max_s * 1000)
        self._early_ms = int(settings.early_max_s * 1000)
        self._replay = replay

    def admit(
        self, read: ReadBatch, places: Sequence[int], originals: Originals
    ) -> tuple[Admitted, list[PositionedOutput]]:
        """Sort the records of a batch, read and each with its place, into those that go on and dead letters."""
        problems = _subject_problems(read.subjects)
        times_ms, time_problems = read_times(read.timestamps)
        # A record has one reason: the first in the order in which a person would mend it.
        problems = time_problems | problems
        if not self._replay:
            problems = self._far_from_arrival(places, times_ms, originals) | problems
        run = Run(read.fields, times_ms, places)
        if not problems:
            return Admitted(read.subjects, run), []
        letters = [
            (places[row], originals.original_at(places[row]).dead_letter(reason, detail))
            for row, (reason, detail) in sorted(problems.items())
        ]
        good = [row for row in range(len(places)) if row not in problems]
        return Admitted([read.subjects[row] for row in good], run.pick(good)), letters

    def _far_from_arrival(
        self, places: Sequence[int], times_ms: NDArray[np.int64], originals: Originals
    ) -> dict[int, tuple[DeadLetterReason, str]]:
        ahead = times_ms - originals.appended_at(places)
        problems: dict[int, tuple[DeadLetterReason, str]] = {}
        for index in np.flatnonzero((ahead < -self._late_ms) | (ahead > self._early_ms)).tolist():
            limit, side = (self._early_ms, "after") if ahead[index] > 0 else (self._late_ms, "before")
            detail = f"the time lies more than {limit // 1000} s {side} the message arrived"
            problems[index] = ("timestamp_out_of_range", detail)
        return problems


def _subject_problems(subjects: Sequence[Any]) -> dict[int, tuple[DeadLetterReason, str]]:
    if set(map(type, subjects)) == {str} and all(map(_SUBJECT.fullmatch, set(subjects))):
        return {}
    problems: dict[int, tuple[DeadLetterReason, str]] = {}
    for index, subject in enumerate(subjects):
        if subject is None:
            problems[index] = ("subject_missing", "the record names no subject")
        elif not isinstance(subject, str):
            problems[index] = ("subject_invalid", f"a subject is a text, not a {type(subject).__name__}")
        elif not _SUBJECT.fullmatch(subject):
            detail = f"a subject has 1 to {SUBJECT_LENGTH_MAX} characters, none of them a control character"
            problems[index] = ("subject_invalid", detail)
    return problems
