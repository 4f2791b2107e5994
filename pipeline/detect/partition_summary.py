"""Summary of one partition's state for people: its counts, and the summary of each stream."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import PART_KINDS, PARTITION, read_partition_counts
from pipeline.detect.stream import StreamSummary, is_summary_part, summarize_stream
from pipeline.state import Part, PartStore


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """What detect has received on one partition.

    Attributes
    ----------
    records, dead_letters
        Number of records that were read, and of those that could not be used.
    streams
        Summaries of the streams, sorted by subject.
    problems
        One line per part of the state that cannot be read.
    """

    records: int
    dead_letters: int
    streams: list[StreamSummary]
    problems: list[str]


def is_needed(kind: str, item: str) -> bool:
    """Return whether parts with this kind and item are needed for the summary. Most of the state is not."""
    return kind == PARTITION.kind or is_summary_part(kind, item)


def find_subjects(keys: Iterable[bytes]) -> set[str]:
    """Return the subjects of a partition, from the keys of the parts that :func:`is_needed` selects."""
    parts = (Part.from_key(key)[0] for key in keys)
    return {part.name for part in parts if part.kind == "stream"}


def summarize_partition(entries: Iterable[tuple[bytes, bytes]], settings: DetectSettings) -> PartitionSummary:
    """Return the summary of the state in a checkpoint.

    Parameters
    ----------
    entries
        Keys and values of the parts that :func:`is_needed` selects.
    settings
        Requirements of a ready baseline. The state is shown as it is, even if a worker with these settings would reset
        parts of it.

    Raises
    ------
    NewerState
        If a newer version wrote any part.
    """
    store = PartStore(replace(kind, settings=()) for kind in PART_KINDS)
    store.read(entries)
    counts: dict[str, int] = {}
    store.load(PARTITION, lambda state: counts.update(read_partition_counts(state)))
    subjects = [part.name for part in store.parts("stream")]
    streams = [summarize_stream(subject, store, settings) for subject in subjects]
    return PartitionSummary(
        records=counts.get("records", 0),
        dead_letters=counts.get("dead_letters", 0),
        streams=[stream for stream in streams if stream is not None],
        problems=list(store.finish_restore()),
    )
