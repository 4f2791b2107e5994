"""The originals: what a message was, exactly, for as long as it may still become a dead letter."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.detect.decode import element_of, message_of, parse
from pipeline.step import Input, Output
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.record import SUBJECT_LENGTH_MAX
from schemas.timestamp import LATEST_MS, SECONDS_BY_MISTAKE_BELOW
from schemas.topics import DEAD_LETTERS

DETAIL_LENGTH_MAX = 500
"""Characters: a parser's complaint can quote the message, and the message is in the dead letter anyway."""


@dataclass(frozen=True, slots=True)
class Original:
    """One message, or one element of an array as JSON; ``appended_at`` is when the broker took it, Unix ms."""

    topic: str
    partition: int
    offset: int
    index: int | None
    appended_at: int
    key: bytes | None
    value: bytes | None

    def dead_letter(self, reason: DeadLetterReason, detail: str) -> Output:
        """The dead letter of it. Its id is a hash of where the message lay, so the same one twice is one."""
        place = f"{self.topic}\n{self.partition}\n{self.offset}\n{'' if self.index is None else self.index}"
        letter = DeadLetter(
            dead_letter_id=hashlib.blake2b(place.encode(), digest_size=8).hexdigest(),
            step="detect",
            reason=reason,
            detail=detail[:DETAIL_LENGTH_MAX],
            topic=self.topic[:SUBJECT_LENGTH_MAX],
            partition=self.partition,
            offset=self.offset,
            index=self.index,
            # A producer may stamp a message as it likes where the broker does not.
            appended_at=self.appended_at if SECONDS_BY_MISTAKE_BELOW <= self.appended_at <= LATEST_MS else None,
            key_base64=None if self.key is None else b64encode(self.key).decode(),
            value_base64=None if self.value is None else b64encode(self.value).decode(),
        )
        return Output(DEAD_LETTERS, letter.dead_letter_id.encode(), letter.to_json())

    def dump(self) -> list[Any]:
        """The fields, for a state."""
        return [self.topic, self.partition, self.offset, self.index, self.appended_at, self.key, self.value]


class Originals:
    """The originals of one batch by place.

    Parameters
    ----------
    messages
        The batch.
    arrays
        Indexes of the messages that are arrays.
    """

    def __init__(self, messages: Sequence[Input], arrays: set[int]) -> None:
        self._messages = messages
        self._arrays = arrays
        self._opened: tuple[int, list[Any]] = (-1, [])

    def appended_at(self, places: Sequence[int]) -> NDArray[np.int64]:
        """When the broker took the messages at some places, Unix milliseconds."""
        by_message = np.fromiter((message.timestamp for message in self._messages), np.int64, len(self._messages))
        return by_message[message_of(np.array(places, dtype=np.int64))]

    def at(self, place: int) -> Original:
        """The message, or the element of it, at a place."""
        number = message_of(place)
        message = self._messages[number]
        index = element_of(place) if number in self._arrays else None
        value = message.value if index is None else self._element(number, index)
        return Original(message.topic, message.partition, message.offset, index, message.timestamp, message.key, value)

    def _element(self, number: int, index: int) -> bytes | None:
        value = self._messages[number].value
        if value is None:
            return None
        if self._opened[0] != number:
            self._opened = (number, parse(value))
        try:
            return orjson.dumps(self._opened[1][index])
        except TypeError:
            # Nested deeper than can be written: the whole message holds it too.
            return value
