"""Status of the subjects, from the checkpoints of detect and the records that wait for it."""

from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code
from pydantic import ValidationError

from pipeline.detect.learning_progress import LearningProgress
from pipeline.detect.partition_summary import is_needed, summarize_partition
from pipeline.detect.settings import DetectSettings
from pipeline.detect.stream import StreamSummary
from pipeline.state import NewerState
from schemas.baseline import Baseline
from schemas.topics import BASELINES, RECORDS, checkpoints_topic
from topologies.errors import DriftwireError
from topologies.kafka import Cluster, read_topic
from topologies.status.waiting_records import WaitingRecords, find_waiting_records
from topologies.step_state import PartitionState, read_step_state


@dataclass(frozen=True, slots=True)
class SubjectStatus:
    """What detect has received of a subject, over all partitions, and what it does.

    Attributes
    ----------
    subject, records, late, duplicates, unversioned_outcomes, bad_fields, last_ms
        Sums of the streams, and the newest event time. See :class:`pipeline.detect.stream.StreamSummary`.
    signals
        Largest number of signals of a stream.
    baseline_version, published_ms
        Version of the baseline in use, and the time at which it was published. None while the first one is learned.
    scheduled_versions
        Versions of baselines that wait for their ``effective_at``.
    learning, relearning
        Progress of the stream that is ready first: its first baseline, or its new normal.
    relearned_signals
        Names of the signals that are relearned (empty for all), or None.
    held_signals
        Names of those that are tested meanwhile, against a level that a person accepted.
    look_alikes
        Unknown fields of any stream that look like a known one.
    is_sampled
        Whether the records of a stream, or those from which the baseline was learned, are sampled by outcome.
    """

    subject: str
    records: int
    late: int
    duplicates: int
    bad_fields: Counter[tuple[str, str]]
    last_ms: int
    signals: int
    baseline_version: str | None = None
    published_ms: int | None = None
    scheduled_versions: tuple[str, ...] = ()
    learning: LearningProgress | None = None
    relearned_signals: tuple[str, ...] | None = None
    held_signals: tuple[str, ...] = ()
    relearning: LearningProgress | None = None
    look_alikes: frozenset[str] = frozenset()
    unversioned_outcomes: int = 0
    is_sampled: bool = False

    @property
    def state(self) -> Literal["learning", "monitored", "relearning"]:
        """What detect does with the records."""
        if self.baseline_version is None:
            return "learning"
        return "monitored" if self.relearned_signals is None else "relearning"


@dataclass(frozen=True, slots=True)
class Status:
    """Status of all subjects.

    Attributes
    ----------
    kafka
        Address of Kafka.
    subjects
        The subjects by name.
    records, dead_letters
        Number of records that detect has read, and of those that it could not use.
    waiting
        Partitions with messages that detect has not read.
    checkpoint_ms
        Time of the last checkpoint of detect in Unix milliseconds, or None if there is none.
    problems
        One line per part of the state that cannot be read.
    """

    kafka: str
    subjects: list[SubjectStatus] = field(default_factory=list)
    records: int = 0
    dead_letters: int = 0
    waiting: list[WaitingRecords] = field(default_factory=list)
    checkpoint_ms: int | None = None
    problems: list[str] = field(default_factory=list)


async def read_status(cluster: Cluster, settings: DetectSettings) -> Status:
    """Read the status of all subjects. Nothing is written, and no topic is created.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    settings
        Requirements of a ready baseline.

    Raises
    ------
    DriftwireError
        If Kafka does not answer, if a permission is missing, or if a newer version wrote the state.
    """
    partitions = await _find_partitions(cluster, (RECORDS, checkpoints_topic("detect"), BASELINES))
    states: dict[int, PartitionState] = {}
    if partitions[checkpoints_topic("detect")]:
        states = await read_step_state(cluster, "detect", is_needed=is_needed)
    try:
        summaries = [summarize_partition(state.parts.items(), settings) for _, state in sorted(states.items())]
    except NewerState as error:
        raise DriftwireError(
            f"a newer version of driftwire wrote the state of detect at {cluster}: use that version for driftwire status"
        ) from error
    subjects = merge_streams(stream for summary in summaries for stream in summary.streams)
    if partitions[BASELINES]:
        subjects = await _add_published_baselines(cluster, subjects)
    next_offsets = {
        partition: states[partition].offsets.get(RECORDS, -1) + 1 if partition in states else 0
        for partition in partitions[RECORDS]
    }
    return Status(
        kafka=str(cluster),
        subjects=subjects,
        records=sum(summary.records for summary in summaries),
        dead_letters=sum(summary.dead_letters for summary in summaries),
        waiting=await find_waiting_records(cluster, next_offsets) if next_offsets else [],
        checkpoint_ms=max(
            (state.written_ms for state in states.values() if state.written_ms is not None), default=None
        ),
        problems=[problem for summary in summaries for problem in summary.problems],
    )


def merge_streams(streams: Iterable[StreamSummary]) -> list[SubjectStatus]:
    """Merge the streams of each subject, which can be in several partitions. Return the subjects by name."""
    by_subject: dict[str, list[StreamSummary]] = {}
    for stream in streams:
        by_subject.setdefault(stream.subject, []).append(stream)
    return [_merge(subject, merged) for subject, merged in sorted(by_subject.items())]


def _merge(subject: str, streams: list[StreamSummary]) -> SubjectStatus:
    # A stream that is ready publishes its baseline, and the other streams then apply it.
    monitored = [stream for stream in streams if stream.baseline_version is not None]
    newest = max(monitored, key=lambda stream: stream.last_ms, default=None)
    relearned = next((stream for stream in monitored if stream.relearned_signals is not None), None)
    return SubjectStatus(
        subject=subject,
        records=sum(stream.records for stream in streams),
        late=sum(stream.late for stream in streams),
        duplicates=sum(stream.duplicates for stream in streams),
        bad_fields=sum((stream.bad_fields for stream in streams), Counter()),
        last_ms=max(stream.last_ms for stream in streams),
        signals=max(stream.signals for stream in streams),
        baseline_version=None if newest is None else newest.baseline_version,
        scheduled_versions=tuple(sorted({version for stream in streams for version in stream.scheduled_versions})),
        learning=None if monitored else _furthest(stream.learning for stream in streams),
        relearned_signals=None if relearned is None else relearned.relearned_signals,
        held_signals=() if relearned is None else relearned.held_signals,
        relearning=_furthest(stream.relearning for stream in monitored),
        look_alikes=frozenset().union(*(stream.look_alikes for stream in streams)),
        unversioned_outcomes=sum(stream.unversioned_outcomes for stream in streams),
        is_sampled=any(stream.is_sampled for stream in streams),
    )


def _furthest(progresses: Iterable[LearningProgress | None]) -> LearningProgress | None:
    known = [progress for progress in progresses if progress is not None]
    return max(known, key=lambda progress: progress.share, default=None)


async def _find_partitions(cluster: Cluster, topics: Collection[str]) -> dict[str, list[int]]:
    """Return the partitions of topics. A topic that does not exist has none."""
    found = await cluster.topic_metadata(topics)
    partitions: dict[str, list[int]] = {}
    for topic, metadata in found.items():
        error = for_code(metadata["error_code"])
        with cluster.requiring("Describe", topic):
            if error is TopicAuthorizationFailedError:
                raise error
        is_missing = error is UnknownTopicOrPartitionError
        partitions[topic] = [] if is_missing else [partition["partition"] for partition in metadata["partitions"]]
    return partitions


async def _add_published_baselines(cluster: Cluster, subjects: list[SubjectStatus]) -> list[SubjectStatus]:
    """Add the publication time of the baselines in use, and whether they were learned from sampled records."""
    keys = {f"{status.subject}/{status.baseline_version}".encode() for status in subjects if status.baseline_version}
    if not keys:
        return subjects
    times: dict[bytes | None, int] = {}
    sampled: set[bytes | None] = set()
    async for message in read_topic(cluster, BASELINES):
        if message.key in keys and message.value is not None:
            times[message.key] = message.timestamp
            with suppress(ValidationError):
                if Baseline.from_json(message.value).sampled:
                    sampled.add(message.key)
    found = []
    for status in subjects:
        key = f"{status.subject}/{status.baseline_version}".encode()
        found.append(replace(status, published_ms=times.get(key), is_sampled=status.is_sampled or key in sampled))
    return found
