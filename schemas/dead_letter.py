"""The dead letter: a message that could not be used, with the reason."""

from typing import Literal

from pydantic import Field

from schemas.message import Integer, Message, Text
from schemas.record import Label
from schemas.timestamp import Timestamp

DeadLetterReason = Literal[
    "unreadable_batch",
    "tombstone",
    "empty",
    "too_large",
    "not_utf8",
    "not_json",
    "not_an_object",
    "array_in_array",
    "subject_missing",
    "subject_invalid",
    "subject_limit",
    "timestamp_missing",
    "timestamp_invalid",
    "timestamp_out_of_range",
    "contract",
    "internal_error",
    "output_refused",
    "receiver_refused",
]


class DeadLetter(Message):
    """One message that was not used, as it arrived.

    A batch that could not be decompressed becomes one dead letter without a key or value. Its ``last_offset`` is the
    offset of the last message of the batch.

    An array of records is one Kafka message with many records. For a bad element of an array, the dead letter contains
    only that element, as JSON, and ``index`` is its position.
    """

    version: Literal[1] = 1
    dead_letter_id: Label
    step: Literal["intake", "detect", "correlate", "route"]
    reason: DeadLetterReason
    detail: Text
    topic: Label
    partition: Integer
    offset: Integer
    last_offset: Integer | None = Field(default=None, description="Last offset of a batch that could not be read.")
    index: Integer | None = None
    appended_at: Timestamp | None = Field(default=None, description="Time at which the broker appended the message.")
    key_base64: str | None = Field(default=None, description="The key, or the beginning of a long key.")
    value_base64: str | None = Field(
        default=None,
        description="Original bytes, or only the first bytes if value_bytes is present. Absent for a tombstone.",
    )
    value_bytes: int | None = Field(default=None, description="Length of a value that is too long for a dead letter.")
    value_sha256: str | None = Field(default=None, description="SHA-256 of a value that is too long for a dead letter.")
