"""Checkpoint of one partition: outputs, changed state and input offsets in one Kafka transaction.

A checkpoint is atomic: after a crash at any point, either all of its messages are committed or none. Opening
:class:`Checkpoints` fences an older owner of the partition: the broker refuses later commits of that owner.

A state is a set of parts, each with a key and bytes (see ``pipeline/codec.py``). Each part is one message of the
compacted checkpoint topic, and the input offsets are another message. Next: ``partition.py``, which collects the content
of a checkpoint.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition

from pipeline.step import OutputMessage
from schemas.topics import checkpoints_topic
from topologies.kafka import Cluster, committed_consumer, read_to_end

TRANSACTION_TIMEOUT_MS = 20_000
"""Milliseconds after which the broker aborts the transaction of an owner that has ended."""

REQUEST_BYTES_MAX = 16 * 1024 * 1024
"""Maximum bytes of a message. A dead letter of the largest record has this size."""

PART_BYTES_MAX = 1_000_000
"""Maximum bytes of a part of a state. It is below the broker's limit for the checkpoint topic."""

CLOSE_TIMEOUT_S = 5.0
"""Maximum seconds to close the producer."""

_OFFSETS_KEY = b"\x00offsets"
"""Key of the offsets. No part of a state has this key."""


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
        self._producer = AIOKafkaProducer(
            **cluster.client_options(),
            transactional_id=f"{group}-{partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_request_size=REQUEST_BYTES_MAX,
            max_batch_size=256 * 1024,
        )

    async def open(self) -> tuple[dict[bytes, bytes], dict[str, int]]:
        """Fence an older owner and return the last checkpoint, in the form of :func:`read_checkpoint`."""
        await self._producer.start()
        return await read_checkpoint(self._cluster, self._step, self._partition)

    async def commit(
        self,
        outputs: Sequence[OutputMessage],
        state: Iterable[tuple[bytes, bytes | None]],
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
        KafkaError
            If the broker refuses the transaction. ``ProducerFenced`` means that another worker owns the partition.
        """
        await self._producer.begin_transaction()
        await self._send_outputs(outputs)
        await self._send_state(state, offsets)
        if inputs:
            await self._send_offsets(inputs)
        await self._producer.commit_transaction()

    async def close(self) -> None:
        """Close the producer. An open transaction is discarded."""
        try:
            await asyncio.wait_for(self._producer.stop(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            return

    async def _send_outputs(self, outputs: Sequence[OutputMessage]) -> None:
        for output in outputs:
            await self._send(output.topic, output.key, output.value, output.partition or 0)

    async def _send_state(self, state: Iterable[tuple[bytes, bytes | None]], offsets: Mapping[str, int]) -> None:
        topic = checkpoints_topic(self._step)
        for key, value in state:
            if value is not None and len(value) > PART_BYTES_MAX:
                raise ValueError(f"the part {key!r} of a state has {len(value)} bytes, more than {PART_BYTES_MAX}")
            await self._send(topic, key, value, self._partition)
        await self._send(topic, _OFFSETS_KEY, orjson.dumps(dict(offsets)), self._partition)

    async def _send(self, topic: str, key: bytes | None, value: bytes | None, partition: int) -> None:
        delivery = await self._producer.send(topic, key=key, value=value, partition=partition)
        # The end of the transaction reports a failure. Without this callback, asyncio would log it again per message.
        delivery.add_done_callback(_mark_error_retrieved)

    async def _send_offsets(self, inputs: Mapping[str, int]) -> None:
        await self._producer.send_offsets_to_transaction(
            {TopicPartition(topic, self._partition): offset + 1 for topic, offset in inputs.items()}, self._group
        )


async def read_checkpoint(cluster: Cluster, step: str, partition: int) -> tuple[dict[bytes, bytes], dict[str, int]]:
    """Read the last committed checkpoint of a partition.

    Returns
    -------
    tuple
        The parts of the state by key, and the last used offset by topic.
    """
    source = TopicPartition(checkpoints_topic(step), partition)
    parts: dict[bytes, bytes] = {}
    async with committed_consumer(cluster) as consumer:
        consumer.assign([source])
        async for record in read_to_end(consumer, [source]):
            if record.value is None:
                parts.pop(record.key, None)
            else:
                parts[record.key] = record.value
    offsets = orjson.loads(parts.pop(_OFFSETS_KEY, b"{}"))
    return parts, offsets


async def find_available_offset(cluster: Cluster, partition: TopicPartition, offset: int) -> tuple[int, int | None]:
    """Find the first committed message at or after an offset.

    Returns
    -------
    tuple
        The first offset of the partition's log, and the offset of the message, or None if there is no such message yet.
        Transaction markers and compaction leave offsets without a message.
    """
    async with committed_consumer(cluster) as consumer:
        consumer.assign([partition])
        log_start = (await consumer.beginning_offsets([partition]))[partition]
        log_end = (await consumer.end_offsets([partition]))[partition]
        position = max(offset, log_start)
        consumer.seek(partition, position)
        while position < log_end:
            for records in (await consumer.getmany(timeout_ms=200, max_records=1)).values():
                return log_start, int(records[0].offset)
            position = await consumer.position(partition)
    return log_start, None


def _mark_error_retrieved(delivery: asyncio.Future[Any]) -> None:
    if not delivery.cancelled():
        delivery.exception()
