"""Guard the watermark of a stream in a replay. One record from the year 2200 must not advance it.

In live operation, ``admission.py`` compares an event time with the time of arrival. A replay has no such reference.
Records far ahead of the stream's watermark, and the first records of a stream, are therefore held until enough of them
agree and no record between them fits the current watermark.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detect.admission.duplicates import hash_contents
from pipeline.detect.admission.originals import Original, Originals, PositionedOutput
from pipeline.detect.admission.reader import RecordReader
from pipeline.detect.admission.records import Records
from pipeline.detect.settings import DetectSettings
from schemas.dead_letter import DeadLetterReason

GROUPS_MAX = 4
"""Maximum number of groups of held records. When a new group exceeds the limit, the group with the fewest records is
dropped."""

_REASON: DeadLetterReason = "timestamp_out_of_range"

_HeldRecord = tuple[int, Original]
"""Event time and original of a held record."""


@dataclass(slots=True)
class _Group:
    """Held records whose times agree. Each time differs from the newest earlier time by at most the allowed jump."""

    newest_ms: int
    held: list[_HeldRecord] = field(default_factory=list)

    def dead_letters(self, position: int) -> list[PositionedOutput]:
        detail = (
            "the timestamp is far from other timestamps of its subject, and too few consecutive records agreed with it"
        )
        return [(position, original.dead_letter(_REASON, detail)) for _, original in self.held]

    def dump(self) -> list[Any]:
        return [self.newest_ms, [[time_ms, original.dump()] for time_ms, original in self.held]]

    @classmethod
    def load(cls, state: list[Any]) -> "_Group":
        newest_ms, held = state
        return cls(newest_ms, [(time_ms, Original.load(original)) for time_ms, original in held])


class EventTimeGuard:
    """Guard of one stream in a replay.

    Parameters
    ----------
    settings
        ``time_jump_max_s`` limits how far a record may be ahead of the watermark. ``time_jump_records`` is the
        number of records beyond this limit that must agree. ``late_max_s`` limits how far a record may be behind the
        watermark.
    """

    def __init__(self, settings: DetectSettings) -> None:
        self._jump_max_ms = int(settings.time_jump_max_s * 1000)
        self._late_max_ms = int(settings.late_max_s * 1000)
        self._jump_records = settings.time_jump_records
        self._groups: list[_Group] = []

    @property
    def held_count(self) -> int:
        """Number of held records, which are neither used nor dead letters yet."""
        return sum(len(group.held) for group in self._groups)

    def admit(
        self, records: Records, watermark_ms: int, originals: Originals, reader: RecordReader
    ) -> tuple[Records, list[PositionedOutput]]:
        """Admit or hold records, or turn them into dead letters.

        Parameters
        ----------
        records
            At least one record, in order of arrival.
        watermark_ms
            The stream's watermark before the records, Unix milliseconds; 0 before the first record.
        originals
            The originals of the batch.
        reader
            Reader that reads released records again.

        Returns
        -------
        records
            The records that may be used. Released records have the position of the record that released them.
        outputs
            Dead letters.
        """
        if watermark_ms and not self._groups and self._all_fit(records.times_ms, watermark_ms):
            return records, []
        return self._admit_one_by_one(records, watermark_ms, originals, reader)

    def discard_held(self, position: int) -> list[PositionedOutput]:
        """Turn all held records into dead letters."""
        outputs = [letter for group in self._groups for letter in group.dead_letters(position)]
        self._groups = []
        return outputs

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {"groups": [group.dump() for group in self._groups]}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the guard."""
        self._groups = [_Group.load(group) for group in state["groups"]]

    def _all_fit(self, times_ms: NDArray[np.int64], watermark_ms: int) -> bool:
        newest_ms = max(watermark_ms, int(times_ms.max()))
        if newest_ms <= watermark_ms + self._jump_max_ms and times_ms.min() >= newest_ms - self._late_max_ms:
            return True
        before = np.maximum.accumulate(np.concatenate(([watermark_ms], times_ms[:-1])))
        return bool(((times_ms <= before + self._jump_max_ms) & (times_ms >= before - self._late_max_ms)).all())

    def _admit_one_by_one(
        self, records: Records, watermark_ms: int, originals: Originals, reader: RecordReader
    ) -> tuple[Records, list[PositionedOutput]]:
        admitted_rows: list[int] = []
        released: list[_HeldRecord] = []
        released_positions: list[int] = []
        outputs: list[PositionedOutput] = []
        for row, (time_ms, position) in enumerate(zip(records.times_ms.tolist(), records.positions, strict=True)):
            if watermark_ms and time_ms < watermark_ms - self._late_max_ms:
                limit_s = self._late_max_ms // 1000
                detail = f"the timestamp is more than {limit_s} s before the newest timestamp of its subject"
                outputs.append(originals.dead_letter(position, _REASON, detail))
            elif watermark_ms and time_ms <= watermark_ms + self._jump_max_ms:
                outputs += self.discard_held(position)
                admitted_rows.append(row)
                watermark_ms = max(watermark_ms, time_ms)
            else:
                newly_released, letters = self._hold(time_ms, originals.original_at(position), position)
                outputs += letters
                # Released records receive row numbers after the row numbers of the batch.
                next_row = len(records) + len(released)
                admitted_rows += range(next_row, next_row + len(newly_released))
                released += newly_released
                released_positions += [position] * len(newly_released)
                watermark_ms = max([watermark_ms, *(held_ms for held_ms, _ in newly_released)])
        if released:
            objects, contents = zip(*(original.parse() for _, original in released), strict=True)
            reread = reader.read(objects)
            reread.content_hashes = hash_contents(contents)
            reread.times_ms = np.array([held_ms for held_ms, _ in released], dtype=np.int64)
            reread.positions = released_positions
            records = Records.concatenate([records, reread])
        return records.pick(admitted_rows), outputs

    def _hold(
        self, time_ms: int, original: Original, position: int
    ) -> tuple[list[_HeldRecord], list[PositionedOutput]]:
        """Hold a record. Return the records that this releases, and dead letters for the discarded records."""
        outputs: list[PositionedOutput] = []
        group = next((group for group in self._groups if abs(time_ms - group.newest_ms) <= self._jump_max_ms), None)
        if group is None:
            if len(self._groups) >= GROUPS_MAX:
                smallest = min(self._groups, key=lambda group: len(group.held))
                self._groups.remove(smallest)
                outputs += smallest.dead_letters(position)
            group = _Group(time_ms)
            self._groups.append(group)
        group.held.append((time_ms, original))
        group.newest_ms = max(group.newest_ms, time_ms)
        if len(group.held) < self._jump_records:
            return [], outputs
        self._groups.remove(group)
        return group.held, outputs + self.discard_held(position)
