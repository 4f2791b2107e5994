"""Dead letters of all steps: the message, the reason, and a deterministic id."""

from base64 import b64decode, b64encode
from hashlib import blake2b, sha256
from typing import Literal, cast

from pipeline.step import InputMessage, OutputMessage
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.timestamp import EARLIEST_MS, LATEST_MS
from schemas.topics import DEAD_LETTERS, RECORDS, topic

DETAIL_LENGTH_MAX = 500
"""Maximum number of characters in a detail. Longer details are truncated."""

VALUE_BYTES_MAX = topic(RECORDS).message_bytes_max
"""Maximum size, in bytes, of a value that a dead letter contains in full. A compressed message can have a longer
value."""

START_BYTES = 64 * 1024
"""Number of leading bytes of a longer value or key that a dead letter contains. A dead letter always fits into its
topic."""

SHORT_BYTES = 1024
"""Maximum size, in bytes, of a value or key in a shortened dead letter."""

NO_OFFSET = -1
"""Offset in the dead letter of a refused output, because such an output has no offset."""


def dead_letter(
    step: str,
    message: InputMessage,
    reason: DeadLetterReason,
    detail: str,
    *,
    index: int | None = None,
    value: bytes | None = None,
    last_offset: int | None = None,
    receiver: str = "",
) -> OutputMessage:
    """Build the dead letter of a message, or of one element if the message is an array.

    A dead letter of intake has neither the key nor the value, because messages of other services can contain prompts.

    Parameters
    ----------
    step
        The step that could not use the message.
    message
        The message as it arrived.
    reason, detail
        The reason as a code for programs and as a sentence for people. The detail must not contain text from a record.
    index, value
        Position and JSON of the element, if the dead letter is for an element of an array.
    last_offset
        The last offset of a batch of messages that could not be read.
    receiver
        The receiver that refused the message. Several receivers can refuse one message.
    """
    position = f"{message.topic}/{message.partition}/{message.offset}/{receiver if index is None else index}"
    dead_letter_id = blake2b(position.encode(), digest_size=12).hexdigest()
    key, content = message.key, message.value if index is None else value
    if step == "intake":
        key = content = None
    long_value = content if content is not None and len(content) > VALUE_BYTES_MAX else None
    if long_value is not None:
        content = long_value[:START_BYTES]
    letter = DeadLetter(
        dead_letter_id=dead_letter_id,
        step=cast(Literal["intake", "detect", "correlate", "route"], step),
        reason=reason,
        detail=detail[:DETAIL_LENGTH_MAX],
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        last_offset=last_offset,
        index=index,
        appended_at=message.timestamp if EARLIEST_MS <= message.timestamp <= LATEST_MS else None,
        key_base64=None if key is None else b64encode(key[:START_BYTES]).decode(),
        value_base64=None if content is None else b64encode(content).decode(),
        value_bytes=None if long_value is None else len(long_value),
        value_sha256=None if long_value is None else sha256(long_value).hexdigest(),
    )
    return OutputMessage(DEAD_LETTERS, dead_letter_id.encode(), letter.to_json())


def refused_output(step: str, output: OutputMessage, detail: str) -> OutputMessage:
    """Build the dead letter of an output that Kafka refused.

    Parameters
    ----------
    step
        The step that wrote the output.
    output
        The output.
    detail
        The reason as a sentence. It must not contain text from a record.
    """
    content = b"\0".join((output.topic.encode(), output.key or b"", output.value or b""))
    dead_letter_id = blake2b(content, digest_size=12).hexdigest()
    letter = DeadLetter(
        dead_letter_id=dead_letter_id,
        step=cast(Literal["intake", "detect", "correlate", "route"], step),
        reason="output_refused",
        detail=detail[:DETAIL_LENGTH_MAX],
        topic=output.topic,
        partition=output.partition or 0,
        offset=NO_OFFSET,
        key_base64=None if output.key is None else b64encode(output.key).decode(),
        value_base64=None if output.value is None else b64encode(output.value).decode(),
    )
    return OutputMessage(DEAD_LETTERS, dead_letter_id.encode(), letter.to_json())


def shorten_dead_letter(output: OutputMessage) -> OutputMessage:
    """Shorten the value and key in a dead letter that Kafka refused. Return the same output if both are short."""
    letter = DeadLetter.from_json(output.value or b"")
    value = b64decode(letter.value_base64 or "")
    key = b64decode(letter.key_base64 or "")
    if len(value) <= SHORT_BYTES and len(key) <= SHORT_BYTES:
        return output
    changes: dict[str, object] = {}
    if len(value) > SHORT_BYTES:
        changes = {
            "value_base64": b64encode(value[:SHORT_BYTES]).decode(),
            "value_bytes": letter.value_bytes or len(value),
            "value_sha256": letter.value_sha256 or sha256(value).hexdigest(),
        }
    if len(key) > SHORT_BYTES:
        changes["key_base64"] = b64encode(key[:SHORT_BYTES]).decode()
    return OutputMessage(output.topic, output.key, letter.model_copy(update=changes).to_json(), output.partition)
