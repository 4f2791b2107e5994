"""Decode a batch of messages into records, a few messages at a time. Admission starts here.

A parsed record is far larger than the columns read from it. Parsing the full batch at once would fill the processor's
cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.detect.admission.decode import ParsedMessages, Rejection, parse_messages, record_position
from pipeline.detect.admission.duplicates import hash_contents
from pipeline.detect.admission.reader import CloudEventFound, RecordReader
from pipeline.detect.admission.records import Records
from pipeline.detect.admission.typed_reader import TypedReader

PART_MESSAGES = 256
"""Number of messages that the typed reader decodes in one call. Higher values fill the processor's cache."""

JOINED_MESSAGES = 64
"""Number of messages parsed in one call. Higher values save no time, and one bad message slows down the whole call."""


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A decoded batch.

    Attributes
    ----------
    records
        The unchecked records, in order.
    rejections
        The messages and elements that are not records, in order.
    array_indexes
        Indexes of the messages that are arrays.
    """

    records: Records
    rejections: Sequence[Rejection]
    array_indexes: set[int]


class BatchDecoder:
    """Decoder of batches of messages.

    Parameters
    ----------
    reader
        Reader of the records that the typed reader refuses.
    bytes_max
        Maximum size of a message, in bytes. A longer message is rejected without being parsed.
    """

    def __init__(self, reader: RecordReader, *, bytes_max: int) -> None:
        self._reader = reader
        self._typed_reader = TypedReader()
        self._bytes_max = bytes_max

    def decode(self, values: Sequence[bytes | None]) -> DecodedBatch:
        """Decode the values of Kafka messages. A tombstone is None."""
        parts: list[Records] = []
        rejections: list[Rejection] = []
        array_indexes: set[int] = set()
        for start in range(0, len(values), PART_MESSAGES):
            part = values[start : start + PART_MESSAGES]
            typed = self._typed_reader.read(part, bytes_max=self._bytes_max)
            typed.records.positions = [record_position(start + index) for index in typed.indexes]
            typed.records.content_hashes = hash_contents(typed.contents)
            read = [typed.records]
            for first in range(0, len(typed.refused), JOINED_MESSAGES):
                refused = typed.refused[first : first + JOINED_MESSAGES]
                parsed = parse_messages(
                    [part[index] for index in refused],
                    bytes_max=self._bytes_max,
                    indexes=[start + index for index in refused],
                )
                read.append(self._read(parsed))
                rejections += parsed.rejections
                array_indexes |= parsed.array_indexes
            parts.append(_merge([records for records in read if len(records)] or [Records.empty()]))
        return DecodedBatch(Records.concatenate(parts or [Records.empty()]), rejections, array_indexes)

    def _read(self, parsed: ParsedMessages) -> Records:
        try:
            records = self._reader.read(parsed.objects)
        except CloudEventFound:
            parsed.unwrap_cloud_events()
            records = self._reader.read(parsed.objects)
        records.positions = parsed.positions
        records.content_hashes = hash_contents(parsed.contents)
        self._typed_reader.learn(parsed.objects)
        # Free the objects, so the next messages reuse their memory.
        parsed.objects.clear()
        return records


def _merge(parts: Sequence[Records]) -> Records:
    """Join records in the order of their positions."""
    records = Records.concatenate(parts)
    if len(parts) == 1 or list(records.positions) == sorted(records.positions):
        return records
    return records.pick(np.argsort(records.positions).tolist())
