"""The streams of one partition. A stream without recent records is packed, and returns unchanged for its next record."""

import logging
from collections.abc import Iterator, Sequence

from pipeline.detect.baselines import BaselineStore, PackedBaseline
from pipeline.detect.settings import DetectSettings
from pipeline.detect.stream.packed_stream import PackedStream
from pipeline.detect.stream.restore import StreamRestorer, read_usable_baseline
from pipeline.detect.stream.stream import Stream
from pipeline.state import DOES_NOT_FIT, PartStore
from pipeline.step import OutputMessage

PACKED_AFTER_MS = 3_600_000
"""Milliseconds without a record after which a stream is packed."""

PACKED_PER_TICK_MAX = 32
"""Maximum number of streams that are packed per tick, because packing a stream takes about two milliseconds."""

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

    Attributes
    ----------
    live, packed
        The streams that are ready for a record, and all others.
    """

    def __init__(self, partition: int, settings: DetectSettings, store: PartStore) -> None:
        self._partition, self._settings, self._store = partition, settings, store
        self.live: dict[str, Stream] = {}
        self.packed: dict[str, PackedStream] = {}
        self._is_packed_marked = False

    def __len__(self) -> int:
        return len(self.live) + len(self.packed)

    def __contains__(self, subject: str) -> bool:
        return subject in self.live or subject in self.packed

    def restore(self, baselines: BaselineStore, *, replay: bool) -> None:
        """Restore the streams whose parts the store has read.

        They stay packed until their next record, except in a replay, which compares all streams with its watermark, and
        except if a part does not fit, because each reset has its warning.
        """
        can_wait = not replay and not self._store.has_misfits()
        for subject in filter(None, self._store.names()):
            if not (can_wait and self._restore_packed(subject, baselines)):
                self._restore_live(subject, baselines)
            if subject in self:
                baselines.remove(subject)
            else:
                self._store.drop(subject)
        baselines.finish_restore()

    def _restore_packed(self, subject: str, baselines: BaselineStore) -> bool:
        """Restore a stream without unpacking it. Return False if it must be unpacked."""
        entries = self._store.take(subject)
        try:
            self.packed[subject] = PackedStream(
                subject,
                entries,
                self._settings,
                baselines=baselines.baselines_of(subject),
                relearns=baselines.relearns_of(subject),
            )
        except DOES_NOT_FIT:
            self._store.read(entries)
            return False
        return True

    def _restore_live(self, subject: str, baselines: BaselineStore) -> None:
        stream = StreamRestorer(
            subject,
            self._partition,
            self._settings,
            store=self._store,
            baselines=baselines.baselines_of(subject),
            relearns=baselines.relearns_of(subject),
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
        """Return the stream of a subject, unpacked. Return None if there is none, or if its state cannot be read."""
        packed = self.packed.pop(subject, None)
        if packed is None:
            return self.live.get(subject)
        stream, problems = packed.unpack(self._partition)
        if problems:
            self._store.drop(subject)
        for problem in problems:
            logger.warning("detect: partition %d: %s", self._partition, problem)
        if stream is not None:
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
                outputs[subject] = stream.report_silence(max(wall_ms, stream.watermark))
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

        The second result is its watermark, or None if every stream has a baseline or waits for one.
        """
        idle = [
            (stream.watermark, subject)
            for subject, stream in self.live.items()
            if stream.monitor is None and not stream.pending_baselines
        ]
        idle += [(packed.watermark, subject) for subject, packed in self.packed.items() if not packed.has_baseline]
        watermark, subject = min(idle, default=(None, ""))
        if watermark is None or watermark >= before_ms:
            return None, watermark
        stream = self.find(subject)
        self.live.pop(subject, None)
        return stream, watermark

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
