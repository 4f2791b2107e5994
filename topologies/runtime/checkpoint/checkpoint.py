"""Checkpoint of one partition: outputs, changed state and input offsets in one Kafka transaction.

A checkpoint is atomic: after a crash at any point, either all of its messages are committed or none. Opening
:class:`Checkpoints` fences an older owner of the partition: the broker refuses later commits of that owner.

A state is a set of parts, each with a key and bytes (see ``pipeline/codec.py``). Each part is one message of the
compacted checkpoint topic. The last message of a checkpoint is its entry: a sequence number, the input offsets, and a
hash of the parts. A restore compares the parts with the entry to detect a torn checkpoint. ``transaction.py`` writes
the transaction. Next: ``partition.py``, which collects the content of a checkpoint.
"""

from collections.abc import Iterable, Mapping, Sequence

import orjson
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from pipeline.codec import FORMAT
from pipeline.step import OutputMessage
from schemas.topics import checkpoints_topic
from topologies.kafka import Cluster
from topologies.runtime.checkpoint.refusals import CheckpointFailed, MessagesRefused
from topologies.runtime.checkpoint.stored_checkpoint import (
    SEQUENCE_HEADER,
    CheckpointReader,
    StoredCheckpoint,
    checkpoint_digest,
    read_checkpoint,
    read_last_entry,
)
from topologies.runtime.checkpoint.transaction import TransactionalProducer, TransactionMessage
from topologies.step_state import ENTRY_KEY

PART_BYTES_MAX = 1_000_000
"""Maximum size of a part of a state, in bytes. It is below the broker's limit for the checkpoint topic."""


class CheckpointTopicReplaced(CheckpointFailed):
    """The checkpoint topic is new, so the full state must be written again."""


class Checkpoints:
    """Checkpoints of one step and partition during one assignment.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    group
        Consumer group of the committed offsets, and prefix of the transactional id.
    step
        Name of the step, which determines the checkpoint topic.
    partition
        Partition of the input and of the checkpoint topic.
    """

    def __init__(self, cluster: Cluster, group: str, step: str, partition: int) -> None:
        self._cluster = cluster
        self._group = group
        self._step = step
        self._partition = partition
        self._producer: TransactionalProducer | None = None
        self._sequence = 0
        self._attempted_digest = ""
        self._entry_offset = -1
        self._separate: frozenset[int] = frozenset()

    @staticmethod
    def reader() -> CheckpointReader:
        """Return a reader that checks the messages of a checkpoint topic in order."""
        return CheckpointReader()

    async def open(self) -> StoredCheckpoint:
        """Fence any older owner and return the last checkpoint.

        Raises
        ------
        CheckpointFailed
            If Kafka refuses a request or does not answer.
        """
        await self._start_producer()
        stored = await read_checkpoint(self._cluster, self._step, self._partition)
        self._sequence = stored.sequence
        return stored

    async def reopen(self) -> bool:
        """Replace the producer after a failed commit. Return True if that commit was completed after all.

        Raises
        ------
        ProducerFenced
            If another worker has written a checkpoint in the meantime.
        CheckpointTopicReplaced
            If the checkpoint topic no longer contains a checkpoint.
        CheckpointFailed
            If Kafka refuses a request or does not answer.
        """
        await self._start_producer()
        stored = await read_last_entry(self._cluster, self._step, self._partition)
        if stored.sequence == self._sequence:
            return False
        if stored.sequence == self._sequence + 1 and stored.digest == self._attempted_digest:
            self._sequence = stored.sequence
            return True
        if stored.sequence == 0:
            self._entry_offset = -1
            raise CheckpointTopicReplaced(
                f"topic {checkpoints_topic(self._step)} was deleted and created again; the full state is written again"
            )
        raise ProducerFenced("another worker has written a checkpoint")

    async def commit(
        self,
        outputs: Sequence[OutputMessage],
        state: Mapping[bytes, bytes | None],
        offsets: Mapping[str, int],
        inputs: Mapping[str, int],
    ) -> None:
        """Write a checkpoint in one transaction.

        Parameters
        ----------
        outputs
            Messages for other topics.
        state
            Changed parts by key; None deletes a part.
        offsets
            Last used offset by topic, including control topics.
        inputs
            The subset of ``offsets`` that the consumer group commits.

        Raises
        ------
        ValueError
            If a part is larger than :data:`PART_BYTES_MAX`.
        MessagesRefused
            If Kafka refuses the content of outputs. The positions are those of ``outputs``.
        CheckpointTopicReplaced
            If the checkpoint topic is new. This checkpoint is committed, but the topic contains only its parts.
        CheckpointFailed
            If the transaction fails or its outcome is unknown. :meth:`reopen` must be called before the next commit.
        ProducerFenced
            If another worker owns the partition.
        """
        if self._producer is None:
            raise RuntimeError("the checkpoints are not open: call open first")
        sequence = self._sequence + 1
        self._attempted_digest = checkpoint_digest(state.items(), offsets)
        messages = [
            *(
                TransactionMessage(TopicPartition(output.topic, output.partition or 0), output.key, output.value, [])
                for output in outputs
            ),
            *self._state_messages(state, offsets, sequence),
        ]
        positions = {TopicPartition(topic, self._partition): offset + 1 for topic, offset in inputs.items()}
        try:
            entry_offset = await self._producer.write(messages, positions, self._group, separate=self._separate)
        except MessagesRefused as refused:
            raise self._narrow_refusal(refused, len(outputs)) from refused
        self._separate = frozenset()
        self._sequence = sequence
        if entry_offset is None:
            return
        entry_offset_before, self._entry_offset = self._entry_offset, entry_offset
        if entry_offset <= entry_offset_before:
            raise CheckpointTopicReplaced(
                f"topic {checkpoints_topic(self._step)} was deleted and created again; the full state is written again"
            )

    async def close(self) -> None:
        """Close the producer. An open transaction is discarded."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close()

    async def _start_producer(self) -> None:
        await self.close()
        producer = TransactionalProducer(self._cluster, transactional_id=f"{self._group}-{self._partition}")
        self._producer = producer
        await producer.start()

    def _state_messages(
        self, state: Mapping[bytes, bytes | None], offsets: Mapping[str, int], sequence: int
    ) -> Iterable[TransactionMessage]:
        source = TopicPartition(checkpoints_topic(self._step), self._partition)
        headers = [(SEQUENCE_HEADER, str(sequence).encode())]
        for key, value in state.items():
            if value is not None and len(value) > PART_BYTES_MAX:
                raise ValueError(f"the part {key!r} of a state has {len(value)} bytes, more than {PART_BYTES_MAX}")
            yield TransactionMessage(source, key, value, headers)
        entry = {"format": FORMAT, "sequence": sequence, "digest": self._attempted_digest, "offsets": dict(offsets)}
        yield TransactionMessage(source, ENTRY_KEY, orjson.dumps(entry), headers)

    def _narrow_refusal(self, refused: MessagesRefused, output_count: int) -> CheckpointFailed:
        """Return the refusal of single outputs. The next attempt sends the outputs of a refused batch separately."""
        if refused.indices[-1] >= output_count:
            return CheckpointFailed(
                f"{refused}: set max.message.bytes of topic {checkpoints_topic(self._step)} to at least 1 MiB"
            )
        is_single = len(refused.indices) == 1 or refused.indices[0] in self._separate
        self._separate |= frozenset(refused.indices)
        return MessagesRefused(str(refused), refused.indices if is_single else [])
