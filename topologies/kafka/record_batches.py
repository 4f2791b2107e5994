"""Reader of fetched record batches, which limits decompression and reports unreadable batches.

aiokafka raises an error for a batch with a wrong checksum, an unknown codec or damaged contents, fetches the batch
again, and raises the same error again. It also decompresses a batch of any size. The classes in this module replace
aiokafka's in all consumers of this process: an unreadable batch becomes one :class:`UnreadableBatch`, and the consumer
continues after the batch.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import decode_varint
from aiokafka.structs import ConsumerRecord

from topologies.kafka.unpacking import DamagedBatch, unpack

TAKEN_BYTES_MAX = 16 * 1024 * 1024
"""Decompressed bytes after which a list of messages ends, because many small batches can unpack to large ones."""

RECORD_FORMAT = 2
"""The record format (magic byte) that brokers have written since Kafka 0.11."""

_LENGTH = struct.Struct(">qi")
_HEADER = struct.Struct(">qiibIhiqqqhii")
_ATTRIBUTES = struct.Struct(">h")
_ATTRIBUTES_AT = 21
_FORMAT_AT = 16

_CODEC_BITS = 0x07
_TRANSACTION_BIT = 0x10
_CONTROL_BIT = 0x20
_seen_once: dict[TopicPartition, int] = {}
"""Offset of the unreadable batch that has been fetched only once so far, by partition."""


@dataclass(frozen=True, slots=True)
class UnreadableBatch:
    """A batch that could not be read, in place of its messages. It is the only element of its list.

    ``offset`` and ``last_offset`` are its first and last offset. The other attributes are those of a message.
    """

    topic: str
    partition: int
    offset: int
    last_offset: int
    timestamp: int
    detail: str
    timestamp_type: int = 0
    key: None = None
    value: None = None

    def __str__(self) -> str:
        position = f"{self.topic} partition {self.partition}"
        return f"{position}: the messages at offsets {self.offset} to {self.last_offset} are skipped: {self.detail}"


class FetchedBytes:
    """Fetched bytes of one partition, in place of aiokafka's ``MemoryRecords``."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def has_next(self) -> bool:
        return bool(self.data)

    def size_in_bytes(self) -> int:
        return len(self.data)


class FetchedMessages(list[Any]):
    """Messages of one partition, in the order of their offsets, or one :class:`UnreadableBatch`.

    Attributes
    ----------
    begins_at
        Offset from which they were read: that after the last message of the list before, unless the consumer has sought
        another position. Offsets between it and the first message have no message for the consumer.
    size_bytes
        Bytes of the batches that were opened for them, as fetched.
    """

    begins_at = 0
    size_bytes = 0


class BatchReader:
    """Reader of the fetched batches of one partition, in place of aiokafka's ``PartitionRecords``.

    Parameters
    ----------
    partition
        The partition.
    fetched
        The bytes of the fetch.
    aborted_transactions
        Producer id and first offset of each aborted transaction in the fetch, or None.
    fetch_offset
        Offset from which the consumer fetched.
    isolation_level
        Isolation level of the consumer.

    Attributes
    ----------
    next_fetch_offset
        Offset after the last returned message.
    is_finished
        True if the consumer must fetch again.
    read_bytes
        Bytes of the batches that were opened so far, as fetched.
    """

    def __init__(
        self,
        partition: TopicPartition,
        fetched: FetchedBytes,
        aborted_transactions: list[tuple[int, int]] | None,
        fetch_offset: int,
        _key_deserializer: object,
        _value_deserializer: object,
        _check_crcs: bool,
        isolation_level: int,
    ) -> None:
        self.next_fetch_offset = fetch_offset
        self.is_finished = False
        self._partition = partition
        self._data = fetched.data
        self.read_bytes = 0
        self._start = self._end = 0
        self._aborted = sorted(aborted_transactions or (), key=lambda item: item[1], reverse=True)
        self._aborted_producers: set[int] = set()
        self._is_committed_only = isolation_level == fetcher.READ_COMMITTED
        self._batch: _RecordBatch | None = None

    def __next__(self) -> Any:
        taken = self.take(1)
        if not taken:
            raise StopIteration
        return taken[0]

    def take(self, count: int | None) -> list[Any]:
        """Return the next messages, at most ``count``, or a list with one :class:`UnreadableBatch`.

        A list ends before an unreadable batch. The consumer fetches this batch once more, because the network may have
        damaged it. If it still cannot be read, the next list contains it alone.
        """
        taken: list[Any] = []
        taken_bytes = 0
        try:
            while (count is None or len(taken) < count) and taken_bytes < TAKEN_BYTES_MAX:
                batch = self._batch or self._open_next_batch()
                if batch is None:
                    break
                taken_bytes += batch.unpacked_bytes
                self._take_from(batch, taken, None if count is None else count - len(taken))
        except DamagedBatch as problem:
            self.is_finished = True
            return taken or self._report(str(problem))
        return taken

    def _take_from(self, batch: "_RecordBatch", taken: list[Any], count: int | None) -> None:
        before = len(taken)
        try:
            taken.extend(islice(batch.records, count))
        except Exception as error:
            raise DamagedBatch("the contents of the batch are damaged") from error
        finally:
            if len(taken) > before:
                self.next_fetch_offset = taken[-1].offset + 1
        if count is None or len(taken) - before < count:
            # This is not the last message plus one, because compaction can remove the last messages of a batch.
            self.next_fetch_offset = batch.next_offset
            self._batch = None

    def _open_next_batch(self) -> "_RecordBatch | None":
        """Open the next batch that contains messages for the consumer. Return None at the end of the fetch."""
        while self._find_next_batch():
            batch = _RecordBatch(self._partition, self._data[self._start : self._end])
            if self._is_committed_only:
                self._update_aborted_producers(batch)
            if batch.is_control or (batch.is_in_transaction and batch.producer_id in self._aborted_producers):
                self.next_fetch_offset = batch.next_offset
                continue
            batch.open(self.next_fetch_offset)
            self.read_bytes += self._end - self._start
            self._batch = batch
            return batch
        self.is_finished = True
        return None

    def _find_next_batch(self) -> bool:
        """Find the end of the next batch. Return False if there is none or if only its beginning was fetched."""
        self._start = self._end
        if len(self._data) - self._start >= _LENGTH.size:
            _, length = _LENGTH.unpack_from(self._data, self._start)
            self._end = self._start + _LENGTH.size + length
            if length > 0 and self._end <= len(self._data):
                return True
        if self._start == 0:
            raise DamagedBatch("the length of the batch is damaged")  # the first batch of a fetch is always complete
        return False

    def _update_aborted_producers(self, batch: "_RecordBatch") -> None:
        while self._aborted and self._aborted[-1][1] <= batch.base_offset:
            self._aborted_producers.add(self._aborted.pop()[0])
        if batch.is_control:  # the producer's first marker after the start of an aborted transaction ends it
            self._aborted_producers.discard(batch.producer_id)

    def _report(self, detail: str) -> list[Any]:
        """Return the unreadable batch, or an empty list if this was its first fetch."""
        first = self.next_fetch_offset
        if _seen_once.get(self._partition) != first:
            _seen_once[self._partition] = first
            return []
        del _seen_once[self._partition]
        last, timestamp = first, -1
        if len(self._data) - self._start >= _HEADER.size:
            base, _, _, _, _, _, delta, _, timestamp, _, _, _, count = _HEADER.unpack_from(self._data, self._start)
            # A damaged header can contain any last offset. Unless two fields agree, skip one offset only.
            if base <= first and count == delta + 1:
                last = max(first, base + delta)
        self.next_fetch_offset = last + 1
        topic, partition = self._partition
        return [UnreadableBatch(topic, partition, first, last, timestamp, detail)]


class FetchResult(fetcher.FetchResult):
    """Result of a fetch that returns lists of messages from a :class:`BatchReader`.

    It notes in the consumer's state of the partition the position to which it has read, and the offset after the last
    message that it has returned (``read_to``).
    """

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        """Return the next messages, and advance the consumer's position."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        reader: BatchReader = self._partition_records
        state = self._assignment.state_value(self._topic_partition)
        position, begins_at = getattr(state, "read_to", (-1, -1))
        if reader.next_fetch_offset != position:  # the first fetch, or the consumer has sought another position
            begins_at = reader.next_fetch_offset
        bytes_before = reader.read_bytes
        taken = FetchedMessages(reader.take(max_records))
        taken.size_bytes = reader.read_bytes - bytes_before
        taken.begins_at = begins_at
        if taken:
            begins_at = getattr(taken[-1], "last_offset", taken[-1].offset) + 1
        state.read_to = reader.next_fetch_offset, begins_at
        self._update_position()
        if reader.is_finished:
            self._partition_records = None
        return taken


class _RecordBatch:
    """Header of a batch and, once it is open, its records."""

    def __init__(self, partition: TopicPartition, data: bytes) -> None:
        self.unpacked_bytes = 0
        self.records: Iterator[ConsumerRecord] = iter(())
        self._partition = partition
        self._data = data
        if len(data) < _HEADER.size:
            raise DamagedBatch("the length of the batch is damaged")
        if data[_FORMAT_AT] != RECORD_FORMAT:
            raise DamagedBatch(f"the batch has the record format {data[_FORMAT_AT]} instead of {RECORD_FORMAT}")
        batch = DefaultRecordBatch(data)
        if not batch.validate_crc():
            raise DamagedBatch("the checksum of the batch is wrong")
        self.base_offset: int = batch.base_offset
        self.next_offset: int = batch.next_offset
        self.producer_id: int = batch.producer_id
        self.is_in_transaction = bool(batch.attributes & _TRANSACTION_BIT)
        self.is_control = bool(batch.attributes & _CONTROL_BIT)
        self._codec: int = batch.attributes & _CODEC_BITS
        if self.next_offset <= self.base_offset:
            raise DamagedBatch("the offsets of the batch are damaged")

    def open(self, first_offset: int) -> None:
        """Decompress the batch, and start to read its records at an offset.

        Raises
        ------
        DamagedBatch
            If the batch cannot be decompressed.
        """
        data = self._data
        if self._codec:
            unpacked = unpack(self._codec, data[_HEADER.size :])
            self.unpacked_bytes = len(unpacked)
            (attributes,) = _ATTRIBUTES.unpack_from(data, _ATTRIBUTES_AT)
            plain = _ATTRIBUTES.pack(attributes & ~_CODEC_BITS)
            data = data[:_ATTRIBUTES_AT] + plain + data[_ATTRIBUTES_AT + len(plain) : _HEADER.size] + unpacked
        self.records = self._read(data, first_offset)

    def _read(self, data: bytes, first_offset: int) -> Iterator[ConsumerRecord]:
        topic, partition = self._partition
        batch = DefaultRecordBatch(data)
        try:
            for record in batch:
                if record.offset >= first_offset:
                    first_offset = record.offset + 1
                    yield ConsumerRecord(
                        topic,
                        partition,
                        record.offset,
                        record.timestamp,
                        record.timestamp_type,
                        record.key,
                        record.value,
                        None,
                        -1,
                        -1,
                        record.headers,
                    )
        except UnicodeDecodeError:  # the name of a header, which driftwire does not use
            yield from self._read_without_headers(batch, data, first_offset)

    def _read_without_headers(
        self, batch: DefaultRecordBatch, data: bytes, first_offset: int
    ) -> Iterator[ConsumerRecord]:
        end = _HEADER.size
        while end < len(data):
            length, position = decode_varint(data, end)
            end = position + length
            timestamp, position = decode_varint(data, position + 1)
            offset, position = decode_varint(data, position)
            key, position = _read_bytes(data, position)
            value, position = _read_bytes(data, position)
            if not position <= end <= len(data):
                raise ValueError("the length of a record is damaged")
            if (offset := batch.base_offset + offset) >= first_offset:
                timestamp = batch.max_timestamp if batch.timestamp_type else batch.first_timestamp + timestamp
                yield ConsumerRecord(
                    *self._partition, offset, timestamp, batch.timestamp_type, key, value, None, -1, -1, ()
                )


def _read_bytes(data: bytes, position: int) -> tuple[bytes | None, int]:
    length, position = decode_varint(data, position)
    return (None, position) if length < 0 else (data[position : position + length], position + length)


fetcher.MemoryRecords = FetchedBytes
fetcher.PartitionRecords = BatchReader
fetcher.FetchResult = FetchResult
