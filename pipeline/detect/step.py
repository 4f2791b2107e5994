"""The detect step: records to drifts, one partition of them. The first step of the path."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from pipeline.codec import decode as decode_state
from pipeline.codec import encode
from pipeline.detect.baselines import BaselineStore
from pipeline.detect.control import one_line, read_control
from pipeline.detect.intake import Admission, AdmittedBatch, PositionedOutput, Records, Watermark
from pipeline.detect.settings import DetectSettings
from pipeline.detect.stream import (
    PARTITION_KEY,
    MonitoredCount,
    Stream,
    StreamRestorer,
    Written,
    changed_parts,
    joined,
    push_replayed,
)
from pipeline.step import Input, Output
from schemas.relearn import Relearn
from schemas.topics import DEAD_LETTERS

SILENT_MS = 7 * 86_400_000
"""Milliseconds of event time: a unit without a baseline and silent for longer makes room for a new subject."""

CAUGHT_UP_MS = 60_000
"""Milliseconds that the newest record may be old, for that no other waits to be read."""

TICK_MS_MAX = 10_000
"""Milliseconds that one tick adds to a silence at most: a worker that was suspended has heard nothing."""

PARTITION = "partition"
"""The kind of the state that belongs to no subject."""


class DetectStep:
    """Detect over one partition of the records; a :class:`pipeline.step.Step`.

    Every record is used, held, dropped as a duplicate, or a dead letter with its reason; :meth:`counts` adds up.

    Parameters
    ----------
    partition
        Of the records; drifts and ticks name it.
    settings
        When a baseline is ready, what drifts, every limit.
    replay
        Whether the records tell of the past: then no wall clock is known, times are believed by agreement, and ticks
        come by event time.
    """

    def __init__(self, partition: int, settings: DetectSettings, *, replay: bool) -> None:
        self._partition = partition
        self._settings = settings
        self._digest = settings.digest()
        self._replay = replay
        self._admission = Admission(settings, replay=replay)
        self._watermark = Watermark(partition)
        self._kept = BaselineStore(settings.subjects_max)
        self._units: dict[str, Stream] = {}
        self._written: dict[str, Written] = {}
        self._gone: list[Written] = []
        self._counts: Counter[str] = Counter()
        self._evicted = MonitoredCount()
        self._evictable_from_ms = 0
        self._touched = False
        self._ticked_ms = self._ticked_messages = 0

    @property
    def streams(self) -> dict[str, Stream]:
        """The units by subject, to look at."""
        return self._units

    def step(self, messages: Sequence[Input]) -> list[Output]:
        """Take records, in the order of their offsets; drifts, baselines, dead letters and ticks come out."""
        self._touched = True
        batch = self._admission.admit(messages)
        outputs = list(batch.dead_letters)
        self._counts["messages"] += len(messages)
        self._counts["records"] += batch.record_count
        if len(batch.records):
            outputs += self._within_limit(batch)
        # In the order of the records that caused the outputs, however the records were grouped.
        ordered = [output for _, output in sorted(outputs, key=itemgetter(0))]
        self._counts["dead_letters"] += sum(output.topic == DEAD_LETTERS for output in ordered)
        return ordered

    def control(self, message: Input) -> list[Output]:
        """Take a baseline, or what is to be learned anew.

        Its unit judges by a baseline at once, or from its ``effective_at``; it is kept for a unit to come.
        """
        if message.value is None:
            return []
        content = read_control(message, message.value, self._settings)
        if isinstance(content, Output):
            return [content]
        unit = self._units.get(content.subject)
        if isinstance(content, Relearn):
            self._kept.add_relearn(content)
            return [] if unit is None else unit.relearn(content)
        self._kept.add(content, message.value, self._units)
        return [] if unit is None else unit.offer_baseline(content)

    def tick(self, wall_ms: int) -> list[Output]:
        """Tell of the watermark and the wall clock, and of subjects that fell silent.

        Time counts as silence only while there was nothing left to read: while no message came at all, or those that
        came are of now.
        """
        outputs = [self._watermark.tick(wall_ms=wall_ms)]
        elapsed_ms = min(max(0, wall_ms - self._ticked_ms), TICK_MS_MAX) if self._ticked_ms else 0
        messages = self._counts["messages"]
        if messages == self._ticked_messages or wall_ms - self._watermark.time_ms <= CAUGHT_UP_MS:
            for unit in self._units.values():
                outputs += unit.advance_silence(elapsed_ms, wall_ms)
        self._ticked_ms, self._ticked_messages = wall_ms, messages
        return outputs

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """What must be written so that :meth:`restore` brings back this state."""
        gone, self._gone = self._gone, []
        for written in gone:
            yield from written.drop_all()
        for subject, unit in self._units.items():
            if unit.changed:
                yield from changed_parts(unit, self._written[subject], self._digest)
        if self._touched:
            self._touched = False
            state = {
                "watermark": self._watermark.time_ms,
                "counts": dict(sorted(self._counts.items())),
                "seen": self._evicted.seen,
                "judged": self._evicted.monitored,
            }
            yield PARTITION_KEY, encode(state, kind=PARTITION, settings_hash=self._digest)

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Take up a state; the baselines that it names must have come through :meth:`control` before."""
        units, partition, problems = joined(parts)
        yield from problems
        if partition is not None:
            yield from self._restore_partition(partition)
        for subject in sorted(units):
            pieces = units[subject]
            written = Written(subject, {part: len(chunks) for part, chunks in pieces.items()})
            restorer = StreamRestorer(
                subject,
                self._partition,
                self._settings,
                parts={part: b"".join(chunks) for part, chunks in pieces.items()},
                kept=self._kept.baselines_of(subject),
                relearns=self._kept.relearns_of(subject),
            )
            unit = restorer.restore()
            yield from restorer.problems
            if unit is None:
                self._gone.append(written)
            else:
                stale = {part: written.chunks.pop(part) for part in restorer.stale}
                self._gone.append(Written(subject, stale))
                self._units[subject], self._written[subject] = unit, written
        self._kept.finish_restore()

    def on_gap(self) -> None:
        """Start all evidence anew: records between the last and the next are lost for good."""
        for unit in self._units.values():
            unit.reset_evidence()

    def judged_share(self) -> float:
        """Of all finite signal values that arrived, the share that a ready baseline judged; 0 before any."""
        judged = [self._evicted, *(unit.monitored for unit in self._units.values())]
        seen = sum(each.seen for each in judged)
        return sum(each.monitored for each in judged) / seen if seen else 0.0

    def counts(self) -> dict[str, int]:
        """What became of the records: ``records`` = ``used`` + ``duplicates`` + ``held`` + ``dead_letters``.

        ``messages`` counts messages (an array is one, and an empty one holds no record), ``late`` the used records
        behind their unit's watermark, ``bad_fields`` the values dropped from used records, ``subjects`` the units.
        """
        total = Counter({"used": 0, "duplicates": 0, "late": 0, "dead_letters": 0, "held": 0, "bad_fields": 0})
        total.update(self._counts)
        for unit in self._units.values():
            total.update(unit.counts)
            total["held"] += unit.event_time_guard.held_count
            total["bad_fields"] += unit.columns.bad_fields.total()
        total["subjects"] = len(self._units)
        return dict(total)

    def _restore_partition(self, value: bytes) -> Iterator[str]:
        try:
            state = decode_state(value, kind=PARTITION, settings_hash=self._digest)
            self._watermark.time_ms = state["watermark"]
            self._counts = Counter(state["counts"])
            self._evicted = MonitoredCount(state["seen"], state["judged"])
        except (ValueError, KeyError, TypeError) as problem:
            yield one_line(problem)

    def _within_limit(self, batch: AdmittedBatch) -> list[PositionedOutput]:
        """Push records into their units, as long as there may be more units."""
        arrived = batch.records
        distinct = dict.fromkeys(arrived.subjects)
        new = [subject for subject in distinct if subject not in self._units]
        if len(self._units) + len(new) <= self._settings.subjects_max:
            for subject in new:
                self._add(subject)
            if len(distinct) == 1:
                return self._push([(arrived.subjects[0], arrived)], batch)
            return self._push(arrived.split_by_subject(range(len(arrived))), batch)
        outputs: list[PositionedOutput] = []
        ready: list[int] = []
        latest_ms = max(self._watermark.time_ms, int(arrived.times_ms.max()))
        for index, subject in enumerate(arrived.subjects):
            if subject not in self._units:
                place = arrived.positions[index]
                if len(self._units) >= self._settings.subjects_max and latest_ms > self._evictable_from_ms:
                    # Who is silent is only known once all records before this one have been seen.
                    outputs += self._push(arrived.split_by_subject(ready), batch)
                    ready = []
                    outputs += self._make_room(place)
                if len(self._units) >= self._settings.subjects_max:
                    detail = f"this partition has {self._settings.subjects_max} subjects: raise subjects_max"
                    outputs.append(batch.originals.dead_letter(place, "subject_limit", detail))
                    continue
                self._add(subject)
            ready.append(index)
        return outputs + self._push(arrived.split_by_subject(ready), batch)

    def _push(self, runs: Iterable[tuple[str, Records]], batch: AdmittedBatch) -> list[PositionedOutput]:
        """Push runs into their units; the ticks of a replay are among what comes out."""
        if self._replay:
            return self._push_replayed(runs, batch)
        outputs: list[PositionedOutput] = []
        times_ms: list[NDArray[np.int64]] = []
        for subject, run in runs:
            if len(run):
                outputs += self._units[subject].push(run)
                times_ms.append(run.times_ms)
        if times_ms:
            self._watermark.time_ms = max(self._watermark.time_ms, *(int(times.max()) for times in times_ms))
        return outputs

    def _push_replayed(self, runs: Iterable[tuple[str, Records]], batch: AdmittedBatch) -> list[PositionedOutput]:
        """Push what the gates of the units let through, with the silences in between and the ticks of event time."""
        outputs: list[PositionedOutput] = []
        admitted: list[tuple[Stream, Records]] = []
        for subject, arrived in runs:
            unit = self._units[subject]
            unit.changed = True
            run, letters = unit.event_time_guard.admit(arrived, unit.watermark, batch.originals, self._admission.reader)
            outputs += letters
            if len(run):
                admitted.append((unit, run))
        if not admitted:
            return outputs
        times_ms = np.concatenate([run.times_ms for _, run in admitted])
        places = np.array([place for _, run in admitted for place in run.positions], dtype=np.int64)
        ticks = self._watermark.advance(times_ms, places)
        least_ms = round(self._settings.silence_min_s * 1000)
        outputs += push_replayed(admitted, self._units.values(), self._watermark, least_ms=least_ms)
        return outputs + ticks

    def _add(self, subject: str) -> None:
        unit = Stream(subject, self._partition, self._settings)
        for kept in self._kept.baselines_of(subject):
            unit.offer_baseline(kept.read())
        self._units[subject], self._written[subject] = unit, Written(subject)
        self._evictable_from_ms = 0

    def _make_room(self, place: int) -> list[PositionedOutput]:
        """Let the unit go that has been silent longest, if it has no baseline and was silent for long enough."""
        free = [unit for unit in self._units.values() if unit.monitor is None and not unit.pending]
        oldest = min(free, key=lambda unit: (unit.watermark, unit.subject), default=None)
        silent_from_ms = self._watermark.time_ms - SILENT_MS
        if oldest is None or oldest.watermark >= silent_from_ms:
            # Watermarks only rise: until the partition's has reached this, there is no need to look again.
            self._evictable_from_ms = (self._watermark.time_ms if oldest is None else oldest.watermark) + SILENT_MS
            return []
        del self._units[oldest.subject]
        self._gone.append(self._written.pop(oldest.subject))
        self._counts.update(oldest.counts)
        self._counts["bad_fields"] += oldest.columns.bad_fields.total()
        self._evicted = MonitoredCount(
            self._evicted.seen + oldest.monitored.seen, self._evicted.monitored + oldest.monitored.monitored
        )
        return oldest.event_time_guard.discard_held(place)
