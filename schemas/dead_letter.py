"""The dead letter: a message that could not be used, with the reason."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.message import Message, Position, Text, Version
from schemas.record import Label
from schemas.timestamp import Timestamp
from schemas.unit import Unit

DeadLetterReason = Literal[
    "unreadable_batch",
    "tombstone",
    "empty",
    "too_large",
    "not_utf8",
    "not_json",
    "not_otlp",
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
    """One message that was not used, as it arrived. Of a message that intake could not use, it has only the position.

    A batch that could not be decompressed becomes one dead letter without a key or value. Its ``last_offset`` is the
    offset of the last message of the batch.

    An array of records is one Kafka message with many records. For a bad element of an array, the dead letter contains
    only that element, as JSON, and ``index`` is its position.
    """

    version: Version = 1
    dead_letter_id: Label = Field(description="Id of the dead letter, which is the same if the message is read again.")
    step: Literal["intake", "detect", "correlate", "route"] = Field(description="Step that could not use the message.")
    reason: DeadLetterReason = Field(description="Reason from a closed set, as listed in the documentation of topics.")
    detail: Text = Field(description="The reason as a sentence.")
    topic: Label = Field(description="Topic of the message.")
    partition: Position = Field(description="Partition of the message.")
    offset: Position = Field(description="Offset of the message, or -1 for a message that a step could not write.")
    last_offset: Position | None = Field(default=None, description="Last offset of a batch that could not be read.")
    index: Position | None = Field(
        default=None, description="Position in an array of records, from 0. Absent if the message is not an array."
    )
    appended_at: Timestamp | None = Field(default=None, description="Time at which the broker appended the message.")
    key_base64: str | None = Field(
        default=None, description="The key, or the beginning of a long key. Absent if the step is intake."
    )
    value_base64: str | None = Field(
        default=None,
        description="Original bytes, or only the first bytes if value_bytes is present. Absent for a tombstone, and if the "
        "step is intake.",
    )
    value_bytes: Annotated[int, Unit("By")] | None = Field(
        default=None, description="Length of a value that is too long for a dead letter."
    )
    value_sha256: str | None = Field(default=None, description="SHA-256 of a value that is too long for a dead letter.")
