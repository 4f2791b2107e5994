"""Reader of partitions in order of time. It merges them in bounded memory and stops at their end."""

import heapq
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from topologies.kafka.committed_log import POLL_MS
from topologies.kafka.record_batches import UnreadableBatch

_Queue = deque[tuple[int, ConsumerRecord]]


async def read_in_time_order(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    time_of: Callable[[bytes], int | None],
    *,
    start_ms: int | None = None,
) -> AsyncGenerator[ConsumerRecord | UnreadableBatch]:
    """Yield the messages in partitions at the time of the call, in order of their times. Tombstones are skipped.

    Within a partition, messages stay in order of their offsets: a late message counts as simultaneous with the newest
    message before it. Memory is bounded by one fetch per partition.

    Parameters
    ----------
    consumer
        A started consumer to which the partitions are assigned.
    partitions
        The partitions to read.
    time_of
        Function that returns the time of a value in Unix milliseconds, or None if it has no time.
    start_ms
        Time in Unix milliseconds. Messages that were appended earlier are skipped. None for the beginning.
    """
    await _seek(consumer, partitions, start_ms)
    ends = await consumer.end_offsets(partitions)
    queues: dict[TopicPartition, _Queue] = {partition: deque() for partition in partitions}
    newest_ms = dict.fromkeys(partitions, 0)
    unfinished = set(partitions)
    while unfinished:
        waiting = [partition for partition in unfinished if not queues[partition]]
        finished = {partition for partition in waiting if await consumer.position(partition) >= ends[partition]}
        unfinished -= finished
        if not finished:
            for partition, records in (await consumer.getmany(*waiting, timeout_ms=POLL_MS)).items():
                for record in records:
                    if isinstance(record, UnreadableBatch):
                        yield record
                    elif record.value is not None and record.offset < ends[partition]:
                        newest_ms[partition] = max(newest_ms[partition], time_of(record.value) or 0)
                        queues[partition].append((newest_ms[partition], record))
        for record in _merge(queues, unfinished):
            yield record


async def _seek(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], start_ms: int | None) -> None:
    """Move each partition to its first message that was appended at or after a time, or to its end if there is none."""
    await consumer.seek_to_beginning(*partitions)
    if start_ms is None:
        return
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, start_ms))
    for partition in partitions:
        if found[partition] is None:
            await consumer.seek_to_end(partition)
        else:
            consumer.seek(partition, found[partition].offset)


def _merge(queues: Mapping[TopicPartition, _Queue], unfinished: set[TopicPartition]) -> Iterator[ConsumerRecord]:
    """Remove and yield the oldest messages, until a message that is still in Kafka can be the oldest."""
    if any(not queues[partition] for partition in unfinished):
        return
    heap = [(queue[0][0], partition) for partition, queue in queues.items() if queue]
    heapq.heapify(heap)
    while heap:
        _, partition = heap[0]
        queue = queues[partition]
        yield queue.popleft()[1]
        if queue:
            heapq.heapreplace(heap, (queue[0][0], partition))
        elif partition in unfinished:
            return
        else:
            heapq.heappop(heap)
