"""Arrival: the messages of a batch to columns, a few at a time, so that parsed records live as short as they can.

Records are far larger than what is read of them. If a whole batch of them were kept, even for a moment, they would fill
the processor's cache, and make Python look for garbage among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from pipeline.detect.intake.decode import JOINED_MESSAGES, Reject, parse_batch
from pipeline.detect.intake.fields import joined
from pipeline.detect.intake.reader import ReadBatch, RecordReader


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A batch.

    Attributes
    ----------
    read, places
        The records in their order, and where each stood.
    rejects
        What was no record, in order.
    arrays
        Indexes of the messages that were arrays and were taken apart.
    """

    read: ReadBatch
    places: Sequence[int]
    rejects: Sequence[Reject]
    arrays: set[int]


def decode_batch(values: Sequence[bytes | None], reader: RecordReader, *, bytes_max: int) -> DecodedBatch:
    """Decode and read the values of a batch of messages.

    Parameters
    ----------
    values
        What Kafka gave; None for a tombstone.
    reader
        Reads the records.
    bytes_max
        Bytes; a longer value is rejected unread.
    """
    parts: list[ReadBatch] = []
    places: list[int] = []
    rejects: list[Reject] = []
    arrays: set[int] = set()
    for start in range(0, len(values), JOINED_MESSAGES):
        decoded = parse_batch(values[start : start + JOINED_MESSAGES], bytes_max=bytes_max, first=start)
        parts.append(reader.read(decoded.records))
        # The next ones are parsed into the memory of these.
        decoded.records.clear()
        places += decoded.places
        rejects += decoded.rejects
        arrays |= decoded.arrays
    return DecodedBatch(_together(parts or [reader.read(())]), places, rejects, arrays)


def _together(parts: Sequence[ReadBatch]) -> ReadBatch:
    if len(parts) == 1:
        return parts[0]
    return ReadBatch(
        tuple(chain.from_iterable(part.subjects for part in parts)),
        tuple(chain.from_iterable(part.timestamps for part in parts)),
        joined([part.fields for part in parts]),
    )
