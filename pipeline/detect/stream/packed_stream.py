"""A stream without recent records, as the encoded parts of its state. It returns unchanged for its next record."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from pipeline.codec import decode, join_values, split_values
from pipeline.detect.baselines import PackedBaseline
from pipeline.detect.findings import SilenceTracker
from pipeline.detect.settings import DetectSettings
from pipeline.detect.stream.restore import StreamRestorer
from pipeline.detect.stream.stream import Stream
from pipeline.detect.stream.stream_state import STREAM_KINDS
from pipeline.state import Part, PartStore
from schemas.relearn import Relearn

Entry = tuple[bytes, bytes]
Entries = Sequence[Entry]


class PackedStream:
    """The encoded state of a stream, and what its timer needs.

    Parameters
    ----------
    subject
        The subject.
    entries
        Keys and values of the chunks of all parts of the state, in order.
    settings
        The settings with which they were written.
    baselines, relearns
        The baselines and relearn requests that the state can need, oldest first.

    Attributes
    ----------
    baselines
        As the parameter.
    watermark
        Newest event time of the records in Unix milliseconds.
    has_baseline
        Whether the stream has a baseline or waits for one.
    counts, bad_fields
        Counts of the records, as for the stream, and of its bad fields by reason.
    is_monitored, is_relearning
        Whether the stream has a monitor, and whether it relearns signals.
    silence, silence_after_s
        As for :class:`pipeline.detect.stream.stream.Stream`.

    Raises
    ------
    ValueError, KeyError
        If the part with the counters and references is missing or damaged.
    """

    def __init__(
        self,
        subject: str,
        entries: Entries,
        settings: DetectSettings,
        *,
        baselines: Sequence[PackedBaseline],
        relearns: Sequence[Relearn] = (),
    ) -> None:
        self.subject, self.entries = subject, entries
        self.baselines, self._relearns, self._settings = tuple(baselines), tuple(relearns), settings
        main_part = Part("stream", subject)
        chunks = [value for key, value in entries if Part.from_key(key)[0] == main_part]
        state = decode(b"".join(chunks), kind="stream")
        version = state["baseline_version"]
        active = next((baseline for baseline in baselines if baseline.baseline_version == version), None)
        if version is not None and active is None:
            raise ValueError(f"the baseline {version} of {subject} is missing")
        self.watermark: int = state["watermark"]
        self.has_baseline = bool(baselines)
        self.counts: Counter[str] = Counter(state["counts"])
        self.bad_fields: Counter[str] = Counter()
        for _, reason, count in state["columns"]["bad_fields"]:
            self.bad_fields[reason] += count
        self.is_monitored, self.is_relearning = version is not None, state["relearning"] is not None
        self.silence = SilenceTracker()
        self.silence.load(state["silence"])
        self.silence_after_s = None if active is None else SilenceTracker.least_s(active, settings)

    @classmethod
    def pack(cls, stream: Stream, store: PartStore, settings: DetectSettings) -> "PackedStream":
        """Pack a stream whose state has not changed since the last checkpoint."""
        stream.mark_all()
        changed = ((part, state) for part, state in stream.dump_changed() if state is not None)
        entries = PackedEntries(chunk for part, state in changed for chunk in store.encode(part, state))
        baselines = [] if stream.monitor is None else [stream.monitor.packed_baseline.without_tables()]
        baselines += [PackedBaseline(baseline) for baseline in stream.pending_baselines]
        packed = cls(stream.subject, entries, settings, baselines=baselines)
        packed.silence, packed.silence_after_s = stream.silence, stream.silence_after_s
        packed.silence.rule = None
        return packed

    def advance_silence(self, elapsed_ms: int) -> bool:
        """Count wall-clock time without a record. Return whether the stream may have gone silent."""
        if self.silence_after_s is None:
            return False
        silent_ms = self.silence.advance(elapsed_ms)
        return silent_ms >= self.silence_after_s * 1000 and self.silence.may_report(silent_ms)

    def unpack(self, partition: int) -> tuple[Stream | None, list[str]]:
        """Return the stream, or None if its state cannot be read, and a line for each part that is discarded."""
        store = PartStore(STREAM_KINDS, self._settings.model_dump(mode="json"))
        store.read(self.entries)
        stream = StreamRestorer(
            self.subject, partition, self._settings, store=store, baselines=self.baselines, relearns=self._relearns
        ).restore()
        if stream is not None:
            self.silence.rule = stream.silence.rule
            stream.silence = self.silence
        return stream, list(store.finish_restore())


class PackedEntries(Sequence[Entry]):
    """Keys and values of the chunks of parts. They are unpacked at each use.

    Parameters
    ----------
    entries
        The keys and values, in order.
    """

    __slots__ = ("_content",)

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._content = join_values([content for entry in entries for content in entry])

    def __len__(self) -> int:
        return len(self._unpack())

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._unpack())

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return self._unpack()[index]

    @property
    def packed_bytes(self) -> int:
        """Number of bytes in memory."""
        return len(self._content)

    def _unpack(self) -> list[Entry]:
        contents = split_values(self._content)
        return list(zip(contents[::2], contents[1::2], strict=True))
