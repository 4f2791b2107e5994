"""The detect step, the first step of the pipeline. It turns the records of one partition into drifts and baselines.

A batch passes through these stages: decode -> admit -> limit -> push -> order.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

import numpy as np

from pipeline.detect.admission import Admission, AdmittedBatch, PositionedOutput, Records, Watermark
from pipeline.detect.baselines import BaselineStore, PackedBaseline
from pipeline.detect.control import read_control
from pipeline.detect.fleet import observe_blocks
from pipeline.detect.losses import DeadLetterMonitor
from pipeline.detect.measurements import measure_streams
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals import PANE_MS, Block
from pipeline.detect.stream import STREAM_KINDS, MonitoredCount, Stream, Streams, push_replayed
from pipeline.detect.stream_limits import StreamLimits
from pipeline.limit_use import LimitUse, measure_limits
from pipeline.state import Part, PartKind, PartStore, State
from pipeline.step import InputMessage, Measurement, OutputMessage
from schemas.baseline import PARTITION_SOURCES
from schemas.relearn import Relearn
from schemas.topics import DEAD_LETTERS

EVICTABLE_AFTER_MS = 7 * 86_400_000
"""Milliseconds of event time without a record after which a stream without a baseline can be evicted."""

CAUGHT_UP_MS = 60_000
"""Maximum age of the newest record, in milliseconds, at which the step assumes that no other records are waiting."""

TICK_MS_MAX = 10_000
"""Maximum time (ms) that one tick adds to a silence. Longer intervals mean that the worker was suspended."""

PARTITION = Part("partition", "")
"""The part of the state that does not belong to a subject."""

PART_KINDS = (PartKind(PARTITION.kind, owner="partition"), *STREAM_KINDS)
"""Kinds of the parts of the state."""


class DetectStep:
    """The detect step of one partition of the records. It implements :class:`pipeline.step.Step`.

    Every record is used, held, dropped as a duplicate, or turned into a dead letter. :meth:`counts` returns the totals.

    Parameters
    ----------
    partition
        Partition of the records, which drifts and ticks contain.
    settings
        Readiness of a baseline, tolerances, and limits.
    replay
        Whether the records are from the past. A replay has no wall clock: several records must agree on a time jump,
        and ticks follow event time.
    block_observer
        Receives the subject and each block before it is tested. Restored streams are not observed.
    """

    def __init__(
        self,
        partition: int,
        settings: DetectSettings,
        *,
        replay: bool,
        block_observer: Callable[[str, Block], None] | None = None,
    ) -> None:
        self._partition = partition
        self._settings = settings
        self._replay = replay
        self._block_observer = block_observer
        self._admission = Admission(settings, replay=replay)
        self._baselines = BaselineStore(settings.subjects_max)
        self._dead_letters = DeadLetterMonitor(partition, settings)
        self._watermark = Watermark(partition)
        self._counts: Counter[str] = Counter()
        self._evicted_count = MonitoredCount()
        self._evictable_from_ms = 0
        self._refused_ms: deque[int] = deque(maxlen=settings.time_jump_records)
        self._last_tick_ms = self._last_tick_messages = self._settled_pane = 0
        self._store = PartStore(PART_KINDS, settings.model_dump(mode="json"))
        self._limits = StreamLimits(settings)
        self._refused_count = 0
        self._streams = Streams(partition, settings, self._store, self._baselines)

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams by subject, all unpacked, without deferred records. Read only."""
        streams = self._streams.unpack_all()
        for stream in streams.values():
            stream.settle()
        return streams

    @property
    def packed_streams(self) -> Mapping[str, object]:
        """The streams without recent records by subject, each of which takes little memory. Read only."""
        return self._streams.packed

    def step(self, messages: Sequence[InputMessage]) -> list[OutputMessage]:
        """Process records in the order of their offsets. Return drifts, baselines, dead letters and ticks."""
        self._store.mark(PARTITION.kind, PARTITION.name)
        self._watermark.begin_batch()
        batch = self._admission.admit(messages)
        outputs = list(batch.dead_letters)
        self._counts["messages"] += len(messages)
        self._counts["records"] += batch.record_count
        watermark_ms = self._watermark.time_ms
        if len(batch.records):
            if self._add_new_subjects(batch.records.subjects):
                outputs += self._push(range(len(batch.records)), batch)
            else:
                outputs += self._push_within_limit(batch)
        if batch.rejected or not self._dead_letters.is_idle:
            outputs += self._observe_dead_letters(batch, watermark_ms)
        # Sort by the records that caused the outputs, regardless of how the records were grouped.
        ordered = [output for _, output in sorted(outputs, key=itemgetter(0))]
        self._counts["dead_letters"] += sum(output.topic == DEAD_LETTERS for output in ordered)
        return ordered

    def control(self, message: InputMessage, *, is_covered: bool = False) -> list[OutputMessage]:
        """Process a baseline or a relearn request.

        The stream of the subject applies a baseline now or at its ``effective_at``. Without a stream, the baseline is
        stored for a stream that appears later.
        """
        if message.value is None:
            return []
        covered = PackedBaseline.from_message(message) if is_covered else None
        if covered is not None:
            self._baselines.add(covered)
            return []
        content = read_control(message, message.value, self._settings, replay=self._replay)
        if isinstance(content, OutputMessage):
            return [content]
        if isinstance(content, PackedBaseline) and content.source in PARTITION_SOURCES:
            self._baselines.add(content)
            return []
        stream = self._streams.find(content.subject)
        if isinstance(content, Relearn):
            self._baselines.add_relearn(content)
            return [] if stream is None else stream.relearn(content)
        if stream is not None:
            return stream.offer_baseline(content.read())
        self._baselines.add(content)
        return []

    def tick(self, wall_ms: int) -> list[OutputMessage]:
        """Publish the watermark with the wall-clock time, and report subjects that have gone silent.

        Time counts as silence only while no records are waiting to be read. That is the case if no message has arrived
        since the last tick, or if the newest record is at most a minute old.
        """
        outputs = [self._watermark.tick(wall_ms=wall_ms)]
        elapsed_ms = min(max(0, wall_ms - self._last_tick_ms), TICK_MS_MAX) if self._last_tick_ms else 0
        messages = self._counts["messages"]
        if messages == self._last_tick_messages or wall_ms - self._watermark.time_ms <= CAUGHT_UP_MS:
            outputs += self._streams.advance_silence(elapsed_ms, wall_ms)
            self._streams.pack_idle(wall_ms)
        self._last_tick_ms, self._last_tick_messages = wall_ms, messages
        return outputs

    def measure(self) -> Iterator[Measurement]:
        """Yield the counts of records and bad fields, the streams by state, the use of limits, and the watermark."""
        yield from measure_streams(self._streams, self._counts)
        hits = self._refused_count + self._baselines.dropped_count
        subjects = LimitUse("subjects_max", len(self._streams), self._settings.subjects_max, hits)
        yield from measure_limits([subjects, *self._limits.measure(self._streams)])
        if self._watermark.time_ms:
            partition = str(self._partition)
            yield Measurement("driftwire_watermark_timestamp_seconds", self._watermark.time_ms / 1000, (partition,))

    def mark_all(self) -> None:
        """Mark all parts of the state as changed, because the checkpoint topic was created again."""
        self._store.mark(PARTITION.kind, PARTITION.name)
        self._streams.mark_all()

    def on_gap(self) -> list[OutputMessage]:
        """Reset the evidence of all streams. Return the outputs that their buffered records cause."""
        self._dead_letters.reset()
        self._store.mark(PARTITION.kind, PARTITION.name)
        return [output for stream in self.streams.values() for output in stream.on_gap()]

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the parts of the state that changed since the last call, by key. A value of None removes the part."""
        self._store.mark("stream", *(subject for subject, stream in self._streams.live.items() if stream.changed))
        yield from self._store.changed(self._dump)
        yield from self._streams.changed_packed()

    def restore(self, parts: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
        """Restore the state that :meth:`changed` yielded, and yield a warning for each part that is discarded.

        The baselines that the state refers to must have been passed to :meth:`control` before.
        """
        self._store.read(parts)
        self._store.load(PARTITION, self._load)
        self._streams.restore(replay=self._replay)
        yield from self._store.finish_restore()

    def judged_share(self) -> float:
        """Return the share of all finite signal values that a monitor tested, or 0 before the first value."""
        total = sum((stream.monitored for stream in self.streams.values()), self._evicted_count)
        return total.monitored / total.seen if total.seen else 0.0

    def counts(self) -> dict[str, int]:
        """Return the record counts, where ``records`` = ``used`` + ``duplicates`` + ``held`` + ``dead_letters``.

        ``messages`` counts Kafka messages: an array of records is one message. ``late`` counts the used records behind
        the watermark of their stream, ``unversioned_outcomes`` the late outcomes without a version, ``bad_fields`` the
        values dropped from used records, ``converted_fields`` the values converted from another type, and ``subjects``
        the streams.
        """
        names = (
            "used",
            "duplicates",
            "late",
            "unversioned_outcomes",
            "dead_letters",
            "held",
            "bad_fields",
            "converted_fields",
        )
        total = Counter(dict.fromkeys(names, 0))
        total.update(self._counts)
        for stream in self.streams.values():
            total.update(stream.counts)
            total["held"] += stream.event_time_guard.held_count
            total["bad_fields"] += stream.columns.bad_fields.total()
            total["converted_fields"] += stream.columns.converted_fields.total()
        total["subjects"] = len(self._streams)
        return dict(total)

    def _dump(self, kind: str, name: str) -> Iterable[tuple[Part, State | None]]:
        if kind == "stream":
            return self._streams.live[name].dump_changed()
        state = {
            "watermark": self._watermark.time_ms,
            "counts": dict(sorted(self._counts.items())),
            "evicted_seen": self._evicted_count.seen,
            "evicted_monitored": self._evicted_count.monitored,
            "dead_letters": self._dead_letters.dump(),
            "refused_ms": list(self._refused_ms),
            "added_ms": self._streams.dump_added(),
        }
        return [(PARTITION, state)]

    def _load(self, state: State) -> None:
        self._watermark.time_ms = state["watermark"]
        self._counts = read_partition_counts(state)
        self._evicted_count = MonitoredCount(state["evicted_seen"], state["evicted_monitored"])
        # Checkpoints of earlier versions do not contain the times of refused records and losses.
        self._refused_ms.extend(state.get("refused_ms", ()))
        self._streams.added_ms.update(state.get("added_ms", {}))
        self._dead_letters.load(state.get("dead_letters", {"rejections": []}))

    def _observe_dead_letters(self, batch: AdmittedBatch, watermark_ms: int) -> list[PositionedOutput]:
        """Test the share of dead letters by arrival time, or by the watermark in a replay."""
        positions = [*batch.records.positions, *(rejected.position for rejected in batch.rejected)]
        if not self._replay:
            times_ms = batch.originals.append_times_ms(positions).tolist()
        elif self._watermark.time_ms == watermark_ms:
            times_ms = [watermark_ms] * len(positions)
        else:
            times_ms = [self._watermark.time_at(position) for position in positions]
        count = len(batch.records)
        return self._dead_letters.observe(batch, times_ms[:count], times_ms[count:])

    def _add_new_subjects(self, subjects: Sequence[str]) -> bool:
        """Add a stream for each new subject. If that would exceed the limit, add none and return False."""
        new = [subject for subject in dict.fromkeys(subjects) if subject not in self._streams]
        if len(self._streams) + len(new) > self._settings.subjects_max:
            return False
        for subject in new:
            self._add_stream(subject)
        return True

    def _push_within_limit(self, batch: AdmittedBatch) -> list[PositionedOutput]:
        """Push records whose subjects have a stream or can get one. Other records become dead letters."""
        records, subjects_max = batch.records, self._settings.subjects_max
        outputs: list[PositionedOutput] = []
        waiting: list[int] = []
        latest_ms = self._watermark.time_ms
        for index, (subject, time_ms) in enumerate(zip(records.subjects, records.times_ms.tolist(), strict=True)):
            latest_ms = max(latest_ms, time_ms)
            if subject not in self._streams:
                replaced_ms = 0
                if len(self._streams) >= subjects_max:
                    # Rejected records do not advance the watermark. Their times count nevertheless: otherwise no stream
                    # could be evicted while all subjects are silent.
                    refused_ms = self._note_refused(time_ms)
                    if max(latest_ms, refused_ms) > self._evictable_from_ms:
                        # The stream that has been silent longest depends on all records before this one.
                        outputs += self._push(waiting, batch)
                        waiting = []
                        replaced_ms = max(self._watermark.time_ms, refused_ms) if self._replay else latest_ms
                        outputs += self._evict_stream(records.positions[index], replaced_ms)
                if len(self._streams) >= subjects_max:
                    detail = f"this partition already has {subjects_max} subjects: raise subjects_max"
                    outputs.append(batch.reject(index, "subject_limit", detail))
                    self._refused_count += 1
                    continue
                self._add_stream(subject)
                if self._replay and replaced_ms:
                    self._streams.added_ms[subject] = replaced_ms
            waiting.append(index)
        return outputs + self._push(waiting, batch)

    def _push(self, rows: Sequence[int], batch: AdmittedBatch) -> list[PositionedOutput]:
        """Push the records at the given rows of a batch into their streams, and advance the watermark."""
        if not rows:
            return []
        records, bounds = batch.records, {batch.records.subjects[0]: (0, len(rows))}
        if len(rows) < len(records) or len(set(records.subjects)) > 1:
            records, bounds = records.group_by_subject(rows)
        if self._replay:
            return self._push_in_replay(records, bounds, batch)
        newest_ms = np.maximum.reduceat(records.times_ms, [start for start, _ in bounds.values()]).tolist()
        outputs: list[PositionedOutput] = []
        completed: list[tuple[Stream, int, Records]] = []
        for (subject, (start, stop)), newest in zip(bounds.items(), newest_ms, strict=True):
            stream = self._streams.find(subject) or self._add_stream(subject)
            outputs += stream.receive(records, start, stop, newest, completed)
        outputs += observe_blocks(completed, self._settings)
        self._watermark.time_ms = max(self._watermark.time_ms, *newest_ms)
        self._settle_deferred()
        return outputs

    def _settle_deferred(self) -> None:
        """Use the records that have waited long. Otherwise, their batches could not be freed."""
        pane = self._watermark.time_ms // PANE_MS
        if pane - self._settled_pane >= self._settings.flush_after_s:
            self._settled_pane = pane
            for stream in self._streams.live.values():
                if len(stream.deferred) and pane - stream.deferred.first_pane >= self._settings.flush_after_s:
                    stream.settle()

    def _push_in_replay(
        self, records: Records, bounds: Mapping[str, tuple[int, int]], batch: AdmittedBatch
    ) -> list[PositionedOutput]:
        """Push the records that the event-time guards admit. Also return silences and ticks."""
        outputs: list[PositionedOutput] = []
        guarded: list[tuple[Stream, Records]] = []
        streams = self._streams.unpack_all()
        for subject, (start, stop) in bounds.items():
            stream = streams[subject]
            stream.changed = True
            admitted, letters = stream.event_time_guard.admit(
                records.cut(start, stop), stream.watermark, batch.originals, self._admission.reader
            )
            outputs += letters
            if len(admitted):
                guarded.append((stream, admitted))
        if not guarded:
            return outputs
        times_ms = np.concatenate([admitted.times_ms for _, admitted in guarded])
        positions = np.array([position for _, admitted in guarded for position in admitted.positions], dtype=np.int64)
        ticks = self._watermark.advance(times_ms, positions)
        pause_min_ms = round(self._settings.silence_min_s * 1000)
        outputs += push_replayed(guarded, streams.values(), self._watermark, pause_min_ms=pause_min_ms)
        return outputs + ticks

    def _add_stream(self, subject: str) -> Stream:
        stream = self._streams.add(subject, self._baselines.baselines_of(subject))
        stream.block_observer = self._block_observer
        self._baselines.remove(subject)
        self._evictable_from_ms = 0
        return stream

    def _note_refused(self, time_ms: int) -> int:
        """In a replay, return the time that the last ``time_jump_records`` records beyond the limit have all reached.

        One record with a wrong time therefore evicts no stream. Return 0 before that many records, and in live operation.
        """
        if not self._replay:
            return 0
        self._refused_ms.append(time_ms)
        return min(self._refused_ms) if len(self._refused_ms) == self._refused_ms.maxlen else 0

    def _evict_stream(self, position: int, now_ms: int) -> list[PositionedOutput]:
        """Evict the stream without a baseline that has been silent longest, if it has been silent for a week."""
        before_ms = now_ms - EVICTABLE_AFTER_MS
        oldest, watermark_ms = self._streams.remove_oldest_without_baseline(before_ms)
        if oldest is None:
            # Watermarks never decrease: no stream can be evicted before the event time reaches this time.
            last_ms = now_ms if watermark_ms is None else watermark_ms
            self._evictable_from_ms = last_ms + EVICTABLE_AFTER_MS
            return []
        self._store.drop(oldest.subject)
        self._counts.update(oldest.counts)
        self._counts["bad_fields"] += oldest.columns.bad_fields.total()
        self._counts["converted_fields"] += oldest.columns.converted_fields.total()
        self._evicted_count += oldest.monitored
        return oldest.event_time_guard.discard_held(position)


def read_partition_counts(state: State) -> Counter[str]:
    """Return the counts in the state of :data:`PARTITION`, which do not belong to a stream. See :meth:`DetectStep.counts`."""
    return Counter(state["counts"])
