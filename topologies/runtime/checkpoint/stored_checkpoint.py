"""Stored checkpoint: the entry and parts of the last checkpoint in a checkpoint topic, and their validation.

Each message has the sequence number of its checkpoint in a header. The entry has the same number and a hash of the parts
and offsets. A checkpoint is torn if its messages and its entry disagree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from pipeline.codec import FORMAT, read_format
from pipeline.state import NewerState
from pipeline.wording import one_line
from schemas.topics import checkpoints_topic
from topologies.kafka import Cluster, UnreadableBatch, committed_consumer, read_to_end
from topologies.runtime.checkpoint.refusals import CheckpointFailed, describe_refusal
from topologies.step_state import ENTRY_KEY, CheckpointEntry

READ_IDLE_TIMEOUT_S = 15.0
"""Maximum seconds without a message while a checkpoint is read."""

LOOK_BACK = 64
"""Number of offsets before the end that are searched first for the last entry."""

SEQUENCE_HEADER = "sequence"
"""Header of each part and entry: the sequence number of its checkpoint."""


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """The last committed checkpoint of a partition.

    Attributes
    ----------
    sequence
        Number of the checkpoint; 0 if there is none.
    offsets
        Last used offset by topic. None if the entry is missing or cannot be read.
    parts
        The parts of the state by key.
    digest
        Hash of the parts and offsets of this checkpoint.
    problems
        One line per problem: an unreadable entry or a torn checkpoint.
    is_torn
        True if parts belong to a checkpoint without an entry, or if parts of the last checkpoint are missing.
    """

    sequence: int = 0
    offsets: dict[str, int] | None = None
    parts: dict[bytes, bytes] = field(default_factory=dict)
    digest: str = ""
    problems: tuple[str, ...] = ()
    is_torn: bool = False


async def read_checkpoint(cluster: Cluster, step: str, partition: int) -> StoredCheckpoint:
    """Read the last committed checkpoint of a partition, and check that it is complete.

    Raises
    ------
    CheckpointFailed
        If Kafka does not answer.
    NewerState
        If a newer version wrote the checkpoint.
    """
    source = TopicPartition(checkpoints_topic(step), partition)
    reader = CheckpointReader()
    await _read_into(reader, cluster, source, look_back=None)
    return reader.result()


async def read_last_entry(cluster: Cluster, step: str, partition: int) -> StoredCheckpoint:
    """Read the last checkpoint without most of its parts.

    Raises
    ------
    CheckpointFailed, NewerState
        As :func:`read_checkpoint`.
    """
    source = TopicPartition(checkpoints_topic(step), partition)
    look_back = LOOK_BACK
    while True:
        reader = CheckpointReader()
        is_complete = await _read_into(reader, cluster, source, look_back=look_back)
        if is_complete or reader.has_entry:
            return reader.result()
        look_back *= 8


async def _read_into(
    reader: "CheckpointReader", cluster: Cluster, source: TopicPartition, *, look_back: int | None
) -> bool:
    """Read committed messages into a reader. Return True if these are all the messages of the partition."""
    try:
        async with committed_consumer(cluster) as consumer:
            consumer.assign([source])
            log_start = (await consumer.beginning_offsets([source]))[source]
            log_end = (await consumer.end_offsets([source]))[source]
            start = log_start if look_back is None else max(log_start, log_end - look_back)
            async for record in read_to_end(consumer, [source], start=start, idle_timeout_s=READ_IDLE_TIMEOUT_S):
                if isinstance(record, UnreadableBatch):
                    reader.add_unreadable(record)
                else:
                    reader.add(record.key, record.value, dict(record.headers))
            return bool(start == log_start)
    except (KafkaError, TimeoutError) as error:
        raise CheckpointFailed(describe_refusal(error, cluster, topic=source.topic, right="Read")) from error


class CheckpointReader:
    """Reader of the messages of a checkpoint topic in order. It checks each part against the entries."""

    def __init__(self) -> None:
        self.has_entry = False
        self._entry: CheckpointEntry | None = None
        self._problem = ""
        self._parts: dict[bytes, bytes] = {}
        self._sequence = self._sequence_max = 0
        self._hash = sha256()
        self._digest = ""
        self._unreadable: list[str] = []

    def add(self, key: bytes, value: bytes | None, headers: Mapping[str, bytes]) -> bool:
        """Add the next message. Return True if it is an entry, which is the last message of a checkpoint."""
        self._start_sequence(int(headers.get(SEQUENCE_HEADER, b"0")))
        if key == ENTRY_KEY:
            self._add_entry(value)
        elif value is None:
            self._parts.pop(key, None)
        else:
            self._parts[key] = value
            _add_to_hash(self._hash, key, value)
        return key == ENTRY_KEY

    def add_unreadable(self, batch: UnreadableBatch) -> None:
        """Record that messages are missing because their batch cannot be read."""
        self._unreadable.append(f"{batch}; parts of the state may be missing or old; the evidence is reset")

    def result(self) -> StoredCheckpoint:
        """Return the last checkpoint in the messages so far."""
        # Check the parts too, because they are discarded if both the entry and the group's offsets are missing.
        newest = max((read_format(part) or 0 for part in self._parts.values()), default=0)
        if newest > FORMAT:
            raise NewerState(newest)
        problems = [self._problem] if self._problem else []
        is_torn = self._entry is not None and (self._entry.sequence, self._entry.digest) != (
            self._sequence,
            self._digest,
        )
        if is_torn:
            problems.append(
                f"checkpoint {self._sequence} is torn: some of its messages are missing, so outputs may be missing or "
                "written twice; the evidence is reset"
            )
        return StoredCheckpoint(
            sequence=self._sequence_max,
            offsets=self._entry.offsets if self._entry else None,
            parts=self._parts,
            digest=self._entry.digest if self._entry else "",
            problems=(*self._unreadable, *problems),
            is_torn=is_torn or bool(self._unreadable),
        )

    def _start_sequence(self, sequence: int) -> None:
        if sequence != self._sequence:
            self._sequence = sequence
            self._sequence_max = max(self._sequence_max, sequence)
            self._hash = sha256()
            self._digest = ""

    def _add_entry(self, value: bytes | None) -> None:
        self.has_entry = True
        self._entry, self._digest = None, ""
        try:
            entry = CheckpointEntry.model_validate_json(value or b"")
        except ValidationError as error:
            what = "is missing" if value is None else f"cannot be read ({one_line(error)})"
            self._problem = f"the entry with the offsets of the checkpoint {what}"
            return
        if entry.format > FORMAT:
            raise NewerState(entry.format)
        self._entry, self._problem = entry, ""
        _add_to_hash(self._hash, b"", _offsets_json(entry.offsets))
        self._digest = self._hash.hexdigest()


def checkpoint_digest(state: Iterable[tuple[bytes, bytes | None]], offsets: Mapping[str, int]) -> str:
    """Return the hash of the parts and offsets of a checkpoint. Compaction may remove tombstones, so they do not count."""
    hasher = sha256()
    for key, value in state:
        if value is not None:
            _add_to_hash(hasher, key, value)
    _add_to_hash(hasher, b"", _offsets_json(offsets))
    return hasher.hexdigest()


def _offsets_json(offsets: Mapping[str, int]) -> bytes:
    return orjson.dumps(dict(offsets), option=orjson.OPT_SORT_KEYS)


def _add_to_hash(hasher: Any, key: bytes, value: bytes) -> None:
    hasher.update(b"%d %d %b" % (len(key), len(value), key))
    hasher.update(value)
