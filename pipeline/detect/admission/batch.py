"""Decode a batch of messages into records, a few messages at a time. Admission starts here.

A parsed record is far larger than the columns read from it. Parsing the full batch at once would fill the processor's
cache and trigger Python's garbage collector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.detect.admission.decode import ParsedMessages, Rejection, parse_messages
from pipeline.detect.admission.duplicates import hash_contents
from pipeline.detect.admission.reader import CloudEventFound, RecordReader
from pipeline.detect.admission.records import Records

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


def decode_batch(values: Sequence[bytes | None], reader: RecordReader, *, bytes_max: int) -> DecodedBatch:
    """Decode the values of a batch of messages.

    Parameters
    ----------
    values
        Values of Kafka messages; None for a tombstone.
    reader
        Reader of the records.
    bytes_max
        Maximum size of a value, in bytes. A longer value is rejected without being parsed.
    """
    parts: list[Records] = []
    rejections: list[Rejection] = []
    array_indexes: set[int] = set()
    for start in range(0, len(values), JOINED_MESSAGES):
        parsed = parse_messages(values[start : start + JOINED_MESSAGES], bytes_max=bytes_max, first_index=start)
        records = _read(parsed, reader)
        records.positions = parsed.positions
        records.content_hashes = hash_contents(parsed.contents)
        parts.append(records)
        # Free the objects, so the next messages reuse their memory.
        parsed.objects.clear()
        rejections += parsed.rejections
        array_indexes |= parsed.array_indexes
    return DecodedBatch(Records.concatenate(parts or [Records.empty()]), rejections, array_indexes)


def _read(parsed: ParsedMessages, reader: RecordReader) -> Records:
    try:
        return reader.read(parsed.objects)
    except CloudEventFound:
        parsed.unwrap_cloud_events()
        return reader.read(parsed.objects)
