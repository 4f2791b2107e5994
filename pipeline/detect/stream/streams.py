"""The streams of one partition. A stream without recent records is packed, and returns unchanged for its next record."""

import logging
from collections.abc import Iterator, Sequence

from pipeline.detect.baselines import BaselineStore, PackedBaseline
from pipeline.detect.settings import DetectSettings
from pipeline.detect.stream.packed_stream import PackedStream
from pipeline.detect.stream.restore import StreamRestorer, read_usable_baseline
from pipeline.detect.stream.silences import report_live_silence
from pipeline.detect.stream.stream import Stream
from pipeline.state import DOES_NOT_FIT, PartStore
from pipeline.step import OutputMessage

PACKED_AFTER_MS = 3_600_000
"""Milliseconds without a record after which a stream is packed."""

PACKED_PER_TICK_MAX = 16
"""Maximum number of streams that are packed per tick, because packing a stream takes about five milliseconds."""

logger = logging.getLogger("driftwire")


class Streams:
    """The streams by subject.

    Parameters
    ----------
    partition
        Partition of the records.
    settings
        The settings of the streams.
    store
        Store of the step's state.
    baselines
        The published baselines of subjects without a stream.

    Attributes
    ----------
    live, packed
        The streams that are ready for a record, and all others.
    added_ms
        In a replay, the time at which streams were added, for those that replaced another stream. Their first records are
        held and do not advance their watermark, and they must not be evicted for that.
    """

    def __init__(self, partition: int, settings: DetectSettings, store: PartStore, baselines: BaselineStore) -> None:
        self._partition, self._settings = partition, settings
        self._store, self._baselines = store, baselines
        self.live: dict[str, Stream] = {}
        self.packed: dict[str, PackedStream] = {}
        self.added_ms: dict[str, int] = {}
        self._is_packed_marked = False

    def __len__(self) -> int:
        return len(self.live) + len(self.packed)

    def __contains__(self, subject: str) -> bool:
        return subject in self.live or subject in self.packed

    def restore(self, *, replay: bool) -> None:
        """Restore the streams whose parts the store has read.

        They stay packed until their next record, except in a replay, which compares all streams with its watermark, and
        except if a part does not fit, because each reset has its warning.
        """
        can_wait = not replay and not self._store.has_misfits()
        for subject in filter(None, self._store.names()):
            if not (can_wait and self._restore_packed(subject)):
                self._restore_live(subject)
            if subject in self:
                self._baselines.remove(subject)
            else:
                self._store.drop(subject)
        self._baselines.finish_restore()

    def _restore_packed(self, subject: str) -> bool:
        """Restore a stream without unpacking it. Return False if it must be unpacked."""
        entries = self._store.take(subject)
        try:
            self.packed[subject] = PackedStream(
                subject,
                entries,
                self._settings,
                baselines=self._baselines.baselines_of(subject),
                relearns=self._baselines.relearns_of(subject),
            )
        except DOES_NOT_FIT:
            self._store.read(entries)
            return False
        return True

    def _restore_live(self, subject: str) -> None:
        stream = StreamRestorer(
            subject,
            self._partition,
            self._settings,
            store=self._store,
            baselines=self._baselines.baselines_of(subject),
            relearns=self._baselines.relearns_of(subject),
        ).restore()
        if stream is not None:
            self.live[subject] = stream

    def add(self, subject: str, baselines: Sequence[PackedBaseline]) -> Stream:
        """Add a stream, and offer it the published baselines of its subject. Return the stream."""
        stream = self.live[subject] = Stream(subject, self._partition, self._settings)
        for published in baselines:
            baseline = read_usable_baseline(published, self._settings)
            if baseline is not None:
                stream.offer_baseline(baseline)
        return stream

    def find(self, subject: str) -> Stream | None:
        """Return the stream of a subject, unpacked. Return None if there is none, or if its state cannot be read.

        In the second case, its baselines are kept for its next stream.
        """
        packed = self.packed.pop(subject, None)
        if packed is None:
            return self.live.get(subject)
        stream, problems = packed.unpack(self._partition)
        if problems:
            self._store.drop(subject)
        for problem in problems:
            logger.warning("detect: partition %d: %s", self._partition, problem)
        if stream is None:
            for baseline in packed.baselines:
                self._baselines.add(baseline)
            return None
        self.live[subject] = stream
        if problems:
            stream.mark_all()
        return stream

    def unpack_all(self) -> dict[str, Stream]:
        """Unpack all streams, and return them by subject."""
        for subject in list(self.packed):
            self.find(subject)
        return self.live

    def advance_silence(self, elapsed_ms: int, wall_ms: int) -> list[OutputMessage]:
        """Count wall-clock time without records, and report the streams that have gone silent, by subject."""
        outputs = {subject: stream.advance_silence(elapsed_ms, wall_ms) for subject, stream in self.live.items()}
        for subject in [subject for subject, packed in self.packed.items() if packed.advance_silence(elapsed_ms)]:
            stream = self.find(subject)
            if stream is not None:
                outputs[subject] = report_live_silence(stream, wall_ms)
        # The order must not depend on which streams are packed.
        return [output for subject in sorted(filter(outputs.get, outputs)) for output in outputs[subject]]

    def pack_idle(self, wall_ms: int) -> None:
        """Pack streams without recent records. Their state must be in the last checkpoint."""
        idle = [
            stream
            for stream in self.live.values()
            if not stream.changed and wall_ms - stream.watermark >= PACKED_AFTER_MS
        ]
        for stream in idle[:PACKED_PER_TICK_MAX]:
            self.packed[stream.subject] = PackedStream.pack(stream, self._store, self._settings)
            del self.live[stream.subject]

    def remove_oldest_without_baseline(self, before_ms: int) -> tuple[Stream | None, int | None]:
        """Remove and return the stream without a baseline that has been silent longest, if it is older than a time.

        The second result is the time since when it has been silent, or None if every stream has a baseline or waits for one.
        """
        idle = [
            (max(stream.watermark, self.added_ms.get(subject, 0)), subject)
            for subject, stream in self.live.items()
            if stream.monitor is None and not stream.pending_baselines
        ]
        idle += [(packed.watermark, subject) for subject, packed in self.packed.items() if not packed.has_baseline]
        silent_ms, subject = min(idle, default=(None, ""))
        if silent_ms is None or silent_ms >= before_ms:
            return None, silent_ms
        stream = self.find(subject)
        self.live.pop(subject, None)
        self.added_ms.pop(subject, None)
        return stream, silent_ms

    def dump_added(self) -> dict[str, int]:
        """Return the times of :attr:`added_ms` that the watermarks of their streams have not reached."""
        for subject in [subject for subject, time_ms in self.added_ms.items() if self._has_reached(subject, time_ms)]:
            del self.added_ms[subject]
        return dict(sorted(self.added_ms.items()))

    def _has_reached(self, subject: str, time_ms: int) -> bool:
        stream = self.live.get(subject)
        return stream is None or stream.watermark >= time_ms

    def mark_all(self) -> None:
        """Mark all parts of the state as changed."""
        self._is_packed_marked = True
        for stream in self.live.values():
            stream.mark_all()

    def changed_packed(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the parts of packed streams that :meth:`mark_all` marked."""
        if self._is_packed_marked:
            self._is_packed_marked = False
            for packed in self.packed.values():
                yield from packed.entries
