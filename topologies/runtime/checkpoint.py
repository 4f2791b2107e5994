"""The checkpoint: outputs, changed state and input offsets of one partition, in one Kafka transaction.

Either all of it happened or none of it did, whoever dies when. Opening a :class:`Checkpoints` fences any older owner
of the partition: what that one still tries to commit is refused by the broker.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.step import Output
from schemas.topics import checkpoints_topic

TRANSACTION_TIMEOUT_MS = 20_000
"""Milliseconds after which the broker gives up a transaction whose owner is gone."""

REQUEST_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of one message at most: the largest that a dead letter of the largest record needs."""

STATE_BYTES_MAX = 1_000_000
"""Bytes of one part of a state at most: under the broker's limit for the checkpoint topic."""

CLOSE_TIMEOUT_S = 5.0
"""Seconds that a producer gets to close."""

_OFFSETS_KEY = b"\x00offsets"
"""No part of a state has this key: a state's keys are texts without NUL."""


class Checkpoints:
    """The checkpoints of one step and partition, for the time of one assignment.

    Parameters
    ----------
    bootstrap
        ``HOST:PORT`` of the cluster, or several with commas.
    group
        The consumer group whose offsets a checkpoint commits; also what names the transactions.
    step
        The step's name, which names its checkpoint topic.
    partition
        The partition of the input, and of the checkpoint topic.
    """

    def __init__(self, bootstrap: str, group: str, step: str, partition: int) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._topic = checkpoints_topic(step)
        self._partition = partition
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            transactional_id=f"{group}-{partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_request_size=REQUEST_BYTES_MAX,
            max_batch_size=256 * 1024,
        )

    async def open(self) -> tuple[dict[bytes, bytes], dict[str, int]]:
        """Fence any older owner, and read what the last checkpoint left.

        Returns
        -------
        tuple
            The state's parts by key, and the last offset used by input topic.
        """
        await self._producer.start()
        parts = await read_to_end(self._bootstrap, TopicPartition(self._topic, self._partition))
        offsets = orjson.loads(parts.pop(_OFFSETS_KEY, b"{}"))
        return parts, offsets

    async def commit(
        self,
        outputs: Sequence[Output],
        state: Iterable[tuple[bytes, bytes | None]],
        offsets: Mapping[str, int],
        inputs: Mapping[str, int],
    ) -> None:
        """Write all in one transaction.

        ``offsets`` are the last offsets used by topic, control topics too; ``inputs`` are those that the group
        commits.
        """
        await self._producer.begin_transaction()
        await self._send_outputs(outputs)
        await self._send_state(state, offsets)
        if inputs:
            await self._send_offsets(inputs)
        await self._producer.commit_transaction()

    async def close(self) -> None:
        """Close the producer; what is not committed by now never happened."""
        try:
            await asyncio.wait_for(self._producer.stop(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            return

    async def _send_outputs(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            await self._send(output.topic, output.key, output.value, output.partition or 0)

    async def _send_state(self, state: Iterable[tuple[bytes, bytes | None]], offsets: Mapping[str, int]) -> None:
        for key, value in state:
            if value is not None and len(value) > STATE_BYTES_MAX:
                raise ValueError(f"the part {key!r} of a state has {len(value)} bytes, more than {STATE_BYTES_MAX}")
            await self._send(self._topic, key, value, self._partition)
        await self._send(self._topic, _OFFSETS_KEY, orjson.dumps(dict(offsets)), self._partition)

    async def _send(self, topic: str, key: bytes | None, value: bytes | None, partition: int) -> None:
        sent = await self._producer.send(topic, key=key, value=value, partition=partition)
        # The transaction's end tells of a failure; what each message has to say of it would only be logged.
        sent.add_done_callback(_hear)

    async def _send_offsets(self, inputs: Mapping[str, int]) -> None:
        await self._producer.send_offsets_to_transaction(
            {TopicPartition(topic, self._partition): offset + 1 for topic, offset in inputs.items()}, self._group
        )


def _hear(sent: asyncio.Future[Any]) -> None:
    if not sent.cancelled():
        sent.exception()


async def read_to_end(bootstrap: str, partition: TopicPartition) -> dict[bytes, bytes]:
    """The newest committed value by key of one compacted partition."""
    found: dict[bytes, bytes] = {}
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    if record.value is None:
                        found.pop(record.key, None)
                    else:
                        found[record.key] = record.value
    return found


async def first_available(bootstrap: str, partition: TopicPartition, offset: int) -> tuple[int, int | None]:
    """What a reader that wants ``offset`` can have.

    Returns
    -------
    tuple
        The beginning of the partition's log, and the first offset at or after ``offset`` that holds a committed
        message; None where there is none yet. Control records and compaction leave holes that hold nothing.
    """
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([partition])
        beginning = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        position = max(offset, beginning)
        consumer.seek(partition, position)
        while position < end:
            for records in (await consumer.getmany(timeout_ms=200, max_records=1)).values():
                return beginning, int(records[0].offset)
            position = await consumer.position(partition)
    return beginning, None
