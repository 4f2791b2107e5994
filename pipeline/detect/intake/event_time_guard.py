"""The gate: which times a replay may bring. One record from the year 2200 must not move a unit's watermark.

Live, a record's time is held against its arrival. A replay has no such measure, so a time far ahead of the unit's
watermark (or the first of all) must be agreed upon: records are held until enough of them, with none in between that
fits the watermark as it is, agree with each other.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.intake.decode import parse_json
from pipeline.detect.intake.fields import joined
from pipeline.detect.intake.originals import Original, Originals
from pipeline.detect.intake.projection import project
from pipeline.detect.intake.reader import RecordReader
from pipeline.detect.intake.run import PositionedOutput, Run
from pipeline.detect.settings import DetectSettings
from schemas.dead_letter import DeadLetterReason

GROUPS_MAX = 4
"""Times that records are held for at once. At another one, those that fewest records agree on are given up."""

_REASON: DeadLetterReason = "timestamp_out_of_range"


@dataclass(slots=True)
class _Group:
    """Records held that agree: each within the allowed jump of the newest time before it."""

    newest_ms: int
    held: list[tuple[int, Original]] = field(default_factory=list)


class EventTimeGuard:
    """Admits the records of one unit in a replay.

    Parameters
    ----------
    settings
        ``time_jump_max_s`` and ``time_jump_records``: more seconds let more through at once, more records make a jump
        more certain.
        ``late_max_s`` bounds how far a record may lie behind the watermark.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self._jump_ms = int(settings.time_jump_max_s * 1000)
        self._late_ms = int(settings.late_max_s * 1000)
        self._records = settings.time_jump_records
        self._groups: list[_Group] = []

    @property
    def held(self) -> int:
        """Records that are neither used nor dead letters yet."""
        return sum(len(group.held) for group in self._groups)

    def admit(
        self, run: Run, watermark: int, originals: Originals, reader: RecordReader
    ) -> tuple[Run, list[PositionedOutput]]:
        """Let records through, hold them, or make dead letters of them.

        Parameters
        ----------
        run
            Records as they came.
        watermark
            The unit's before the run, Unix milliseconds; 0 if it has none.
        originals
            Of the run's batch.
        reader
            To read records that were held.

        Returns
        -------
        run
            What may be used now. Records that were held stand at the place of the one that made them believable.
        outputs
            Dead letters.
        """
        if watermark and not self._groups and self._all_fit(run.times_ms, watermark):
            return run, []
        return self._one_by_one(run, watermark, originals, reader)

    def release_all(self, place: int) -> list[PositionedOutput]:
        """Make dead letters of all that is held."""
        outputs = [letter for group in self._groups for letter in _dead_letters(group, place)]
        self._groups = []
        return outputs

    def dump(self) -> dict[str, Any]:
        """What :meth:`load` needs to go on as if nothing had happened."""
        return {
            "groups": [
                [group.newest_ms, [[time_ms, original.dump()] for time_ms, original in group.held]]
                for group in self._groups
            ]
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self._groups = [
            _Group(newest, [(time_ms, Original(*fields)) for time_ms, fields in held])
            for newest, held in state["groups"]
        ]

    def _all_fit(self, times_ms: NDArray[np.int64], watermark: int) -> bool:
        newest_ms = max(watermark, int(times_ms.max()))
        if newest_ms <= watermark + self._jump_ms and times_ms.min() >= newest_ms - self._late_ms:
            return True
        before = np.maximum.accumulate(np.concatenate(([watermark], times_ms[:-1])))
        return bool(((times_ms <= before + self._jump_ms) & (times_ms >= before - self._late_ms)).all())

    def _one_by_one(
        self, run: Run, watermark: int, originals: Originals, reader: RecordReader
    ) -> tuple[Run, list[PositionedOutput]]:
        # By row, time and place; the rows beyond the run's are of records that were held.
        admitted: list[tuple[int, int, int]] = []
        held: list[dict[str, Any]] = []
        outputs: list[PositionedOutput] = []
        for row, (time_ms, place) in enumerate(zip(run.times_ms.tolist(), run.places, strict=True)):
            if watermark and time_ms < watermark - self._late_ms:
                detail = f"the time lies more than {self._late_ms // 1000} s behind the newest of its subject"
                outputs.append((place, originals.original_at(place).dead_letter(_REASON, detail)))
            elif watermark and time_ms <= watermark + self._jump_ms:
                outputs += self.release_all(place)
                admitted.append((row, time_ms, place))
                watermark = max(watermark, time_ms)
            else:
                released, letters = self._hold(time_ms, originals.original_at(place), place)
                outputs += letters
                for time, original in released:
                    admitted.append((len(run) + len(held), time, place))
                    held.append(_record(original))
                watermark = max([watermark, *(time for time, _ in released)])
        fields = joined([run.fields, reader.read(held).fields]) if held else run.fields
        return Run(
            fields.pick([row for row, _, _ in admitted]),
            np.array([time_ms for _, time_ms, _ in admitted], dtype=np.int64),
            [place for _, _, place in admitted],
        ), outputs

    def _hold(
        self, time_ms: int, original: Original, place: int
    ) -> tuple[list[tuple[int, Original]], list[PositionedOutput]]:
        """Hold a record; what its group releases, if it now has enough, and dead letters of what is given up."""
        outputs: list[PositionedOutput] = []
        group = next((each for each in self._groups if abs(time_ms - each.newest_ms) <= self._jump_ms), None)
        if group is None:
            if len(self._groups) >= GROUPS_MAX:
                fewest = min(self._groups, key=lambda each: len(each.held))
                self._groups.remove(fewest)
                outputs += _dead_letters(fewest, place)
            group = _Group(time_ms)
            self._groups.append(group)
        group.held.append((time_ms, original))
        group.newest_ms = max(group.newest_ms, time_ms)
        if len(group.held) < self._records:
            return [], outputs
        self._groups.remove(group)
        return group.held, outputs + self.release_all(place)


def _dead_letters(group: _Group, place: int) -> list[PositionedOutput]:
    detail = "the time lies far from the others of its subject, and too few records in a row agreed with it"
    return [(place, original.dead_letter(_REASON, detail)) for _, original in group.held]


def _record(original: Original) -> dict[str, Any]:
    parsed = parse_json(original.value or b"null")
    if isinstance(parsed, list):
        parsed = parsed[original.index or 0]
    return project(parsed)
